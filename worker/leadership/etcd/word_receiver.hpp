// What hosts that do not lead ask this one for, while it leads.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/etcd/calls.hpp"
#include "worker/leadership/etcd/word_sender.hpp"
#include "worker/leadership/leadership.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace rollout {

/// Made when its host is elected, destroyed when it is deposed. The answer takes the word's place in one transaction that
/// compares the token: a word is answered once, by a leader that still is one. It may have been carried out before, by one
/// that was deposed before it answered.
class word_receiver {
  public:
    using answer_word_fn = std::function<void(std::string answer)>;

    /// Carries out a word of that host. `answer` may be called from inside, later, or not at all, and does nothing after the
    /// receiver is destroyed.
    using on_word_fn = std::function<void(const std::string &host, const std::string &word, answer_word_fn answer)>;

    struct settings {
        word_keys keys;
        std::string leader_key;
        leader_token token = 0;
    };

    static constexpr std::size_t most_under_way = 1000; ///< others wait in etcd

    /// `asked` and `time` must outlive it.
    word_receiver(etcd::calls &asked, clock &time, settings of, on_word_fn on_word);
    ~word_receiver();
    word_receiver(const word_receiver &) = delete;
    word_receiver &operator=(const word_receiver &) = delete;

    /// A word may have come, says a watch. Without a watch they are read every two seconds.
    void poll();

  private:
    struct word {
        etcd::key_value entry;
        std::string answer;
        operation_ptr call;   ///< the transaction, or the pause before the next one
        bool is_over = false; ///< the transaction was carried out; kept until the word is seen to be gone
    };

    void on_read(const etcd::answer<etcd::range_answer> &got);
    void answer(const std::string &key, std::string text);
    void put_answer(const std::string &key);

    etcd::calls &asked_;
    clock &time_;
    settings settings_;
    on_word_fn on_word_;
    std::map<std::string, word> words_; ///< that are carried out, by their keys
    bool read_again_ = false;
    operation_ptr reading_;
    operation_ptr pause_;
    std::shared_ptr<int> lives_ = std::make_shared<int>(0);
};

} // namespace rollout
