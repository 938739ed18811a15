#include "module/handlers/pending_request.hpp"

#include "common/domain/limits.hpp"
#include "module/configuration.hpp"
#include "module/handlers/task_etag.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"

#include <bit>

namespace rollout {

namespace {

void forget_call(void *data)
{
    auto *request = static_cast<pending_request *>(data);
    if (auto *link = link_of_process()) {
        link->forget(request->call);
    }
}


/// Copies the task into the request's memory, until the next call. Returns false if out of memory.
bool keep(pending_request &request, const task_record &task) noexcept
{
    request.task = task;
    if (request.memory.holds(task.document)) {
        return true;
    }
    const std::size_t size = task.task_id.size() + task.model_id.size() + task.document.size();
    auto *to = reinterpret_cast<char *>(request.memory.take(request.r->pool, size));
    if (to == nullptr) {
        return false;
    }
    for (auto *text : {&request.task.task_id, &request.task.model_id, &request.task.document}) {
        const std::size_t length = text->copy(to, text->size());
        *text = {to, length};
        to += length;
    }
    return true;
}


/// Returns how many milliseconds the answer may still be held; 0: no longer.
ngx_msec_t left_to_wait(const pending_request &request) noexcept
{
    const auto left = static_cast<ngx_msec_int_t>(request.wait_until - ngx_current_msec);
    return request.wait_until != 0 && left > 0 ? static_cast<ngx_msec_t>(left) : 0;
}


void on_watched(link_call &call, link_result result, const task_record *task, const json_t *);


enum class held : std::uint8_t { no, yes, too_many };


/// Decides whether the client waits for a later document than this one.
held hold_answer(pending_request &request, const task_record &task)
{
    const auto left = left_to_wait(request);
    if (left == 0 || is_final(task.status)) {
        return held::no;
    }
    // A client that sends an ETag waits for something newer than that; a client that sends none waits for the final
    // state.
    if (!request.submitting && request.r->headers_in.if_none_match != nullptr) {
        if (!matches_etag(request.r, etag_of(request.r, task).view())) {
            return held::no;
        }
    }
    auto *link = link_of_process();
    if (link == nullptr || !suspend(request) || !keep(request, task)) {
        return held::no;
    }
    request.call.done = on_watched;
    request.call.asker = &request;
    const auto begun = link->watch(request.call, task.kind, task.task_id, task.revision, left);
    return begun == link_result::task ? held::yes : held::too_many;
}


void on_watched(link_call &call, link_result result, const task_record *task, const json_t *)
{
    auto &request = *static_cast<pending_request *>(call.asker);
    resume(request, [&] {
        // The time is over without news: the answer is the document as it was.
        return result == link_result::task ? answer_or_hold(request, *task) : answer_with(request, request.task);
    });
}

} // namespace


unsigned char *task_memory::take(ngx_pool_t *pool, std::size_t size) noexcept
{
    if (bytes_ != nullptr && size <= size_) {
        return bytes_;
    }
    // The first buffer is as large as its task. Documents grow with their tasks, so later ones get more room.
    const std::size_t room = bytes_ == nullptr ? size : std::bit_ceil(size);
    auto *more = static_cast<unsigned char *>(ngx_pnalloc(pool, room));
    if (more == nullptr) {
        return nullptr;
    }
    if (bytes_ != nullptr) {
        ngx_pfree(pool, bytes_); // has no effect on a small allocation
    }
    bytes_ = more;
    size_ = room;
    return bytes_;
}


bool task_memory::holds(std::string_view text) const noexcept
{
    const auto *begin = reinterpret_cast<const unsigned char *>(text.data());
    return bytes_ != nullptr && begin >= bytes_ && begin < bytes_ + size_;
}


problem away(std::string detail)
{
    problem answer;
    answer.status = 503;
    answer.detail = std::move(detail);
    answer.retry_after_s = retry_after_s;
    return answer;
}


ngx_int_t ask_for_documents(pending_request &request, link_call::done_fn done, link_call::document_fn document,
                            std::string_view what, const function_ref<link_result(worker_link &)> &ask)
{
    ngx_http_request_t *r = request.r;
    request.call.done = done;
    request.call.document = document;
    request.call.asker = &request;
    request.page = make_in_pool<long_answer>(r->pool);
    if (request.page == nullptr || !suspend(request)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    auto *link = link_of_process();
    const auto asked = link == nullptr ? link_result::lost : ask(*link);
    if (asked != link_result::task) {
        return send_problem(
            r, away(asked == link_result::full
                        ? "Too many requests are waiting for rolloutd; try again."
                        : "rolloutd is down, and only it has " + std::string(what) + "; try again when it is back."));
    }
    ++r->main->count;
    return NGX_DONE;
}


void log_unconfirmed(const pending_request &request, std::string_view what, link_result result) noexcept
{
    const ngx_str_t text = str_of(what);
    ngx_log_error(NGX_LOG_ERR, request.r->connection->log, 0, "rollout: %V was not confirmed: %s", &text,
                  result == link_result::late ? "rolloutd did not answer in time" : "no link to rolloutd");
}


problem rejection_of(const json_t *from)
{
    problem answer;
    const auto status = json_number(from, "status");
    answer.status =
        status >= 400 && status <= 599 ? static_cast<int>(status) : 500; // it is an error, whatever status it gives
    answer.detail = json_text(from, "detail");
    answer.task_id = json_text(from, "task_id");
    answer.retry_after_s = static_cast<unsigned>(json_number(from, "retry_after_s"));
    const json_t *errors = json_object_get(from, "errors");
    for (std::size_t i = 0; i < json_array_size(errors); ++i) {
        const json_t *error = json_array_get(errors, i);
        answer.errors.push_back({std::string(json_text(error, "pointer")), std::string(json_text(error, "detail"))});
    }
    return answer;
}


bool suspend(pending_request &request) noexcept
{
    if (request.suspended) {
        return true;
    }
    ngx_http_request_t *r = request.r;
    ngx_http_cleanup_t *cleanup = ngx_http_cleanup_add(r, 0);
    if (cleanup == nullptr) {
        return false;
    }
    cleanup->handler = forget_call;
    cleanup->data = &request;
    request.suspended = true;
    r->write_event_handler = ngx_http_request_empty_handler;
    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;
        // A client that has closed already, in the same packet as its request, causes no further event.
        if (r->connection->read->ready) {
            ngx_post_event(r->connection->read, &ngx_posted_events);
        }
    }
    return true;
}


ngx_int_t answer_with(pending_request &request, const task_record &task)
{
    ngx_http_request_t *r = request.r;
    ngx_uint_t status = NGX_HTTP_OK;
    if (request.submitting) {
        const bool async = request.wants.respond_async && !is_final(task.status);
        status = async ? NGX_HTTP_ACCEPTED : NGX_HTTP_OK;
        const std::string location = std::string(view_of(location_of(r).base)) + "/" +
                                     std::string(kind_name(task.kind)) + "/" + std::string(task.task_id);
        if (!add_header(r, "Location", location)) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        if (async && !add_header(r, "Preference-Applied", "respond-async")) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        if (!async && request.wants.wait && !add_header(r, "Preference-Applied", "wait")) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return send_task(r, status, task, etag_of(r, task).view(), location_of(r).documents);
}


ngx_int_t answer_or_hold(pending_request &request, const task_record &task) noexcept
{
    return guarded(request.r, [&]() -> ngx_int_t {
        switch (hold_answer(request, task)) {
        case held::yes:
            return NGX_DONE;
        case held::too_many:
            if (request.r->method != NGX_HTTP_POST) {
                return send_problem(request.r, away("Too many clients are waiting already (max_waiting of "
                                                    "rollout_worker); try again later, or without waiting."));
            }
            request.wants.wait.reset();
            break;
        case held::no:
            break;
        }
        return answer_with(request, task);
    });
}

} // namespace rollout
