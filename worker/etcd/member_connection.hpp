// The one member of the cluster that is in use, and the way to it: tried, with a leader, and the user known to it.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/base/log.hpp"
#include "worker/etcd/access.hpp"
#include "worker/etcd/endpoints.hpp"
#include "worker/etcd/failure.hpp"
#include "worker/etcd/rpc_thread.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace rollout::etcd {

class pending_rpc;
class service_stubs;

/// Before a member is used it is asked for its status, so that a change is never sent to one that is silent or has no
/// leader: what never left cannot have been made.
class member_connection {
  public:
    struct member {
        std::shared_ptr<const service_stubs> stubs;
        std::string token; ///< of the user; empty: there is none
        std::string url;
        std::uint64_t number = 0; ///< of this choice: what comes later about an earlier one is ignored
    };

    /// `on_settled` runs on the loop when a member is found or an attempt has failed; it may destroy the connection.
    member_connection(rpc_thread &thread, clock &time, std::shared_ptr<const access> to,
                      std::function<void()> on_settled);
    ~member_connection();
    member_connection(const member_connection &) = delete;
    member_connection &operator=(const member_connection &) = delete;

    /// Returns the member in use; null: none. Valid until the next call of anything here.
    const member *current() const noexcept { return current_ ? &*current_ : nullptr; }

    /// Looks for a member, unless it has one or does so already. One attempt: `on_settled` says how it ended.
    void want();

    /// Returns why the last attempt failed, or while the first one is under way, that it is.
    const failure &trouble() const noexcept { return trouble_; }

    /// Returns what keeps an answer from coming, a sentence: the same, or the member that was asked and is silent.
    std::string progress() const;

    /// What those who use a member find out about it.
    void on_success(std::uint64_t number);
    void on_failure(std::uint64_t number, const failure &why);
    void leave(std::uint64_t number, const std::string &why); ///< it answers, but does not serve
    void on_token_refused(std::uint64_t number);              ///< the user is made known anew

    const std::string &user() const noexcept { return access_->user(); }

  private:
    void begin(std::size_t index);
    void ask_status();
    void ask_token();
    void found();
    void attempt_failed(failure why);
    void refused(const failure &why);
    void settle();
    void log_trouble(log_level level) const;
    call_facts facts(bool changes = false) const;

    rpc_thread &thread_;
    clock &time_;
    std::shared_ptr<const access> access_;
    std::function<void()> on_settled_;
    endpoints endpoints_;
    std::optional<member> current_;
    std::optional<member> candidate_; ///< being tried
    std::size_t index_ = 0;           ///< of the current one, or of the candidate
    std::string version_;
    std::uint64_t last_number_ = 0;
    failure trouble_;
    bool has_settled_ = false; ///< a member was found, or an attempt has failed
    bool left_silent_ = false; ///< the last member was left, as it tells of no change: the next one is nothing new
    std::chrono::milliseconds not_before_{0}; ///< after a refusal
    std::chrono::milliseconds token_at_{0};   ///< when it was made
    std::unique_ptr<pending_rpc> asked_;
    operation_ptr pause_;
};

} // namespace rollout::etcd
