// What gRPC finds when it is first used, and what must have ended before the process does.
#pragma once

namespace rollout::etcd {

/// Called before gRPC is used, each time. Throws std::logic_error if the calling thread receives signals: gRPC's threads,
/// which it creates when it likes, would receive them as well, in place of the loop (worker/os/signals.hpp).
void use_rpc();

} // namespace rollout::etcd
