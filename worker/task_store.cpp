#include "worker/task_store.hpp"

#include "worker/local_store.hpp"

#ifdef ROLLOUT_HAS_ETCD
#include "worker/cluster_store.hpp"
#else
#include "worker/os/program_beside.hpp"
#endif

#include <utility>

namespace rollout {

std::vector<json_fault> enter_program_of([[maybe_unused]] const settings &config, [[maybe_unused]] char **arguments)
{
#ifndef ROLLOUT_HAS_ETCD
    if (config.journal.etcd) {
        const auto why = become_program_beside("rolloutd-etcd", arguments);
        return {{"/journal/type", "the client of etcd is a program of its own, and " + why +
                                      ". Install the package rolloutd-etcd, or build Rollout where gRPC for C++ is"}};
    }
#endif
    return {};
}


std::vector<json_fault> check_store([[maybe_unused]] const settings &config)
{
#ifdef ROLLOUT_HAS_ETCD
    if (config.journal.etcd) {
        return cluster_store::check(*config.journal.etcd);
    }
#endif
    return {};
}


std::vector<json_fault> check_store_files([[maybe_unused]] const settings &config)
{
#ifdef ROLLOUT_HAS_ETCD
    if (config.journal.etcd) {
        return cluster_store::check_files(*config.journal.etcd);
    }
#endif
    return {};
}


std::unique_ptr<task_store> make_store(uv_loop_t *loop, clock &time, const settings &config,
                                       task_store::events events)
{
#ifdef ROLLOUT_HAS_ETCD
    if (config.journal.etcd) {
        return std::make_unique<cluster_store>(loop, time, config, std::move(events));
    }
#endif
    return std::make_unique<local_store>(loop, time, config.journal.path, std::move(events));
}

} // namespace rollout
