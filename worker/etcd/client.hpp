// Calls of etcd on libuv's loop, each with an answer within its time or a failure that says whether anything was changed.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/outcome.hpp"
#include "worker/etcd/access.hpp"
#include "worker/etcd/calls.hpp"
#include "worker/etcd/rpc_thread.hpp"

#include <chrono>
#include <memory>

namespace rollout::etcd {

/// Calls go to one member while it works. If it fails, what is certain not to have been carried out, and every read, is sent
/// to the next one within the call's time; a change that may have been carried out fails as `unknown` and is left to the
/// caller. A change may even be made after a later one: two that concern one key must not be under way together, unless they
/// compare.
class client final : public calls {
  public:
    static constexpr std::chrono::milliseconds usual_timeout = std::chrono::seconds(2);

    /// All three must outlive the client. Destroying it abandons its calls.
    client(rpc_thread &thread, clock &time, std::shared_ptr<const access> to,
           std::chrono::milliseconds timeout = usual_timeout);
    ~client() override;
    client(const client &) = delete;
    client &operator=(const client &) = delete;

    operation_ptr range(range_request request, answer_fn<range_answer> done) override;
    operation_ptr put(put_request request, answer_fn<put_answer> done) override;
    operation_ptr remove(delete_request request, answer_fn<delete_answer> done) override;
    operation_ptr txn(txn_request request, answer_fn<txn_answer> done) override;
    operation_ptr compact(compact_request request, answer_fn<compact_answer> done) override;
    operation_ptr grant(lease_request request, answer_fn<lease_answer> done) override;
    operation_ptr renew(lease_renewal request, answer_fn<lease_answer> done) override;
    operation_ptr revoke(revoke_request request, answer_fn<revoke_answer> done) override;
    operation_ptr status(status_request request, answer_fn<status_answer> done) override;

    /// Returns what keeps the answers from coming, a sentence that names the member.
    std::string progress() const;

  private:
    class implementation;
    std::shared_ptr<implementation> implementation_;
};

} // namespace rollout::etcd
