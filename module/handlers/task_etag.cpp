#include "module/handlers/task_etag.hpp"

#include "module/configuration.hpp"

namespace rollout {

etag_text etag_of(ngx_http_request_t *r, const task_record &task) noexcept
{
    // A revision belongs to one journal; with another journal, the same number means another document.
    const ngx_str_t id = str_of(main_of(r).zone->journal().substr(0, 8));
    etag_text etag;
    etag.size = static_cast<std::size_t>(ngx_sprintf(etag.bytes.data(), "\"%V-%uL\"", &id, task.revision) -
                                         etag.bytes.data());
    return etag;
}

} // namespace rollout
