// The link of an nginx worker process to rolloutd: sends questions, returns the answers to the callers, and writes
// what rolloutd streams into the shared memory. There is one for each worker process.
//
// It connects these parts, which are independent of each other: the connection, the calls in progress, the replica in
// the zone, the state file. Only this file, and the one that makes its answers (measurements.hpp), deal with frames
// in the module.
#pragma once

#include "common/base/function_ref.hpp"
#include "common/domain/client_identity.hpp"
#include "common/domain/task_status.hpp"
#include "common/domain/task_verb.hpp"
#include "module/api/task_request.hpp"
#include "module/link/connection.hpp"
#include "module/link/known_upstreams.hpp"
#include "module/link/link_call.hpp"
#include "module/link/link_settings.hpp"
#include "module/link/pending_calls.hpp"
#include "module/link/replica.hpp"
#include "module/link/route_freshness.hpp"
#include "module/link/server_failures.hpp"
#include "module/link/suspect_times.hpp"
#include "module/link/unkept_routes.hpp"
#include "module/nginx/ngx.hpp"
#include "module/zone/shared_zone.hpp"
#include "module/zone/state_writer.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

/// The tasks on a page, newest first.
struct task_page {
    task_kind kind = task_kind::deploy;
    std::optional<std::uint64_t> before{}; ///< only tasks accepted before the one with that sequence
    std::optional<std::string_view> model_id{};
    std::optional<task_status> status{};
    unsigned limit = 0;
};

/// The models on a page, in the order of their ids.
struct model_page {
    std::string_view after; ///< empty: from the first one on
    unsigned limit = 0;
};

class worker_link final : private connection::user {
  public:
    worker_link(const link_settings &settings, shared_zone &zone, ngx_log_t *log, known_upstreams upstreams = {});

    /// Sends `bye`; drops the calls in progress without calling `done`.
    ~worker_link();
    worker_link(const worker_link &) = delete;
    worker_link &operator=(const worker_link &) = delete;

    /// Returns whether rolloutd is connected.
    bool up() const noexcept { return connection_.up(); }

    /// Returns whether rolloutd is there, but its socket is closed to the user of this process.
    bool denied() const noexcept { return connection_.denied(); }

    /// Returns why rolloutd refuses this process, the end of a sentence for people; empty if it does not, or is down.
    const std::string &refusal() const noexcept { return refusal_; }

    /// Returns why rolloutd cannot do its work fully, a sentence for people; empty if it can, as far as it has said.
    const std::string &trouble() const noexcept { return trouble_; }

    /// Returns whether rolloutd may send the routes at any moment: false if it could not be reached the last time.
    bool may_bring_routes() const noexcept { return !connection_.known_down(); }

    /// Returns whether the routes are as current as if this process had not stood still. After a standstill in which
    /// rolloutd may have given it up (a SIGSTOP, a suspended machine), they are not until rolloutd has sent them
    /// again or is found to be down. They count as current after `ack_timeout` in any case.
    bool has_current_routes() noexcept;

    // Each returns `task` if the question is in progress, otherwise why it is not: `lost` or `full`.

    link_result submit(link_call &call, const task_request &request, const client_identity &by);
    link_result lookup(link_call &call, task_kind kind, std::string_view task_id, std::string_view model_id);

    /// Sends a client's verb for a task; the answer is like that to a submission. `new_task_id`, unless empty, is for
    /// the task that the verb creates. With `only_at`, the task must be at one of these revisions.
    link_result steer(link_call &call, task_kind kind, std::string_view task_id, task_verb verb,
                      std::string_view new_task_id, const std::optional<std::vector<std::uint64_t>> &only_at,
                      const client_identity &by);

    /// Returns whether rolloutd is connected and of a release that heeds `only_at`.
    bool compares_revisions() const noexcept { return up() && compares_revisions_; }

    // Questions that change nothing; the answer is a `page`.

    link_result list(link_call &call, const task_page &page);
    link_result list(link_call &call, const model_page &page);

    /// Asks for the series of a deployment: its document, or none if there is no such deployment. If the message says
    /// `failed`, it could not be read. Call it only if rolloutd `has_series`.
    link_result series(link_call &call, std::string_view task_id);

    /// Returns whether rolloutd is connected and of a release that keeps series.
    bool has_series() const noexcept { return up() && has_series_; }

    /// Asks for rolloutd's own metrics: the message's `text`.
    link_result metrics(link_call &call);

    /// Waits until the task's revision is past `after`, at most for `timeout`, even if the link breaks and is
    /// restored meanwhile. Returns `full` if too many clients wait already.
    link_result watch(link_call &call, task_kind kind, std::string_view task_id, std::uint64_t after,
                      ngx_msec_t timeout);

    void forget(link_call &call) noexcept { calls_.forget(call); }

    /// Count a client that follows events among those that wait, as pending_calls does.
    bool begin_stream() noexcept { return calls_.begin_stream(); }
    void end_stream() noexcept { calls_.end_stream(); }

    /// Reports to rolloutd that a server of an upstream block has failed a request, or lacks its model, so that
    /// rolloutd checks it at once. Reports each server once a second at most, and only to a release that asks for it.
    void report_suspect(std::string_view upstream, std::string_view peer) noexcept;

    /// Reports a failed request of a revision under watch, with others of the next moment, to a release that asks for
    /// it.
    void report_failure(std::string_view model_id, std::uint64_t revision, std::string_view peer) noexcept;

  private:
    // The callbacks of the connection.

    void on_open() override;
    void on_message(const json_t *message, std::string_view lines) override;
    void on_end() noexcept override;
    void on_unreachable() noexcept override;
    void on_standstill() noexcept override;

    // The messages of rolloutd.

    void on_welcome(const json_t *message);
    void on_accepted(std::string_view lines);
    void on_accepted(std::uint64_t id, std::string_view result, const task_record &task);
    void on_found(const json_t *message, std::string_view lines);
    void on_page(const json_t *message, std::string_view lines, bool has_tasks);
    bool on_documents(std::uint64_t id, std::string_view lines, bool are_tasks);
    void on_update(const json_t *message, std::string_view lines);
    void on_routes(const json_t *message);
    void on_ping(const json_t *message);
    void take_state(const json_t *message);
    void on_refusal(const json_t *message);

    link_result ask(link_call &call, bool submits, const function_ref<void()> &send_it);
    link_result ask_page(link_call &call, json_t *message);
    void send_lookup(const link_call &call);
    void send_hello();
    void forget_watch(std::uint64_t question) noexcept;
    void keep_routes(std::uint64_t revision);
    void on_kept(std::uint64_t write) noexcept;
    void send_applied(std::uint64_t revision);
    static void on_failures_timer(ngx_event_t *event) noexcept;
    void send_failures();
    void warn_of_servers(const std::vector<route> &routes);
    void disconnect(const link_fault &fault) noexcept;

    link_settings settings_;
    shared_zone &zone_;
    ngx_log_t *log_;
    known_upstreams upstreams_;

    bool takes_suspects_ = false; ///< rolloutd asks for reports of suspect servers
    bool has_series_ = false;     ///< from its welcome
    bool compares_revisions_ = false;
    std::string trouble_; ///< from its welcome and its pings
    std::string refusal_; ///< the last time that it could be reached
    suspect_times suspects_;

    bool takes_failures_ = false; ///< rolloutd asks for reports of failed requests
    server_failures failures_;
    ngx_event_t failures_timer_{};

    route_freshness freshness_;
    replica replica_;
    unkept_routes unkept_;
    pending_calls calls_;
    connection connection_;
    state_writer state_file_;
};

} // namespace rollout
