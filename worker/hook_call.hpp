// Calls one hook: a POST to a URL, or a run of a program.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/config/settings.hpp"
#include "worker/net/http_client.hpp"

#include <string>

namespace rollout {

/// `body` (JSON) is the POST's body or the program's standard input. Ok for a 2xx answer or exit status 0. Transient
/// if the failure may pass: no answer, 429, 5xx; exit status 75, a program that was ended by a signal or by its time
/// limit. Any other result is a refusal, and its text (the answer's body, the end of the standard error) is in the
/// sentence. Only a URL's host is shown: its path may contain a secret.
operation_ptr run_hook(http_client &http, const std::string &name, const hook_settings &hook, std::string body,
                       done_fn done);

} // namespace rollout
