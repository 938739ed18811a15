// The leadership of a rolloutd whose journal is its own: it always leads.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/leadership/leadership.hpp"

#include <string>

namespace rollout {

class sole_leadership final : public leadership {
  public:
    /// The clock must outlive it.
    sole_leadership(clock &time, std::string host) : time_(time), host_(std::move(host)) {}

    void start() override;
    std::optional<leader_token> token() const override;
    std::optional<known_leader> leader() const override;
    std::string trouble() const override { return {}; }
    void stand(bool) override {} ///< there is no other one
    void resign(std::function<void()> done) override;

  private:
    static constexpr leader_token only = 1;

    clock &time_;
    std::string host_;
    bool leads_ = false;
    operation_ptr soon_;
};

} // namespace rollout
