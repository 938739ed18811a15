// Turns an unexpected answer into an exit status and a sentence.
#pragma once

#include "ctl/api/http_message.hpp"
#include "ctl/base/command_error.hpp"
#include "ctl/settings/settings.hpp"

namespace rollout::ctl {

/// For any answer but a success: uses the gateway's own text for an RFC 9457 problem, else describes the answer of nginx
/// or of something in its place.
command_error error_of(const http_answer &answer, const settings &where);

/// Returns whether the answer is JSON as sent by a gateway.
bool is_json(const http_answer &answer) noexcept;

/// Returns whether a later retry may succeed: after a 429, and after the answer of a gateway without its rolloutd.
bool may_pass(const http_answer &answer) noexcept;

} // namespace rollout::ctl
