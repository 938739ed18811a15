// jansson without memory, for as long as it lives: what it asks for it does not get. Assert outside of it.
#pragma once

#include <jansson.h>

#include <cstddef>
#include <cstdlib>
#include <new>

class failing_json_memory {
  public:
    failing_json_memory()
    {
        json_set_alloc_funcs([](std::size_t) -> void * { return nullptr; }, [](void *memory) { std::free(memory); });
    }
    ~failing_json_memory()
    {
        json_set_alloc_funcs([](std::size_t size) { return std::malloc(size); },
                             [](void *memory) { std::free(memory); });
    }
    failing_json_memory(const failing_json_memory &) = delete;
    failing_json_memory &operator=(const failing_json_memory &) = delete;
};

/// Does the work say that memory is out, while it is?
template <typename Work>
bool tells_of_no_json_memory(const Work &work)
{
    const failing_json_memory none;
    try {
        work();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}
