// One gateway: it routes by the last route that it has taken over, and says when it has.
#pragma once

#include "tests/unit/fakes/fake_work.hpp"
#include "worker/domain/model.hpp"
#include "worker/rollout/gateway_control.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

/// What the gateway has in its memory: it stays when rolloutd dies.
struct gateway_memory {
    std::map<std::string, rollout::route> routes;                   ///< by model, or by model/part
    std::map<std::uint64_t, std::optional<std::uint64_t>> requests; ///< in flight, by revision; none where not said
    std::map<std::uint64_t, rollout::traffic_counters> counters;    ///< by revision
    std::map<std::uint64_t, rollout::traffic_counters> growth;      ///< of these, from one look to the next
    std::map<std::uint64_t, std::map<std::string, std::uint64_t>> failed;        ///< requests, by revision and server
    std::map<std::uint64_t, std::map<std::string, std::uint64_t>> failed_growth; ///< as `growth`
    std::optional<std::uint64_t> last_minute;          ///< requests of any model; none: it does not say
    bool absent = false;                               ///< with `follows` false: there is no gateway
    bool follows = true;                               ///< takes new routes over as they come
    bool deaf = false;                                 ///< there is another one, which does not hear of routes
    std::uint64_t deaf_since = 0;                      ///< the routes' revision that this one follows
    std::map<std::string, rollout::route> deaf_routes; ///< as `routes`

    bool routes_to(const std::string &model) const
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
};

class fake_gateways final : public rollout::gateway_control {
  public:
    fake_gateways(gateway_memory &memory, fake_clock &time, std::vector<std::string> &story)
        : memory_(memory), time_(time), story_(story)
    {
    }

    static std::string name_of(const rollout::route &of)
    {
        return of.model_id + (of.part.empty() ? "" : "/" + of.part);
    }

    static std::string words_of(const rollout::route &of)
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

    /// Of a rolloutd that has just started: sends the routes of a model that the journal has.
    void load(const rollout::model &from)
    {
        auto &before = durable_[from.model_id];
        before = rollout::routes_of(from);
        for (const auto &part : before) {
            publish(part, from.route_revision);
        }
        std::erase_if(before, [](const rollout::route &part) { return part.removed(); });
    }

    /// Sends those routes of a model that a write has changed.
    void follow(const rollout::model &changed)
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

    void publish(const rollout::route &to_follow, std::uint64_t revision)
    {
        story_.push_back(words_of(to_follow));
        sent_.push_back({revision, [this, to_follow] { memory_.routes[name_of(to_follow)] = to_follow; }});
        take_over();
    }

    /// Of a rolloutd that has just started: the gateway has no routes but those with these names.
    void forget_others(const std::set<std::string> &names)
    {
        sent_.push_back({0, [this, names] {
                             std::erase_if(memory_.routes,
                                           [&names](const auto &entry) { return !names.contains(entry.first); });
                         }});
        take_over();
    }

    rollout::operation_ptr when_followed(std::uint64_t revision, awaited whom, rollout::done_fn done) override
    {
        return std::make_unique<wait>(*this, revision, whom, std::move(done));
    }

    followers followers_of(std::uint64_t revision, awaited whom) const override
    {
        const std::size_t others = memory_.deaf && whom == awaited::known ? 1 : 0;
        return memory_.absent ? followers{others, others}
                              : followers{1 + others, others + (follows(revision) ? std::size_t{0} : 1)};
    }

    std::string routing_before(std::uint64_t revision) const override
    {
        return memory_.deaf && memory_.deaf_since < revision
                   ? "gateway deaf has had no link for long and may still route"
               : memory_.absent || follows(revision) ? ""
                                                     : "gateway one does not follow the newest routes yet";
    }

    /// Another gateway, out of reach, still routes as this one does now.
    void go_deaf()
    {
        memory_.deaf = true;
        memory_.deaf_since = applied_;
        memory_.deaf_routes = memory_.routes;
    }

    /// It is back, and follows; or it is gone.
    void hear_again()
    {
        memory_.deaf = false;
        memory_.deaf_routes.clear();
        take_over();
    }

    rollout::operation_ptr in_flight(const std::string &, const rollout::part_names &, std::uint64_t revision,
                                     std::function<void(std::optional<std::uint64_t>)> done) override
    {
        const auto known = memory_.requests.find(revision);
        const auto count = known == memory_.requests.end() ? std::optional<std::uint64_t>(0) : known->second;
        const auto answer = [done = std::move(done), count](const rollout::outcome &how) {
            done(how ? count : std::nullopt);
        };
        return std::make_unique<fake_work>(
            time_, false, [] { return rollout::outcome::ok(); }, answer);
    }

    rollout::operation_ptr measure(const std::string &, const rollout::part_names &,
                                   const std::vector<std::uint64_t> &revisions,
                                   std::function<void(const measured &)> done) override
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

    server_failures failures_of(const std::string &, std::uint64_t revision) const override
    {
        const auto known = memory_.failed.find(revision);
        return known == memory_.failed.end() ? server_failures() : known->second;
    }

    std::string objection_to(const std::string &upstream) const override
    {
        return unknown_upstreams.contains(upstream) ? "the gateway has no upstream block \"" + upstream + "\"" : "";
    }

    std::set<std::string> unknown_upstreams; ///< the gateway cannot go there

    /// Takes over what was sent, if it follows.
    void take_over()
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

  private:
    class wait final : public rollout::operation {
      public:
        wait(fake_gateways &of, std::uint64_t revision, awaited whom, rollout::done_fn done)
            : of_(of), revision_(revision), whom_(whom), done_(std::move(done))
        {
            of_.waits_.push_back(this);
            look();
        }
        ~wait() override { std::erase(of_.waits_, this); }
        void cancel() override { end(rollout::outcome::canceled()); }
        void look()
        {
            if (of_.follows(revision_) && (whom_ == awaited::reachable || !of_.memory_.deaf)) {
                end(rollout::outcome::ok());
            }
        }

      private:
        void end(const rollout::outcome &how)
        {
            if (!wake_) {
                wake_ = of_.time_.after({}, [done = done_, how] { done(how); });
            }
        }

        fake_gateways &of_;
        std::uint64_t revision_;
        awaited whom_;
        rollout::done_fn done_;
        rollout::operation_ptr wake_;
    };

    bool follows(std::uint64_t revision) const { return memory_.follows && applied_ >= revision; }

    gateway_memory &memory_;
    fake_clock &time_;
    std::vector<std::string> &story_;
    struct sent_change {
        std::uint64_t revision;
        std::function<void()> take_over;
    };
    std::vector<sent_change> sent_;
    std::map<std::string, std::vector<rollout::route>> durable_; ///< by model
    std::uint64_t applied_ = 0;
    std::vector<wait *> waits_;
};
