// The ETag of a task's document.
#pragma once

#include "module/nginx/ngx.hpp"
#include "module/tables/task_table.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rollout {

/// The ETag of a task in a given state, quotes included.
struct etag_text {
    std::array<u_char, sizeof("\"12345678-\"") + NGX_INT64_LEN> bytes;
    std::size_t size;

    std::string_view view() const noexcept { return {reinterpret_cast<const char *>(bytes.data()), size}; }
};

etag_text etag_of(ngx_http_request_t *r, const task_record &task) noexcept;

/// Returns the task's revision in the state that has this ETag; nothing if no task of this journal ever has it.
std::optional<std::uint64_t> revision_of(ngx_http_request_t *r, std::string_view etag) noexcept;

} // namespace rollout
