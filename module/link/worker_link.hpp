// The link of an nginx worker process to rolloutd: questions go out, answers come back to whoever asked, and what rolloutd streams
// goes into the shared memory. One a worker process.
//
// It puts these parts together, which know nothing of each other: the connection, the calls under way, the replica in the zone, the
// state file. Here, and in what makes its answers (measurements.hpp), the module knows frames.
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
#include "module/link/suspect_times.hpp"
#include "module/link/unkept_routes.hpp"
#include "module/nginx/ngx.hpp"
#include "module/zone/shared_zone.hpp"
#include "module/zone/state_writer.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace rollout {

/// Which tasks a page has: newest first.
struct task_page {
    task_kind kind = task_kind::deploy;
    std::optional<std::uint64_t> before{}; ///< accepted before the task of that sequence
    std::optional<std::string_view> model_id{};
    std::optional<task_status> status{};
    unsigned limit = 0;
};

/// Which models a page has: in the order of their ids.
struct model_page {
    std::string_view after; ///< empty: from the first on
    unsigned limit = 0;
};

class worker_link final : private connection::user {
  public:
    worker_link(const link_settings &settings, shared_zone &zone, ngx_log_t *log, known_upstreams upstreams = {});

    /// Says goodbye; calls under way end without a word.
    ~worker_link();
    worker_link(const worker_link &) = delete;
    worker_link &operator=(const worker_link &) = delete;

    /// Is rolloutd there?
    bool up() const noexcept { return connection_.up(); }

    /// Is rolloutd there, and its socket closed to the user of this process?
    bool denied() const noexcept { return connection_.denied(); }

    /// May rolloutd bring the routes at any moment? Not when it was not there the last time.
    bool may_bring_routes() const noexcept { return !connection_.known_down(); }

    /// Are the routes what rolloutd had told by now if this process had not stood still? After a standstill (a SIGSTOP, a
    /// suspended machine) in which it may have been given up, not before rolloutd has brought them again, or was found away. They
    /// count as current after `ack_timeout` in any case.
    bool has_current_routes() noexcept;

    // Each returns `task` when the question is under way, else why it is not: `lost` or `full`.

    link_result submit(link_call &call, const task_request &request, const client_identity &by);
    link_result lookup(link_call &call, task_kind kind, std::string_view task_id, std::string_view model_id);

    /// A client's word to a task; answered as a submission is. `new_task_id`, where it is not empty: for the task that it makes.
    link_result steer(link_call &call, task_kind kind, std::string_view task_id, task_verb verb,
                      std::string_view new_task_id, const client_identity &by);

    // Questions that change nothing, answered by a `page`.

    link_result list(link_call &call, const task_page &page);
    link_result list(link_call &call, const model_page &page);

    /// What rolloutd says of itself in the metrics: the message's `text`.
    link_result metrics(link_call &call);

    /// Waits until the task's revision is past `after`, at most `timeout`, over a link that comes and goes. `full`: too many
    /// wait already.
    link_result watch(link_call &call, task_kind kind, std::string_view task_id, std::uint64_t after,
                      ngx_msec_t timeout);

    void forget(link_call &call) noexcept { calls_.forget(call); }

    /// Tells rolloutd that a server of an upstream block has failed a request, or has not got its model: it looks at once. Once a second
    /// for each, and not to a release that does not ask for it.
    void report_suspect(std::string_view upstream, std::string_view peer) noexcept;

  private:
    // What the connection tells.

    void on_open() override;
    void on_message(const json_t *message, std::string_view lines) override;
    void on_end() noexcept override;
    void on_unreachable() noexcept override;
    void on_standstill() noexcept override;

    // What rolloutd says.

    void on_welcome(const json_t *message);
    void on_accepted(std::string_view lines);
    void on_accepted(std::uint64_t id, std::string_view how, const task_record &task);
    void on_found(const json_t *message, std::string_view lines);
    void on_page(const json_t *message, std::string_view lines, bool has_tasks);
    bool on_documents(std::uint64_t id, std::string_view lines, bool are_tasks);
    void on_update(const json_t *message, std::string_view lines);
    void on_routes(const json_t *message);
    void on_ping();
    void on_refusal(const json_t *message);

    link_result ask(link_call &call, bool submits, const function_ref<void()> &send_it);
    link_result ask_page(link_call &call, json_t *message);
    void send_lookup(const link_call &call);
    void send_hello();
    void forget_watch(std::uint64_t question) noexcept;
    void keep_routes(std::uint64_t revision);
    void on_kept(std::uint64_t write) noexcept;
    void send_applied(std::uint64_t revision);
    void warn_of_servers(const std::vector<route> &routes);
    void disconnect(const link_fault &fault) noexcept;

    link_settings settings_;
    shared_zone &zone_;
    ngx_log_t *log_;
    known_upstreams upstreams_;

    bool takes_suspects_ = false; ///< rolloutd has said so
    suspect_times suspects_;

    route_freshness freshness_;
    replica replica_;
    unkept_routes unkept_;
    pending_calls calls_;
    connection connection_;
    state_writer state_file_;
};

} // namespace rollout
