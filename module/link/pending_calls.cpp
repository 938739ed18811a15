// What is asked of rolloutd: each question from where it begins to where it ends, with an answer or without one.
#include "common/link/submission_line.hpp"
#include "module/link/worker_link.hpp"

#include <algorithm>
#include <exception>

namespace rollout {

namespace {

/// What may wait to be sent before a new question is refused.
constexpr std::size_t max_unsent_bytes = 8 * 1024 * 1024;

} // namespace


/// Begins a call, which `ask` then lets out. Where memory is out nothing of it stays: its time would end a request that
/// has ended by then, and an answer that never comes would count as one to come.
template <class Ask>
link_result worker_link::begin(link_call &call, ngx_msec_t timeout, Ask ask)
try {
    if (call.survives ? groups_.waiting() >= settings_.max_waiting
                      : unanswered_.size() >= limits::requests_in_flight) {
        return link_result::full;
    }
    calls_.emplace(last_id_ + 1, &call);
    call.id = ++last_id_;
    if (!call.survives) {
        unanswered_.emplace(call.id, call.submits);
    }
    call.link = this;
    call.timer.handler = on_call_timer;
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


link_result worker_link::submit(link_call &call, const task_request &request, const requester &by)
{
    return ask(call, true, [&] {
        if (submissions_.size() > limits::batch_bytes) {
            send_submissions();
        }
        const std::string who = line_of(by);
        append_line(submissions_, {call.id, request.kind, request.task_id, request.model_id, request.parent_id,
                                   request.config, who});
        send_soon();
    });
}


link_result worker_link::lookup(link_call &call, task_kind kind, std::string_view task_id, std::string_view model_id)
{
    if (!connected()) {
        return link_result::lost;
    }
    const auto name = task_id.empty() ? model_id : task_id;
    call.kind = kind;
    call.after = 0;
    call.survives = false;
    call.submits = false;
    call.name_is_model = task_id.empty();
    call.name_bytes = static_cast<std::uint8_t>(std::min(name.size(), sizeof(call.name)));
    ngx_memcpy(call.name, name.data(), call.name_bytes);
    return begin(call, settings_.ack_timeout, [&] { send_lookup(call); });
}


link_result worker_link::steer(link_call &call, task_kind kind, std::string_view task_id, steering verb,
                               std::string_view new_task_id, const requester &by)
{
    json_ptr message = message_of(gateway_frame::steer);
    json_put(message.get(), "kind", kind_name(kind));
    json_put(message.get(), "task_id", task_id);
    json_put(message.get(), "verb", steering_name(verb));
    if (!new_task_id.empty()) {
        json_put(message.get(), "new_task_id", new_task_id);
    }
    return ask(call, true, [&] {
        json_put(message.get(), "id", json_make_number(call.id));
        send(message.get(), line_of(by));
    });
}


link_result worker_link::question(link_call &call, json_t *message)
{
    return ask(call, false, [&] {
        json_put(message, "id", json_make_number(call.id));
        send(message);
    });
}


/// `submits`: its answer says what was created or changed, and until it comes that is in doubt.
template <class Ask>
link_result worker_link::ask(link_call &call, bool submits, Ask ask)
{
    if (!connected()) {
        return link_result::lost;
    }
    if (submissions_.size() + out_.size() - sent_ > max_unsent_bytes) {
        return link_result::full;
    }
    call.survives = false;
    call.submits = submits;
    return begin(call, settings_.ack_timeout, ask);
}


link_result worker_link::watch(link_call &call, task_kind kind, std::string_view task_id, std::uint64_t after,
                               ngx_msec_t timeout)
{
    call.kind = kind;
    call.after = after;
    call.survives = true;
    call.submits = false;
    call.name_is_model = false;
    call.name_bytes = static_cast<std::uint8_t>(std::min(task_id.size(), sizeof(call.name)));
    ngx_memcpy(call.name, task_id.data(), call.name_bytes);
    return begin(call, timeout, [&] {
        const std::string news =
            std::string(kind_name(kind)) + ' ' + std::string(task_id) + ' ' + std::to_string(after);
        if (groups_.add(call.id, news) && up()) {
            send_lookup(call);
        }
    });
}


void worker_link::send_lookup(const link_call &call)
{
    json_ptr message = message_of(gateway_frame::lookup);
    json_put(message.get(), "id", json_make_number(call.id));
    json_put(message.get(), "kind", kind_name(call.kind));
    json_put(message.get(), call.name_is_model ? "model_id" : "task_id", {call.name, call.name_bytes});
    if (call.survives) {
        json_put(message.get(), "after", json_make_number(call.after));
    }
    send(message.get());
}


void worker_link::on_call_timer(ngx_event_t *event) noexcept
{
    auto *call = static_cast<link_call *>(event->data);
    if (call->submits) {
        call->link->zone_.doubt_tasks();
    }
    call->link->drop(*call);
    call->done(*call, link_result::late, nullptr, nullptr);
}


void worker_link::finish(link_call &call, link_result result, const task_record *task,
                         const json_t *rejection) noexcept
{
    end(call);
    call.done(call, result, task, rejection);
}


void worker_link::forget(link_call &call) noexcept
{
    if (call.id != 0) {
        drop(call);
    }
}


/// Ends a call that has no answer yet; rolloutd need not keep a watch that nobody waits for.
void worker_link::drop(link_call &call) noexcept
{
    const auto question = groups_.remove(call.id);
    end(call);
    if (!question || !up()) {
        return;
    }
    try {
        json_ptr message = message_of(gateway_frame::forget);
        json_put(message.get(), "id", json_make_number(*question));
        send(message.get());
    } catch (const std::exception &error) {
        ngx_log_error(NGX_LOG_ERR, log_, 0, "rollout: %s", error.what());
    }
}


void worker_link::end(link_call &call) noexcept
{
    calls_.erase(call.id);
    groups_.remove(call.id);
    call.id = 0;
    if (call.timer.timer_set) {
        ngx_del_timer(&call.timer);
    }
}


/// To who asked, or to all who wait for the same.
void worker_link::answer(std::uint64_t id, link_result result, const task_record *task, const json_t *message)
{
    const auto finish_one = [&](std::uint64_t one) {
        // An answer ends a request, whose cleanup may forget other calls.
        if (const auto asked = calls_.find(one); asked != calls_.end()) {
            finish(*asked->second, result, task, message);
        }
    };
    const auto all = groups_.take(id);
    if (all.empty()) {
        finish_one(id);
    }
    for (const auto one : all) {
        finish_one(one);
    }
}


/// Ends all watches, or all other calls.
void worker_link::end_calls(bool watches, link_result how) noexcept
{
    // An answer ends a request, whose cleanup may forget other calls, and may begin new ones: no iterator is kept.
    const std::uint64_t last = last_id_;
    for (auto at = calls_.begin(); at != calls_.end() && at->first <= last;) {
        const auto id = at->first;
        if (at->second->survives == watches) {
            finish(*at->second, how, nullptr, nullptr);
        }
        at = calls_.upper_bound(id);
    }
}

} // namespace rollout
