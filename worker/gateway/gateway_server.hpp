// The Unix socket: who may connect, frames in and out. Each nginx worker process has a session; the sessions of one
// shared memory are a gateway, and one of them carries the gateway's stream of routes and tasks.
#pragma once

#include "common/domain/steering.hpp"
#include "common/link/frame_types.hpp"
#include "worker/async/timer.hpp"
#include "worker/config/settings.hpp"
#include "worker/journal/journal.hpp"
#include "worker/rollout/traffic.hpp"
#include "worker/scheduler/requests.hpp"

#include <uv.h>

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>

namespace rollout {

struct asked_change;
struct submission_line;

class gateway_server final : public traffic {
  public:
    /// The loop and the journal must outlive the server.
    gateway_server(uv_loop_t *loop, journal &from);
    ~gateway_server() override;
    gateway_server(const gateway_server &) = delete;
    gateway_server &operator=(const gateway_server &) = delete;

    /// What becomes of a submission; the answer may come later.
    std::function<void(submission, answer_fn)> on_submit;

    /// What becomes of a client's word to a task; the answer may come later.
    std::function<void(steer_request, answer_fn)> on_steer;

    /// What its server has lost of a model.
    std::function<std::vector<lost_revision>(const std::string &model_id)> losses_of = [](const std::string &) {
        return std::vector<lost_revision>();
    };

    /// The tasks that are at work on a model, or wait for it, `most` of them.
    std::function<std::vector<std::string>(const std::string &model_id, std::size_t most)> tasks_of =
        [](const std::string &, std::size_t) { return std::vector<std::string>(); };

    /// What rolloutd says of itself in the gateways' metrics, in Prometheus' text format.
    std::function<std::string()> metrics = [] { return std::string(); };

    /// Opens the socket. Throws std::runtime_error where another process listens there or the path cannot be used.
    void listen(const settings &from);

    /// What may change while it runs.
    void use(const settings &from);

    /// Changed tasks for the replicas: the journal's on_commit.
    void publish_tasks(const std::vector<task_row> &rows, std::uint64_t before, std::uint64_t now);

    void publish(const route &to_follow, std::uint64_t revision) override;
    std::string missing() const override;
    operation_ptr when_followed(std::uint64_t revision, done_fn done) override;
    followers followers_of(std::uint64_t revision) const override;
    operation_ptr in_flight(const std::string &model_id, const part_names &parts, std::uint64_t revision,
                            std::function<void(std::optional<std::uint64_t>)> done) override;
    operation_ptr measure(const std::string &model_id, const part_names &parts,
                          const std::vector<std::uint64_t> &revisions,
                          std::function<void(const measured &)> done) override;

    std::string objection_to(const std::string &upstream) const override;

    /// Worker processes of nginx that are linked.
    std::size_t links() const noexcept { return sessions_.size(); }

    /// Says goodbye to all and closes every handle; the loop must run once more afterwards.
    void close();

  private:
    struct session;
    struct gateway;
    struct watcher;
    class follow_wait;
    class flight_question;
    class traffic_question;
    struct page_part;
    struct page_question;
    struct models_page;
    using session_ptr = std::shared_ptr<session>;
    using page_fn = std::function<void(const outcome &, const page_part &)>;

    static void on_connection(uv_stream_t *server, int status);
    static void on_prepare(uv_prepare_t *handle);

    void accept();
    void close_handles();
    void note_deafness(const std::string &why);
    bool may_connect(int fd, std::string &who);
    void read(const session_ptr &from, std::string_view bytes);
    void end(const session_ptr &which, const std::string &reason);
    void send(const session_ptr &to, std::string_view text);
    void send_frame(const session_ptr &to, std::string_view text);
    void send_answers(const session_ptr &to);
    void send(const session_ptr &to, const json_ptr &message);
    void flush(const session_ptr &to);
    void written(const session_ptr &to);

    void receive(const session_ptr &from, const json_t *message);
    void take(const session_ptr &from, const json_t *message, std::string_view name);
    void take_hello(const session_ptr &from, const json_t *message);
    void take_upstreams(const session_ptr &from, const json_t *message);
    static bool has_upstream(const gateway &of, const std::string &upstream);
    void warn_of_unknown_upstreams(const gateway &of, const session &by) const;
    void take_submissions(const session_ptr &from);
    void take_submission(const session_ptr &from, const submission_line &line);
    void take_steer(const session_ptr &from, const json_t *message);
    void take_list(const session_ptr &from, const json_t *message);
    void take_models(const session_ptr &from, const json_t *message);
    void take_metrics(const session_ptr &from, const json_t *message);
    void read_pages();
    void send_page(page_question &asked, const outcome &ended, const page_part &part);
    void write_models();
    static void send_tasks(const std::vector<task_row> &rows, bool more, const page_fn &done);
    answer_fn answer_to(const session_ptr &from, std::uint64_t id, asked_change what);
    void answer_word(const session_ptr &to, std::uint64_t id, const std::string &task_id, const request_answer &how,
                     bool steered);
    void send_rejection(const session_ptr &to, std::uint64_t id, const std::string &task_id, const rejection &why);
    void take_lookup(const session_ptr &from, const json_t *message);
    bool may_ask(const session_ptr &from);
    bool watch(const session_ptr &from, std::uint64_t id, const std::string &task_id, watcher how);
    bool forget(const session_ptr &from, std::uint64_t id);
    void answer_lookup(const session_ptr &to, std::uint64_t id, const task_row *row);

    void start_stream(gateway &of);
    void send_all_routes(gateway &of);
    void pump(gateway &of);
    void pump_all();

    /// What an update says of the table behind it.
    enum class table_state {
        partial,
        filled,   ///< it holds all that there was
        complete, ///< and no other gateway may know more
    };
    void send_update(const session_ptr &to, const std::vector<task_row> &rows, std::uint64_t revision,
                     table_state then, std::span<const std::uint64_t> told = {});
    void pass_stream_on(gateway &of);
    bool is_shared() const;
    void tell_shared();
    void wake_watchers(const task_row &row);
    void tell_news();
    void lose(gateway &which);
    bool is_to_be_dropped(gateway &one);
    void drop_lost();
    void check_waits();
    void ping_all();

    uv_loop_t *loop_;
    journal &journal_;
    std::string path_;
    std::set<unsigned> allowed_uids_;               ///< empty: all
    std::map<unsigned, std::string> refused_users_; ///< their names
    std::chrono::milliseconds lost_for_{0};         ///< a gateway without a link is waited for at most so long
    std::unique_ptr<uv_pipe_t> server_;
    std::unique_ptr<uv_prepare_t> prepare_;

    std::list<session_ptr> sessions_;
    std::map<std::string, std::unique_ptr<gateway>> gateways_;
    std::map<std::pair<std::string, std::string>, route> routes_; ///< in force, by model and part
    std::uint64_t routes_revision_ = 0;

    struct watcher {
        std::uint64_t after;
        task_kind kind;
    };
    using watcher_name = std::pair<session *, std::uint64_t>; ///< the link, and its number for the question

    std::unordered_map<std::string, std::map<watcher_name, watcher>> watchers_; ///< by task

    /// What goes into one frame of a page.
    struct page_part {
        std::string members; ///< of the message, behind its id
        std::string lines;   ///< each behind a line feed
        bool is_last = true;
    };

    /// A page that was asked for and waits for its turn.
    struct page_question {
        std::weak_ptr<session> by;
        std::uint64_t id;
        rolloutd_frame type; ///< of the answer
        const char *none;    ///< the answer where there can be no page
        std::function<void(const page_fn &)> read;
        bool is_refused = false; ///< there is no page, or no room for it
        bool is_begun = false;
    };
    std::deque<page_question> pages_;
    std::size_t pages_under_way_ = 0;

    std::deque<std::shared_ptr<models_page>> models_pages_; ///< that are being written, a turn of the loop each
    timer models_timer_;

    std::list<follow_wait *> waits_;
    std::map<std::uint64_t, flight_question *> questions_;
    std::map<std::uint64_t, traffic_question *> measures_;
    std::uint64_t last_question_ = 0;
    std::vector<task_row> news_; ///< for watchers, once those who changed the tasks have their answers
    timer news_timer_;
    timer lost_timer_;
    timer reread_timer_;
    timer ping_timer_;
    bool closing_ = false;
    bool journal_is_behind_ = false; ///< of what a gateway has seen of it, and the log says so
    bool deaf_ = false;              ///< there are no descriptors for connections, and the log says so
};

} // namespace rollout
