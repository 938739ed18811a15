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
    std::optional<task_kind> kind; ///< nothing: deployments and deletions
    unsigned limit = 20;
};

exit_code run_status(gateway &at, const output &to, const std::string &name);

/// Tasks, newest first.
exit_code run_list(gateway &at, const output &to, const list_options &wanted);

/// `names`: the models' ids alone, a line each.
exit_code run_models(gateway &at, const output &to, bool names);

/// Whether the gateway has its rolloutd.
exit_code run_ready(gateway &at, const output &to);

exit_code run_metrics(gateway &at, const output &to);

} // namespace rollout::ctl
