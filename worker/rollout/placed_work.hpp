// The work on a revision that stands on a server: what tasks do, and what is tried again when no task is there.
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

/// How long a server may take to let a model's own requests end.
inline constexpr std::chrono::seconds unload_timeout{120};

/// Describes a copy as its backend is to know it.
server_model server_model_of(const std::string &model_id, std::uint64_t revision, const served_model &copy);

/// Runs `work` for each of a revision's copies on its backend, one after the other. `server` outlives it.
using copy_work =
    std::function<operation_ptr(backend &server, const server_model &model, const served_model &copy, done_fn done)>;
operation_ptr on_copies(clock &time, backend &server, const std::string &model_id, const served_revision &of,
                        const copy_work &work, done_fn done);

/// Unloads one copy within `unload_timeout`.
operation_ptr unload_copy(backend &server, const server_model &model, const served_model &copy, done_fn done);

/// Removes what the copies of that revision have in the repository and in the staging folder.
copy_work removal_of(const served_revision &of);

/// Waits until no gateway has a request in flight on the revision, or `limit` is over: then ok with a detail that says so. What the
/// gateways say is in `seen`; nothing while one does not say.
operation_ptr await_drain(clock &time, gateway_control &gateways, const std::string &model_id,
                          const served_revision &of, std::chrono::seconds limit,
                          std::shared_ptr<std::optional<std::uint64_t>> seen, done_fn done);

/// The servers of a revision's backend that could not be asked to unload it when the unload of its copies was ok.
std::vector<std::string> owing_servers(const backend &server, const served_revision &of);

/// Fails permanently: rolloutd's configuration has lost the backend of that revision.
outcome lost_backend(const served_revision &of);

} // namespace rollout
