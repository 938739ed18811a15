// Keeps one key of etcd at a text, for as long as this object lives.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/etcd/calls.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace rollout {

/// Every write compares the key with what was there before, so that one without an answer, which may be carried out late,
/// undoes no later one. What fails is repeated.
class record_keeper {
  public:
    /// From the loop. Only `on_removed` may destroy the keeper.
    struct events {
        /// The key had this text, and its own has not been put yet: it may be changed by keep().
        std::function<void(const std::string &found)> on_found;

        /// etcd has the text.
        std::function<void()> on_kept;

        /// The key had been put, and is not there any more. It is put again.
        std::function<void()> on_missing;

        /// remove() is done.
        std::function<void()> on_removed;

        /// Whether a text that is found is this keeper's to overwrite, later than at first, and to remove.
        std::function<bool(const std::string &text)> is_own;
    };

    /// Between two puts at least.
    static constexpr std::chrono::milliseconds put_pause{100};

    /// Before a write that has failed is repeated.
    static constexpr std::chrono::milliseconds retry_pause{500};

    /// `asked` and `time` must outlive it.
    record_keeper(etcd::calls &asked, clock &time, std::string key, events told);
    record_keeper(const record_keeper &) = delete;
    record_keeper &operator=(const record_keeper &) = delete;

    /// Puts the text, the first time at once. Also after remove().
    void keep(std::string text);

    void remove();

    const std::string &key() const noexcept { return key_; }

    /// Returns the mod_revision of what etcd is known to have; 0: it has nothing. No value if that is not known, or about to
    /// change.
    std::optional<std::int64_t> settled_at() const;

    /// Takes what a read has found, before which settled_at() had returned `was_at`; null: nothing.
    void check(const etcd::key_value *found, std::int64_t was_at);

    /// Returns why the last write has failed, a sentence; empty if it has not.
    const std::string &trouble() const noexcept { return trouble_; }

  private:
    bool is_settled() const;
    void drive();
    void write();
    void on_answer(const etcd::answer<etcd::txn_answer> &got, bool was_removal, std::string text);
    void on_other(const etcd::txn_answer &got, bool was_removal);
    void take(const etcd::key_value *found);
    void fail(const etcd::failure &why);
    void end();

    etcd::calls &asked_;
    clock &time_;
    std::string key_;
    events told_;
    std::string wanted_;
    bool removes_ = false;
    std::optional<std::int64_t> at_; ///< the mod_revision in etcd, 0: absent; no value: nobody has asked yet
    bool is_others_ = false;         ///< what etcd has: it is left as it is until there is something new to say
    std::string held_;               ///< what etcd has, if `at_` is not 0
    std::optional<std::chrono::milliseconds> put_at_; ///< by the clock
    std::string trouble_;
    operation_ptr call_; ///< the write under way, or the pause before it
};

} // namespace rollout
