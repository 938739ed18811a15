#include "worker/gateway/gateway_server.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "common/link/frame.hpp"
#include "common/link/version.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/os/peer_processes.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// The gateways treat a silence of three of these as a dead link.
constexpr auto ping_interval = 4s;

/// A peer answers each ping, so one that is silent for this long is stuck: other worker processes of its gateway take
/// over.
constexpr std::chrono::milliseconds longest_silence = 20s;


void put_trouble(json_t *message, const std::string &trouble)
{
    if (!trouble.empty()) {
        json_put(message, "trouble", trouble);
    }
}

} // namespace


gateway_server::gateway_server(uv_loop_t *loop, journal &from)
    : loop_(loop), journal_(from), time_(loop), listener_(loop, [this](uv_stream_t *waiting) { accept(waiting); }),
      gateways_(from, time_), questions_(time_), lookups_(from, time_),
      requests_({[this](submission wanted, answer_fn answer) { on_submit(std::move(wanted), std::move(answer)); },
                 [this](steer_request wanted, answer_fn answer) { on_steer(std::move(wanted), std::move(answer)); },
                 [this](const session &to, std::uint64_t revision) {
                     if (auto *of = gateways_.find(to.peer.gateway)) {
                         of->note_told(to, revision);
                     }
                 }}),
      pages_({from, time_, [this](const std::string &model_id) { return losses_of(model_id); },
              [this](const std::string &model_id, std::size_t most) { return tasks_of(model_id, most); },
              [this](const std::string &task_id, series_fn done) { find_series(task_id, std::move(done)); },
              [this] { return metrics(); },
              [this](const model &of) { return server_warnings_.sentences_of(of, gateways_); }})
{
    gateways_.on_progress = [this] {
        if (on_gateway_progress) {
            on_gateway_progress();
        }
    };
    gateways_.on_change = [this] {
        if (on_change) {
            on_change();
        }
    };
    flusher_.emplace(loop, [this] { flush_all(); });
}


gateway_server::~gateway_server()
{
    for (const auto &link : sessions_) { // after a failed start; libuv may hold them for a turn longer
        link->close();
    }
}


void gateway_server::use(const settings &from)
{
    gateways_.wait_for_lost(std::chrono::seconds(from.limits.gateway_lost_s));
    server_warnings_.use(from);
    for (const auto &link : sessions_) {
        server_warnings_.check(link->peer);
    }
}


void gateway_server::listen(const settings &from)
{
    use(from);
    listener_.open(from);
    gateways_.expect_links();
    ping_all();
}


void gateway_server::close()
{
    pages_.stop();
    lookups_.stop();
    gateways_.stop();
    next_ping_.reset();
    flush_all(); // the answers of this turn of the loop
    end_all("");
    listener_.close();
    flusher_.reset();
}


void gateway_server::reload(bool is_other)
{
    gateways_.reload(is_other, [this](bool is_of_other) {
        if (is_of_other) {
            failures_ = {};
            distrust_gateways();
            end_all("the journal's content was replaced; what the gateway has is compared with it anew");
        }
        if (on_reloaded) {
            on_reloaded();
        }
    });
}


// Sessions.

void gateway_server::end_all(const std::string &why)
{
    while (!sessions_.empty()) {
        session_ptr(sessions_.front())->end(why);
    }
}


session_ptr gateway_server::new_session()
{
    return std::make_shared<session>(
        loop_, session_events{[this](const session_ptr &from, const json_t *message, std::string_view type) {
                                  on_message(from, message, type);
                              },
                              [this](const session_ptr &to) { gateways_.on_written(to); },
                              [this](const session_ptr &which) { on_end(which); }});
}


void gateway_server::accept(uv_stream_t *waiting)
{
    const auto link = new_session();
    if (link->accept(waiting)) {
        admit(link);
    }
}


void gateway_server::serve(int descriptor)
{
    const auto link = new_session();
    if (link->open(descriptor)) {
        admit(link);
    }
}


void gateway_server::admit(const session_ptr &link)
{
    sessions_.push_back(link);
    link->peer.seen_pid = pid_of_peer(link->descriptor());
    if (const auto why = listener_.refusal_of(link->descriptor(), sessions_.size()); !why.empty()) {
        link->end(why);
        return;
    }
    link->start();
}


void gateway_server::on_end(const session_ptr &which)
{
    sessions_.remove(which);
    lookups_.on_end(*which);
    questions_.on_end(*which);
    gateways_.leave(which);
}


/// Revisions do not tell: those of the new content may have come to be what a gateway has of the old one, and more. The id
/// is of this process: after a restart the gateways get everything once more, which does no harm.
void gateway_server::distrust_gateways()
{
    content_id_ = new_instance_id();
}


void gateway_server::flush_all()
{
    for (auto next = sessions_.begin(); next != sessions_.end();) {
        const session_ptr link = *next++; // the link may end
        link->send_answers();
        link->flush();
    }
}


json_ptr gateway_server::ping() const
{
    json_ptr message = message_of(rolloutd_frame::ping);
    put_trouble(message.get(), trouble_);
    return message;
}


void gateway_server::set_trouble(std::string sentence)
{
    if (trouble_ == sentence) {
        return;
    }
    trouble_ = std::move(sentence);
    const json_ptr message = ping();
    for (const auto &link : sessions_) {
        if (!link->peer.gateway.empty()) {
            link->send(message);
        }
    }
}


void gateway_server::ping_all()
{
    listener_.check_descriptors();
    const json_ptr message = ping();
    const auto bound = static_cast<std::uint64_t>(longest_silence.count());
    const auto now = uv_now(loop_);
    for (const auto &link : std::list<session_ptr>(sessions_)) {
        const bool is_greeted = !link->peer.gateway.empty();
        if (now - link->heard_at() > bound) {
            link->end((is_greeted ? "it has sent nothing for " : "it has sent no hello for ") +
                      format_duration(longest_silence));
        } else if (is_greeted) {
            link->send(message);
        }
    }
    next_ping_ = time_.after(ping_interval, [this] { ping_all(); });
}


// Frames.

void gateway_server::on_message(const session_ptr &from, const json_t *message, std::string_view name)
{
    const auto type = gateway_frame_from(name);
    if (from->peer.gateway.empty() && type != gateway_frame::hello) {
        from->end("a frame before its hello");
        return;
    }
    if (!type) {
        from->end("a frame of the unknown type " + clean_text(name, 40));
        return;
    }
    switch (*type) {
    case gateway_frame::hello:
        on_hello(from, message);
        break;
    case gateway_frame::submit:
        requests_.on_submissions(from);
        break;
    case gateway_frame::lookup:
        lookups_.on_lookup(from, message);
        break;
    case gateway_frame::steer:
        requests_.on_steer(from, message);
        break;
    case gateway_frame::list:
        pages_.on_list(from, message);
        break;
    case gateway_frame::models:
        pages_.on_models(from, message);
        break;
    case gateway_frame::series:
        pages_.on_series(from, message);
        break;
    case gateway_frame::metrics:
        pages_.on_metrics(from, message);
        break;
    case gateway_frame::forget:
        lookups_.on_forget(*from, message);
        break;
    case gateway_frame::applied:
        gateways_.confirm(*from, json_count(message, "revision"));
        break;
    case gateway_frame::counters:
        questions_.on_counters(*from, message);
        break;
    case gateway_frame::measured:
        questions_.on_measured(*from, message);
        break;
    case gateway_frame::suspect:
        on_suspect(std::string(json_text(message, "upstream")), std::string(json_text(message, "peer")));
        break;
    case gateway_frame::failures:
        failures_.add(message, gateways_.routes());
        break;
    case gateway_frame::bye:
        from->peer.said_bye = true;
        from->end("");
        break;
    case gateway_frame::pong:
        break;
    }
}


void gateway_server::on_hello(const session_ptr &from, const json_t *message)
{
    const auto spoken = protocols_of(message);
    const auto protocol = common_protocol(spoken_protocols, spoken);
    const std::string id(json_text(message, "gateway"));
    if (!protocol) {
        from->end("it speaks " + format_versions(spoken) + " of the protocol, rolloutd " +
                  format_versions(spoken_protocols) + "; upgrade " +
                  (spoken.newest < spoken_protocols.oldest ? "nginx's module" : "rolloutd"));
        return;
    }
    const bool is_first = from->peer.gateway.empty();
    if (!is_task_id(id) || (!is_first && from->peer.gateway != id)) {
        from->end("a hello without a valid gateway id");
        return;
    }
    from->peer.pid = static_cast<int>(json_number(message, "pid"));
    from->peer.upstreams = upstream_names::of_hello(message);
    from->peer.servers = upstream_servers::of_hello(message);
    const auto position = position_of(message, id, from->peer.pid);

    if ((is_first ? gateways_.join(from, id) : gateways_.find(id)) == nullptr) {
        from->end("there are " + std::to_string(limits::gateways) + " gateways already");
        return;
    }
    server_warnings_.check(from->peer);
    if (!before_first_routes) {
        greet(from, *protocol, position);
        return;
    }
    before_first_routes(id, [this, link = std::weak_ptr(from), protocol = *protocol, position] {
        if (const auto waiting = link.lock(); waiting && !waiting->closed()) {
            greet(waiting, protocol, position);
        }
    });
}


void gateway_server::greet(const session_ptr &to, std::int64_t protocol, std::uint64_t position)
{
    gateway_replica &of = *gateways_.find(to->peer.gateway);
    const bool carries_stream = of.stream() == to;
    send_welcome(to, protocol, carries_stream, std::max(position, journal_.revision()));
    if (carries_stream) {
        of.start_stream(position);
    }
}


/// Returns the revision up to which the gateway's table has the tasks of this journal.
std::uint64_t gateway_server::position_of(const json_t *hello, const std::string &gateway, int pid)
{
    const auto position = json_text(hello, "journal") == content_id() ? json_count(hello, "revision") : 0;
    if (position <= journal_.revision() || !journal_.is_current()) {
        return position;
    }
    // The file was restored from a copy: everything in it may be different now.
    if (!std::exchange(journal_is_behind_, true)) {
        log(log_level::warning,
            "A gateway is ahead of this journal, which looks restored from a backup; resending everything",
            {{"gateway", gateway}, {"pid", std::to_string(pid)}});
    }
    return 0;
}


/// `revision`: one lower than what the gateway has would empty its table.
void gateway_server::send_welcome(const session_ptr &to, std::int64_t protocol, bool carries_stream,
                                  std::uint64_t revision)
{
    json_ptr welcome = message_of(rolloutd_frame::welcome);
    json_put(welcome.get(), "protocol", json_made(json_integer(protocol)));
    json_put(welcome.get(), "journal", content_id());
    json_put(welcome.get(), "revision", json_make_number(revision));
    json_put(welcome.get(), "routes", json_make_number(gateways_.routes().revision()));
    json_put(welcome.get(), "stream", json_ptr(json_boolean(carries_stream)));
    json_put(welcome.get(), "suspects", json_ptr(json_true()));
    json_put(welcome.get(), "failures", json_ptr(json_true()));
    json_put(welcome.get(), "series", json_ptr(json_true()));
    json_put(welcome.get(), "compares_revisions", json_ptr(json_true()));
    put_trouble(welcome.get(), trouble_);
    to->send(welcome);
}


void gateway_server::follow(const journal_news &news)
{
    gateways_.follow(news);
    for (const auto &changed : news.models) {
        if (gateways_.routes().of(changed.model_id).empty()) {
            failures_.forget(changed.model_id);
        }
    }
    gateways_.send_tasks(news.rows, news.before, news.now);
    lookups_.on_changed(news.rows);
}


// Calls of the engine.


void gateway_server::publish_peers(const std::string &model_id, std::uint64_t revision,
                                   const std::string &server_model,
                                   const std::optional<std::vector<std::string>> &peers)
{
    gateways_.publish_peers(model_id, revision, server_model, peers);
}


void gateway_server::reset_peers()
{
    gateways_.reset_peers();
}


std::string gateway_server::missing() const
{
    return gateways_.missing();
}


operation_ptr gateway_server::when_followed(std::uint64_t revision, awaited whom, done_fn done)
{
    return gateways_.when_followed(revision, whom, std::move(done));
}


gateway_control::followers gateway_server::followers_of(std::uint64_t revision, awaited whom) const
{
    return gateways_.followers_of(revision, whom);
}


std::string gateway_server::routing_before(std::uint64_t revision) const
{
    return gateways_.routing_before(revision);
}


operation_ptr gateway_server::in_flight(const std::string &model_id, const part_names &parts, std::uint64_t revision,
                                        std::function<void(std::optional<std::uint64_t>)> done)
{
    return questions_.in_flight(gateways_.streams(), model_id, parts, revision, std::move(done));
}


operation_ptr gateway_server::in_flight_at(const std::string &gateway, const unrouted_revision &on,
                                           std::function<void(std::optional<std::uint64_t>)> done)
{
    const auto *of = gateways_.find(gateway);
    return questions_.in_flight({of == nullptr ? nullptr : of->stream()}, on.model_id, on.parts, on.revision,
                                std::move(done));
}


operation_ptr gateway_server::measure(const std::string &model_id, const part_names &parts,
                                      const std::vector<std::uint64_t> &revisions,
                                      std::function<void(const measured &)> done)
{
    return questions_.measure(gateways_.streams(), model_id, parts, revisions, std::move(done));
}


std::string gateway_server::objection_to(const std::string &upstream) const
{
    return gateways_.objection_to(upstream);
}


std::vector<std::string> gateway_server::servers_missing_in(const std::string &upstream,
                                                            const std::vector<std::string> &peers) const
{
    return gateways_.servers_missing_in(upstream, peers);
}


gateway_control::server_failures gateway_server::failures_of(const std::string &model_id,
                                                             std::uint64_t revision) const
{
    return failures_.of(model_id, revision);
}

} // namespace rollout
