// Texts of rolloutd.json and what becomes of them.
#pragma once

#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "worker/config/settings.hpp"

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

inline constexpr std::string_view smallest = R"({
    "listen": {"path": "/run/rollout/rolloutd.sock"},
    "journal": {"path": "/var/lib/rollout/journal.db"},
    "backends": {"default": {"url": "http://127.0.0.1:8000", "repository": "/var/lib/rollout/repository"}}
})";

inline const std::string staged = R"({
    "listen": {"path": "/run/rollout/rolloutd.sock"},
    "journal": {"path": "/var/lib/rollout/journal.db"},
    "backends": {"default": {"url": "http://127.0.0.1:8000", "repository": "/var/lib/rollout/repository",
                             "staging": "/var/lib/rollout/staging"}}
})";

inline rollout::settings read(std::string_view text, std::vector<rollout::json_fault> &faults)
{
    const temporary_folder folder;
    return rollout::read_settings(folder.write("rolloutd.json", text), faults);
}

inline rollout::settings read_good(std::string_view text)
{
    std::vector<rollout::json_fault> faults;
    auto made = read(text, faults);
    assert_text(lines_of(faults), "");
    return made;
}

inline std::string faults_of(std::string_view text)
{
    std::vector<rollout::json_fault> faults;
    read(text, faults);
    return lines_of(faults);
}

/// Sets the member at a plain pointer, with the objects above it where they are missing; nothing given: takes it away.
inline std::string with(std::string_view text, std::string_view pointer, const char *value)
{
    const rollout::json_ptr root = json_of(text);
    json_t *at = root.get();
    for (;;) {
        pointer.remove_prefix(1);
        const std::string name(pointer.substr(0, pointer.find('/')));
        pointer.remove_prefix(name.size());
        if (pointer.empty()) {
            if (value == nullptr) {
                json_object_del(at, name.c_str());
            } else {
                json_object_set_new(at, name.c_str(), json_of(value).release());
            }
            return rollout::json_compact(root.get());
        }
        if (json_object_get(at, name.c_str()) == nullptr) {
            json_object_set_new(at, name.c_str(), json_object());
        }
        at = json_object_get(at, name.c_str());
    }
}

struct wrong {
    const char *pointer;
    const char *value;
    const char *words;
};

/// Each value alone makes one fault, at its own place.
inline void refuse_each(std::initializer_list<wrong> all)
{
    for (const auto &[pointer, value, words] : all) {
        const std::string lines = faults_of(with(staged, pointer, value));
        if (!lines.starts_with(pointer + std::string(": ")) || lines.find('\n') != lines.size() - 1 ||
            lines.find(words) == std::string::npos) {
            fail_msg("%s set to %s: \"%s\"", pointer, value, lines.c_str());
        }
    }
}
