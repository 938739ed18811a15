#include "worker/metrics.hpp"

#include "common/base/metrics_text.hpp"

#include <algorithm>

namespace rollout {

void rolloutd_metrics::committed(std::chrono::nanoseconds took, bool ok) noexcept
{
    const double seconds = std::chrono::duration<double>(took).count();
    const auto bound = std::lower_bound(bounds.begin(), bounds.end(), seconds);
    ++commits_[static_cast<std::size_t>(bound - bounds.begin())];
    commit_seconds_ += seconds;
    failed_commits_ += ok ? 0 : 1;
}


void rolloutd_metrics::changed(const std::vector<task_row> &rows) noexcept
{
    for (const auto &row : rows) {
        if (is_final(row.status)) {
            ++ended_[static_cast<std::size_t>(row.kind)][static_cast<std::size_t>(row.status)];
        }
    }
}


std::string rolloutd_metrics::text(const moment &now) const
{
    using type = metrics_text::type;
    metrics_text to;
    to.family("rollout_worker_info", type::gauge, "The version of rolloutd.")
        .sample({{"version", version_}}, std::uint64_t{1});
    to.family("rollout_worker_start_time_seconds", type::gauge, "When rolloutd started, in seconds since 1970.")
        .sample(static_cast<std::uint64_t>(began_));
    to.family("rollout_worker_links", type::gauge, "Worker processes of nginx that are linked to rolloutd.")
        .sample(now.links);
    to.family("rollout_queue_length", type::gauge, "Tasks that wait for their turn.").sample(now.waiting);
    to.family("rollout_oldest_waiting_task_seconds", type::gauge,
              "Age of the oldest task that waits for its turn; 0 if none does.")
        .sample(
            static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now.longest_wait).count()));
    to.family("rollout_running_tasks", type::gauge, "Tasks that are being carried out.").sample(now.running);
    to.family(
          "rollout_working_tasks", type::gauge,
          "Running tasks that hold one of the places of limits.max_concurrent_rollouts; the others wait, for time, "
          "traffic, a person or a place.")
        .sample(now.working);
    to.family("rollout_running_tasks_limit", type::gauge, "limits.max_concurrent_rollouts.").sample(now.most_working);
    to.family("rollout_deployed_models", type::gauge, "Models that serve, or are about to.")
        .sample(now.deployed_models);

    to.family("rollout_lost_models", type::gauge,
              "Models with a revision that their inference server has lost; it is loaded again.")
        .sample(now.lost_models);
    to.family("rollout_backend_up", type::gauge,
              "1 if the inference server answered when it was last asked which models it has; only of backends with "
              "models.");
    for (const auto &[backend, is_up] : now.backends_up) {
        to.sample({{"backend", backend}}, std::uint64_t{is_up});
    }

    to.family("rollout_server_up", type::gauge,
              "1 if that server of a backend of several answered when it was last asked which models it has.");
    for (const auto &server_model : now.servers) {
        to.sample({{"backend", server_model.backend}, {"server", server_model.server}},
                  std::uint64_t{server_model.is_up});
    }
    to.family("rollout_server_models", type::gauge,
              "Models that are to be loaded on that server of a backend of several, by their state there.");
    for (const auto &server_model : now.servers) {
        for (const auto &[state, models] : {std::pair{"loaded", server_model.loaded},
                                            {"loading", server_model.loading},
                                            {"missing", server_model.missing}}) {
            to.sample({{"backend", server_model.backend}, {"server", server_model.server}, {"state", state}},
                      std::uint64_t{models});
        }
    }

    to.family("rollout_unload_pending", type::gauge,
              "Retired revisions that no task could unload or remove; this is tried again.");
    for (const auto &[backend, revisions] : now.pending_unloads) {
        to.sample({{"backend", backend}}, std::uint64_t{revisions});
    }

    to.family("rollout_tasks_ended_total", type::counter, "Tasks finished since rolloutd started, by final status.");
    for (const auto kind : {task_kind::deploy, task_kind::remove}) {
        for (const auto status :
             {task_status::completed, task_status::failed, task_status::refused, task_status::canceled}) {
            to.sample({{"kind", kind_name(kind)}, {"status", status_name(status)}},
                      ended_[static_cast<std::size_t>(kind)][static_cast<std::size_t>(status)]);
        }
    }

    to.family("rollout_journal_revision", type::gauge,
              "The journal's revision: one for each change of a task or model.")
        .sample(now.revision);
    to.family("rollout_journal_commit_seconds", type::histogram,
              "Duration of a commit of the journal, including its sync to disk.")
        .histogram({}, bounds, commits_, commit_seconds_);
    to.family("rollout_journal_failed_commits_total", type::counter, "Commits of the journal that failed.")
        .sample(failed_commits_);
    if (now.cluster) {
        add(*now.cluster, to);
    }
    return to.take();
}


void rolloutd_metrics::add(const cluster &of, metrics_text &to)
{
    using type = metrics_text::type;
    const auto seconds = [](std::chrono::milliseconds time) { return std::chrono::duration<double>(time).count(); };
    to.family("rollout_cluster_leader", type::gauge,
              "1 if this rolloutd leads: it carries out the tasks of all hosts.")
        .sample(std::uint64_t{of.leads});
    if (of.change_age) {
        to.family("rollout_etcd_change_age_seconds", type::gauge,
                  "Time since etcd last told of a change; a leader makes one every 2 seconds.")
            .sample({}, seconds(*of.change_age));
    }
    to.family("rollout_etcd_lease_remaining_seconds", type::gauge,
              "How long this rolloutd's leases live if they are not renewed: its host's, and its leadership's.");
    for (const auto &[lease, left] : of.leases) {
        to.sample({{"lease", lease}}, seconds(left));
    }
    to.family("rollout_etcd_errors_total", type::counter,
              "Calls of etcd, attempts to connect and watches that failed, by kind.");
    for (const auto &[kind, count] : of.errors) {
        to.sample({{"kind", kind}}, count);
    }
    const auto bytes = [&to](const char *name, const char *help, std::optional<std::int64_t> value) {
        if (value) {
            to.family(name, type::gauge, help).sample(static_cast<std::uint64_t>(std::max<std::int64_t>(*value, 0)));
        }
    };
    bytes("rollout_etcd_database_bytes", "Size of the database of the member of etcd that is asked.",
          of.database_bytes);
    bytes("rollout_etcd_database_used_bytes",
          "How much of it is in use; the rest is free for etcd, or to be defragmented.", of.database_used_bytes);
    bytes("rollout_etcd_quota_bytes", "etcd's quota: the database's size at which it takes no writes.",
          of.quota_bytes > 0 ? std::optional(of.quota_bytes) : std::nullopt);
}

} // namespace rollout
