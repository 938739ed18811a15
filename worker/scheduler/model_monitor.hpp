// Whether the models that are to be loaded still are. Each backend is looked at every now and then; what it has lost, by a
// restart or by somebody's unload, is loaded again. Nothing of it is in the journal: after a restart the next look tells.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/backend/backend.hpp"
#include "worker/base/log.hpp"
#include "worker/config/settings.hpp"
#include "worker/domain/model.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace rollout {

/// Looked at: what loaded_revisions() says, in a running task too, as a rollout may wait for days. A task that is to load or to
/// unload one of these itself takes it out of there first, and then calls let_go().
class model_watch {
  public:
    using backend_fn = std::function<backend *(const std::string &name)>;

    /// `models` are the scheduler's, by their ids; they and `time` outlive the watch.
    model_watch(const std::map<std::string, model> &models, clock &time);

    /// Looks at these backends from now on, and at once. A backend lives as long as the `backend_of` that names it.
    void use(std::shared_ptr<const settings> config, backend_fn backend_of);

    /// No further looks, and what is being loaded is canceled; `stopped` is called when nothing is under way.
    void stop(std::function<void()> stopped);

    /// Until the watch has its hands off that revision: what it is loading is canceled. Null where they are off already.
    operation_ptr let_go(const std::string &model_id, std::uint64_t revision, done_fn done);

    /// In the order of their revisions.
    std::vector<lost_revision> losses_of(const std::string &model_id) const;

    /// Models, each once, of which something that is to be loaded is lost, or being loaded again.
    std::size_t lost_models() const;

    /// Whether each backend that has models answered the last look.
    std::map<std::string, bool> backends_up() const;

  private:
    struct standing_copy {
        std::string model_id;
        std::uint64_t revision = 0;
        placed_copy copy;
    };

    /// A backend.
    struct view {
        operation_ptr pause; ///< before the next look
        operation_ptr question;
        std::vector<standing_copy> asked;
        bool looked = false; ///< it has models, and was asked for them
        bool silent = false; ///< at the last look
        std::string silence; ///< why, as its own words have it
    };

    struct loss {
        standing_copy of;
        unsigned looks = 0;
        bool sure = false;
        bool due = false; ///< to be loaded when there is room
        std::string words;
        std::string failure; ///< of the last attempt
        unsigned failures = 0;
        std::chrono::milliseconds not_before{0};
        operation_ptr work; ///< the load under way
        bool canceled = false;
    };

    using place = std::pair<std::string, std::string>; ///< a backend, and the model's name there

    std::vector<standing_copy> standing_on(const std::string &backend) const;
    bool stands(const std::string &backend, const standing_copy &one) const;
    void look(const std::string &backend);
    void look_later(const std::string &backend);
    void looked(const std::string &backend, const std::vector<presence> &found);
    void note_silence(const std::string &backend, view &at, const std::vector<presence> &found);
    void judge(const place &at, const standing_copy &one, const presence &found);
    void start_reloads(const std::string &backend);
    void reload(const place &at, loss &one);
    void reloaded(const place &at, const outcome &how);
    void cancel(loss &one);
    std::string sentence_of(const place &at, const loss &one) const;
    void say(log_level level, const place &at, const loss &one, const std::string &message) const;

    const std::map<std::string, model> &models_;
    clock &time_;
    std::shared_ptr<const settings> config_;
    backend_fn backend_of_;
    std::map<std::string, view> views_; ///< by backend
    std::map<place, loss> losses_;
    std::function<void()> stopped_;
};

} // namespace rollout
