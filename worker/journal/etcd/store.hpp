// The calls of etcd that the journal makes: those of a client, or of a test's stand-in.
#pragma once

#include "worker/etcd/client.hpp"

#include <functional>
#include <string>

namespace rollout::cluster {

struct store {
    std::function<operation_ptr(etcd::txn_request, etcd::answer_fn<etcd::txn_answer>)> txn;
    std::function<operation_ptr(etcd::range_request, etcd::answer_fn<etcd::range_answer>)> range;
    std::function<std::string()> progress{}; ///< what keeps an answer from coming, a sentence; may be null
};

/// The client must outlive it.
inline store store_of(etcd::client &client)
{
    return {[&client](etcd::txn_request request, etcd::answer_fn<etcd::txn_answer> done) {
                return client.txn(std::move(request), std::move(done));
            },
            [&client](etcd::range_request request, etcd::answer_fn<etcd::range_answer> done) {
                return client.range(std::move(request), std::move(done));
            },
            [&client] { return client.progress(); }};
}

} // namespace rollout::cluster
