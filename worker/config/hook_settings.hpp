// The members of rolloutd.json that name programs to run and addresses to call. Only an operator sets them, never a
// client.
#pragma once

#include "worker/base/json_reader.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

/// A hook that is called at a point of a rollout: a URL, or a program and its arguments.
struct hook_settings {
    std::string url;
    std::vector<std::string> command;
    std::uint64_t timeout_s = 10;
};

/// The points of a rollout at which hooks are called.
inline constexpr std::string_view hook_names[] = {"before_stage", "before_shift", "before_promote", "after_promote",
                                                  "after_rollback"};

/// Returns whether the URL begins with http:// or https:// and a host.
bool is_web_address(std::string_view url) noexcept;

/// The text of the fault if it does not.
inline constexpr char web_address_rule[] = "must begin with http:// or https:// and a host";

/// Reads the member `command`: the absolute path of a program, and its arguments.
void read_command(json_reader &reader, std::vector<std::string> &to, bool required);

/// Reads the object `hooks`: lists by name. A list replaces the previous one of that name.
void read_hooks(const json_t *from, const std::string &pointer, std::map<std::string, std::vector<hook_settings>> &to,
                std::vector<json_fault> &faults);

} // namespace rollout
