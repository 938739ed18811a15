// rolloutd at run time: its parts, how they are connected, reloads and the end.
#pragma once

#include "worker/async/loop_clock.hpp"
#include "worker/backend/backend.hpp"
#include "worker/config/settings.hpp"
#include "worker/gateway/gateway_server.hpp"
#include "worker/gateway/refusing_listener.hpp"
#include "worker/journal/retention.hpp"
#include "worker/metrics.hpp"
#include "worker/net/http_client.hpp"
#include "worker/os/signals.hpp"
#include "worker/os/systemd.hpp"
#include "worker/scheduler/engine.hpp"
#include "worker/task_store.hpp"

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace rollout {

/// Threads of libuv's pool in addition to one for each rollout: file copies occupy theirs for long, and the journal's
/// reads must always find one.
inline constexpr std::uint64_t spare_threads = 4;

/// Logs the backends that nothing can be staged to. They do not affect the others: they continue to serve what they
/// have, and a deployment to them fails before it fetches.
void log_unreachable_backends(const std::string &path, const std::vector<json_fault> &faults);

/// Runs on the loop's thread. The loop outlives it.
class daemon {
  public:
    using backend_map = std::map<std::string, std::shared_ptr<backend>>;

    /// `path` is the file that `config` was read from, for reloads; `threads` is the size of libuv's pool.
    daemon(uv_loop_t *loop, std::string path, std::shared_ptr<const settings> config, std::uint64_t threads);

    /// Starts, in the background: reads the journal, goes on with the unfinished tasks of a previous rolloutd, and listens.
    /// What keeps it from that is logged, and ends the loop.
    void start();

    /// Returns the process's exit status, once the loop has ended.
    int status() const noexcept { return status_; }

    /// Returns whether it could not start.
    bool was_refused() const noexcept { return is_refused_; }

  private:
    task_store::events store_events();
    void on_opened();
    void refuse_gateways(const std::string &why);
    void make_parts();
    void load();
    void on_elected();
    void on_deposed();
    void on_damaged(const std::string &fault);
    void try_again_or_refuse(const outcome &why, std::function<void()> again);
    void on_started(const outcome &result);
    void listen();
    void start_engine();
    void restart_engine();
    void refuse_start(const outcome &why);

    std::string metrics() const;

    void say_ready() { manager_.ready("Listening for gateways on " + config_->listen.path); }

    retention_rule rule() const;

    std::shared_ptr<backend> make_backend(const std::string &name, const backend_settings &from);

    /// Makes one of a backend's servers; without a peer, the only one.
    std::shared_ptr<backend> make_server(const std::string &name, const server_settings &server,
                                         const backend_settings &of);

    /// Makes the backends of `config`; one that is in `known` and has not changed in the configuration is reused.
    std::shared_ptr<const backend_map> make_backends(const settings &config, const backend_map &known);

    /// Returns a function that finds the current backends and keeps them alive.
    std::function<backend *(const std::string &)> finder() const;

    /// Handles SIGHUP: the file is read on a thread, as looking up users may take time.
    void reload();

    void refuse(const std::vector<json_fault> &faults);

    void apply(const std::shared_ptr<settings> &wanted);

    void warn_of_models_on(const std::string &name);

    void warn_of_servers_gone(const std::string &name, const backend_settings &before,
                              const backend_settings &after) const;

    void on_signal(int number);

    void stop();
    void resign();
    void wait_for_journal();

    uv_loop_t *loop_;
    std::string path_;
    std::shared_ptr<const settings> config_; ///< in force
    std::uint64_t threads_;
    loop_clock time_;
    service_manager manager_;
    http_client http_;
    std::shared_ptr<const backend_map> backends_;
    rolloutd_metrics metrics_;

    signal_catcher signals_{loop_};
    std::unique_ptr<task_store> store_;           ///< from the start on
    std::unique_ptr<refusing_listener> refusing_; ///< while the opening waits for something

    // From when the journal is open.
    std::unique_ptr<gateway_server> gateways_;
    std::unique_ptr<task_intake> intake_;
    std::unique_ptr<engine> engine_;
    std::unique_ptr<retention> retention_;

    operation_ptr next_start_;  ///< of the engine, after a pause
    unsigned failed_reads_ = 0; ///< during the start
    operation_ptr ending_;      ///< waits until the journal's work is done
    operation_ptr reading_;     ///< the configuration
    bool read_again_ = false;
    bool is_ready_ = false;   ///< listens
    bool is_elected_ = false; ///< carries out the tasks, or is about to
    bool is_refused_ = false;
    bool stopping_ = false;
    int status_ = EXIT_SUCCESS;
};

} // namespace rollout
