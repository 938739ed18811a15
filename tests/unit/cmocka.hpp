// cmocka's C header for C++, with what it needs before it.
#pragma once

extern "C" {
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
}

#include <string>

// Names that the standard library has too (std::ios::fail).
#undef fail
#undef skip
#undef fail_msg
#define fail_msg(...)                                                                                                \
    do {                                                                                                             \
        print_error("ERROR: " __VA_ARGS__);                                                                          \
        print_error("\n");                                                                                           \
        _fail(__FILE__, __LINE__);                                                                                   \
    } while (false)

/// Both as C++ strings; cmocka prints them when they differ.
#define assert_text(is, should_be) assert_string_equal(std::string(is).c_str(), std::string(should_be).c_str())

/// Does the text hold the other? Prints both when not.
#define assert_holds(text, part)                                                                                     \
    do {                                                                                                             \
        const std::string text_of_it(text);                                                                          \
        const std::string part_of_it(part);                                                                          \
        if (text_of_it.find(part_of_it) == std::string::npos) {                                                      \
            fail_msg("\"%s\" does not hold \"%s\"", text_of_it.c_str(), part_of_it.c_str());                         \
        }                                                                                                            \
    } while (false)
