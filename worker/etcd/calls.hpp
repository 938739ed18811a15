// What can be asked of etcd. etcd::client asks real members; tests have an etcd of their own.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/etcd/messages.hpp"

#include <functional>

namespace rollout::etcd {

template <typename Answer>
using answer_fn = std::function<void(answer<Answer>)>;

/// Operations as worker/async/outcome.hpp has them. A change that is canceled is `unknown`.
class calls {
  public:
    virtual ~calls() = default;

    virtual operation_ptr range(range_request request, answer_fn<range_answer> done) = 0;
    virtual operation_ptr put(put_request request, answer_fn<put_answer> done) = 0;
    virtual operation_ptr remove(delete_request request, answer_fn<delete_answer> done) = 0;
    virtual operation_ptr txn(txn_request request, answer_fn<txn_answer> done) = 0;
    virtual operation_ptr compact(compact_request request, answer_fn<compact_answer> done) = 0;
    virtual operation_ptr grant(lease_request request, answer_fn<lease_answer> done) = 0;

    /// May be repeated, so never `unknown`.
    virtual operation_ptr renew(lease_renewal request, answer_fn<lease_answer> done) = 0;

    virtual operation_ptr revoke(revoke_request request, answer_fn<revoke_answer> done) = 0;
    virtual operation_ptr status(status_request request, answer_fn<status_answer> done) = 0;
};

} // namespace rollout::etcd
