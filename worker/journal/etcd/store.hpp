// The calls of etcd that the journal makes: those of a client, or of a test's stand-in.
#pragma once

#include "worker/etcd/client.hpp"

#include <functional>

namespace rollout::cluster {

struct store {
    std::function<operation_ptr(etcd::txn_request, etcd::answer_fn<etcd::txn_answer>)> txn;
    std::function<operation_ptr(etcd::range_request, etcd::answer_fn<etcd::range_answer>)> range;
};

/// The client must outlive it.
inline store store_of(etcd::client &client)
{
    return {[&client](etcd::txn_request request, etcd::answer_fn<etcd::txn_answer> done) {
                return client.txn(std::move(request), std::move(done));
            },
            [&client](etcd::range_request request, etcd::answer_fn<etcd::range_answer> done) {
                return client.range(std::move(request), std::move(done));
            }};
}

} // namespace rollout::cluster
