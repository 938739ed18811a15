// The questions that a journal's file answers, concurrently with the writes to it.
#pragma once

#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/open_tasks.hpp"
#include "worker/journal/sqlite/read_queue.hpp"

#include <uv.h>

#include <string>

namespace rollout {

/// Each function is that of the same name in `journal`.
class journal_reader {
  public:
    /// Opens the file, which must exist. `open`: the unfinished tasks in it. Both the loop and `open` must outlive this,
    /// and the loop must run until it is no longer busy. Throws sqlite_error.
    journal_reader(uv_loop_t *loop, std::string path, const open_tasks &open);

    void find(const std::string &task_id, journal::found_fn done);
    void find_latest(task_kind kind, const std::string &model_id, journal::found_fn done);
    void find_series(const std::string &task_id, journal::series_fn done);
    void read_after(std::uint64_t revision, std::size_t max_bytes,
                    std::function<void(outcome, std::vector<task_row>)> done);
    void list(const task_filter &which, std::size_t limit, std::size_t max_bytes, journal::listed_fn done);
    void list_models(const std::string &after, std::size_t limit, journal::models_fn done);
    void list_unfinished(std::uint64_t after, std::size_t max_bytes, journal::listed_fn done);
    void list_all_models(const std::string &after, std::size_t limit, journal::models_fn done);
    void list_gateways(std::function<void(outcome, std::vector<known_gateway>)> done);
    void count_tasks(std::function<void(outcome, std::uint64_t)> done);

    /// Runs any other read, as read_queue::ask.
    template <typename Result>
    void ask(std::function<Result(sqlite_database &)> read, std::function<void(const outcome &, Result)> done)
    {
        reads_.ask<Result>(std::move(read), std::move(done));
    }

    bool busy() const noexcept { return reads_.busy() || counting_; }

  private:
    uv_loop_t *loop_;
    std::string path_;
    const open_tasks &open_;
    read_queue reads_;
    operation_ptr counting_;
};

} // namespace rollout
