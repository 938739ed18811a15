#include "worker/backend/group/model_progress.hpp"

#include "worker/base/format.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

void model_progress::begin(std::string step, std::string doing, std::vector<std::string> servers)
{
    step_ = std::move(step);
    doing_ = std::move(doing);
    servers_.clear();
    for (auto &name : servers) {
        servers_.push_back({std::move(name)});
    }
}


model_progress::server_call *model_progress::find(const std::string &name)
{
    const auto found = std::ranges::find(servers_, name, &server_call::name);
    return found == servers_.end() ? nullptr : &*found;
}


void model_progress::begin_server(const std::string &server, std::chrono::milliseconds now)
{
    if (auto *known = find(server)) {
        known->is = state::under_way;
        known->since = now;
    }
}


void model_progress::end_server(const std::string &server, bool good)
{
    if (auto *known = find(server)) {
        known->is = good ? state::good : state::failed;
    }
}


std::string model_progress::sentence(std::chrono::milliseconds now) const
{
    if (servers_.empty()) {
        return {};
    }
    const auto good = static_cast<std::size_t>(std::ranges::count(servers_, state::good, &server_call::is));
    std::string text =
        step_ + ": " + std::to_string(good) + " of " + format_count(servers_.size(), "server", "servers");
    for (const auto &server : servers_) {
        switch (server.is) {
        case state::waiting:
            text += "; " + server.name + " waits for its turn";
            break;
        case state::under_way:
            text += "; " + server.name + " is " + doing_ + " since " +
                    format_duration(std::chrono::duration_cast<std::chrono::seconds>(now - server.since));
            break;
        case state::failed:
            text += "; " + server.name + " has failed";
            break;
        case state::good:
            break;
        }
    }
    return text;
}

} // namespace rollout
