// JSON as a test writes it.
#pragma once

#include "common/base/json.hpp"
#include "worker/base/json_reader.hpp"
#include "worker/domain/task.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/// Throws where the text is no JSON: the test is wrong then.
inline rollout::json_ptr json_of(std::string_view text)
{
    json_error_t error;
    rollout::json_ptr value(json_loadb(text.data(), text.size(), JSON_DECODE_ANY | JSON_ALLOW_NUL, &error));
    if (!value) {
        throw std::runtime_error(std::string(error.text) + " in " + std::string(text));
    }
    return value;
}

inline std::shared_ptr<const json_t> shared_json_of(std::string_view text)
{
    return rollout::share(json_of(text));
}

/// One fault a line, `pointer: detail`.
inline std::string lines_of(const std::vector<rollout::json_fault> &faults)
{
    std::string lines;
    for (const auto &fault : faults) {
        lines += fault.pointer + ": " + fault.detail + '\n';
    }
    return lines;
}
