#include "tests/unit/fakes/fake_gateways.hpp"

#include <algorithm>

bool gateway_memory::routes_to(const std::string &model) const
{
    for (const auto *all : {&routes, &deaf_routes}) {
        for (const auto &[id, route] : *all) {
            if ((route.blue && route.blue->model == model) || (route.green && route.green->model == model)) {
                return true;
            }
        }
    }
    return false;
}

std::string fake_gateways::name_of(const rollout::route &of)
{
    return of.model_id + (of.part.empty() ? "" : "/" + of.part);
}

std::string fake_gateways::words_of(const rollout::route &of)
{
    std::string words = "route of " + name_of(of) + ":";
    if (of.removed()) {
        return words + " none";
    }
    if (of.blue) {
        words += " " + of.blue->model;
    }
    if (of.green) {
        words += (of.blue ? ", " : " ") + of.green->model + " " + std::to_string(of.weight) + " %";
    }
    return words;
}

void fake_gateways::load(const rollout::model &from)
{
    auto &before = durable_[from.model_id];
    before = rollout::routes_of(from);
    for (const auto &part : before) {
        publish(part, from.route_revision);
    }
    std::erase_if(before, [](const rollout::route &part) { return part.removed(); });
}

void fake_gateways::follow(const rollout::model &changed)
{
    auto &before = durable_[changed.model_id];
    auto routes = rollout::routes_of(changed, before);
    for (const auto &part : routes) {
        const auto known = std::ranges::find(before, part.part, &rollout::route::part);
        if (known == before.end() ? !part.removed() : !(*known == part)) {
            publish(part, changed.route_revision);
        }
    }
    std::erase_if(routes, [](const rollout::route &part) { return part.removed(); });
    before = std::move(routes);
}

void fake_gateways::publish(const rollout::route &to_follow, std::uint64_t revision)
{
    story_.push_back(words_of(to_follow));
    sent_.push_back({revision, [this, to_follow] { memory_.routes[name_of(to_follow)] = to_follow; }});
    take_over();
}

void fake_gateways::forget_others(const std::set<std::string> &names)
{
    sent_.push_back({0, [this, names] {
                         std::erase_if(memory_.routes,
                                       [&names](const auto &entry) { return !names.contains(entry.first); });
                     }});
    take_over();
}

rollout::operation_ptr fake_gateways::when_followed(std::uint64_t revision, awaited whom, rollout::done_fn done)
{
    return std::make_unique<wait>(*this, revision, whom, std::move(done));
}

fake_gateways::followers fake_gateways::followers_of(std::uint64_t revision, awaited whom) const
{
    const std::size_t others = memory_.deaf && whom == awaited::known ? 1 : 0;
    return memory_.absent ? followers{others, others}
                          : followers{1 + others, others + (follows(revision) ? std::size_t{0} : 1)};
}

std::string fake_gateways::routing_before(std::uint64_t revision) const
{
    return memory_.deaf && memory_.deaf_since < revision ? "gateway deaf has had no link for long and may still route"
           : memory_.absent || follows(revision)         ? ""
                                                         : "gateway one does not follow the newest routes yet";
}

void fake_gateways::go_deaf()
{
    memory_.deaf = true;
    memory_.deaf_since = applied_;
    memory_.deaf_routes = memory_.routes;
}

void fake_gateways::hear_again()
{
    memory_.deaf = false;
    memory_.deaf_routes.clear();
    take_over();
}

rollout::operation_ptr fake_gateways::in_flight(const std::string &, const rollout::part_names &,
                                                std::uint64_t revision,
                                                std::function<void(std::optional<std::uint64_t>)> done)
{
    const auto known = memory_.requests.find(revision);
    const auto count = known == memory_.requests.end() ? std::optional<std::uint64_t>(0) : known->second;
    const auto answer = [done = std::move(done), count](const rollout::outcome &how) {
        done(how ? count : std::nullopt);
    };
    return std::make_unique<fake_work>(
        time_, false, [] { return rollout::outcome::ok(); }, answer);
}

rollout::operation_ptr fake_gateways::measure(const std::string &, const rollout::part_names &,
                                              const std::vector<std::uint64_t> &revisions,
                                              std::function<void(const measured &)> done)
{
    measured answer;
    for (const auto revision : revisions) {
        memory_.counters[revision] += memory_.growth[revision];
        for (const auto &[server, failures] : memory_.failed_growth[revision]) {
            memory_.failed[revision][server] += failures;
        }
        answer["gateway"].revisions.push_back(memory_.counters[revision]);
    }
    answer["gateway"].last_minute = memory_.last_minute;
    return time_.after({}, [done = std::move(done), answer] { done(answer); });
}

fake_gateways::server_failures fake_gateways::failures_of(const std::string &, std::uint64_t revision) const
{
    const auto known = memory_.failed.find(revision);
    return known == memory_.failed.end() ? server_failures() : known->second;
}

std::string fake_gateways::objection_to(const std::string &upstream) const
{
    return unknown_upstreams.contains(upstream) ? "the gateway has no upstream block \"" + upstream + "\"" : "";
}

void fake_gateways::take_over()
{
    time_.post([this] {
        for (; memory_.follows && !sent_.empty(); sent_.erase(sent_.begin())) {
            if (sent_.front().revision != 0) { // a change, and not what a new rolloutd has begun with
                story_.push_back("followed");
            }
            sent_.front().take_over();
            applied_ = std::max(applied_, sent_.front().revision);
        }
        const auto waits = waits_;
        for (auto *one : waits) {
            one->look();
        }
    });
}
