// The series of the deployments that run: kept in memory, written to the journal when a hold or the task ends, and now
// and then: more often if other rolloutd read it there. Those of finished deployments are in the journal alone.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/lifetime.hpp"
#include "worker/domain/rollout_series.hpp"
#include "worker/domain/task.hpp"
#include "worker/journal/journal.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace rollout {

/// Nothing waits for the journal here: a crash costs at most the points since the last write, which shows as a gap. A
/// deployment of another rolloutd before this one continues its series. The journal and the clock outlive this.
class series_keeper {
  public:
    series_keeper(journal &journal, clock &time) : journal_(journal), time_(time) {}
    series_keeper(const series_keeper &) = delete;
    series_keeper &operator=(const series_keeper &) = delete;

    /// Begins the series of a deployment, or continues it. Does nothing if that has been done.
    void begin(const task &of);

    /// Continues the series of a deployment that an earlier rolloutd ran, if it has one.
    void resume(const task &of);

    // These do nothing if the deployment's series has not begun.

    void set_limits(const std::string &task_id, std::shared_ptr<const json_t> limits);

    /// Adds a look of the gate, now.
    void add(const std::string &task_id, series_point look);

    /// Adds a mark, now.
    void mark(const std::string &task_id, mark_kind what, std::string detail);

    /// Writes the series.
    void save(const std::string &task_id);

    /// Writes the series and forgets it once it is written.
    void end(const std::string &task_id);

    /// Finds the document of a deployment's series, with empty columns if it has none yet; nothing if there is no such
    /// deployment. `done` is called from the loop.
    using found_fn = std::function<void(const outcome &, std::optional<std::string> document)>;
    void find(const std::string &task_id, found_fn done);

    /// Does the same where no deployment runs: what the journal has is all there is.
    static void find_stored(journal &from, const std::string &task_id, found_fn done);

  private:
    enum class load_state : std::uint8_t {
        not_loaded, ///< what the journal has must be read before the first write
        loading,
        loaded,
    };

    struct entry {
        std::string model_id;
        rollout_series series; ///< until it is loaded, what has been added since the start
        load_state load = load_state::not_loaded;
        bool is_begun = false; ///< else it is forgotten if the journal has nothing
        bool is_to_save = false;
        bool is_ended = false;
        unsigned looks = 0;  ///< since the last write
        unsigned writes = 0; ///< under way
        operation_ptr pause;
    };

    entry *find_entry(const std::string &task_id);
    entry &open(const task &of);
    void load(const std::string &task_id);
    void on_loaded(const std::string &task_id, const outcome &ended, const std::optional<stored_series> &stored);
    void on_saved(const std::string &task_id, const outcome &ended);
    void save_later(const std::string &task_id);
    bool is_due(const entry &of) const;
    static std::string document_of(const std::string &task_id, const stored_series &stored, const entry *of);

    journal &journal_;
    clock &time_;
    std::map<std::string, entry> entries_; ///< by task
    lifetime lifetime_;
};

} // namespace rollout
