// The leadership of a rolloutd whose journal is in etcd, with the registration of its host.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/etcd/calls.hpp"
#include "worker/leadership/etcd/election.hpp"
#include "worker/leadership/etcd/host_registration.hpp"
#include "worker/leadership/leadership.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace rollout {

struct cluster_place {
    std::string prefix; ///< of all keys: `/rollout/default/`
    std::string host;   ///< this one's name, which no other host has
    std::chrono::seconds lease{4};
};

class etcd_leadership final : public leadership {
  public:
    /// `asked` and `time` must outlive it.
    etcd_leadership(etcd::calls &asked, clock &time, const cluster_place &place, host_record record);

    void start() override;
    std::optional<leader_token> token() const override { return election_.token(); }
    std::optional<known_leader> leader() const override { return election_.leader(); }
    std::string trouble() const override;
    void stand(bool wanted) override;

    /// Whether the host is not to be counted on for now: it is no candidate, and has no record.
    void withdraw(bool wanted);
    bool is_withdrawn() const noexcept { return is_withdrawn_; }

    /// Removes the host's record as well.
    void resign(std::function<void()> done) override;

    /// A watch has told of a change of the leader's key. Without one, it is read every half of the lease's time.
    void poll() { election_.poll(); }

    /// The host's record says something else from now on; whether it is a candidate is up to stand().
    void update(host_record record);
    const host_record &record() const noexcept { return record_; }

    const host_registration &registration() const noexcept { return registration_; }
    const election &own_election() const noexcept { return election_; }

  private:
    host_record record_;
    bool is_withdrawn_ = false;
    host_registration registration_;
    election election_;
};

} // namespace rollout
