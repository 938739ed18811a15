// The commands that read: status, list, history, models, ready, metrics.
#pragma once

#include "ctl/api/gateway.hpp"
#include "ctl/commands/output.hpp"

#include <optional>
#include <string>

namespace rollout::ctl {

struct list_options {
    std::string model_id;
    std::optional<task_status> status;
    std::optional<task_kind> kind; ///< none: deployments and deletions
    unsigned limit = 20;
};

exit_code run_status(gateway &remote, const output &to, const std::string &name);

/// Lists tasks, newest first.
exit_code run_list(gateway &remote, const output &to, const list_options &wanted);

/// With `names`, lists only the models' ids, one per line.
exit_code run_models(gateway &remote, const output &to, bool names);

/// Reports whether the gateway has its rolloutd.
exit_code run_ready(gateway &remote, const output &to);

exit_code run_metrics(gateway &remote, const output &to);

} // namespace rollout::ctl
