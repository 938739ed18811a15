#include "worker/gateway/upstream_names.hpp"

#include "common/domain/limits.hpp"
#include "common/domain/upstream_name.hpp"

#include <cstddef>

namespace rollout {

std::optional<upstream_names> upstream_names::of_hello(const json_t *hello)
{
    const json_t *list = json_object_get(hello, "upstreams");
    if (!json_is_array(list)) {
        return std::nullopt;
    }
    upstream_names all;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < json_array_size(list); ++i) {
        const auto name = json_text(json_array_get(list, i));
        bytes += name.size();
        if (bytes > limits::known_upstreams_bytes) {
            return std::nullopt;
        }
        all.keys_.insert(upstream_key(name));
    }
    return all;
}


bool upstream_names::has(const std::string &upstream) const
{
    const std::string key = upstream_key(upstream);
    return keys_.contains(key) || keys_.contains(key + ":80") ||
           keys_.contains(key + ":443"); // as a proxy_pass to that host without a port names it
}


std::string unknown_upstream_sentence(const std::string &gateway, int pid, const std::string &upstream)
{
    const bool has_port = is_host_and_port(upstream);
    const std::string name = has_port ? "inference" : upstream;
    return "nginx (gateway " + gateway + ", worker process " + std::to_string(pid) + ") has no upstream block \"" +
           upstream +
           "\" and no resolver to look that name up, so that every request to the model would be a 502; write "
           "\"upstream " +
           name + " { server " + (has_port ? upstream : "HOST:PORT") + "; }\" into the http block of its nginx.conf" +
           (has_port ? ", name it as the backend's \"upstream\" in rolloutd.json (\"" + name + "\"), and reload both"
                     : ", or correct the backend's \"upstream\" in rolloutd.json, and reload");
}

} // namespace rollout
