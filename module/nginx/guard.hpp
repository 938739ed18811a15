// Keeps exceptions out of C code: every function that nginx calls runs inside one of these.
#pragma once

#include "module/nginx/ngx.hpp"

#include <exception>
#include <type_traits>

namespace rollout {

/// Runs `work`. If it throws, returns the result of `failed`, which gets the exception and must not throw itself.
template <class Work, class Failed>
auto guarded_by(const Work &work, const Failed &failed) noexcept -> std::invoke_result_t<const Work &>
{
    try {
        return work();
    } catch (const std::exception &error) {
        return failed(error);
    }
}


/// Logs an exception's message as an error.
inline void log_exception(ngx_log_t *log, const std::exception &error, ngx_uint_t level = NGX_LOG_ERR) noexcept
{
    ngx_log_error(level, log, 0, "rollout: %s", error.what());
}


/// Runs `work`. If it throws, logs the exception.
template <class Work>
void guarded(ngx_log_t *log, const Work &work) noexcept
{
    guarded_by(work, [log](const std::exception &error) { log_exception(log, error); });
}


/// Runs `work`. If it throws, logs the exception and returns `otherwise`.
template <class Result, class Work>
Result guarded(ngx_log_t *log, const Result &otherwise, const Work &work) noexcept
{
    return guarded_by([&]() -> Result { return work(); },
                      [&](const std::exception &error) -> Result {
                          log_exception(log, error);
                          return otherwise;
                      });
}


/// The same for a request, which ends with a 500 if `work` throws.
template <class Work>
ngx_int_t guarded(ngx_http_request_t *r, const Work &work) noexcept
{
    return guarded(r->connection->log, ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR}, work);
}

} // namespace rollout
