#include "ctl/api/task_follower.hpp"

#include "ctl/api/problem_text.hpp"
#include "ctl/base/durations.hpp"

#include <algorithm>
#include <ctime>
#include <utility>

namespace rollout::ctl {

namespace {

using namespace std::chrono_literals;

constexpr unsigned wait_s = 20; ///< of a long poll; shorter than the time after which proxies drop an idle connection
constexpr auto answer_timeout = 30s;
constexpr std::chrono::milliseconds shortest_wait = 1s;
constexpr std::chrono::milliseconds first_pause = 200ms;
constexpr std::chrono::milliseconds longest_pause = 2s;
constexpr long long tolerated_skew_s = 2;

// The gateway sends a ping first, and then every 10 s.
constexpr auto first_event_timeout = 5s;
constexpr auto silence_timeout = 25s;
constexpr auto stream_timeout = 2h; ///< a stream ends after an hour

} // namespace


task_follower::task_follower(gateway &from, task_document known, std::chrono::milliseconds patience)
    : from_(from), task_(std::move(known)), patience_(patience), next_try_(clock::now()), pause_(first_pause)
{
}


void task_follower::begin()
{
    way_ == way::events ? begin_events() : begin_poll();
}


void task_follower::begin_events()
{
    http_request request;
    request.path = '/' + std::string(kind_name(task_.kind)) + '/' + task_.task_id + "/events";
    request.headers.push_back("Accept: text/event-stream");
    request.timeout = stream_timeout;
    events_ = {};
    hears_events_ = false;
    last_heard_ = clock::now();
    poll_ = from_.client().begin(std::move(request));
}


/// Reads the events that have arrived, up to one that changes the task.
bool task_follower::take_events()
{
    if (poll_ && poll_->answer().content_type == "text/event-stream") {
        events_.feed(poll_->take_body());
    }
    while (const auto event = events_.next()) {
        if (poll_ && !hears_events_) {
            note_clock(poll_->answer());
        }
        hears_events_ = true;
        last_heard_ = clock::now();
        trouble_.clear();
        pause_ = first_pause;
        if (event->name != "task") {
            continue;
        }
        auto read = read_task_document(task_.kind, event->data);
        if (read && read->text != task_.text) {
            task_ = std::move(*read);
            return true;
        }
    }
    return false;
}


/// A stream ends after an hour, with a reload of nginx, and with the task. Any other answer than a stream is left to a
/// poll, which says what it means.
void task_follower::end_events(const http_exchange &ended)
{
    if (hears_events_) {
        ended.fault().empty() ? void(next_try_ = clock::now() + first_pause) : retry_later(ended.fault());
    } else if (!ended.fault().empty()) {
        retry_later(ended.fault());
    } else {
        way_ = way::polls;
    }
}


void task_follower::check_silence()
{
    const auto silent = clock::now() - last_heard_;
    if (!hears_events_ && silent >= first_event_timeout) {
        poll_.reset();
        way_ = way::polls; // a proxy that gathers the answer, perhaps
    } else if (silent >= silence_timeout) {
        poll_.reset();
        retry_later(from_.client().where().url + " sends no more events.");
    }
}


void task_follower::begin_poll()
{
    http_request request;
    request.path = '/' + std::string(kind_name(task_.kind)) + '/' + task_.task_id +
                   "?wait=" + std::to_string(etag_.empty() ? 0 : wait_s);
    if (!etag_.empty()) {
        request.headers.push_back("If-None-Match: " + etag_);
    }
    request.timeout = answer_timeout;
    begun_ = clock::now();
    poll_ = from_.client().begin(std::move(request));
}


bool task_follower::wait(std::chrono::milliseconds at_most)
{
    const auto until = clock::now() + at_most;
    do {
        const auto now = clock::now();
        const auto left = std::max(std::chrono::duration_cast<std::chrono::milliseconds>(until - now), 0ms);
        if (!poll_ && now >= next_try_) {
            begin();
        }
        if (!poll_) {
            const auto pause = std::chrono::duration_cast<std::chrono::milliseconds>(next_try_ - now) + 1ms;
            from_.client().work(std::min(left, pause));
            continue;
        }
        if (way_ == way::events) {
            if (take_events()) {
                return true;
            }
            if (!poll_->ended()) {
                from_.client().work(std::min(left, std::chrono::milliseconds(first_event_timeout)));
                check_silence();
                continue;
            }
            end_events(*std::exchange(poll_, nullptr));
            continue;
        }
        from_.client().work(left);
        if (!poll_->ended()) {
            continue;
        }
        const auto ended = std::exchange(poll_, nullptr);
        if (!ended->fault().empty()) {
            retry_later(ended->fault());
        } else if (take(ended->answer())) {
            return true;
        }
    } while (clock::now() < until);
    give_up_if_over();
    return false;
}


bool task_follower::take(const http_answer &answer)
{
    const bool is_new = answer.status == 200;
    if (!is_new && answer.status != 304) {
        const command_error error = error_of(answer, from_.client().where());
        if (error.code() != exit_code::unreachable && !may_pass(answer)) {
            throw error;
        }
        retry_later(error.what());
        return false;
    }
    note_clock(answer);
    auto read = is_new && is_json(answer) ? read_task_document(task_.kind, answer.body) : std::nullopt;
    if (is_new && !read) {
        retry_later(from_.client().where().url + " does not answer with a task's document. Check --url.");
        return false;
    }
    trouble_.clear();
    pause_ = first_pause;
    const bool differs = read && read->text != task_.text;
    const bool waited = clock::now() - begun_ >= shortest_wait;
    const bool was_asked_to_wait = !etag_.empty();
    if (read) {
        etag_ = answer.etag;
        task_ = std::move(*read);
    }
    // Pause if something on the way answers at once, or if there is no ETag to wait with.
    const bool must_pause = etag_.empty() || (was_asked_to_wait && !differs && !waited);
    next_try_ = clock::now() + (must_pause ? shortest_wait : 0ms);
    return differs;
}


void task_follower::note_clock(const http_answer &answer)
{
    if (answer.date_s != 0) {
        const long long ahead = answer.date_s - static_cast<long long>(std::time(nullptr));
        clock_ahead_ = std::chrono::seconds(ahead > tolerated_skew_s || ahead < -tolerated_skew_s ? ahead : 0);
    }
}


void task_follower::retry_later(const std::string &why)
{
    const auto now = clock::now();
    if (trouble_.empty()) {
        trouble_since_ = now;
    }
    trouble_ = why;
    etag_.clear(); // another gateway, or the same one with another journal, may answer next
    next_try_ = now + pause_;
    pause_ = std::min(pause_ * 2, longest_pause);
    give_up_if_over();
}


void task_follower::give_up_if_over() const
{
    if (!trouble_.empty() && clock::now() - trouble_since_ >= patience_) {
        throw command_error(exit_code::unreachable, trouble_ + " Nothing was heard of task " + task_.task_id +
                                                        " for " + format_duration(patience_) + "; the task goes on.");
    }
}

} // namespace rollout::ctl
