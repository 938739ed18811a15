// Runs reads concurrently with commits: on a connection of their own, one after the other, on a thread of libuv's
// pool.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/journal/sqlite/database.hpp"

#include <uv.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace rollout {

class read_queue {
  public:
    /// Opens the file, which must exist. Throws sqlite_error. The loop must outlive the queue, and run until the
    /// queue is no longer busy before the queue is destroyed.
    read_queue(uv_loop_t *loop, const std::string &path);

    /// Runs `read` on the thread, and `done` on the loop with what it returned; with a failure, and an empty result, if
    /// it threw: a permanent one if the file is damaged. The callbacks come in the order of the calls.
    template <typename Result>
    void ask(std::function<Result(sqlite_database &)> read, std::function<void(const outcome &, Result)> done)
    {
        auto result = std::make_shared<Result>();
        add({[result, read = std::move(read)](sqlite_database &database) { *result = read(database); },
             [result, done = std::move(done)](const outcome &ended) { done(ended, std::move(*result)); }});
    }

    bool busy() const noexcept { return under_way_ || !waiting_.empty(); }

  private:
    struct question {
        std::function<void(sqlite_database &)> read;
        std::function<void(const outcome &)> done;
    };

    void add(question asked);
    void start();

    uv_loop_t *loop_;
    sqlite_database database_; ///< used by the thread while a read is under way
    std::deque<question> waiting_;
    operation_ptr under_way_;
};

} // namespace rollout
