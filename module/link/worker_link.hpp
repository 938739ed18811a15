// The connection of an nginx worker process to rolloutd, on nginx's event loop: the only place in the module that knows
// frames. Questions go out, answers come back to whoever asked, and what rolloutd streams goes into the shared memory.
//
// One link a worker process. It reconnects with backoff for as long as the process lives, an exiting one too: while it
// still serves requests, rolloutd must hear from it. Its own timers never keep an exiting process.
#pragma once

#include "common/domain/limits.hpp"
#include "common/domain/requester.hpp"
#include "common/domain/steering.hpp"
#include "common/domain/task.hpp"
#include "common/link/frame.hpp"
#include "module/api/task_request.hpp"
#include "module/link/known_upstreams.hpp"
#include "module/link/watch_groups.hpp"
#include "module/nginx/ngx.hpp"
#include "module/zone/shared_zone.hpp"
#include "module/zone/state_writer.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace rollout {

class worker_link;

struct link_settings {
    ngx_str_t path{}; ///< of the Unix socket
    ngx_msec_t ack_timeout = 5000;
    ngx_msec_t reconnect = 200;
    std::size_t max_waiting = limits::waiting_clients;
};

/// How a question ended.
enum class link_result {
    task,     ///< here it is; an accepted one is in the table already
    none,     ///< rolloutd knows no such task
    page,     ///< of a list, or of the metrics: the frame that carries it
    rejected, ///< a problem
    lost,     ///< the link broke, or there is none: nobody knows whether a submission was taken
    late,     ///< no answer in time
    full,     ///< too many questions under way, or too many clients waiting
};

/// A question under way. Lives in the asker's memory (a request's pool); the asker calls `worker_link::forget` before
/// that memory goes. `done` runs once, unless forgotten, and never from inside `submit` or `watch`; with a task, or with the
/// frame of a rejection or of a page.
struct link_call {
    using done_fn = void (*)(link_call &call, link_result result, const task_record *task, const json_t *message);

    /// Of a list: one of its documents, and the task that it is of, or null; before `done`, which then has the frame of the end. It must
    /// not throw, and not end the call.
    using document_fn = void (*)(link_call &call, std::string_view document, const task_record *task);

    done_fn done = nullptr;
    document_fn document = nullptr;
    void *asker = nullptr;

    // the link's own
    worker_link *link = nullptr;
    std::uint64_t id = 0; ///< 0: not under way
    ngx_event_t timer{};
    bool survives = false; ///< a watch is asked again over the next link
    bool submits = false;
    task_kind kind = task_kind::deploy;
    std::uint64_t after = 0;
    std::uint8_t name_bytes = 0;
    bool name_is_model = false;
    char name[limits::model_id_bytes] = {};
};

class worker_link {
  public:
    worker_link(const link_settings &settings, shared_zone &zone, ngx_log_t *log, known_upstreams upstreams = {});
    ~worker_link();
    worker_link(const worker_link &) = delete;
    worker_link &operator=(const worker_link &) = delete;

    /// Is rolloutd there?
    bool up() const noexcept { return state_ == state::up; }

    /// Is rolloutd there, and its socket closed to the user of this process?
    bool denied() const noexcept { return state_ == state::down && denied_; }

    /// May rolloutd bring the routes at any moment? Not when it was not there the last time.
    bool may_bring_routes() const noexcept { return state_ != state::down || !told_down_; }

    /// Are the routes what rolloutd had told by now if this process had not stood still? After a standstill (a SIGSTOP, a
    /// suspended machine) in which it may have been given up, not before rolloutd has brought them again, or was found away. They
    /// count as current after `ack_timeout` in any case.
    bool has_current_routes() noexcept;

    // Each returns `task` when the question is under way, else why it is not: `lost` or `full`.

    link_result submit(link_call &call, const task_request &request, const requester &by);
    link_result lookup(link_call &call, task_kind kind, std::string_view task_id, std::string_view model_id);

    /// A client's word to a task; answered as a submission is. `new_task_id`, where it is not empty: for the task that it makes.
    link_result steer(link_call &call, task_kind kind, std::string_view task_id, steering verb,
                      std::string_view new_task_id, const requester &by);

    /// A question that changes nothing: the frame `list`, `models` or `metrics`, to which the id is added. Answered by a
    /// `page`.
    link_result question(link_call &call, json_t *message);

    /// Waits until the task's revision is past `after`, at most `timeout`, over a link that comes and goes. `full`: too many
    /// wait already.
    link_result watch(link_call &call, task_kind kind, std::string_view task_id, std::uint64_t after,
                      ngx_msec_t timeout);

    void forget(link_call &call) noexcept;

  private:
    enum class state { down, greeting, up };

    bool stood_still() const noexcept;
    void catch_up() noexcept;
    void begin_to_catch_up() noexcept;

    static void on_read(ngx_event_t *event) noexcept;
    static void on_write(ngx_event_t *event) noexcept;
    static void on_flush(ngx_event_t *event) noexcept;
    static void on_connect_timer(ngx_event_t *event) noexcept;
    static void on_call_timer(ngx_event_t *event) noexcept;

    void connect() noexcept;
    bool connected() noexcept;
    const char *open_socket() noexcept;
    void disconnect(const char *reason) noexcept;
    void close_connection() noexcept;
    void read() noexcept;
    void flush() noexcept;

    void send(const json_t *message, std::string_view line = {});
    void send_submissions();
    void send_soon();
    void send_hello();
    void send_lookup(const link_call &call);
    template <class Ask>
    link_result ask(link_call &call, bool submits, Ask ask);
    template <class Ask>
    link_result begin(link_call &call, ngx_msec_t timeout, Ask ask);
    void end(link_call &call) noexcept;
    void drop(link_call &call) noexcept;
    void end_calls(bool watches, link_result how) noexcept;
    void finish(link_call &call, link_result result, const task_record *task, const json_t *rejection) noexcept;

    void take(const json_t *message);
    void take_welcome(const json_t *message);
    void take_accepted();
    void take_accepted(std::uint64_t id, std::string_view how, const task_record &task);
    void take_rejection(const json_t *message);
    void take_found(const json_t *message);
    void take_page(const json_t *message, rolloutd_frame type);
    bool take_documents(std::uint64_t id, bool are_tasks);
    void answer(std::uint64_t id, link_result result, const task_record *task, const json_t *message);
    void take_update(const json_t *message);
    void take_routes(const json_t *message);
    bool are_old(std::uint64_t revision) noexcept;
    bool put_in_force(zone_writer &writer, const std::vector<route> &routes, bool ends);
    void keep_routes(std::uint64_t revision);
    void on_kept(std::uint64_t write) noexcept;
    void send_applied(std::uint64_t revision);
    void warn_of_servers(const std::vector<route> &routes);
    void take_sample(const json_t *message);
    void take_measure(const json_t *message);
    void take_refusal(const json_t *message);
    void refused(const std::string &reason);
    bool store(const task_record &task, bool only_over_older);

    link_settings settings_;
    shared_zone &zone_;
    ngx_log_t *log_;
    known_upstreams upstreams_;

    state state_ = state::down;
    ngx_connection_t *connection_ = nullptr;
    ngx_event_t connect_timer_{};
    ngx_event_t flush_event_{};
    ngx_msec_t backoff_;
    ngx_msec_t heard_ = 0;    ///< when something came from rolloutd last, or the connection was made
    bool tried_ = false;      ///< to connect
    bool catches_up_ = false; ///< after a standstill
    ngx_msec_t catches_up_until_ = 0;
    std::uint64_t awaited_routes_ = 0; ///< the revision of rolloutd's routes at its welcome; until it: no limit
    bool told_down_ = false;
    bool denied_ = false;
    bool told_refused_ = false;
    bool told_full_ = false;

    frame_reader reader_;
    std::string submissions_; ///< lines of the next frame
    std::string out_;
    std::size_t sent_ = 0;

    std::uint64_t last_id_ = 0;
    std::map<std::uint64_t, link_call *> calls_;
    watch_groups groups_; ///< of `calls_`: those that only wait

    /// The questions that this connection has carried and rolloutd has not answered, also those whose client has gone;
    /// true: one that changes something.
    std::unordered_map<std::uint64_t, bool> unanswered_;

    bool streams_ = false;
    bool awaits_welcome_ = false; ///< what comes before it was sent to an earlier hello
    std::uint32_t repairs_at_hello_ = 0;
    std::uint64_t doubts_at_hello_ = 0;
    std::uint64_t welcomed_at_ = 0; ///< rolloutd's revision then
    std::uint64_t brought_ = 0; ///< the table held the tasks up to here at the hello, or since then by this stream
    std::unordered_set<std::string> full_set_; ///< the routes of a full set that is coming in
    bool in_full_set_ = false;
    bool full_set_is_old_ = false;

    state_writer state_file_;
    std::map<std::uint64_t, std::uint64_t>
        unkept_; ///< by the write of the state file that holds them: routes in force up to there
};

} // namespace rollout
