// nginx answers some requests to the API before the API's handler sees them: a body over client_max_body_size, an access
// denied, a rate exceeded. Where no error_page says otherwise these come as HTML pages; in a location with rollout_api
// this filter turns them into problems, as all other errors there are. In one with rollout_json_model it does so with a body that is
// too large.
#pragma once

#include "module/nginx/ngx.hpp"

namespace rollout {

/// Puts the filter into nginx's chains; once, after the configuration is read.
void install_error_filter() noexcept;

} // namespace rollout
