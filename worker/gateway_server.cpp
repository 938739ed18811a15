#include "worker/gateway_server.hpp"

#include "common/frame.hpp"
#include "common/limits.hpp"
#include "common/names.hpp"
#include "worker/gateway_session.hpp"
#include "worker/log.hpp"
#include "worker/words.hpp"

#include <algorithm>
#include <cerrno>

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// How long a gateway without a link counts as one that routes. A living one is back within a second.
constexpr auto lost_grace = 5s;

/// The gateways take a silence of three of these for a dead link.
constexpr auto ping_interval = 4s;

/// Pages of the stream wait while so much is unsent; a peer that reads nothing for far longer is cut off.
constexpr std::size_t page_below_bytes = 1024 * 1024;
constexpr std::size_t max_unsent_bytes = 64 * 1024 * 1024;


json_ptr message_of(std::string_view type)
{
    json_ptr message(json_object());
    json_put(message.get(), "type", type);
    return message;
}


json_ptr number_of(std::uint64_t value)
{
    return json_ptr(json_integer(static_cast<json_int_t>(value)));
}


std::uint64_t number_in(const json_t *message, const char *name) noexcept
{
    return static_cast<std::uint64_t>(std::max<json_int_t>(0, json_number(message, name)));
}


/// {kind, seq, revision, doc}, around the document's text as the journal has it.
std::string text_of(const task_row &row)
{
    return "{\"kind\":\"" + std::string(kind_name(row.kind)) + "\",\"seq\":" + std::to_string(row.sequence) +
           ",\"revision\":" + std::to_string(row.revision) + ",\"doc\":" + row.document + "}";
}

} // namespace


/// A wait for every gateway to follow the routes up to a revision.
class gateway_server::follow_wait final : public operation {
  public:
    follow_wait(gateway_server &server, std::uint64_t up_to, done_fn done)
        : revision(up_to), server_(server), done_(std::move(done)), wake_(server.loop_)
    {
        server_.waits_.push_back(this);
    }
    ~follow_wait() override { server_.waits_.remove(this); }

    void cancel() override { end(outcome::canceled()); }

    void end(outcome how)
    {
        if (!ended_) {
            ended_ = true;
            wake_.start(0ms, [done = std::move(done_), how] { done(how); });
        }
    }

    const std::uint64_t revision;

  private:
    gateway_server &server_;
    done_fn done_;
    timer wake_;
    bool ended_ = false;
};


/// A question to one worker process of each gateway, whose answers are added up.
class gateway_server::flight_question final : public operation {
  public:
    using count_fn = std::function<void(std::optional<std::uint64_t>)>;

    flight_question(gateway_server &server, count_fn done)
        : id(++server.last_question_), server_(server), done_(std::move(done)), timer_(server.loop_)
    {
        server_.questions_.emplace(id, this);
        timer_.start(2s, [this] { end(std::nullopt); });
    }
    ~flight_question() override { server_.questions_.erase(id); }

    void cancel() override { unknown(); }

    void unknown()
    {
        timer_.start(0ms, [this] { end(std::nullopt); });
    }

    void answer(const session *from, std::uint64_t requests)
    {
        if (asked.erase(from) == 0) {
            return;
        }
        sum_ += requests;
        if (asked.empty()) {
            timer_.start(0ms, [this] { end(sum_); });
        }
    }

    const std::uint64_t id;
    std::set<const session *> asked;

  private:
    void end(std::optional<std::uint64_t> requests)
    {
        const auto done = std::move(done_); // which may destroy this
        done(requests);
    }

    gateway_server &server_;
    count_fn done_;
    timer timer_;
    std::uint64_t sum_ = 0;
};


gateway_server::gateway_server(uv_loop_t *loop, journal &from)
    : loop_(loop), journal_(from), lost_timer_(loop), ping_timer_(loop)
{
    for (const auto &one : from.models()) {
        publish(route_of(one), one.route_revision);
    }
    // Whoever followed these routes when this process ended may do so still.
    for (const auto &id : from.gateways()) {
        auto known = std::make_unique<gateway>();
        known->id = id;
        lose(*known);
        gateways_.emplace(id, std::move(known));
    }
}


gateway_server::~gateway_server() = default;


void gateway_server::listen(const settings &from)
{
    path_ = from.listen.path;
    for (const auto &name : from.listen.allow_users) {
        if (const passwd *user = getpwnam(name.c_str())) {
            allowed_uids_.insert(user->pw_uid);
        }
    }

    // A socket that nobody answers is left from a process that was killed.
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    {
        const unique_fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (probe && connect(probe.get(), reinterpret_cast<sockaddr *>(&address), sizeof(address)) == 0) {
            throw std::runtime_error("another process listens on " + shown(path_) +
                                     "; give each rolloutd a socket of its own");
        }
        struct stat info;
        if (lstat(path_.c_str(), &info) == 0) {
            if (!S_ISSOCK(info.st_mode)) {
                throw std::runtime_error("there is something at " + shown(path_) +
                                         " that is no socket; it is left there");
            }
            unlink(path_.c_str());
        }
    }

    server_ = std::make_unique<uv_pipe_t>();
    uv_pipe_init(loop_, server_.get(), 0);
    server_->data = this;
    // Nobody may connect between the making of the socket and the setting of its mode.
    const mode_t before = umask(0777);
    int rc = uv_pipe_bind(server_.get(), path_.c_str());
    umask(before);
    if (rc == 0) {
        rc = uv_listen(reinterpret_cast<uv_stream_t *>(server_.get()), 512, on_connection);
    }
    if (rc != 0) {
        throw std::runtime_error("the socket " + shown(path_) + " cannot be opened: " + uv_strerror(rc));
    }
    if (!from.listen.allow_users.empty()) {
        const passwd *user = getpwnam(from.listen.allow_users.front().c_str());
        if (user != nullptr && chown(path_.c_str(), static_cast<uid_t>(-1), user->pw_gid) != 0) {
            log(log_level::info, "The socket " + shown(path_) +
                                     " keeps rolloutd's own group; the users of allow_users "
                                     "must be in it, or \"mode\" let them in");
        }
    }
    if (chmod(path_.c_str(), from.listen.mode) != 0) {
        throw std::runtime_error("the mode of " + shown(path_) + " cannot be set: " + errno_words(errno));
    }

    prepare_ = std::make_unique<uv_prepare_t>();
    uv_prepare_init(loop_, prepare_.get());
    prepare_->data = this;
    uv_prepare_start(prepare_.get(), on_prepare);
    uv_unref(reinterpret_cast<uv_handle_t *>(prepare_.get()));
    ping_all();
}


void gateway_server::close()
{
    closing_ = true;
    lost_timer_.stop();
    ping_timer_.stop();
    while (!sessions_.empty()) {
        end(session_ptr(sessions_.front()), "");
    }
    if (server_) {
        uv_close(reinterpret_cast<uv_handle_t *>(server_.release()),
                 [](uv_handle_t *handle) { delete reinterpret_cast<uv_pipe_t *>(handle); });
        unlink(path_.c_str());
    }
    if (prepare_) {
        uv_close(reinterpret_cast<uv_handle_t *>(prepare_.release()),
                 [](uv_handle_t *handle) { delete reinterpret_cast<uv_prepare_t *>(handle); });
    }
}


// Sessions.

void gateway_server::on_connection(uv_stream_t *server, int status)
{
    if (status == 0) {
        static_cast<gateway_server *>(server->data)->accept();
    }
}


void gateway_server::accept()
{
    auto one = std::make_shared<session>(*this);
    uv_pipe_init(loop_, one->pipe, 0);
    if (uv_accept(reinterpret_cast<uv_stream_t *>(server_.get()), reinterpret_cast<uv_stream_t *>(one->pipe)) != 0) {
        one->close();
        return;
    }
    sessions_.push_back(one);

    uv_os_fd_t fd = -1;
    uv_fileno(reinterpret_cast<uv_handle_t *>(one->pipe), &fd);
    std::string who;
    if (!may_connect(fd, who)) {
        end(one, "user " + who + " is not in allow_users");
        return;
    }
    if (sessions_.size() > limits::gateway_links) {
        end(one, "there are " + std::to_string(limits::gateway_links) + " links already");
        return;
    }
    one->start([this](const session_ptr &from, std::string_view bytes) { read(from, bytes); },
               [this](const session_ptr &from, const std::string &reason) { end(from, reason); });
}


bool gateway_server::may_connect(int fd, std::string &who) const
{
    ucred peer = {};
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return false;
    }
    const passwd *user = getpwuid(peer.uid);
    who = user != nullptr ? user->pw_name : std::to_string(peer.uid);
    return allowed_uids_.empty() || peer.uid == 0 || peer.uid == geteuid() || allowed_uids_.contains(peer.uid);
}


void gateway_server::read(const session_ptr &from, std::string_view bytes)
{
    from->reader.feed(bytes);
    json_ptr message;
    std::string reason;
    while (!from->closed()) {
        switch (from->reader.next(message, reason)) {
        case frame_reader::state::need_more:
            return;
        case frame_reader::state::broken:
            end(from, reason);
            return;
        case frame_reader::state::message:
            take(from, message.get());
        }
    }
}


/// An empty reason: in order.
void gateway_server::end(const session_ptr &which, const std::string &reason)
{
    if (which->closed()) {
        return;
    }
    if (!reason.empty()) {
        log(log_level::warning, "The link of a gateway ended: " + reason,
            {{"gateway", which->of != nullptr ? which->of->id : ""}, {"pid", std::to_string(which->pid)}});
        json_ptr message = message_of("refuse");
        json_put(message.get(), "reason", clean_text(reason, 300));
        send(which, message);
        which->flush([](const session_ptr &) {});
    }
    which->close();
    sessions_.remove(which);
    for (auto &[id, question] : questions_) {
        if (question->asked.contains(which.get())) {
            question->unknown();
        }
    }
    if (gateway *of = which->of) {
        which->of = nullptr;
        of->sessions.remove(which);
        if (of->sessions.empty()) {
            of->stream.reset();
            if (which->said_bye) {
                journal_.forget_gateway(of->id);
                gateways_.erase(of->id);
                check_waits();
            } else {
                lose(*of);
            }
        } else if (of->stream == which) {
            pass_stream_on(*of);
        }
    }
}


void gateway_server::send(const session_ptr &to, std::string_view text)
{
    if (to->closed()) {
        return;
    }
    if (!append_frame(to->out, text)) {
        log(log_level::error,
            "A frame of " + std::to_string(text.size()) + " bytes is over the bound and was not sent");
    }
}


void gateway_server::send(const session_ptr &to, const json_ptr &message)
{
    send(to, json_compact(message.get()));
}


void gateway_server::on_prepare(uv_prepare_t *handle)
{
    auto *self = static_cast<gateway_server *>(handle->data);
    for (auto at = self->sessions_.begin(); at != self->sessions_.end();) {
        const session_ptr one = *at++;
        self->flush(one);
    }
}


void gateway_server::flush(const session_ptr &to)
{
    if (to->out.size() > max_unsent_bytes) {
        end(to, "it does not read what it is sent");
        return;
    }
    to->flush([this](const session_ptr &which) { written(which); });
}


void gateway_server::written(const session_ptr &to)
{
    if (to->of != nullptr && to->of->stream == to) {
        pump(*to->of);
    }
}


// Frames.

void gateway_server::take(const session_ptr &from, const json_t *message)
{
    const auto type = json_text(message, "type");
    if (type == "hello") {
        take_hello(from, message);
    } else if (from->of == nullptr) {
        end(from, "a frame before its hello");
    } else if (type == "submit") {
        take_submit(from, message);
    } else if (type == "lookup") {
        take_lookup(from, message);
    } else if (type == "forget") {
        const auto id = number_in(message, "id");
        std::erase_if(watchers_,
                      [&](const auto &entry) { return entry.second.id == id && entry.second.by.lock() == from; });
    } else if (type == "applied") {
        from->of->applied = std::max(from->of->applied, number_in(message, "revision"));
        check_waits();
    } else if (type == "counters") {
        const auto asked = questions_.find(number_in(message, "id"));
        if (asked != questions_.end()) {
            asked->second->answer(from.get(), number_in(message, "in_flight"));
        }
    } else if (type == "bye") {
        from->said_bye = true;
        end(from, "");
    } else if (type != "pong") {
        end(from, "a frame of the unknown type " + clean_text(type, 40));
    }
}


void gateway_server::take_hello(const session_ptr &from, const json_t *message)
{
    const auto protocol = json_number(message, "protocol");
    const auto id = json_text(message, "gateway");
    if (protocol != limits::protocol_version) {
        end(from, "it speaks version " + std::to_string(protocol) + " of the protocol, rolloutd version " +
                      std::to_string(limits::protocol_version));
        return;
    }
    if (!is_task_id(id) || (from->of != nullptr && from->of->id != id)) {
        end(from, "a hello without a usable gateway");
        return;
    }
    from->pid = static_cast<int>(json_number(message, "pid"));
    from->position = json_text(message, "journal") == journal_.id() ? number_in(message, "revision") : 0;

    auto &known = gateways_[std::string(id)];
    if (!known) {
        known = std::make_unique<gateway>();
        known->id = id;
        journal_.remember_gateway(known->id);
    }
    if (from->of == nullptr) {
        from->of = known.get();
        known->sessions.push_back(from);
        known->lost = false;
        log(log_level::info, "A worker process of nginx is linked",
            {{"gateway", known->id}, {"pid", std::to_string(from->pid)}});
    }
    if (!known->stream) {
        known->stream = from;
    }

    json_ptr welcome = message_of("welcome");
    json_put(welcome.get(), "protocol", number_of(limits::protocol_version));
    json_put(welcome.get(), "journal", journal_.id());
    json_put(welcome.get(), "revision", number_of(journal_.revision()));
    json_put(welcome.get(), "stream", json_ptr(json_boolean(known->stream == from)));
    send(from, welcome);
    if (known->stream == from) {
        start_stream(*known);
    }
}


void gateway_server::take_submit(const session_ptr &from, const json_t *message)
{
    const auto id = number_in(message, "id");
    const auto kind = kind_from(json_text(message, "kind"));
    submission wanted;
    wanted.task_id = json_text(message, "task_id");
    wanted.model_id = json_text(message, "model_id");
    wanted.parent_id = json_text(message, "parent_id");
    json_t *config = json_object_get(message, "config");
    // The gateway has checked all of this; it is another process all the same.
    if (!kind || !is_task_id(wanted.task_id) || !is_model_id(wanted.model_id) ||
        (!wanted.parent_id.empty() && !is_task_id(wanted.parent_id)) || !json_is_object(config)) {
        end(from, "a submission that is none");
        return;
    }
    wanted.kind = *kind;
    wanted.config = json_share(config);

    const std::string task_id = wanted.task_id;
    on_submit(std::move(wanted), [this, id, task_id, to = std::weak_ptr<session>(from)](const answer &how) {
        const auto open = to.lock();
        if (!open) {
            return;
        }
        if (how.task != nullptr) {
            send(open, "{\"type\":\"accepted\",\"id\":" + std::to_string(id) + ",\"created\":" +
                           (how.created ? "true" : "false") + ",\"task\":" + text_of(*how.task) + "}");
            return;
        }
        json_ptr refused = message_of("rejected");
        json_put(refused.get(), "id", number_of(id));
        json_put(refused.get(), "status", json_ptr(json_integer(how.refused.status)));
        json_put(refused.get(), "detail", clean_text(how.refused.detail, limits::detail_characters));
        json_put(refused.get(), "task_id", task_id);
        json_put(refused.get(), "retry_after_s", number_of(how.refused.retry_after_s));
        json_ptr errors(json_array());
        for (const auto &fault : how.refused.errors) {
            json_ptr one(json_object());
            json_put(one.get(), "pointer", fault.pointer);
            json_put(one.get(), "detail", clean_text(fault.detail, limits::step_detail_characters));
            json_array_append_new(errors.get(), one.release());
        }
        json_put(refused.get(), "errors", std::move(errors));
        send(open, refused);
    });
}


void gateway_server::take_lookup(const session_ptr &from, const json_t *message)
{
    const auto id = number_in(message, "id");
    const auto kind = kind_from(json_text(message, "kind"));
    const std::string task_id(json_text(message, "task_id"));
    const std::string model_id(json_text(message, "model_id"));
    if (!kind || is_task_id(task_id) == is_model_id(model_id)) {
        end(from, "a look-up of nothing");
        return;
    }
    const bool waits = json_object_get(message, "after") != nullptr;
    const auto after = number_in(message, "after");
    if (waits) {
        watchers_.emplace(task_id, watcher{from, id, after, *kind});
    }

    const auto found = [this, id, waits, after, kind, task_id,
                        to = std::weak_ptr<session>(from)](const outcome &ended, const std::optional<task_row> &row) {
        const auto open = to.lock();
        if (!open || !ended) {
            return; // the gateway gives up after its own time
        }
        const task_row *there = row && row->kind == *kind ? &*row : nullptr;
        if (!waits) {
            answer_lookup(open, id, there);
        } else if (there == nullptr || there->revision > after) {
            const auto removed = std::erase_if(watchers_, [&](const auto &entry) {
                return entry.first == task_id && entry.second.id == id && entry.second.by.lock() == open;
            });
            if (removed != 0) {
                answer_lookup(open, id, there);
            }
        }
    };
    if (!task_id.empty()) {
        journal_.find(task_id, found);
    } else {
        journal_.find_latest(*kind, model_id, found);
    }
}


void gateway_server::answer_lookup(const session_ptr &to, std::uint64_t id, const task_row *row)
{
    send(to, "{\"type\":\"found\",\"id\":" + std::to_string(id) +
                 ",\"task\":" + (row != nullptr ? text_of(*row) : "null") + "}");
}


void gateway_server::wake_watchers(const task_row &row)
{
    const auto [first, last] = watchers_.equal_range(row.task_id);
    for (auto at = first; at != last;) {
        const auto by = at->second.by.lock();
        if (by && row.revision <= at->second.after) {
            ++at;
            continue;
        }
        if (by) {
            answer_lookup(by, at->second.id, row.kind == at->second.kind ? &row : nullptr);
        }
        at = watchers_.erase(at);
    }
}


// The stream.

void gateway_server::start_stream(gateway &of)
{
    of.sent = of.stream->position;
    of.streaming = true;
    ++of.generation;
    of.paging = false;
    send_all_routes(of);
    of.told_complete = false;
    pump(of);
}


void gateway_server::pass_stream_on(gateway &of)
{
    of.streaming = false;
    of.stream = of.sessions.front();
    send(of.stream, message_of("stream"));
}


void gateway_server::send_all_routes(gateway &of)
{
    json_ptr list(json_array());
    std::size_t bytes = 0;
    bool first = true;
    const auto send_part = [&](bool last) {
        json_ptr message = message_of("routes");
        json_put(message.get(), "revision", number_of(routes_revision_));
        json_put(message.get(), "begin", json_ptr(json_boolean(first)));
        json_put(message.get(), "end", json_ptr(json_boolean(last)));
        json_put(message.get(), "routes", std::move(list));
        send(of.stream, message);
        list.reset(json_array());
        bytes = 0;
        first = false;
    };
    for (const auto &[model_id, one] : routes_) {
        json_ptr text = route_to_json(one);
        bytes += json_compact(text.get()).size();
        json_array_append_new(list.get(), text.release());
        if (bytes > limits::batch_bytes) {
            send_part(false);
        }
    }
    send_part(true);
}


void gateway_server::publish(const route &to_follow, std::uint64_t revision)
{
    const auto known = routes_.find(to_follow.model_id);
    routes_revision_ = std::max(routes_revision_, revision);
    if (to_follow.removed()) {
        if (known != routes_.end()) {
            routes_.erase(known);
        }
    } else {
        routes_[to_follow.model_id] = to_follow;
    }

    json_ptr message = message_of("routes");
    json_put(message.get(), "revision", number_of(revision));
    json_ptr list(json_array());
    json_array_append_new(list.get(), route_to_json(to_follow).release());
    json_put(message.get(), "routes", std::move(list));
    for (const auto &[id, one] : gateways_) {
        if (one->stream && one->streaming) {
            send(one->stream, message);
        }
    }
}


void gateway_server::publish_tasks(const std::vector<task_row> &rows, std::uint64_t before, std::uint64_t now)
{
    for (const auto &[id, one] : gateways_) {
        if (!one->stream || !one->streaming || one->paging) {
            continue;
        }
        if (one->sent == before && one->told_complete && one->stream->out.size() < page_below_bytes) {
            send_update(one->stream, rows, now, true);
            one->sent = now;
        } else {
            pump(*one);
        }
    }
    if (!watchers_.empty()) {
        for (const auto &row : rows) {
            wake_watchers(row);
        }
    }
}


/// Sends what the gateway lacks, a page at a time, as fast as it reads.
void gateway_server::pump(gateway &of)
{
    if (closing_ || of.paging || !of.streaming || of.stream->out.size() > page_below_bytes ||
        (of.told_complete && of.sent >= journal_.revision())) {
        return;
    }
    of.paging = true;
    const auto head = journal_.revision();
    journal_.read_after(of.sent, limits::batch_bytes,
                        [this, head, id = of.id, generation = of.generation](const outcome &ended,
                                                                             const std::vector<task_row> &rows) {
                            const auto known = gateways_.find(id);
                            if (known == gateways_.end() || known->second->generation != generation ||
                                !known->second->streaming) {
                                return;
                            }
                            gateway &to = *known->second;
                            to.paging = false;
                            if (!ended) {
                                log(log_level::error, "The tasks for a gateway could not be read: " + ended.detail,
                                    {{"gateway", id}});
                                return;
                            }
                            to.sent = rows.empty() ? std::max(to.sent, head) : rows.back().revision;
                            to.told_complete = rows.empty() && to.sent >= journal_.revision();
                            send_update(to.stream, rows, to.sent, to.told_complete);
                            pump(to);
                        });
}


void gateway_server::send_update(const session_ptr &to, const std::vector<task_row> &rows, std::uint64_t revision,
                                 bool complete)
{
    std::string tasks;
    const auto send_part = [&](std::uint64_t up_to, bool all) {
        send(to, "{\"type\":\"update\",\"tasks\":[" + tasks + "],\"revision\":" + std::to_string(up_to) +
                     ",\"complete\":" + (all ? "true" : "false") + "}");
        tasks.clear();
    };
    for (const auto &row : rows) {
        tasks += (tasks.empty() ? "" : ",") + text_of(row);
        if (tasks.size() > limits::batch_bytes) {
            send_part(row.revision, false);
        }
    }
    send_part(revision, complete);
}


// Gateways that are gone, and those who wait for gateways.

void gateway_server::lose(gateway &which)
{
    which.lost = true;
    which.lost_since = uv_now(loop_);
    which.streaming = false;
    which.paging = false;
    ++which.generation;
    if (!closing_) {
        lost_timer_.start(lost_grace, [this] { drop_lost(); });
    }
}


void gateway_server::drop_lost()
{
    bool more = false;
    for (auto at = gateways_.begin(); at != gateways_.end();) {
        const gateway &one = *at->second;
        if (one.lost && uv_now(loop_) - one.lost_since + 1 >=
                            static_cast<std::uint64_t>(
                                std::chrono::duration_cast<std::chrono::milliseconds>(lost_grace).count())) {
            log(log_level::info, "A gateway is gone", {{"gateway", one.id}});
            journal_.forget_gateway(one.id);
            at = gateways_.erase(at);
        } else {
            more = more || one.lost;
            ++at;
        }
    }
    if (more) {
        lost_timer_.start(500ms, [this] { drop_lost(); });
    }
    check_waits();
}


void gateway_server::check_waits()
{
    if (gateways_.empty()) {
        return;
    }
    std::uint64_t followed = UINT64_MAX;
    for (const auto &[id, one] : gateways_) {
        followed = std::min(followed, one->lost ? 0 : one->applied);
    }
    for (auto *wait : waits_) {
        if (wait->revision <= followed) {
            wait->end(outcome::ok());
        }
    }
}


operation_ptr gateway_server::when_followed(std::uint64_t revision, done_fn done)
{
    auto wait = std::make_unique<follow_wait>(*this, revision, std::move(done));
    check_waits();
    return wait;
}


operation_ptr gateway_server::in_flight(const std::string &model_id, std::uint64_t revision,
                                        std::function<void(std::optional<std::uint64_t>)> done)
{
    auto question = std::make_unique<flight_question>(*this, std::move(done));
    json_ptr message = message_of("sample");
    json_put(message.get(), "id", number_of(question->id));
    json_put(message.get(), "model_id", model_id);
    json_put(message.get(), "part", "");
    json_put(message.get(), "revision", number_of(revision));
    for (const auto &[id, one] : gateways_) {
        if (one->lost || !one->stream) {
            question->unknown();
            return question;
        }
        question->asked.insert(one->stream.get());
        send(one->stream, message);
    }
    if (gateways_.empty()) {
        question->unknown();
    }
    return question;
}


void gateway_server::ping_all()
{
    const json_ptr message = message_of("ping");
    for (const auto &one : sessions_) {
        if (one->of != nullptr) {
            send(one, message);
        }
    }
    ping_timer_.start(ping_interval, [this] { ping_all(); });
}

} // namespace rollout
