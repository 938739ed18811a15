// One gateway: it routes by the last route that it has taken over, and says when it has.
#pragma once

#include "tests/unit/fakes/fake_work.hpp"
#include "worker/domain/model.hpp"
#include "worker/rollout/gateway_control.hpp"

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

    bool routes_to(const std::string &model) const;
};

class fake_gateways final : public rollout::gateway_control {
  public:
    fake_gateways(gateway_memory &memory, fake_clock &time, std::vector<std::string> &story)
        : memory_(memory), time_(time), story_(story)
    {
    }

    static std::string name_of(const rollout::route &of);

    static std::string words_of(const rollout::route &of);

    /// Of a rolloutd that has just started: sends the routes of a model that the journal has.
    void load(const rollout::model &from);

    /// Sends those routes of a model that a write has changed.
    void follow(const rollout::model &changed);

    void publish(const rollout::route &to_follow, std::uint64_t revision);

    /// Of a rolloutd that has just started: the gateway has no routes but those with these names.
    void forget_others(const std::set<std::string> &names);

    rollout::operation_ptr when_followed(std::uint64_t revision, awaited whom, rollout::done_fn done) override;

    followers followers_of(std::uint64_t revision, awaited whom) const override;

    std::string routing_before(std::uint64_t revision) const override;

    /// Another gateway, out of reach, still routes as this one does now.
    void go_deaf();

    /// It is back, and follows; or it is gone.
    void hear_again();

    rollout::operation_ptr in_flight(const std::string &, const rollout::part_names &, std::uint64_t revision,
                                     std::function<void(std::optional<std::uint64_t>)> done) override;

    rollout::operation_ptr measure(const std::string &, const rollout::part_names &,
                                   const std::vector<std::uint64_t> &revisions,
                                   std::function<void(const measured &)> done) override;

    server_failures failures_of(const std::string &, std::uint64_t revision) const override;

    std::string objection_to(const std::string &upstream) const override;

    std::set<std::string> unknown_upstreams; ///< the gateway cannot go there

    /// Takes over what was sent, if it follows.
    void take_over();

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
