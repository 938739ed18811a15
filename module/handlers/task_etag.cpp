#include "module/handlers/task_etag.hpp"

#include "common/base/text.hpp"
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


std::optional<std::uint64_t> revision_of(ngx_http_request_t *r, std::string_view etag) noexcept
{
    task_record task;
    if (etag.size() < 2 || !read_number(etag.substr(0, etag.size() - 1).substr(etag.rfind('-') + 1), task.revision)) {
        return std::nullopt;
    }
    return etag_of(r, task).view() == etag ? std::optional(task.revision) : std::nullopt;
}

} // namespace rollout
