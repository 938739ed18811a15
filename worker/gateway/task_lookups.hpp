// Looks up tasks that a gateway requests because it does not hold them: as they are, or once they change.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/gateway/session.hpp"
#include "worker/journal/journal.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace rollout {

/// The journal and the clock outlive this, and this outlives the reads that it has requested from the journal.
class task_lookups {
  public:
    task_lookups(journal &journal, clock &time) : journal_(journal), time_(time) {}
    task_lookups(const task_lookups &) = delete;
    task_lookups &operator=(const task_lookups &) = delete;

    /// Handles a `lookup` frame. With `after`, its question waits until the task's revision is past it. Ends the
    /// session if the question is malformed, or one too many.
    void on_lookup(const session_ptr &from, const json_t *message);

    /// Handles a `forget` frame: the answer is no longer needed.
    void on_forget(session &from, const json_t *message);

    /// Answers the questions that wait for one of these tasks, after the clients that changed them have their
    /// answers: thousands may wait.
    void on_changed(const std::vector<task_row> &rows);

    /// Handles the end of a link.
    void on_end(session &which);

    /// Stops answering.
    void stop() { news_soon_.reset(); }

  private:
    struct watcher {
        std::uint64_t after;
        task_kind kind;
    };
    using watcher_name = std::pair<session *, std::uint64_t>; ///< the link, and its number for the question
    using task_of_question = std::map<std::uint64_t, std::string>;

    bool watch(const session_ptr &from, std::uint64_t id, const std::string &task_id, watcher added);
    bool forget(session *from, std::uint64_t id);
    void erase_watcher(const std::string &task_id, const watcher_name &name);
    void tell_news();
    void wake_watchers(const task_row &row);

    journal &journal_;
    clock &time_;
    std::unordered_map<std::string, std::map<watcher_name, watcher>> watchers_; ///< by task
    std::map<session *, task_of_question> watched_;                             ///< by link
    std::vector<task_row> news_;                                                ///< for which questions wait
    operation_ptr news_soon_;
};

} // namespace rollout
