// rolloutd's end of the links: passes what gateways send to the journal and the scheduler, and what the engine wants
// to the gateways. Each nginx worker process has a session; the sessions of one shared memory zone are a gateway.
#pragma once

#include "worker/async/loop_clock.hpp"
#include "worker/config/settings.hpp"
#include "worker/gateway/before_poll.hpp"
#include "worker/gateway/failures_by_server.hpp"
#include "worker/gateway/gateway_registry.hpp"
#include "worker/gateway/listener.hpp"
#include "worker/gateway/local_gateways.hpp"
#include "worker/gateway/pages.hpp"
#include "worker/gateway/questions.hpp"
#include "worker/gateway/server_warnings.hpp"
#include "worker/gateway/session.hpp"
#include "worker/gateway/task_lookups.hpp"
#include "worker/gateway/task_requests.hpp"
#include "worker/journal/journal.hpp"
#include "worker/rollout/gateway_control.hpp"
#include "worker/scheduler/requests.hpp"

#include <uv.h>

#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

class gateway_server final : public gateway_control, public local_gateways {
  public:
    /// The loop and the journal must outlive the server, and the server its operations.
    gateway_server(uv_loop_t *loop, journal &from);
    ~gateway_server() override;
    gateway_server(const gateway_server &) = delete;
    gateway_server &operator=(const gateway_server &) = delete;

    /// Handles a submission; the answer may come later.
    std::function<void(submission, answer_fn)> on_submit;

    /// Handles a client's verb for a task; the answer may come later.
    std::function<void(steer_request, answer_fn)> on_steer;

    /// Returns what the servers have lost of a model.
    std::function<std::vector<lost_revision>(const std::string &model_id)> losses_of = [](const std::string &) {
        return std::vector<lost_revision>();
    };

    /// Returns the tasks that run on a model, or wait for it, `most` of them.
    std::function<std::vector<std::string>(const std::string &model_id, std::size_t most)> tasks_of =
        [](const std::string &, std::size_t) { return std::vector<std::string>(); };

    /// Called when a gateway has seen a server of an upstream block fail, or deny that it has a model: it should be
    /// polled. A peer may cause any number of calls.
    std::function<void(const std::string &upstream, const std::string &peer)> on_suspect = [](const std::string &,
                                                                                              const std::string &) {};

    /// Called when a gateway has followed the routes further, or is no longer known. May be null.
    std::function<void()> on_gateway_progress;

    /// Called when one of `gateways()`, or `where()`, may be another than before: often, and from inside of other calls. May be
    /// null.
    std::function<void()> on_change;

    /// Called when reload() is done: the routes are those of what the journal has now. May be null.
    std::function<void()> on_reloaded;

    /// Called for each hello: the worker process is welcomed, and its gateway gets routes, once `go_on` is called, which may be
    /// at once. It does nothing if the link has ended. May be null: then nothing is waited for.
    std::function<void(const std::string &gateway, std::function<void()> go_on)> before_first_routes;

    /// Finds the document of a deployment's series; nothing if there is no such deployment.
    using series_fn = std::function<void(const outcome &, std::optional<std::string> document)>;
    std::function<void(const std::string &task_id, series_fn done)> find_series;

    /// Returns what rolloutd adds to the gateways' metrics, in Prometheus' text format.
    std::function<std::string()> metrics = [] { return std::string(); };

    /// Reads from the journal what the gateways must follow, and which there were: to be done before `listen`.
    void load(done_fn done) { gateways_.load(std::move(done)); }

    /// The journal's content was replaced (`is_other`: by that of another journal, or of an older copy): the gateways get what
    /// it has now.
    void reload(bool is_other);

    /// What the gateways have may be of another content than the journal has now, whatever revision they have come to: they
    /// get everything anew. To be called before `listen`, or by reload().
    void distrust_gateways();

    /// Tells all gateways why this rolloutd cannot do its work fully, a sentence; empty: it can. They answer that they are
    /// not ready meanwhile.
    void set_trouble(std::string sentence);

    /// Opens the socket. Throws std::runtime_error if another process listens there or the path cannot be used.
    void listen(const settings &from);

    /// Serves a connection that is already open, like those that come in at the socket.
    void serve(int descriptor);

    /// Applies the settings that may change at run time.
    void use(const settings &from);

    /// Sends changed routes to every gateway, and changed tasks to the replicas: the journal's on_commit.
    void follow(const journal_news &news);

    void publish_peers(const std::string &model_id, std::uint64_t revision, const std::string &server_model,
                       const std::optional<std::vector<std::string>> &peers) override;
    void reset_peers() override;
    std::string missing() const override;
    operation_ptr when_followed(std::uint64_t revision, awaited whom, done_fn done) override;
    followers followers_of(std::uint64_t revision, awaited whom) const override;
    std::string routing_before(std::uint64_t revision) const override;
    operation_ptr in_flight(const std::string &model_id, const part_names &parts, std::uint64_t revision,
                            std::function<void(std::optional<std::uint64_t>)> done) override;
    operation_ptr measure(const std::string &model_id, const part_names &parts,
                          const std::vector<std::uint64_t> &revisions,
                          std::function<void(const measured &)> done) override;

    std::string objection_to(const std::string &upstream) const override;
    std::vector<std::string> servers_missing_in(const std::string &upstream,
                                                const std::vector<std::string> &peers) const override;
    server_failures failures_of(const std::string &model_id, std::uint64_t revision) const override;

    std::vector<gateway_state> gateways() const override { return gateways_.states(); }
    bool knows(const std::string &gateway) const override { return gateways_.knows(gateway); }
    position where() const override { return gateways_.where(); }
    std::vector<unrouted_revision> unrouted() const override { return gateways_.routes().unrouted(); }
    std::uint64_t routed_at(const std::string &model_id) const override
    {
        return gateways_.routes().changed_at(model_id);
    }
    std::uint64_t change_up_to(std::uint64_t revision) const override
    {
        return gateways_.where().seen < revision ? revision : gateways_.routes().change_up_to(revision);
    }
    operation_ptr in_flight_at(const std::string &gateway, const unrouted_revision &on,
                               std::function<void(std::optional<std::uint64_t>)> done) override;
    void add_lost(const std::vector<known_gateway> &all) override { gateways_.add_lost(all); }

    /// Returns how many worker processes of nginx are linked.
    std::size_t links() const noexcept { return sessions_.size(); }

    /// Says goodbye to all and closes every handle; the loop must run once more after the server is destroyed.
    void close();

  private:
    session_ptr new_session();
    void accept(uv_stream_t *waiting);
    void admit(const session_ptr &link);
    void on_end(const session_ptr &which);
    void on_message(const session_ptr &from, const json_t *message, std::string_view name);
    void on_hello(const session_ptr &from, const json_t *message);
    void greet(const session_ptr &to, std::int64_t protocol, std::uint64_t position);
    std::uint64_t position_of(const json_t *hello, const std::string &gateway, int pid);
    void send_welcome(const session_ptr &to, std::int64_t protocol, bool carries_stream, std::uint64_t revision);
    void end_all(const std::string &why);
    void flush_all();
    /// Returns the id that gateways are told: with another one, they forget what they had.
    const std::string &content_id() const { return content_id_.empty() ? journal_.id() : content_id_; }
    json_ptr ping() const;
    void ping_all();

    uv_loop_t *loop_;
    journal &journal_;
    loop_clock time_;
    listener listener_;
    gateway_registry gateways_;
    questions questions_;
    failures_by_server failures_;
    server_warnings server_warnings_;
    task_lookups lookups_;
    task_requests requests_;
    pages pages_;
    std::list<session_ptr> sessions_;
    std::optional<before_poll> flusher_;
    operation_ptr next_ping_;
    std::string trouble_;
    std::string content_id_; ///< by which gateways know the journal since its content was replaced; empty: its id
    bool journal_is_behind_ = false; ///< behind what a gateway has seen of it, which has been logged
};

} // namespace rollout
