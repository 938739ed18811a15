// What every run works with: the journal, the gateways, the clock, the servers, and callbacks for everything else.
#pragma once

#include "worker/artifact/fetch_request.hpp"
#include "worker/async/clock.hpp"
#include "worker/async/outcome.hpp"
#include "worker/backend/backend.hpp"
#include "worker/config/settings.hpp"
#include "worker/journal/journal.hpp"
#include "worker/rollout/gateway_control.hpp"
#include "worker/rollout/series_keeper.hpp"
#include "worker/rollout/work_permits.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace rollout {

/// Calls or runs one hook: `body` is the JSON that it gets. Fails permanently if the hook refuses.
using hook_fn =
    std::function<operation_ptr(const std::string &name, const hook_settings &hook, std::string body, done_fn done)>;

/// All of it outlives the run. `config` and the backends stay the same during the run, even if rolloutd.json changes.
struct run_environment {
    const settings &config;
    rollout::journal &journal;
    gateway_control &gateways;
    clock &time;
    std::function<backend *(const std::string &name)> backend_of; ///< null if the configuration has no such backend
    std::function<operation_ptr(fetch_request, done_fn)> fetch;
    std::function<std::size_t()> deployed_models; ///< how many models are deployed or about to be
    std::function<std::size_t()> known_models;    ///< how many models have had a revision

    /// Returns the other model that uses that name on a backend, or is about to; empty if there is none.
    std::function<std::string(const std::string &model_id, const std::string &backend, const std::string &name)>
        holder_of;

    hook_fn run_hook;

    /// Completes once the monitor has released that revision, which the run is about to load or unload; at once if it
    /// does not hold it.
    std::function<operation_ptr(const std::string &model_id, std::uint64_t revision, done_fn)> release;

    /// Called when the run waits for something else than before, or no longer waits. May be null.
    std::function<void()> waits_changed;

    /// Returns whether another task of the model waits for the run to end.
    std::function<bool()> is_awaited;

    work_permits &permits;
    series_keeper &series;
};

} // namespace rollout
