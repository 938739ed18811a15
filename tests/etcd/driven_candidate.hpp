// A candidate for leadership as the driver has it: it tells when it is elected and deposed, writes while it leads, and carries out
// words while it leads: its answer is the word and its own name.
#pragma once

#include "common/base/json.hpp"
#include "worker/async/loop_clock.hpp"
#include "worker/cluster/keys.hpp"
#include "worker/etcd/client.hpp"
#include "worker/leadership/etcd/change_watch.hpp"
#include "worker/leadership/etcd/etcd_leadership.hpp"
#include "worker/leadership/etcd/word_receiver.hpp"
#include "worker/leadership/etcd/word_sender.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

class driven_candidate {
  public:
    using tell_fn = std::function<void(const char *what, rollout::json_ptr value)>;

    driven_candidate(rollout::etcd::rpc_thread &thread, rollout::loop_clock &time,
                     const std::shared_ptr<const rollout::etcd::access> &to, rollout::cluster_place place,
                     bool candidate, tell_fn tell)
        : thread_(thread), time_(time), access_(to), place_(std::move(place)), tell_(std::move(tell)),
          client_(thread, time, to), process_(place_.host + std::to_string(time.wall_us())),
          own_(client_, time, place_, {process_, "1.0", 1, 1, "", candidate}),
          watch_(thread, time, to, names().leader(), rollout::change_watch::range::key, [this] { own_.poll(); }),
          sender_(client_, time, {keys(), place_.host, process_}, [this] { return own_.registration().lease(); }),
          answers_(thread, time, to, sender_.answers_prefix(), rollout::change_watch::range::prefix,
                   [this] { sender_.poll(); })
    {
        own_.on_elected = [this](rollout::leader_token token) {
            receive(token);
            tell_("elected", number(token));
        };
        own_.on_deposed = [this](const std::string &why) {
            words_.reset();
            receiver_.reset();
            tell_("deposed", rollout::json_make(why));
        };
        own_.start();
    }

    /// Asks the leader.
    void say(std::string word, std::function<void(const rollout::outcome &, const std::string &)> done)
    {
        sender_.send(std::move(word), std::move(done));
    }

    void stand(bool wanted) { own_.stand(wanted); }
    void resign(std::function<void()> done)
    {
        words_.reset();
        receiver_.reset();
        own_.resign(std::move(done));
    }

    /// Begins to write to that key while it leads, as the engine does: with the token compared.
    void write(std::string key)
    {
        key_ = std::move(key);
        write_next();
    }

    rollout::json_ptr shown() const
    {
        using namespace rollout;
        auto all = json_make_object();
        if (const auto token = own_.token()) {
            json_put(all.get(), "token", number(*token));
        }
        if (const auto leader = own_.leader()) {
            json_put(all.get(), "leader", leader->host);
        }
        json_put(all.get(), "trouble", own_.trouble());
        json_put(all.get(), "registration", name_of(own_.registration().state()));
        return all;
    }

  private:
    rollout::cluster::keys names() const { return rollout::cluster::keys(place_.prefix); }
    rollout::word_keys keys() const { return {names().words(), names().answers()}; }

    void receive(rollout::leader_token token)
    {
        using namespace rollout;
        receiver_ = std::make_unique<word_receiver>(
            client_, time_, word_receiver::settings{keys(), names().leader(), token},
            [this](const std::string &host, const std::string &word, const word_receiver::answer_word_fn &answer) {
                tell_("word", json_make(host + ": " + word));
                answer(word + " by " + place_.host);
            });
        words_ = std::make_unique<change_watch>(thread_, time_, access_, keys().words, change_watch::range::prefix,
                                                [this] { receiver_->poll(); });
    }

    static rollout::json_ptr number(std::int64_t value) { return rollout::json_made(json_integer(value)); }

    void write_next()
    {
        using namespace rollout;
        constexpr std::chrono::milliseconds pause(2);
        next_ = time_.after(pause, [this] {
            const auto token = own_.token();
            if (!token) {
                write_next();
                return;
            }
            etcd::txn_request request;
            request.compares.push_back(etcd::compare::created_at(names().leader(), *token));
            request.then.push_back({etcd::put_request{key_, std::to_string(*token)}});
            write_ =
                client_.txn(std::move(request), [this, token = *token](const etcd::answer<etcd::txn_answer> &got) {
                    if (got && !got->succeeded) {
                        tell_("refused", number(token));
                    }
                    write_next();
                });
        });
    }

    rollout::etcd::rpc_thread &thread_;
    rollout::loop_clock &time_;
    std::shared_ptr<const rollout::etcd::access> access_;
    rollout::cluster_place place_;
    tell_fn tell_;
    rollout::etcd::client client_;
    std::string process_;
    rollout::etcd_leadership own_;
    rollout::change_watch watch_;
    rollout::word_sender sender_;
    rollout::change_watch answers_;
    std::unique_ptr<rollout::word_receiver> receiver_; ///< while it leads
    std::unique_ptr<rollout::change_watch> words_;     ///< for the receiver
    std::string key_;
    rollout::operation_ptr next_;
    rollout::operation_ptr write_;
};
