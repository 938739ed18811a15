#include "module/link/pending_calls.hpp"

#include "common/domain/limits.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace rollout {

pending_calls::pending_calls(std::size_t max_waiting, ngx_log_t *log, events tell)
    : max_waiting_(max_waiting), log_(log), tell_(std::move(tell))
{
}


pending_calls::~pending_calls()
{
    for (auto &[id, call] : calls_) {
        call->id = 0;
        if (call->timer.timer_set) {
            ngx_del_timer(&call->timer);
        }
    }
}


link_result pending_calls::begin(link_call &call, ngx_msec_t timeout, const function_ref<void()> &ask)
try {
    if (call.survives ? is_full() : unanswered_.size() >= limits::requests_in_flight) {
        return link_result::full;
    }
    calls_.emplace(last_id_ + 1, &call);
    call.id = ++last_id_;
    if (!call.survives) {
        unanswered_.emplace(call.id, call.submits);
    }
    call.among = this;
    call.timer.handler = on_timer;
    call.timer.data = &call;
    call.timer.log = log_;
    ngx_add_timer(&call.timer, timeout);
    ask();
    return link_result::task;
} catch (...) {
    unanswered_.erase(call.id);
    forget(call);
    throw;
}


bool pending_calls::begin_stream() noexcept
{
    if (is_full()) {
        return false;
    }
    ++streams_;
    return true;
}


link_result pending_calls::begin_watch(link_call &call, ngx_msec_t timeout, const function_ref<void()> &ask)
{
    call.survives = true;
    call.submits = false;
    return begin(call, timeout, [&] {
        const std::string news = std::string(kind_name(call.kind)) + ' ' + std::string(call.name, call.name_bytes) +
                                 ' ' + std::to_string(call.after);
        if (groups_.add(call.id, news)) {
            ask();
        }
    });
}


void pending_calls::on_timer(ngx_event_t *event) noexcept
{
    auto *call = static_cast<link_call *>(event->data);
    if (call->submits) {
        call->among->tell_.on_doubt();
    }
    call->among->drop(*call);
    call->done(*call, link_result::late, nullptr, nullptr);
}


void pending_calls::finish(link_call &call, link_result result, const task_record *task,
                           const json_t *message) noexcept
{
    end(call);
    call.done(call, result, task, message);
}


void pending_calls::forget(link_call &call) noexcept
{
    if (call.id != 0) {
        drop(call);
    }
}


/// Ends a call that has no answer yet, and lets rolloutd drop a watch that nobody waits for.
void pending_calls::drop(link_call &call) noexcept
{
    const auto question = groups_.remove(call.id);
    end(call);
    if (question) {
        tell_.on_abandoned(*question);
    }
}


void pending_calls::end(link_call &call) noexcept
{
    calls_.erase(call.id);
    groups_.remove(call.id);
    call.id = 0;
    if (call.timer.timer_set) {
        ngx_del_timer(&call.timer);
    }
}


link_call *pending_calls::find(std::uint64_t id) noexcept
{
    const auto asked = calls_.find(id);
    return asked != calls_.end() ? asked->second : nullptr;
}


bool pending_calls::in_doubt() const noexcept
{
    return std::ranges::any_of(unanswered_, [](const auto &entry) { return entry.second; });
}


void pending_calls::answer(std::uint64_t id, link_result result, const task_record *task, const json_t *message)
{
    const auto finish_one = [&](std::uint64_t waiter) {
        // Ending a call ends a request, whose cleanup may forget other calls.
        if (auto *call = find(waiter)) {
            finish(*call, result, task, message);
        }
    };
    const auto all = groups_.take(id);
    if (all.empty()) {
        finish_one(id);
    }
    for (const auto waiter : all) {
        finish_one(waiter);
    }
}


void pending_calls::end_all(bool watches, link_result result) noexcept
{
    // Ending a call ends a request, whose cleanup may forget other calls and begin new ones: no iterator is kept.
    const std::uint64_t last = last_id_;
    for (auto it = calls_.begin(); it != calls_.end() && it->first <= last;) {
        const auto id = it->first;
        if (it->second->survives == watches) {
            finish(*it->second, result, nullptr, nullptr);
        }
        it = calls_.upper_bound(id);
    }
}


void pending_calls::ask_again(const function_ref<void(const link_call &call)> &ask)
{
    for (const auto id : groups_.ask_again()) {
        ask(*calls_.at(id));
    }
}

} // namespace rollout
