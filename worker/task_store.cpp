#include "worker/task_store.hpp"

#include "worker/local_store.hpp"

#ifdef ROLLOUT_HAS_ETCD
#include "worker/cluster_store.hpp"
#endif

#include <utility>

namespace rollout {

std::vector<json_fault> check_store(const settings &config)
{
    if (!config.journal.etcd) {
        return {};
    }
#ifdef ROLLOUT_HAS_ETCD
    return cluster_store::check(*config.journal.etcd);
#else
    return {{"/journal/type", "this rolloutd was built without the client of etcd"}};
#endif
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
