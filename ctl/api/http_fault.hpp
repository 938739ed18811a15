// Describes the failure of a request that got no answer, in a sentence that says what to do.
#pragma once

#include "ctl/settings/settings.hpp"

#include <curl/curl.h>

#include <chrono>
#include <string>
#include <string_view>

namespace rollout::ctl {

/// `said` is libcurl's own text about the failure, or empty; `system_error` is an errno, or 0.
std::string describe_fault(CURLcode code, std::string_view said, int system_error, const settings &where,
                           std::chrono::milliseconds timeout);

} // namespace rollout::ctl
