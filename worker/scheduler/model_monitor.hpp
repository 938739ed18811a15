// Sees to it that the models that are to be loaded stay so. Each backend is polled every now and then; what it has lost, by a
// restart or by somebody's unload, is loaded again. Nothing of it is in the journal: after a restart the next poll tells.
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

    /// Polls these backends from now on, and at once. A backend lives as long as the `backend_of` that names it.
    void use(std::shared_ptr<const settings> config, backend_fn backend_of);

    /// Polls no more, and cancels what is being loaded; `stopped` is called when nothing is under way.
    void stop(std::function<void()> stopped);

    /// Completes once the monitor has released the revision: what it is loading of it is canceled; at once if it does not hold it.
    operation_ptr release(const std::string &model_id, std::uint64_t revision, done_fn done);

    /// Lists what is gone of a model's revisions that are to be loaded, in their order.
    std::vector<lost_revision> losses_of(const std::string &model_id) const;

    /// Counts the models, each once, of which something that is to be loaded is lost, or being loaded again.
    std::size_t lost_models() const;

    /// Tells whether each backend that has models answered the last poll.
    std::map<std::string, bool> backends_up() const;

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

    struct polled_backend {
        operation_ptr pause; ///< before the next poll
        operation_ptr question;
        std::vector<standing_copy> asked;
        backend_state state = backend_state::unasked;
        std::string silence; ///< why it is silent, as its own words have it
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
        loss_state state = loss_state::suspected;
        std::string words;
        std::string failure; ///< of the last attempt
        unsigned failures = 0;
        std::chrono::milliseconds not_before{0};
        operation_ptr work; ///< the load under way

        bool is_under_way() const noexcept { return state == loss_state::loading || state == loss_state::canceling; }
    };

    struct server_name {
        std::string backend;
        std::string model; ///< its name there

        auto operator<=>(const server_name &) const = default;
    };

    std::vector<standing_copy> standing_on(const std::string &backend) const;
    bool stands(const std::string &backend, const standing_copy &copy) const;
    void poll(const std::string &backend);
    void poll_later(const std::string &backend);
    void on_polled(const std::string &backend, const std::vector<model_status> &found);
    void note_silence(const std::string &backend, polled_backend &polled, const std::vector<model_status> &found);
    void judge(const server_name &name, const standing_copy &copy, const model_status &found);
    void start_reloads(const std::string &backend);
    void reload(const server_name &name, loss &lost);
    void on_reloaded(const server_name &name, const outcome &result);
    static void cancel(loss &lost);
    std::string sentence_of(const server_name &name, const loss &lost) const;
    void say(log_level level, const server_name &name, const loss &lost, const std::string &message) const;

    const std::map<std::string, model> &models_;
    clock &time_;
    std::shared_ptr<const settings> config_;
    backend_fn backend_of_;
    std::map<std::string, polled_backend> backends_; ///< those that are polled
    std::map<server_name, loss> losses_;
    std::function<void()> stopped_;
};

} // namespace rollout
