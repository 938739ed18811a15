// What a host that does not lead asks the leader for, by way of etcd: a client's verb for a task.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/completion.hpp"
#include "worker/async/outcome.hpp"
#include "worker/etcd/calls.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace rollout {

struct word_keys {
    std::string words;   ///< what the keys of all words begin with: `/rollout/default/l/words/`
    std::string answers; ///< and those of all answers: `/rollout/default/a/`
};

/// At least once: a word whose answer is lost, or comes too late, may have been carried out. It is carried out by whoever
/// leads, also by one that is elected later, until its time is over or its host has gone.
class word_sender {
  public:
    struct settings {
        word_keys keys;
        std::string host;
        std::string process; ///< of this start of rolloutd: its words have other names than those of the last one
        std::chrono::milliseconds timeout{10000};
    };

    static constexpr std::size_t most_under_way = 1000;

    /// `lease` returns the host's, with which its words end; 0: it has none now. `asked` and `time` must outlive it.
    word_sender(etcd::calls &asked, clock &time, settings of, std::function<std::int64_t()> lease);
    ~word_sender();
    word_sender(const word_sender &) = delete;
    word_sender &operator=(const word_sender &) = delete;

    /// `transient`: it could not be asked, or has no answer. The answer is the leader's text.
    using answered_fn = std::function<void(outcome, std::string answer)>;

    /// Sends a word. The callback comes from the loop, once; not after the sender is destroyed. It may destroy the sender.
    void send(std::string word, answered_fn done);

    /// An answer may have come, says a watch of the answers to this host. Without a watch, they are read each second while
    /// one is awaited.
    void poll();

    /// Returns what the keys of the answers to this host begin with.
    std::string answers_prefix() const { return settings_.keys.answers + settings_.host + '/'; }

  private:
    struct pending {
        completion<outcome, std::string> done;
        operation_ptr put;
        operation_ptr timeout;
    };

    std::string word_key(const std::string &name) const;
    void on_put(const std::string &name, const etcd::answer<etcd::put_answer> &got);
    void read();
    void on_read(const etcd::answer<etcd::range_answer> &got);
    void end(const std::string &name, outcome result, std::string answer);
    void remove(std::string key);

    etcd::calls &asked_;
    clock &time_;
    settings settings_;
    std::function<std::int64_t()> lease_;
    std::uint64_t last_ = 0;
    std::map<std::string, pending, std::less<>> pending_; ///< by their names
    bool read_again_ = false;
    operation_ptr reading_;
    operation_ptr pause_;
    std::uint64_t last_removal_ = 0;
    std::map<std::uint64_t, operation_ptr> removals_;
    operation_ptr soon_;
    std::shared_ptr<int> lives_ = std::make_shared<int>(0);
};

} // namespace rollout
