// Turns the errors that nginx sends before the API's handler runs into problems: a body over client_max_body_size, a
// denied access, an exceeded rate. They would be HTML pages unless an error_page says otherwise; in a location with
// rollout_api this filter makes them problems, like all other errors there. In a location with rollout_json_model it
// does so for a body that is too large.
#pragma once

#include "module/nginx/ngx.hpp"

namespace rollout {

/// Installs the filter in nginx's chains; to be called once, after the configuration has been read.
void install_error_filter() noexcept;

} // namespace rollout
