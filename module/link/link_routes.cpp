// The routes that rolloutd sends: a full set behind its welcome, then each that changes.
#include "common/domain/upstream_name.hpp"
#include "module/link/worker_link.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

namespace rollout {

namespace {

std::string name_of(std::string_view model_id, std::string_view part)
{
    return std::string(model_id) + '/' + std::string(part);
}

} // namespace


void worker_link::take_routes(const json_t *message)
{
    if (json_is_true(json_object_get(message, "begin"))) {
        in_full_set_ = true;
        full_set_is_old_ = false;
        full_set_.clear();
    }
    const bool ends = json_is_true(json_object_get(message, "end"));
    const json_t *list = json_object_get(message, "routes");
    const auto revision = json_count(message, "revision");
    // Read before the lock is taken: a frame that is faulty changes nothing, and to disconnect ends requests, which may
    // want the lock themselves.
    std::vector<route> routes;
    for (std::size_t i = 0; i < json_array_size(list); ++i) {
        std::string reason;
        auto one = route_from_json(json_array_get(list, i), reason);
        if (!one) {
            disconnect(reason.c_str());
            return;
        }
        routes.push_back(std::move(*one));
    }
    bool is_old = false;
    bool whole = true;
    {
        zone_writer writer(zone_);
        if (!writer) {
            disconnect("the zone is locked");
            return;
        }
        is_old = are_old(revision);
        if (!is_old) {
            whole = put_in_force(writer, routes, ends);
        }
        in_full_set_ = in_full_set_ && !ends;
        if (!is_old && !in_full_set_) {
            zone_.header->routes_revision = std::max(zone_.header->routes_revision, revision);
        }
    }
    if (is_old) {
        ngx_log_error(NGX_LOG_NOTICE, log_, 0,
                      "rollout: routes of revision %uL are left aside: another process has put newer ones in force",
                      revision);
        return;
    }
    if (!in_full_set_) {
        keep_routes(revision);
    }
    if (!whole) {
        disconnect("zone is too small for the routes: give rollout_zone more memory");
        return;
    }
    warn_of_servers(routes);
}


/// What rolloutd takes for applied, a restarted nginx must know as well: with a state file the answer comes once they are in it, or
/// there is none.
void worker_link::keep_routes(std::uint64_t revision)
{
    if (zone_.state_file.len == 0) {
        send_applied(revision);
        return;
    }
    auto &up_to = unkept_[state_file_.write()];
    up_to = std::max(up_to, revision);
}


void worker_link::on_kept(std::uint64_t write) noexcept
try {
    const auto end = unkept_.upper_bound(write);
    if (end == unkept_.begin()) {
        return; // they came by an earlier connection
    }
    const auto revision = std::prev(end)->second;
    unkept_.erase(unkept_.begin(), end);
    send_applied(revision);
} catch (const std::exception &error) {
    disconnect(error.what());
}


void worker_link::send_applied(std::uint64_t revision)
{
    json_ptr answer = message_of(gateway_frame::applied);
    json_put(answer.get(), "revision", json_make_number(revision));
    send(answer.get());
}


/// nginx takes a server that fails out for all models alike, whichever revision has failed.
void worker_link::warn_of_servers(const std::vector<route> &routes)
{
    for (const auto &one : routes) {
        for (const auto *slot : {&one.blue, &one.green}) {
            if (slot->has_value() && upstreams_.taking_servers_out.erase(upstream_key((*slot)->upstream)) != 0) {
                ngx_log_error(NGX_LOG_WARN, log_, 0,
                              "rollout: upstream \"%s\" has several servers with max_fails: failures of one model's "
                              "green make nginx "
                              "take them out for every model; write \"max_fails=0\" behind each of its servers",
                              (*slot)->upstream.c_str());
            }
        }
    }
}


/// A process that was held up for long finds what it was sent before another one took the stream over, and has put newer
/// routes in force. With one part of a full set all that follow are too old.
bool worker_link::are_old(std::uint64_t revision) noexcept
{
    // A full set comes with the welcome and is as new as that, also where the route that changed last has gone.
    const auto as_of = in_full_set_ ? std::max(revision, welcomed_at_) : revision;
    const bool old = as_of < zone_.header->routes_revision || (in_full_set_ && full_set_is_old_);
    full_set_is_old_ = in_full_set_ && old;
    return old;
}


/// False where the zone has no room for all of them.
bool worker_link::put_in_force(zone_writer &writer, const std::vector<route> &routes, bool ends)
{
    bool whole = true;
    for (const auto &one : routes) {
        if (in_full_set_) {
            full_set_.insert(name_of(one.model_id, one.part));
        }
        // Routes come before tasks: a task can be looked up at rolloutd, a route cannot.
        auto table = writer.routes();
        while (!table.put(one)) {
            ++zone_.header->evicted;
            if (!writer.tasks().evict_one()) {
                whole = false;
                break;
            }
        }
    }
    if (ends) {
        writer.routes().retain([this](std::string_view model_id, std::string_view part) {
            return full_set_.contains(name_of(model_id, part));
        });
        zone_.set_route_source(route_source::rolloutd);
        full_set_.clear();
    }
    return whole;
}

} // namespace rollout
