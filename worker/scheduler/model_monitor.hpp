// Sees to it that the models that are to be loaded stay so. Each server of each backend is polled every now and then; what it has lost,
// by a restart or by somebody's unload, is loaded again, and what it never had, as it was down or is new, is loaded too. It says which
// servers have a revision, so that requests go to no other. Nothing of it is in the journal: after a restart the next poll tells.
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

/// Watches what loaded_revisions() says, in a running task too, as a rollout may wait for days. A task that is to load or to
/// unload one of these itself takes it out of there first, and then calls release().
class model_monitor {
  public:
    using backend_fn = std::function<backend *(const std::string &name)>;

    /// `models` are the scheduler's, by their ids; they and `time` outlive the monitor.
    model_monitor(const std::map<std::string, model> &models, clock &time);

    /// Which servers have a revision is other than the model says, by a copy's name there.
    struct peers_change {
        std::uint64_t revision = 0;
        std::string server_model;
        std::optional<std::vector<std::string>> peers;
        std::vector<std::string> barred;
    };
    std::function<void(const std::string &model_id, const peers_change &)> on_peers_changed =
        [](const std::string &, const peers_change &) {};

    /// A server of the backend answers again.
    std::function<void(const std::string &backend)> on_server_back = [](const std::string &) {};

    /// Polls these backends from now on, and at once. A backend lives as long as the `backend_of` that names it.
    void use(std::shared_ptr<const settings> config, backend_fn backend_of);

    /// Polls no more, and cancels what is being loaded; `stopped` is called when nothing is under way.
    void stop(std::function<void()> stopped);

    /// Completes once the monitor has released the revision: what it is loading of it is canceled; at once if it does not hold it.
    operation_ptr release(const std::string &model_id, std::uint64_t revision, done_fn done);

    /// Polls the server at once: a gateway has seen a request to it fail, or heard that it has not got a model. Without such a peer, all
    /// servers of the backends that have that upstream.
    void suspect(const std::string &upstream, const std::string &peer);

    /// Lists what is gone of a model's revisions that are to be loaded, in their order.
    std::vector<lost_revision> losses_of(const std::string &model_id) const;

    /// Counts the models, each once, of which something that is to be loaded is lost, or being loaded again.
    std::size_t lost_models() const;

    /// Tells whether each backend that has models answered the last poll.
    std::map<std::string, bool> backends_up() const;

    /// Counts the models that are to be loaded on a server, by how they stand there at the last look; for backends of several servers.
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
    /// What is to be loaded on a backend.
    struct standing_copy {
        std::string model_id;
        std::uint64_t revision = 0;
        served_model copy;
    };

    enum class backend_state : std::uint8_t {
        unasked, ///< it has no models, or was not polled yet
        answering,
        silent, ///< at the last poll
    };

    /// One of a backend's; without a name if the backend has only one.
    struct server_key {
        std::string backend;
        std::string peer;

        auto operator<=>(const server_key &) const = default;
    };

    struct polled_server {
        std::map<std::string, model_status::kind>
            found_before;    ///< it was silent last: rolloutd itself may be cut off
        operation_ptr pause; ///< before the next poll
        operation_ptr question;
        std::vector<standing_copy> asked;
        backend_state state = backend_state::unasked;
        std::string silence;     ///< why it is silent, as its own words have it
        bool is_suspect = false; ///< to be polled again as soon as this poll is over
        std::chrono::milliseconds polled_at{0};
        std::set<std::string> loaded_anew;               ///< just now: what barred the server is over
        std::map<std::string, model_status::kind> found; ///< at the last poll, or since, by the models' names there
    };

    enum class loss_state : std::uint8_t {
        suspected, ///< not ready, once
        lost,      ///< and not to be loaded before its pause is over, or its backend says so again
        due,       ///< to be loaded when there is room
        loading,
        canceling, ///< a load that is to end: a task has the revision, or rolloutd stops
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
    std::map<server_key, polled_server> servers_; ///< those that are polled
    std::map<server_name, loss> losses_;
    std::function<void()> stopped_;
};

} // namespace rollout
