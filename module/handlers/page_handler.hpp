// rollout_page: the operator's page.
#pragma once

#include "module/nginx/ngx.hpp"

namespace rollout {

/// The content handler of a location with rollout_page: sends the page's files, and settings.json, which tells the page
/// where the API is and whether to show what changes something.
ngx_int_t handle_page(ngx_http_request_t *r) noexcept;

} // namespace rollout
