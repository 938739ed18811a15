// An answer that is not what was asked for, as an exit status and a sentence.
#pragma once

#include "ctl/api/http_message.hpp"
#include "ctl/base/command_error.hpp"
#include "ctl/settings/settings.hpp"

namespace rollout::ctl {

/// Of any answer but a success: an RFC 9457 problem in the gateway's own words, else what nginx, or something else in its place,
/// has answered.
command_error error_of(const http_answer &answer, const settings &where);

/// Whether the answer is JSON as a gateway sends it.
bool is_json(const http_answer &answer) noexcept;

/// Whether asking again, later, may succeed: 429, and what a gateway without its rolloutd answers.
bool may_pass(const http_answer &answer) noexcept;

} // namespace rollout::ctl
