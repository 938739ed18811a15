#include "worker/gateway/gateway_server.hpp"

#include "common/domain/limits.hpp"
#include "common/domain/names.hpp"
#include "common/domain/upstream_name.hpp"
#include "common/link/frame.hpp"
#include "common/link/protocol.hpp"
#include "worker/base/failpoint.hpp"
#include "worker/base/log.hpp"
#include "worker/base/words.hpp"
#include "worker/gateway/session.hpp"
#include "worker/gateway/questions.hpp"

#include <algorithm>

#include <unistd.h>

namespace rollout {

namespace {

/// A peer that has not read so much is cut off.
constexpr std::size_t max_unsent_bytes = 64 * 1024 * 1024;


/// What every frame that rolloutd writes begins with.
std::string_view type_of(std::string_view text)
{
    constexpr std::string_view before = "{\"type\":\"";
    text.remove_prefix(before.size());
    return text.substr(0, text.find('"'));
}

/// What is missing in nginx's configuration, and what to write there.
std::string unknown_upstream_words(const std::string &gateway, int pid, const std::string &upstream)
{
    const bool has_port = is_host_and_port(upstream);
    const std::string name = has_port ? "inference" : upstream;
    return "nginx (gateway " + gateway + ", worker process " + std::to_string(pid) + ") has no upstream block \"" +
           upstream +
           "\" and no resolver to look that name up, so that every request to the model would be a 502; write "
           "\"upstream " +
           name + " { server " + (has_port ? upstream : "HOST:PORT") + "; }\" into the http block of its nginx.conf" +
           (has_port ? ", name it as the backend's \"upstream\" in rolloutd.json (\"" + name + "\"), and reload both"
                     : ", or correct the backend's \"upstream\" in rolloutd.json, and reload");
}

} // namespace


gateway_server::gateway_server(uv_loop_t *loop, journal &from)
    : loop_(loop), journal_(from), models_timer_(loop), news_timer_(loop), lost_timer_(loop), reread_timer_(loop),
      ping_timer_(loop)
{
    for (const auto &one : from.models()) {
        for (const auto &part : routes_of(one)) {
            publish(part, one.route_revision);
        }
    }
    // Whoever followed these routes when this process ended may do so still.
    for (const auto &[id, processes] : from.gateways()) {
        auto known = std::make_unique<gateway>();
        known->id = id;
        known->processes = peer_processes::from_text(processes);
        lose(*known);
        gateways_.emplace(id, std::move(known));
    }
}


gateway_server::~gateway_server()
{
    close_handles(); // of a start that failed
}


void gateway_server::close()
{
    closing_ = true;
    models_timer_.stop();
    news_timer_.stop();
    lost_timer_.stop();
    reread_timer_.stop();
    ping_timer_.stop();
    while (!sessions_.empty()) {
        end(session_ptr(sessions_.front()), "");
    }
    if (server_) {
        unlink(path_.c_str());
    }
    close_handles();
}


// Sessions.

void gateway_server::read(const session_ptr &from, std::string_view bytes)
{
    from->heard = uv_now(loop_);
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
            receive(from, message.get());
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
        json_ptr message = message_of(rolloutd_frame::refuse);
        json_put(message.get(), "reason", clean_text(reason, 300));
        send(which, message);
        which->write_now();
    }
    which->close();
    sessions_.remove(which);
    while (!which->watches.empty()) {
        forget(which, which->watches.begin()->first);
    }
    for (auto &[id, question] : questions_) {
        if (question->asked.contains(which.get())) {
            question->unknown();
        }
    }
    for (auto &[id, question] : measures_) {
        question->gone(which.get());
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
            tell_shared();
        } else if (of->stream == which) {
            pass_stream_on(*of);
        }
    }
}


void gateway_server::send(const session_ptr &to, std::string_view text)
{
    send_answers(to); // what came before it goes before it
    send_frame(to, text);
}


/// Those of a commit share a frame.
void gateway_server::send_answers(const session_ptr &to)
{
    if (!to->answers.empty()) {
        send_frame(to, message_text(rolloutd_frame::accepted) + std::exchange(to->answers, {}));
    }
}


void gateway_server::send_frame(const session_ptr &to, std::string_view text)
{
    // One turn of the loop may have an answer for each of thousands that wait: beyond the bound nothing gathers, and the turn
    // ends with the link.
    if (to->closed() || to->unsent() > max_unsent_bytes) {
        return;
    }
    if (failpoint({"frame", "sent", type_of(text), "before"}, {fault::lost}) != fault::none) {
        to->break_off();
        return;
    }
    if (!append_frame(to->out, text)) {
        log(log_level::error,
            "A frame of " + std::to_string(text.size()) + " bytes is over the bound and was not sent");
    }
    const std::initializer_list<std::string_view> sent = {"frame", "sent", type_of(text), "after"};
    if (failpoint_is_due(sent)) {
        flush(to);
    }
    if (failpoint(sent, {fault::lost}) != fault::none) {
        to->break_off();
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
        self->send_answers(one);
        self->flush(one);
    }
}


void gateway_server::flush(const session_ptr &to)
{
    if (to->unsent() > max_unsent_bytes) {
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

void gateway_server::receive(const session_ptr &from, const json_t *message)
{
    const auto type = json_text(message, "type");
    if (failpoint({"frame", "received", type, "before"}, {fault::lost}) != fault::none) {
        end(from, "");
        return;
    }
    take(from, message, type);
    if (failpoint({"frame", "received", type, "after"}, {fault::lost}) != fault::none) {
        end(from, "");
    }
}


void gateway_server::take(const session_ptr &from, const json_t *message, std::string_view name)
{
    const auto type = gateway_frame_from(name);
    if (from->of == nullptr && type != gateway_frame::hello) {
        end(from, "a frame before its hello");
        return;
    }
    if (!type) {
        end(from, "a frame of the unknown type " + clean_text(name, 40));
        return;
    }
    switch (*type) {
    case gateway_frame::hello:
        take_hello(from, message);
        break;
    case gateway_frame::submit:
        take_submissions(from);
        break;
    case gateway_frame::lookup:
        take_lookup(from, message);
        break;
    case gateway_frame::steer:
        take_steer(from, message);
        break;
    case gateway_frame::list:
        take_list(from, message);
        break;
    case gateway_frame::models:
        take_models(from, message);
        break;
    case gateway_frame::metrics:
        take_metrics(from, message);
        break;
    case gateway_frame::forget:
        forget(from, json_count(message, "id"));
        break;
    case gateway_frame::applied:
        from->of->applied = std::max(from->of->applied, json_count(message, "revision"));
        check_waits();
        break;
    case gateway_frame::counters:
        if (const auto asked = questions_.find(json_count(message, "id")); asked != questions_.end()) {
            asked->second->answer(from.get(), json_count(message, "in_flight"));
        }
        break;
    case gateway_frame::measured:
        if (const auto asked = measures_.find(json_count(message, "id")); asked != measures_.end()) {
            asked->second->answer(from.get(), from->of->id, message);
        }
        break;
    case gateway_frame::bye:
        from->said_bye = true;
        end(from, "");
        break;
    case gateway_frame::pong:
        break;
    }
}


void gateway_server::take_hello(const session_ptr &from, const json_t *message)
{
    const auto spoken = protocols_of(message);
    const auto protocol = common_protocol(spoken_protocols, spoken);
    const auto id = json_text(message, "gateway");
    if (!protocol) {
        end(from, "it speaks " + protocol_words(spoken) + " of the protocol, rolloutd " +
                      protocol_words(spoken_protocols) + "; upgrade " +
                      (spoken.newest < spoken_protocols.oldest ? "nginx's module" : "rolloutd"));
        return;
    }
    if (!is_task_id(id) || (from->of != nullptr && from->of->id != id)) {
        end(from, "a hello without a usable gateway");
        return;
    }
    from->pid = static_cast<int>(json_number(message, "pid"));
    take_upstreams(from, message);
    from->position = json_text(message, "journal") == journal_.id() ? json_count(message, "revision") : 0;
    if (from->position >
        journal_.revision()) { // the file was put back from a copy: what it holds now may all be other
        from->position = 0;
        if (!std::exchange(journal_is_behind_, true)) {
            log(log_level::warning,
                "A gateway knows more than this journal, which is an earlier copy of what it was; it is told all "
                "anew",
                {{"gateway", id}, {"pid", std::to_string(from->pid)}});
        }
    }

    if (!gateways_.contains(std::string(id)) && gateways_.size() >= limits::gateways) {
        end(from, "there are " + std::to_string(limits::gateways) + " gateways already");
        return;
    }
    auto &known = gateways_[std::string(id)];
    if (!known) {
        known = std::make_unique<gateway>();
        known->id = id;
    }
    if (from->of == nullptr) {
        from->of = known.get();
        known->processes.add(from->peer_pid);
        journal_.remember_gateway(known->id, known->processes.text());
        if (std::exchange(known->told_lost, false)) {
            log(log_level::info, "A gateway is back", {{"gateway", known->id}});
        }
        known->sessions.push_back(from);
        known->lost = false;
        if (known->sessions.size() == 1) {
            tell_shared();
        }
        log(log_level::info, "A worker process of nginx is linked",
            {{"gateway", known->id}, {"pid", std::to_string(from->pid)}});
        warn_of_unknown_upstreams(*known, *from);
    }
    if (!known->stream) {
        known->stream = from;
    }

    json_ptr welcome = message_of(rolloutd_frame::welcome);
    json_put(welcome.get(), "protocol", json_made(json_integer(*protocol)));
    json_put(welcome.get(), "journal", journal_.id());
    json_put(welcome.get(), "revision", json_make_number(journal_.revision()));
    json_put(welcome.get(), "routes", json_make_number(routes_revision_));
    json_put(welcome.get(), "stream", json_ptr(json_boolean(known->stream == from)));
    send(from, welcome);
    if (known->stream == from) {
        start_stream(*known);
    }
}


// Upstreams.

void gateway_server::take_upstreams(const session_ptr &from, const json_t *message)
{
    from->upstreams.reset();
    const json_t *list = json_object_get(message, "upstreams");
    if (!json_is_array(list)) {
        return; // of a release that does not say, or a gateway that has nothing to say
    }
    auto &names = from->upstreams.emplace();
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < json_array_size(list); ++i) {
        const auto name = json_text(json_array_get(list, i));
        bytes += name.size();
        if (bytes > limits::known_upstreams_bytes) {
            from->upstreams.reset();
            return;
        }
        names.insert(upstream_key(name));
    }
}


/// While an nginx reloads, worker processes of both configurations are linked, and the old ones soon take no new requests (nginx tells
/// them to end 100 ms after it started the new ones): what one of them has is there.
bool gateway_server::has_upstream(const gateway &of, const std::string &upstream)
{
    if (is_upstream_address(upstream)) {
        return true;
    }
    const std::string key = upstream_key(upstream);
    return std::ranges::any_of(of.sessions, [&key](const session_ptr &one) {
        return !one->upstreams || one->upstreams->contains(key) || one->upstreams->contains(key + ":80") ||
               one->upstreams->contains(key + ":443"); // as a proxy_pass to that host, without a port, has it
    });
}


std::string gateway_server::objection_to(const std::string &upstream) const
{
    for (const auto &[id, one] : gateways_) {
        if (!one->sessions.empty() && !has_upstream(*one, upstream)) {
            return unknown_upstream_words(id, one->sessions.back()->pid, upstream);
        }
    }
    return {};
}


/// Of what is in force already: its requests fail.
void gateway_server::warn_of_unknown_upstreams(const gateway &of, const session &by) const
{
    std::set<std::string> unknown;
    for (const auto &[_, one] : routes_) {
        for (const auto *slot : {&one.blue, &one.green}) {
            if (slot->has_value() && !has_upstream(of, (*slot)->upstream)) {
                unknown.insert((*slot)->upstream);
            }
        }
    }
    for (const auto &upstream : unknown) {
        log(log_level::warning,
            "Models are routed to an upstream that a gateway does not know: " +
                unknown_upstream_words(of.id, by.pid, upstream),
            {{"gateway", of.id}, {"pid", std::to_string(by.pid)}});
    }
}

} // namespace rollout
