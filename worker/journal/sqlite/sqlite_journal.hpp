// The journal in one SQLite file: WAL, synchronous=FULL, so that a commit is on the disk when it returns.
//
// Writes gather while a commit is under way on a thread of its own, and go together in the next: a batch costs one sync.
// Reads have a connection of their own and do not wait for commits.
#pragma once

#include "worker/async/timer.hpp"
#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/checkpoints.hpp"
#include "worker/journal/sqlite/database.hpp"
#include "worker/journal/sqlite/journal_file.hpp"

#include <uv.h>

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace rollout {

class sqlite_journal final : public journal {
  public:
    /// Opens or makes the file; throws std::runtime_error with a sentence where it cannot be used: another rolloutd has
    /// it, it is damaged, or of a newer version. `at_work` is called over and over while that takes its time. The loop must outlive
    /// the journal.
    sqlite_journal(uv_loop_t *loop, const std::string &path, std::function<void()> at_work = {});
    ~sqlite_journal() override;

    const std::string &id() const override { return file_.id; }
    std::uint64_t revision() const override { return revision_; }

    void create(const task &wanted, bool only_look, created_fn done) override;
    void save(const task &changed, const model *with, saved_fn done) override;
    void save_model(const model &changed, saved_fn done) override;
    void remember_gateway(const std::string &gateway, const std::string &processes) override;
    void forget_gateway(const std::string &gateway) override;
    void purge(purge_position from, std::int64_t before_us, std::size_t rows, purged_fn done) override;

    void find(const std::string &task_id, found_fn done) override;
    void find_latest(task_kind kind, const std::string &model_id, found_fn done) override;
    void read_after(std::uint64_t revision, std::size_t max_bytes,
                    std::function<void(outcome, std::vector<task_row>)> done) override;
    void list(const task_filter &which, std::size_t limit, std::size_t max_bytes, listed_fn done) override;
    void list_models(const std::string &after, std::size_t limit, models_fn done) override;

    void count_tasks(std::function<void(outcome, std::uint64_t)> done) override;

    std::vector<task_row> unfinished() override;
    std::vector<model> models() override;
    std::vector<known_gateway> gateways() override;

    /// Reads what the start has not read of the file, beside all else, and calls back with a sentence where it is damaged.
    void look_for_damage(std::function<void(const std::string &fault)> found);
    void stop_looking();

    /// Is anything under way or waiting? The loop must run until it is not, before the journal goes.
    bool busy() const noexcept;

  private:
    struct statements;
    struct write;
    struct create_write;
    struct save_write;
    struct gateway_write;
    struct purge_write;
    struct batch;
    class committer;
    using writes = std::vector<std::unique_ptr<write>>;
    using sequences = std::vector<std::uint64_t>; ///< growing
    using read_job = std::pair<std::function<void(sqlite_database &)>, std::function<void(outcome)>>;

    static bool stands_somewhere(statements &in, const std::string &model_id);
    void add(std::unique_ptr<write> one);
    void give_waiting();
    void end_batch(const batch &one);
    void read(std::function<void(sqlite_database &)> work, std::function<void(outcome)> done);
    void start_read();
    auto &open_of(task_kind kind) { return open_.at(static_cast<std::size_t>(kind)); }
    void note_open(const task_row &row);
    sequences open_tasks(task_kind kind, const std::string &model_id) const;

    uv_loop_t *loop_;
    std::string path_;
    timer soon_;
    journal_file file_; ///< its writer: the commits' thread's, from the first write on
    std::uint64_t revision_;

    std::unique_ptr<statements> statements_; ///< as the writer
    writes waiting_;                         ///< for the end of this turn of the loop
    checkpoints checkpoints_;
    std::unique_ptr<committer> commits_;

    /// The sequences of the tasks that have not ended, by model. Their index would be hit at random by every new task, and
    /// take most of a commit's pages.
    std::array<std::unordered_map<std::string, sequences>, 2> open_; ///< by kind

    sqlite_database reader_;
    std::deque<read_job> reads_;
    operation_ptr looking_; ///< for damage
    operation_ptr counting_;
    operation_ptr reading_;
};

} // namespace rollout
