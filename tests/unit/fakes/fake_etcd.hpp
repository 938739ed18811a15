// An etcd in memory, by a fake clock: keys, leases and transactions, and each host's way to it, which can be cut. Hosts can be
// stopped as by SIGSTOP: what comes for them waits.
#pragma once

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"
#include "worker/etcd/calls.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

class fake_etcd {
  public:
    explicit fake_etcd(fake_clock &time) : time_(time) {}

    std::map<std::string, rollout::etcd::key_value> keys;
    bool full = false;           ///< NOSPACE: no puts, no new leases
    bool renews_blindly = false; ///< answers renewals of leases that are gone, as etcd's issue 20547 has it
    std::function<void(const std::string &key)> on_change; ///< a watch

    std::int64_t revision() const noexcept { return revision_; }

    void end_lease(std::int64_t id)
    {
        leases_.erase(id);
        std::vector<std::string> gone;
        for (const auto &[key, entry] : keys) {
            if (entry.lease == id) {
                gone.push_back(key);
            }
        }
        if (!gone.empty()) {
            ++revision_;
        }
        for (const auto &key : gone) {
            keys.erase(key);
            changed(key);
        }
    }

    void put(const std::string &key, const std::string &value, std::int64_t lease = 0)
    {
        ++revision_;
        write({key, value, lease});
    }

    std::size_t leases() const noexcept { return leases_.size(); }

    // What a member answers.

    template <typename T>
    using answer = rollout::etcd::answer<T>;

    answer<rollout::etcd::range_answer> apply(const rollout::etcd::range_request &request)
    {
        rollout::etcd::range_answer got{header(), {}, 0, false};
        auto at = keys.lower_bound(request.key);
        const auto end =
            request.range_end.empty() ? keys.upper_bound(request.key) : keys.lower_bound(request.range_end);
        for (; at != end; ++at) {
            got.found.push_back(at->second);
        }
        got.count = static_cast<std::int64_t>(got.found.size());
        return got;
    }

    answer<rollout::etcd::put_answer> apply(const rollout::etcd::put_request &request)
    {
        if (auto refused = refusal_of(request); refused.because != cause::canceled) {
            return refused;
        }
        ++revision_;
        write(request);
        return rollout::etcd::put_answer{header()};
    }

    answer<rollout::etcd::txn_answer> apply(const rollout::etcd::txn_request &request)
    {
        rollout::etcd::txn_answer got{header(), true, {}};
        for (const auto &compare : request.compares) {
            got.succeeded = got.succeeded && holds(compare);
        }
        const auto &steps = got.succeeded ? request.then : request.otherwise;
        bool writes = false;
        for (const auto &step : steps) {
            if (const auto *put = std::get_if<rollout::etcd::put_request>(&step.is)) {
                if (auto refused = refusal_of(*put); refused.because != cause::canceled) {
                    return refused;
                }
                writes = true;
            } else if (const auto *removal = std::get_if<rollout::etcd::delete_request>(&step.is)) {
                writes = writes || keys.contains(removal->key);
            }
        }
        revision_ += writes ? 1 : 0;
        got.header = header();
        for (const auto &step : steps) {
            if (const auto *put = std::get_if<rollout::etcd::put_request>(&step.is)) {
                write(*put);
                got.parts.push_back({rollout::etcd::put_answer{header()}});
            } else if (const auto *removal = std::get_if<rollout::etcd::delete_request>(&step.is)) {
                got.parts.push_back({rollout::etcd::delete_answer{header(), erase(removal->key)}});
            } else {
                got.parts.push_back({*apply(std::get<rollout::etcd::range_request>(step.is))});
            }
        }
        return got;
    }

    answer<rollout::etcd::delete_answer> apply(const rollout::etcd::delete_request &request)
    {
        revision_ += keys.contains(request.key) ? 1 : 0;
        return rollout::etcd::delete_answer{header(), erase(request.key)};
    }

    answer<rollout::etcd::lease_answer> apply(const rollout::etcd::lease_request &request)
    {
        if (full) {
            return no_space();
        }
        const auto id = ++last_lease_;
        leases_[id] = {request.ttl, {}};
        keep(id);
        return rollout::etcd::lease_answer{header(), id, request.ttl};
    }

    answer<rollout::etcd::lease_answer> apply(const rollout::etcd::lease_renewal &request)
    {
        if (!leases_.contains(request.id)) {
            return rollout::etcd::lease_answer{header(), request.id, std::chrono::seconds(renews_blindly ? 4 : 0)};
        }
        keep(request.id);
        return rollout::etcd::lease_answer{header(), request.id, leases_.at(request.id).ttl};
    }

    answer<rollout::etcd::revoke_answer> apply(const rollout::etcd::revoke_request &request)
    {
        if (!leases_.contains(request.id)) {
            return no_lease();
        }
        end_lease(request.id);
        return rollout::etcd::revoke_answer{header()};
    }

  private:
    using kind = rollout::etcd::failure::kind;
    using cause = rollout::etcd::failure::cause;

    struct lease_state {
        std::chrono::seconds ttl{0};
        std::chrono::milliseconds ends{0};
    };

    rollout::etcd::answer_header header() const { return {1, 1, revision_, 1}; }

    static rollout::etcd::failure no_space() { return {kind::refused, cause::no_space, "database space exceeded"}; }
    static rollout::etcd::failure no_lease()
    {
        return {kind::refused, cause::lease_not_found, "requested lease not found"};
    }

    /// `canceled`: it is not refused.
    rollout::etcd::failure refusal_of(const rollout::etcd::put_request &request) const
    {
        if (full) {
            return no_space();
        }
        return request.lease != 0 && !leases_.contains(request.lease)
                   ? no_lease()
                   : rollout::etcd::failure{kind::refused, cause::canceled, {}};
    }

    void write(const rollout::etcd::put_request &request)
    {
        auto &entry = keys[request.key];
        entry.create_revision = entry.version == 0 ? revision_ : entry.create_revision;
        entry.key = request.key;
        entry.value = request.value;
        entry.lease = request.lease;
        entry.mod_revision = revision_;
        ++entry.version;
        changed(request.key);
    }

    std::int64_t erase(const std::string &key)
    {
        const auto erased = static_cast<std::int64_t>(keys.erase(key));
        changed(key);
        return erased;
    }

    bool holds(const rollout::etcd::compare &compare) const
    {
        using field = rollout::etcd::compare::field;
        assert_true(compare.is == rollout::etcd::compare::relation::equal);
        const auto found = keys.find(compare.key);
        const rollout::etcd::key_value entry = found == keys.end() ? rollout::etcd::key_value{} : found->second;
        switch (compare.of) {
        case field::version:
            return entry.version == compare.number;
        case field::create_revision:
            return entry.create_revision == compare.number;
        case field::mod_revision:
            return entry.mod_revision == compare.number;
        case field::lease:
            return entry.lease == compare.number;
        case field::value:
            return entry.value == compare.value;
        }
        return false;
    }

    void keep(std::int64_t id)
    {
        auto &kept = leases_.at(id);
        kept.ends = time_.now() + kept.ttl;
        time_.post(
            [this, id] {
                const auto found = leases_.find(id);
                if (found != leases_.end() && found->second.ends <= time_.now()) {
                    end_lease(id);
                }
            },
            kept.ttl);
    }

    void changed(const std::string &key) const
    {
        if (on_change) {
            on_change(key);
        }
    }

    fake_clock &time_;
    std::int64_t revision_ = 1;
    std::int64_t last_lease_ = 1000;
    std::map<std::int64_t, lease_state> leases_;
};


/// The clock of a host that can be stopped: what is due for it meanwhile comes when it goes on.
class host_clock final : public rollout::clock {
  public:
    explicit host_clock(fake_clock &time) : time_(time) {}

    std::chrono::milliseconds now() const override { return time_.now(); }
    std::int64_t wall_us() const override { return time_.wall_us(); }

    rollout::operation_ptr after(std::chrono::milliseconds time, std::function<void()> call) override
    {
        auto held = std::make_unique<alarm>(std::move(call));
        held->alarm_ = time_.after(time, [this, what = held->call_] { arrive(what); }); // not after the host's end
        return held;
    }

    /// Calls from the host's loop, and nobody holds it.
    void post(std::function<void()> call, std::chrono::milliseconds time)
    {
        time_.post(
            [this, alive = std::weak_ptr<int>(lives_),
             what = std::make_shared<std::function<void()>>(std::move(call))] {
                if (!alive.expired()) {
                    arrive(what);
                }
            },
            time);
    }

    bool is_stopped() const noexcept { return stopped_; }
    void stop() { stopped_ = true; }
    void resume()
    {
        stopped_ = false;
        for (const auto &call : std::exchange(late_, {})) {
            post(
                [call] {
                    if (const auto late = std::exchange(*call, nullptr)) {
                        late();
                    }
                },
                {});
        }
    }

  private:
    using shared_call = std::shared_ptr<std::function<void()>>;

    struct alarm final : rollout::operation {
        explicit alarm(std::function<void()> call) : call_(std::make_shared<std::function<void()>>(std::move(call)))
        {
        }
        ~alarm() override { *call_ = nullptr; }
        void cancel() override { *call_ = nullptr; }

        shared_call call_;
        rollout::operation_ptr alarm_;
    };

    void arrive(const shared_call &what)
    {
        if (stopped_) {
            late_.push_back(what);
        } else if (const auto call = std::exchange(*what, nullptr)) {
            call();
        }
    }

    fake_clock &time_;
    bool stopped_ = false;
    std::vector<shared_call> late_;
    std::shared_ptr<int> lives_ = std::make_shared<int>(0);
};


/// A host's calls of etcd.
class way_to_etcd final : public rollout::etcd::calls {
  public:
    way_to_etcd(fake_etcd &to, fake_clock &net, host_clock &host) : to_(to), net_(net), host_(host) {}

    bool loses_requests = false;
    bool loses_answers = false;
    std::chrono::milliseconds request_takes{1};
    std::chrono::milliseconds answer_takes{1};

    std::vector<std::string> sent; ///< the calls' names

    template <typename T>
    using fn = rollout::etcd::answer_fn<T>;

    rollout::operation_ptr range(rollout::etcd::range_request request, fn<rollout::etcd::range_answer> done) override
    {
        return send("range", false, std::move(request), std::move(done));
    }
    rollout::operation_ptr put(rollout::etcd::put_request request, fn<rollout::etcd::put_answer> done) override
    {
        return send("put", true, std::move(request), std::move(done));
    }
    rollout::operation_ptr txn(rollout::etcd::txn_request request, fn<rollout::etcd::txn_answer> done) override
    {
        return send("txn", true, std::move(request), std::move(done));
    }
    rollout::operation_ptr grant(rollout::etcd::lease_request request, fn<rollout::etcd::lease_answer> done) override
    {
        return send("grant", true, request, std::move(done));
    }
    rollout::operation_ptr renew(rollout::etcd::lease_renewal request, fn<rollout::etcd::lease_answer> done) override
    {
        return send("renew", false, request, std::move(done));
    }
    rollout::operation_ptr revoke(rollout::etcd::revoke_request request,
                                  fn<rollout::etcd::revoke_answer> done) override
    {
        return send("revoke", true, request, std::move(done));
    }
    rollout::operation_ptr remove(rollout::etcd::delete_request request,
                                  fn<rollout::etcd::delete_answer> done) override
    {
        return send("remove", true, std::move(request), std::move(done));
    }
    rollout::operation_ptr compact(rollout::etcd::compact_request, fn<rollout::etcd::compact_answer>) override
    {
        return unexpected();
    }
    rollout::operation_ptr status(rollout::etcd::status_request, fn<rollout::etcd::status_answer>) override
    {
        return unexpected();
    }

  private:
    template <typename Answer>
    struct pending {
        fn<Answer> done;
        rollout::operation_ptr timeout;

        void end(rollout::etcd::answer<Answer> with)
        {
            const auto alarm = std::move(timeout);
            if (const auto call = std::exchange(done, nullptr)) {
                call(std::move(with));
            }
        }
    };

    template <typename Answer>
    struct handle final : rollout::operation {
        explicit handle(std::shared_ptr<pending<Answer>> call) : call_(std::move(call)) {}
        ~handle() override
        {
            call_->done = nullptr;
            call_->timeout.reset();
        }
        void cancel() override { fail_msg("nobody cancels"); }

        std::shared_ptr<pending<Answer>> call_;
    };

    static rollout::operation_ptr unexpected()
    {
        fail_msg("this call is not expected");
        return nullptr;
    }

    template <typename Request, typename Answer>
    rollout::operation_ptr send(const char *name, bool changes, Request request, fn<Answer> done)
    {
        using rollout::etcd::failure;
        sent.emplace_back(name);
        const auto call = std::make_shared<pending<Answer>>();
        call->done = std::move(done);
        const std::weak_ptr<pending<Answer>> waits = call;
        call->timeout = host_.after(std::chrono::seconds(2), [waits, changes] {
            if (const auto late = waits.lock()) {
                late->end(failure{changes ? failure::kind::unknown : failure::kind::unavailable,
                                  failure::cause::timed_out, "etcd does not answer"});
            }
        });
        if (!loses_requests) {
            net_.post(
                [this, alive = std::weak_ptr<int>(lives_), to = &to_, waits, request = std::move(request)] {
                    auto result = std::make_shared<rollout::etcd::answer<Answer>>(to->apply(request));
                    if (!alive.expired() && !loses_answers) {
                        host_.post(
                            [waits, result] {
                                if (const auto late = waits.lock()) {
                                    late->end(std::move(*result));
                                }
                            },
                            answer_takes);
                    }
                },
                request_takes);
        }
        return std::make_unique<handle<Answer>>(call);
    }

    fake_etcd &to_;
    fake_clock &net_;
    host_clock &host_;
    std::shared_ptr<int> lives_ = std::make_shared<int>(0);
};
