// The gateways as a whole: the streams of routes and tasks to them, those that are gone, and those who wait for them.
#include "common/base/timestamp.hpp"
#include "common/domain/limits.hpp"
#include "common/link/frame.hpp"
#include "worker/base/log.hpp"
#include "worker/base/words.hpp"
#include "worker/gateway/line_of.hpp"
#include "worker/gateway/session.hpp"
#include "worker/gateway/questions.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>

#include <fcntl.h>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// A living gateway is back within a second: then its loss is nothing to speak of.
constexpr std::chrono::milliseconds lost_grace = 5s;

/// Between two looks whether the processes of a gateway without a link live.
constexpr auto lost_look = 500ms;

/// The gateways take a silence of three of these for a dead link.
constexpr auto ping_interval = 4s;

/// Before pages that could not be read are read again.
constexpr auto reread_pause = 1000ms;

/// A peer answers each ping, so one that is silent for so long is stuck: others of its gateway take over.
constexpr std::chrono::milliseconds longest_silence = 20s;

/// Pages of the stream wait while so much is unsent.
constexpr std::size_t page_below_bytes = 1024 * 1024;

/// Of a full set of routes: nginx parses each part, and puts it in force, in one turn of its event loop.
constexpr std::size_t routes_part_bytes = 16 * 1024;


std::int64_t wall_us()
{
    using namespace std::chrono;
    return duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
}

} // namespace


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
    send(of.stream, message_of(rolloutd_frame::stream));
}


/// Are several gateways linked, so that each may learn of a task from the others?
bool gateway_server::is_shared() const
{
    return std::ranges::count_if(gateways_, [](const auto &one) { return !one.second->sessions.empty(); }) > 1;
}


/// A gateway takes what it holds for all there is, and answers 404 without asking. While there is another, a task may be answered
/// there before this one hears of it: until then it asks. Every worker process is told, as each reads by itself.
void gateway_server::tell_shared()
{
    const bool shared = is_shared();
    for (const auto &[id, one] : gateways_) {
        if (shared) {
            for (const auto &link : one->sessions) {
                send(link, message_of(rolloutd_frame::shared));
            }
        } else if (one->stream && one->streaming && one->told_complete && !one->paging) {
            send_update(one->stream, {}, one->sent, table_state::complete);
        }
    }
}


void gateway_server::send_all_routes(gateway &of)
{
    json_ptr list = json_make_array();
    std::size_t bytes = 0;
    bool first = true;
    const auto send_part = [&](bool last) {
        json_ptr message = message_of(rolloutd_frame::routes);
        json_put(message.get(), "revision", json_make_number(routes_revision_));
        json_put(message.get(), "begin", json_ptr(json_boolean(first)));
        json_put(message.get(), "end", json_ptr(json_boolean(last)));
        json_put(message.get(), "routes", std::move(list));
        send(of.stream, message);
        list = json_make_array();
        bytes = 0;
        first = false;
    };
    for (const auto &[_, one] : routes_) {
        json_ptr text = route_to_json(one);
        bytes += json_compact(text.get()).size();
        json_add(list.get(), std::move(text));
        if (bytes > routes_part_bytes) {
            send_part(false);
        }
    }
    send_part(true);
}


void gateway_server::publish(const route &to_follow, std::uint64_t revision)
{
    const std::pair key{to_follow.model_id, to_follow.part};
    const auto known = routes_.find(key);
    routes_revision_ = std::max(routes_revision_, revision);
    if (to_follow.removed()) {
        if (known != routes_.end()) {
            routes_.erase(known);
        }
    } else {
        routes_[key] = to_follow;
    }

    json_ptr message = message_of(rolloutd_frame::routes);
    json_put(message.get(), "revision", json_make_number(revision));
    json_ptr list = json_make_array();
    json_add(list.get(), route_to_json(to_follow));
    json_put(message.get(), "routes", std::move(list));
    for (const auto &[id, one] : gateways_) {
        if (one->stream && one->streaming) {
            send(one->stream, message);
        }
    }
}


void gateway_server::publish_tasks(const std::vector<task_row> &rows, std::uint64_t before, std::uint64_t now)
{
    const auto state = is_shared() ? table_state::filled : table_state::complete;
    for (const auto &[id, one] : gateways_) {
        if (!one->stream) {
            continue;
        }
        const auto told = std::exchange(one->stream->told, {});
        if (!one->streaming || one->paging) {
            continue;
        }
        if (one->sent == before && one->told_complete && one->stream->unsent() < page_below_bytes) {
            send_update(one->stream, rows, now, state, told);
            one->sent = now;
        } else {
            pump(*one);
        }
    }
    for (const auto &row : rows) {
        if (watchers_.contains(row.task_id)) {
            news_.push_back(row);
        }
    }
    if (!news_.empty()) {
        // Thousands may watch; the one who made the change is not to wait behind them.
        news_timer_.start(0ms, [this] { tell_news(); });
    }
}


/// Sends what the gateway lacks, a page at a time, as fast as it reads.
void gateway_server::pump(gateway &of)
{
    if (closing_ || of.paging || !of.streaming || of.stream->unsent() > page_below_bytes ||
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
                                log(log_level::error,
                                    "The tasks for a gateway could not be read and are tried again: " + ended.detail,
                                    {{"gateway", id}});
                                reread_timer_.start(reread_pause, [this] { pump_all(); });
                                return;
                            }
                            to.sent = rows.empty() ? std::max(to.sent, head) : rows.back().revision;
                            to.told_complete = rows.empty() && to.sent >= journal_.revision();
                            send_update(to.stream, rows, to.sent,
                                        !to.told_complete ? table_state::partial
                                        : is_shared()     ? table_state::filled
                                                          : table_state::complete);
                            pump(to);
                        });
}


void gateway_server::pump_all()
{
    for (const auto &[id, one] : gateways_) {
        pump(*one);
    }
}


/// `told`: revisions of rows that it has, in their order.
void gateway_server::send_update(const session_ptr &to, const std::vector<task_row> &rows, std::uint64_t revision,
                                 table_state then, std::span<const std::uint64_t> told)
{
    std::string lines;
    const auto send_part = [&](std::uint64_t up_to, table_state state) {
        send(to, message_text(rolloutd_frame::update,
                              "\"revision\":" + std::to_string(up_to) +
                                  (state == table_state::filled ? ",\"filled\":true" : "") +
                                  ",\"complete\":" + (state == table_state::complete ? "true" : "false")) +
                     lines);
        lines.clear();
    };
    for (const auto &row : rows) {
        if (!told.empty() && told.front() == row.revision) {
            told = told.subspan(1);
            continue;
        }
        append_task_line(lines += '\n', line_of(row));
        if (lines.size() > limits::batch_bytes) {
            send_part(row.revision, table_state::partial);
        }
    }
    send_part(revision, then);
}


// Gateways that are gone, and those who wait for gateways.

void gateway_server::lose(gateway &which)
{
    const bool is_first = std::ranges::none_of(gateways_, [](const auto &one) { return one.second->lost; });
    which.lost = true;
    which.lost_since = uv_now(loop_);
    which.lost_since_us = wall_us();
    which.told_lost = false;
    which.streaming = false;
    which.paging = false;
    ++which.generation;
    if (!closing_ && is_first) { // else it runs already, and must not begin anew with each loss
        lost_timer_.start(lost_look, [this] { drop_lost(); });
    }
}


/// A gateway that cannot link itself routes on by what it knows: what it may route to has to stay, unless it is certain that none
/// of its processes is left.
bool gateway_server::is_to_be_dropped(gateway &one)
{
    if (one.processes.are_gone()) {
        log(log_level::info, "A gateway is gone: its processes have ended", {{"gateway", one.id}});
        return true;
    }
    const std::chrono::milliseconds away(uv_now(loop_) - one.lost_since + 1);
    const auto limit = one.processes.were_noted() ? lost_for_ : lost_grace;
    if (away >= limit) {
        log(log_level::warning,
            "A gateway had no link for " + duration_words(limit) + " and is not waited for any longer (" +
                one.processes.words() +
                "): what it may still route to is unloaded from now on; stop it, or mend its link",
            {{"gateway", one.id}});
        return true;
    }
    if (away >= lost_grace && !std::exchange(one.told_lost, true)) {
        log(log_level::warning,
            "A gateway has no link, and " + one.processes.words() +
                ": what it may route to stays loaded until it is back, for " + duration_words(limit) +
                " at most (limits.gateway_lost_s). nginx's error log says why it has none",
            {{"gateway", one.id}});
    }
    return false;
}


void gateway_server::drop_lost()
{
    bool more = false;
    for (auto at = gateways_.begin(); at != gateways_.end();) {
        gateway &one = *at->second;
        if (one.lost && is_to_be_dropped(one)) {
            journal_.forget_gateway(one.id);
            at = gateways_.erase(at);
        } else {
            more = more || one.lost;
            ++at;
        }
    }
    if (more) {
        lost_timer_.start(lost_look, [this] { drop_lost(); });
    }
    check_waits();
}


std::string gateway_server::missing() const
{
    std::string all;
    for (const auto &[id, one] : gateways_) {
        if (one->lost) {
            all += (all.empty() ? "gateway " : "; gateway ") + id.substr(0, 8) + " has had no link since " +
                   timestamp(one->lost_since_us) + " (" + one->processes.words() +
                   ") and is waited for, as it may route still";
        }
    }
    return all;
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


traffic::followers gateway_server::followers_of(std::uint64_t revision) const
{
    const auto is_behind = [revision](const auto &entry) {
        return entry.second->lost || entry.second->applied < revision;
    };
    return {gateways_.size(), static_cast<std::size_t>(std::ranges::count_if(gateways_, is_behind))};
}


operation_ptr gateway_server::when_followed(std::uint64_t revision, done_fn done)
{
    auto wait = std::make_unique<follow_wait>(*this, revision, std::move(done));
    check_waits();
    return wait;
}


operation_ptr gateway_server::in_flight(const std::string &model_id, const part_names &parts, std::uint64_t revision,
                                        std::function<void(std::optional<std::uint64_t>)> done)
{
    auto question = std::make_unique<flight_question>(*this, std::move(done));
    json_ptr message = message_of(rolloutd_frame::sample);
    json_put(message.get(), "id", json_make_number(question->id));
    json_put(message.get(), "model_id", model_id);
    json_put(message.get(), "parts", json_make_array(parts));
    json_put(message.get(), "revision", json_make_number(revision));
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


operation_ptr gateway_server::measure(const std::string &model_id, const part_names &parts,
                                      const std::vector<std::uint64_t> &revisions,
                                      std::function<void(const measured &)> done)
{
    auto question = std::make_unique<traffic_question>(*this, revisions, std::move(done));
    json_ptr message = message_of(rolloutd_frame::measure);
    json_put(message.get(), "id", json_make_number(question->id));
    json_put(message.get(), "model_id", model_id);
    json_put(message.get(), "parts", json_make_array(parts));
    json_ptr list = json_make_array();
    for (const auto revision : revisions) {
        json_add(list.get(), json_make_number(revision));
    }
    json_put(message.get(), "revisions", std::move(list));
    std::set<const session *> asked;
    for (const auto &[id, one] : gateways_) {
        if (!one->lost && one->stream) {
            asked.insert(one->stream.get());
            send(one->stream, message);
        }
    }
    question->ask(std::move(asked));
    return question;
}


void gateway_server::ping_all()
{
    // libuv closes what comes while there is no descriptor for it, and tells nobody.
    if (const unique_fd spare(::open("/dev/null", O_RDONLY | O_CLOEXEC)); spare) {
        deaf_ = false;
    } else {
        note_deafness(errno_words(errno));
    }
    const json_ptr message = message_of(rolloutd_frame::ping);
    const auto bound = static_cast<std::uint64_t>(longest_silence.count());
    const auto now = uv_now(loop_);
    for (const auto &one : std::list<session_ptr>(sessions_)) {
        if (now - one->heard > bound) {
            end(one, (one->of != nullptr ? "it has said nothing for " : "it has said no hello for ") +
                         duration_words(longest_silence));
        } else if (one->of != nullptr) {
            send(one, message);
        }
    }
    ping_timer_.start(ping_interval, [this] { ping_all(); });
}

} // namespace rollout
