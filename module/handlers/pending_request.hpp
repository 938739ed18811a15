// A request to the API in progress, for the files that answer it.
#pragma once

#include "common/base/function_ref.hpp"
#include "module/api/api_route.hpp"
#include "module/link/link_call.hpp"
#include "module/nginx/guard.hpp"
#include "module/nginx/preferences.hpp"
#include "module/nginx/response.hpp"
#include "module/tables/task_table.hpp"

#include <string>
#include <string_view>

namespace rollout {

/// A request's memory for one task: taken from its pool once, and again only for a larger task. A pool releases
/// memory only with the request, and a waiting request may see thousands of changes.
class task_memory {
  public:
    /// Returns null if out of memory; otherwise the previous content is lost.
    unsigned char *take(ngx_pool_t *pool, std::size_t size) noexcept;

    bool holds(std::string_view text) const noexcept;

  private:
    unsigned char *bytes_ = nullptr;
    std::size_t size_ = 0;
};


struct event_stream;
struct pending_request;
class worker_link;

/// Answers with a task that was found, or returns NGX_DONE if the request continues.
using task_found_fn = ngx_int_t (*)(pending_request &request, const task_record &task) noexcept;

/// Sends the answer with a document, or returns NGX_DONE if the client waits for a later one. If too many clients
/// wait already, a read that would wait gets a 503, while a change that has been made is answered at once.
ngx_int_t answer_or_hold(pending_request &request, const task_record &task) noexcept;

/// A request in progress: in the request's pool, from the parsing of the URI to the answer.
struct pending_request {
    ngx_http_request_t *r = nullptr;
    api_route route{};
    preferences wants{};
    link_call call{};
    task_found_fn found = answer_or_hold; ///< of a read of one task
    ngx_msec_t wait_until = 0;            ///< in ngx_current_msec's time; 0: the answer is not held
    ngx_str_t task_id{};                  ///< of a submission
    ngx_str_t model_id{};
    bool submitting = false;
    bool suspended = false;
    task_memory memory;
    task_record task{};          ///< as it was when the answer was last held, in `memory`
    long_answer *page = nullptr; ///< of a list: the documents received so far
    event_stream *stream = nullptr;
};


/// Resumes a request that was waiting for the link. `answer` sends something and returns the result, or NGX_DONE if
/// the request continues to wait. Throws nothing into the link.
template <class Answer>
void resume(pending_request &request, Answer answer) noexcept
{
    ngx_http_request_t *r = request.r;
    const ngx_int_t rc = guarded(r, answer);
    if (rc != NGX_DONE) {
        // Outside of a request's own handlers, nginx does not run posted requests by itself.
        ngx_connection_t *c = r->connection;
        ngx_http_finalize_request(r, rc);
        ngx_http_run_posted_requests(c);
    }
}


/// To be called before asking rolloutd: makes a client that goes away while the request waits for the link end the
/// request, but not the work that was asked for. Returns false if out of memory.
bool suspend(pending_request &request) noexcept;

/// The Retry-After of answers that are worth retrying soon.
inline constexpr unsigned retry_after_s = 1;

/// Returns a 503 that is worth retrying soon.
problem away(std::string detail);

/// Asks rolloutd by `ask` for documents, which `call.document` puts together in `request.page`, and suspends the request
/// until `call.done`. If it cannot ask, it sends a 503 that says that only rolloutd has `what`.
ngx_int_t ask_for_documents(pending_request &request, link_call::done_fn done, link_call::document_fn document,
                            std::string_view what, const function_ref<link_result(worker_link &)> &ask);

/// Logs as an error that rolloutd has not confirmed `what` a client asked for.
void log_unconfirmed(const pending_request &request, std::string_view what, link_result result) noexcept;

/// Returns the problem in a `rejected` frame.
problem rejection_of(const json_t *from);

/// Sends the answer with a task.
ngx_int_t answer_with(pending_request &request, const task_record &task);

} // namespace rollout
