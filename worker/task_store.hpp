// Where the tasks are kept, and which rolloutd carries them out: this one alone, or one of those that share a cluster.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/outcome.hpp"
#include "worker/config/settings.hpp"
#include "worker/gateway/gateway_server.hpp"
#include "worker/journal/journal.hpp"
#include "worker/metrics.hpp"
#include "worker/rollout/gateway_control.hpp"
#include "worker/scheduler/requests.hpp"

#include <uv.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// Used on the loop's thread; callbacks come from the loop, never from inside a call.
class task_store {
  public:
    struct events {
        /// The journal is open, and has what gateways are to be served with.
        std::function<void()> on_open;

        /// What the opening waits for, a sentence: the gateways cannot be served until that is mended. May come again with
        /// another one, before `on_open`.
        std::function<void(const std::string &sentence)> on_wait;

        /// It cannot be opened. `permanent`: another attempt does not help.
        std::function<void(const outcome &why)> on_refused;

        /// This rolloutd carries out the tasks, and the journal has all that those did that did so before.
        std::function<void()> on_elected;

        /// Others do.
        std::function<void(const std::string &why)> on_deposed;

        /// The journal's content was replaced: what was read from it is out of date. `is_other`: by that of another
        /// journal, or by an older copy.
        std::function<void(bool is_other)> on_replaced;

        /// A rolloutd that does not carry out the tasks passes on a client's verb.
        std::function<void(steer_request, answer_fn)> on_steer;

        /// Why the tasks cannot be kept or carried out as they should be, a sentence; empty: they can.
        std::function<void(const std::string &sentence)> on_trouble;

        /// Called while the start takes time. May be called on any thread.
        std::function<void()> at_work;

        /// The journal is damaged.
        std::function<void(const std::string &fault)> on_damaged;
    };

    virtual ~task_store() = default;

    /// Begins to open the journal.
    virtual void open() = 0;

    /// Returns whether the opening has found that the journal's content may be another than what gateways have of it.
    virtual bool was_replaced() const { return false; }

    /// Returns the journal, from `on_open` on.
    virtual rollout::journal &journal() = 0;

    /// Returns what the engine is to ask about the gateways: those of this host alone, or of all that share the tasks. Called
    /// once, from `on_open` on, before the server listens; both must not be used after `stop()`. `on_progress` is called when
    /// a gateway has followed the routes further, or is no longer known.
    virtual gateway_control &control_of(gateway_server &own, std::function<void()> on_progress) = 0;

    /// From now on, this rolloutd may be elected.
    virtual void stand() = 0;

    /// Gateways are served: a check of the whole journal, which takes time, may begin.
    virtual void check_integrity() = 0;

    /// Whether the engine runs here: verbs of others are carried out only then.
    virtual void set_carries_out(bool carries_out) = 0;

    /// Passes a client's verb on to the rolloutd that carries out the tasks. When the answer comes, the journal has what it
    /// says. A refusal may say why nobody could be asked.
    virtual void pass_on(steer_request wanted, answer_fn answer) = 0;

    /// Returns the state of the cluster for the metrics; nothing of a journal that is this rolloutd's own.
    virtual std::optional<rolloutd_metrics::cluster> cluster() const { return std::nullopt; }

    /// Settings that may change at run time.
    virtual void use(const settings &from) = 0;

    /// This rolloutd carries out no tasks any more and will not again: another one can at once.
    virtual void resign(std::function<void()> done) = 0;

    /// Ends what can be ended, the opening too: no callback comes any more. Before the store is destroyed, the loop must run
    /// until it is no longer busy, and once more after.
    virtual void stop() = 0;
    virtual bool busy() const = 0;
};

/// If this program has not what the journal needs, the process becomes the program that has, with the same arguments: only
/// those with a journal in etcd load gRPC. Returns, with nothing, if no other program is needed, or with why there is none.
std::vector<json_fault> enter_program_of(const settings &config, char **arguments);

/// Returns why a rolloutd cannot have this journal.
std::vector<json_fault> check_store(const settings &config);

/// Returns what is wrong with the files that the journal needs, now: they may be mended while rolloutd runs, or tries to.
std::vector<json_fault> check_store_files(const settings &config);

/// `time` outlives the store. Signals must have been started.
std::unique_ptr<task_store> make_store(uv_loop_t *loop, clock &time, const settings &config,
                                       task_store::events events);

} // namespace rollout
