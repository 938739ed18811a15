// The work on a revision that is on a server: used by tasks, and by retries when there is no task.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/combine.hpp"
#include "worker/backend/backend.hpp"
#include "worker/domain/model.hpp"
#include "worker/rollout/gateway_control.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// How long a server may take until a model's own requests have ended.
inline constexpr std::chrono::seconds unload_timeout{120};

/// Describes a copy for its backend.
server_model server_model_of(const std::string &model_id, std::uint64_t revision, const served_model &copy);

/// Runs `work` for each of a revision's copies on its backend, one after the other. `server` outlives it.
using copy_work =
    std::function<operation_ptr(backend &server, const server_model &model, const served_model &copy, done_fn done)>;
operation_ptr on_copies(clock &time, backend &server, const std::string &model_id, const served_revision &of,
                        const copy_work &work, done_fn done);

/// Unloads one copy within `unload_timeout`.
operation_ptr unload_copy(backend &server, const server_model &model, const served_model &copy, done_fn done);

/// Returns the work that removes what the copies of that revision have in the repository and in the staging folder.
copy_work removal_of(const served_revision &of);

/// Waits until no gateway has a request in flight on the revision. When `limit` is over, it succeeds with a detail
/// that says so. `seen` is the last count of the gateways; no value if one of them does not answer.
operation_ptr await_drain(clock &time, gateway_control &gateways, const std::string &model_id,
                          const served_revision &of, std::chrono::seconds limit,
                          std::shared_ptr<std::optional<std::uint64_t>> seen, done_fn done);

/// Returns the servers of a revision's backend that could not be asked to unload it although the unload of its copies
/// succeeded.
std::vector<std::string> owing_servers(const backend &server, const served_revision &of);

/// Returns a permanent failure: rolloutd's configuration no longer has the backend of that revision.
outcome lost_backend(const served_revision &of);

} // namespace rollout
