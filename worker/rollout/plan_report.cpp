#include "worker/rollout/plan_report.hpp"

#include "common/base/text.hpp"
#include "common/domain/limits.hpp"
#include "worker/rollout/gate_plan.hpp"

#include <algorithm>
#include <iterator>

namespace rollout {

namespace {

/// The most characters of an address that are shown: it is the operator's, and may be of any length.
constexpr std::size_t url_characters = 255;


json_ptr steps_report(const std::vector<shift_step> &steps)
{
    json_ptr list = json_make_array();
    for (const auto &step : steps) {
        json_ptr entry = json_make_object();
        json_put(entry.get(), "weight", json_make_number(step.weight));
        json_put(entry.get(), "hold_s", json_make_number(step.hold_s));
        json_add(list.get(), std::move(entry));
    }
    return list;
}


json_ptr servers_report(const std::vector<const backend_settings *> &servers)
{
    json_ptr list = json_make_array();
    const auto add = [&list](const std::string &url, const std::string &upstream) {
        json_ptr entry = json_make_object();
        if (!url.empty()) { // a backend that runs a command has no address
            json_put(entry.get(), "url", clean_text(url, url_characters));
        }
        json_put(entry.get(), "upstream", upstream);
        json_t *added = entry.get();
        json_add(list.get(), std::move(entry));
        return added;
    };
    for (const auto *backend : servers) {
        if (backend->servers.empty()) {
            add(backend->url, backend->upstream);
        }
        for (const auto &server : backend->servers) {
            json_put(add(server.url, backend->upstream), "peer", server.peer);
        }
    }
    return list;
}


json_ptr warnings_report(const std::vector<std::string> &warnings)
{
    json_ptr list = json_make_array();
    for (const auto &warning : warnings) {
        json_add(list.get(), json_make(clean_text(warning, limits::step_detail_characters)));
    }
    return list;
}

} // namespace


std::vector<shift_step> weights_of(const deployment_plan &plan, bool has_blue)
{
    return has_blue ? plan.rollout.steps : std::vector<shift_step>{{100, 0}};
}


json_ptr plan_report(const plan_view &of)
{
    const rollout_settings &rollout = of.plan.rollout;
    json_ptr to = json_make_object();
    if (of.kind == task_kind::deploy) {
        json_put(to.get(), "steps", steps_report(weights_of(of.plan, of.has_blue)));
        json_put(to.get(), "promote", rollout.promote);
        json_put(to.get(), "watch_s", json_make_number(rollout.watch_s));
        json_put(to.get(), "old", rollout.old);
        json_put(to.get(), "progress_deadline_s", json_make_number(rollout.progress_deadline_s));
        json_put(to.get(), "on_no_traffic", rollout.on_no_traffic);
        json_put(to.get(), "gate", of.has_blue ? gate_plan_report(rollout, of.requests_a_minute) : nullptr);
    }
    json_put(to.get(), "drain_s", json_make_number(rollout.drain_s));
    json_put(to.get(), "servers", servers_report(of.servers));
    if (of.kind == task_kind::deploy) {
        if (of.servers.size() == 1 && !of.servers.front()->servers.empty()) {
            const auto &backend = *of.servers.front();
            json_put(to.get(), "min_servers", json_make_number(backend.min_servers.of(backend.servers.size())));
        }
        auto warnings = of.plan.warnings;
        if (of.has_blue) {
            std::ranges::move(hold_warnings(rollout, of.requests_a_minute), std::back_inserter(warnings));
        }
        json_put(to.get(), "warnings", warnings_report(warnings));
    }
    return to;
}

} // namespace rollout
