// The commands that change something: deploy, delete and the verbs.
#pragma once

#include "common/domain/task_verb.hpp"
#include "ctl/api/gateway.hpp"
#include "ctl/commands/deployment_request.hpp"
#include "ctl/commands/follow.hpp"
#include "ctl/commands/output.hpp"

#include <optional>
#include <string>

namespace rollout::ctl {

/// The options of a request for a change.
struct ask_options {
    std::optional<std::string> key; ///< the Idempotency-Key; none: a new one
    bool yes = false;               ///< destroy without asking
    bool follows = true;            ///< show the task until it is over
    follow_request follow;
};

exit_code run_deploy(gateway &remote, const output &to, const deployment_options &wanted, const ask_options &options);

exit_code run_delete(gateway &remote, const output &to, const std::string &model_id, const ask_options &options);

/// `name` is the id of a task or of a model.
exit_code run_verb(gateway &remote, const output &to, task_verb verb, const std::string &name,
                   const ask_options &options);

} // namespace rollout::ctl
