// rolloutd's own metrics for the gateways: what it has counted since its start, and its current state.
#pragma once

#include "common/domain/task_status.hpp"
#include "worker/journal/journal.hpp"
#include "worker/scheduler/model_monitor.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

class metrics_text;

class rolloutd_metrics {
  public:
    /// The state of a cluster, if the journal is in etcd.
    struct cluster {
        bool leads = false;                                  ///< this rolloutd
        std::optional<std::chrono::milliseconds> change_age; ///< since etcd told of a change; nothing: it never has
        std::map<std::string, std::chrono::milliseconds> leases; ///< how long each of this rolloutd's lives on
        std::map<std::string, std::uint64_t> errors;             ///< of etcd, by kind
        std::optional<std::int64_t> database_bytes;              ///< nothing: no member answers
        std::optional<std::int64_t> database_used_bytes;         ///< without what was freed and not given back
        std::int64_t quota_bytes = 0;                            ///< 0: unknown
    };

    /// The state at the time of a request.
    struct moment {
        std::size_t waiting = 0; ///< tasks
        std::size_t running = 0; ///< tasks
        std::size_t working = 0; ///< of those: the ones that hold a permit
        std::uint64_t most_working = 0;
        std::chrono::microseconds longest_wait{0}; ///< of the waiting tasks
        std::size_t deployed_models = 0;
        std::size_t lost_models = 0;
        std::map<std::string, bool> backends_up;            ///< of those that have models
        std::map<std::string, std::size_t> pending_unloads; ///< revisions that no task could unload, by backend
        std::vector<model_monitor::server_models> servers;  ///< of the backends that have several
        std::size_t links = 0;
        std::uint64_t revision = 0; ///< the journal's
        std::optional<rolloutd_metrics::cluster> cluster;
    };

    /// `began`: when rolloutd started.
    explicit rolloutd_metrics(std::string version, std::time_t began) : version_(std::move(version)), began_(began) {}

    /// Counts an attempt to commit to the journal.
    void committed(std::chrono::nanoseconds took, bool ok) noexcept;

    /// Counts the changes of a commit.
    void changed(const std::vector<task_row> &rows) noexcept;

    /// Returns the metrics in Prometheus' text format.
    std::string text(const moment &now) const;

  private:
    static void add(const cluster &of, metrics_text &to);

    /// For the commits' durations, in seconds.
    static constexpr std::array<double, 13> bounds = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                                                      0.1,    0.2,   0.5,   1,     5,    30};

    std::string version_;
    std::time_t began_;
    std::array<std::uint64_t, bounds.size() + 1> commits_{};
    double commit_seconds_ = 0;
    std::uint64_t failed_commits_ = 0;
    std::array<std::array<std::uint64_t, task_statuses>, task_kinds> ended_{};
};

} // namespace rollout
