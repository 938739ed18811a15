// What a function that cannot succeed says, and with which exit status.
#pragma once

#include "ctl/base/command_error.hpp"

#include <string>

/// `2 The sentence.`, or empty if nothing is thrown.
template <class Function>
std::string error_text(Function function)
{
    try {
        function();
    } catch (const rollout::ctl::command_error &error) {
        return std::to_string(static_cast<int>(error.code())) + ' ' + error.what();
    }
    return {};
}
