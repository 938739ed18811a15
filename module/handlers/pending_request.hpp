// A request to the API under way, for the files that answer it.
#pragma once

#include "module/api/api_route.hpp"
#include "module/link/link_call.hpp"
#include "module/nginx/guard.hpp"
#include "module/nginx/preferences.hpp"
#include "module/nginx/response.hpp"
#include "module/tables/task_table.hpp"

#include <string>
#include <string_view>

namespace rollout {

/// A request's memory for one task: taken from its pool once, and again only for a larger one. What a pool has given it takes
/// back with the request's end, and a request that waits may see thousands of changes.
class task_memory {
  public:
    /// Null when memory is out; what was there before is gone otherwise.
    unsigned char *take(ngx_pool_t *pool, std::size_t size) noexcept;

    bool holds(std::string_view text) const noexcept;

  private:
    unsigned char *bytes_ = nullptr;
    std::size_t size_ = 0;
};


/// A request under way: in the request's pool, from the first look at the URI to the answer.
struct pending_request {
    ngx_http_request_t *r = nullptr;
    api_route route{};
    preferences wants{};
    link_call call{};
    ngx_msec_t wait_until = 0; ///< in ngx_current_msec's time; 0: the answer is not held
    ngx_str_t task_id{};       ///< of a submission
    ngx_str_t model_id{};
    bool submitting = false;
    bool suspended = false;
    task_memory memory;
    task_record task{};          ///< as it was when the answer was last held, in `memory`
    long_answer *page = nullptr; ///< of a list: as far as its documents have come
};


/// Goes on with a request that was waiting for the link: `answer` sends something and says how that went, or NGX_DONE
/// when the request waits on. Nothing is thrown into the link.
template <class Answer>
void resume(pending_request &request, Answer answer) noexcept
{
    ngx_http_request_t *r = request.r;
    const ngx_int_t rc = guarded(r, answer);
    if (rc != NGX_DONE) {
        // Outside of a request's own handlers, nginx does not go on with posted requests by itself.
        ngx_connection_t *c = r->connection;
        ngx_http_finalize_request(r, rc);
        ngx_http_run_posted_requests(c);
    }
}


/// Before a question: what happens when the client goes away while the request waits for the link. It ends the request,
/// not what was asked for. False when memory is out.
bool suspend(pending_request &request) noexcept;

/// Of what is worth another try soon.
inline constexpr unsigned retry_after_s = 1;

/// A 503 that is worth another try soon.
problem away(std::string detail);

/// For the error log: rolloutd has not confirmed `what` a client asked for.
void log_unconfirmed(const pending_request &request, std::string_view what, link_result result) noexcept;

/// Of a `rejected` frame.
problem rejection_of(const json_t *from);

/// The answer with a task.
ngx_int_t answer_with(pending_request &request, const task_record &task);

/// A document is at hand: the answer with it, or NGX_DONE when the client waits for a later one. A read that would wait is a
/// 503 where too many wait already; what has been done is answered as it is.
ngx_int_t answer_or_hold(pending_request &request, const task_record &task) noexcept;

} // namespace rollout
