// Keeps models loaded. Polls each server of each backend regularly: what a server has lost, by a restart or because
// somebody unloaded it, is loaded again, and what it never had, because it was down or is new, is loaded too. Reports
// which servers have a revision, so that requests go to no other. None of this is in the journal: after a restart,
// the next poll finds it out.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/backend/backend.hpp"
#include "worker/base/log.hpp"
#include "worker/config/settings.hpp"
#include "worker/domain/model.hpp"

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace rollout {

/// Watches the models that loaded_revisions() returns, also during a running task, as a rollout may wait for days. A
/// task that is about to load or unload one of these first removes it from there, and then calls release().
class model_monitor {
  public:
    using backend_fn = std::function<backend *(const std::string &name)>;

    /// `models` are the scheduler's, by id; they and `time` outlive the monitor.
    model_monitor(const std::map<std::string, model> &models, clock &time);

    /// The servers that have a revision, by a copy's name there, if they differ from what the model says.
    struct peers_change {
        std::uint64_t revision = 0;
        std::string server_model;
        std::optional<std::vector<std::string>> peers;
        std::vector<std::string> barred;
    };
    std::function<void(const std::string &model_id, const peers_change &)> on_peers_changed =
        [](const std::string &, const peers_change &) {};

    /// Called when a server of the backend answers again.
    std::function<void(const std::string &backend)> on_server_back = [](const std::string &) {};

    /// Polls these backends from now on, and at once. A backend lives as long as the `backend_of` that returned it.
    void use(std::shared_ptr<const settings> config, backend_fn backend_of);

    /// Stops polling, and cancels what is being loaded; `stopped` is called when nothing is under way.
    void stop(std::function<void()> stopped);

    /// Completes once the monitor has released the revision: a load of it is canceled. At once if the monitor does
    /// not hold it.
    operation_ptr release(const std::string &model_id, std::uint64_t revision, done_fn done);

    /// Polls the server at once: a gateway has seen a request to it fail, or was told that it does not have a model.
    /// If there is no such peer, polls all servers of the backends that have that upstream.
    void suspect(const std::string &upstream, const std::string &peer);

    /// Lists what is lost of a model's revisions that should be loaded, in their order.
    std::vector<lost_revision> losses_of(const std::string &model_id) const;

    /// Counts the models that have lost something that should be loaded, or are being loaded again; each model once.
    std::size_t lost_models() const;

    /// Returns, for each backend that has models, whether it answered the last poll.
    std::map<std::string, bool> backends_up() const;

    /// The number of models that should be loaded on a server, by their state there at the last poll; for backends
    /// with several servers.
    struct server_models {
        std::string backend;
        std::string server;
        bool is_up = false;
        std::size_t loaded = 0;
        std::size_t loading = 0; ///< again, or for the first time
        std::size_t missing = 0;
    };
    std::vector<server_models> models_on_servers() const;

  private:
    /// A copy that should be loaded on a backend.
    struct standing_copy {
        std::string model_id;
        std::uint64_t revision = 0;
        served_model copy;
    };

    enum class backend_state : std::uint8_t {
        unasked, ///< has no models, or was not polled yet
        answering,
        silent, ///< at the last poll
    };

    /// A server of a backend; without a name if the backend has only one.
    struct server_key {
        std::string backend;
        std::string peer;

        auto operator<=>(const server_key &) const = default;
    };

    struct polled_server {
        std::map<std::string, model_status::kind>
            found_before;    ///< before its last silence: it may be rolloutd that is cut off
        operation_ptr pause; ///< before the next poll
        operation_ptr question;
        std::vector<standing_copy> asked;
        backend_state state = backend_state::unasked;
        std::string silence;     ///< why it is silent, in its own words
        bool is_suspect = false; ///< poll it again as soon as this poll is over
        std::chrono::milliseconds polled_at{0};
        std::set<std::string> loaded_anew;               ///< just now: the server is no longer barred for it
        std::map<std::string, model_status::kind> found; ///< at the last poll or since, by the models' names there
    };

    enum class loss_state : std::uint8_t {
        suspected, ///< was not ready, once
        lost,      ///< and not loaded before its pause is over, or its backend reports it again
        due,       ///< will be loaded when there is room
        loading,
        canceling, ///< the load is about to end: a task has the revision, or rolloutd stops
    };

    struct loss {
        standing_copy of;
        bool is_new = false; ///< the server never had it: it was down, or is new
        loss_state state = loss_state::suspected;
        std::string words;
        std::string failure; ///< of the last attempt
        unsigned failures = 0;
        std::chrono::milliseconds not_before{0};
        operation_ptr work; ///< the load under way

        bool is_under_way() const noexcept { return state == loss_state::loading || state == loss_state::canceling; }
    };

    struct server_name {
        server_key server;
        std::string model; ///< its name there

        auto operator<=>(const server_name &) const = default;
    };

    std::vector<standing_copy> standing_on(const std::string &backend) const;
    bool stands(const std::string &backend, const standing_copy &copy) const;
    backend *find(const server_key &which) const;
    std::vector<std::string> servers_of(const std::string &backend) const;
    void poll(const server_key &which);
    void poll_later(const server_key &which);
    void on_polled(const server_key &which, const std::vector<model_status> &found);
    void note_silence(const server_key &which, polled_server &polled, const std::vector<model_status> &found);
    void judge(const server_name &name, const standing_copy &copy, const model_status &found);
    void start_reloads(const server_key &which);
    void reload(const server_name &name, loss &lost);
    void on_reloaded(const server_name &name, const outcome &result);
    static void cancel(loss &lost);
    void forget_found(const std::string &model_id, std::uint64_t revision);
    void update_peers(const std::string &backend);
    std::optional<std::vector<std::string>> peers_of(const std::string &backend, const served_model &copy,
                                                     const std::vector<std::string> &servers) const;
    bool is_elsewhere(const server_name &name) const;
    std::string sentence_of(const server_name &name, const loss &lost) const;
    void say(log_level level, const server_name &name, const loss &lost, const std::string &message) const;

    const std::map<std::string, model> &models_;
    clock &time_;
    std::shared_ptr<const settings> config_;
    backend_fn backend_of_;
    std::map<server_key, polled_server> servers_; ///< the ones that are polled
    std::map<server_name, loss> losses_;
    std::function<void()> stopped_;
};

} // namespace rollout
