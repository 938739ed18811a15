// What the engine waits for at the gateways.
#pragma once

#include "worker/gateway/gateway_server.hpp"

#include <utility>

namespace rollout {

/// A wait for every gateway to follow the routes up to a revision.
class gateway_server::follow_wait final : public operation {
  public:
    follow_wait(gateway_server &server, std::uint64_t up_to, done_fn done)
        : revision(up_to), server_(server), done_(std::move(done)), wake_(server.loop_)
    {
        server_.waits_.push_back(this);
    }
    ~follow_wait() override { server_.waits_.remove(this); }

    void cancel() override { end(outcome::canceled()); }

    void end(outcome how)
    {
        if (!ended_) {
            ended_ = true;
            wake_.start(std::chrono::milliseconds(0), [done = std::move(done_), how] { done(how); });
        }
    }

    const std::uint64_t revision;

  private:
    gateway_server &server_;
    done_fn done_;
    timer wake_;
    bool ended_ = false;
};


/// A question to one worker process of each gateway, whose answers are added up.
class gateway_server::flight_question final : public operation {
  public:
    using count_fn = std::function<void(std::optional<std::uint64_t>)>;

    flight_question(gateway_server &server, count_fn done)
        : id(++server.last_question_), server_(server), done_(std::move(done)), timer_(server.loop_)
    {
        server_.questions_.emplace(id, this);
        timer_.start(std::chrono::seconds(2), [this] { end(std::nullopt); });
    }
    ~flight_question() override { server_.questions_.erase(id); }

    void cancel() override { unknown(); }

    void unknown()
    {
        timer_.start(std::chrono::milliseconds(0), [this] { end(std::nullopt); });
    }

    void answer(const session *from, std::uint64_t requests)
    {
        if (asked.erase(from) == 0) {
            return;
        }
        sum_ += requests;
        if (asked.empty()) {
            timer_.start(std::chrono::milliseconds(0), [this] { end(sum_); });
        }
    }

    const std::uint64_t id;
    std::set<const session *> asked;

  private:
    /// Once: an answer may come in when the time is over already.
    void end(std::optional<std::uint64_t> requests)
    {
        const auto done = std::exchange(done_, nullptr); // which may destroy this
        if (done) {
            done(requests);
        }
    }

    gateway_server &server_;
    count_fn done_;
    timer timer_;
    std::uint64_t sum_ = 0;
};


/// A question for what the requests came to: who answers within a second counts.
class gateway_server::traffic_question final : public operation {
  public:
    using measured_fn = std::function<void(const measured &)>;

    traffic_question(gateway_server &server, std::vector<std::uint64_t> revisions, measured_fn done)
        : id(++server.last_question_), server_(server), revisions_(std::move(revisions)), done_(std::move(done)),
          timer_(server.loop_)
    {
        server_.measures_.emplace(id, this);
    }
    ~traffic_question() override { server_.measures_.erase(id); }

    void ask(std::set<const session *> whom)
    {
        asked_ = std::move(whom);
        end_in(std::chrono::milliseconds(asked_.empty() ? 0 : 1000));
    }

    void cancel() override { end_in({}); }

    void gone(const session *which)
    {
        if (asked_.erase(which) != 0 && asked_.empty()) {
            end_in({});
        }
    }

    void answer(const session *from, const std::string &gateway, const json_t *message)
    {
        if (!asked_.contains(from)) {
            return;
        }
        const json_t *counters = json_object_get(message, "counters");
        std::vector<traffic_counters> all;
        for (std::size_t i = 0; i < json_array_size(counters); ++i) {
            std::uint64_t revision = 0;
            const auto one = counters_from_json(json_array_get(counters, i), revision);
            if (one && i < revisions_.size() && revision == revisions_[i]) {
                all.push_back(*one);
            }
        }
        if (all.size() == revisions_.size()) {
            const json_t *last_minute = json_object_get(message, "last_minute");
            answers_.insert_or_assign(
                gateway, gateway_traffic{std::move(all), json_is_integer(last_minute)
                                                             ? std::optional(json_count(message, "last_minute"))
                                                             : std::nullopt});
        }
        gone(from);
    }

    const std::uint64_t id;

  private:
    void end_in(std::chrono::milliseconds time)
    {
        timer_.start(time, [this] {
            const auto done = std::exchange(done_, nullptr); // which may destroy this
            const auto answers = std::move(answers_);
            if (done) { // once: an answer may come in when the time is over already
                done(answers);
            }
        });
    }

    gateway_server &server_;
    std::vector<std::uint64_t> revisions_;
    measured_fn done_;
    timer timer_;
    std::set<const session *> asked_;
    measured answers_;
};

} // namespace rollout
