// The journal in one SQLite file: WAL, synchronous=FULL, so that a commit is on disk when it returns.
//
// Writes go through the committer's thread, many in a commit. Reads have their own connection and do not wait for
// commits.
#pragma once

#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/checkpoints.hpp"
#include "worker/journal/sqlite/committer.hpp"
#include "worker/journal/sqlite/journal_file.hpp"
#include "worker/journal/sqlite/journal_reader.hpp"
#include "worker/journal/sqlite/open_tasks.hpp"

#include <uv.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rollout {

class sqlite_journal final : public journal {
  public:
    /// The file, and which of its tasks are unfinished.
    struct opened_file {
        /// May be called on any thread; takes long for a large file that is migrated. Throws as journal_file does.
        explicit opened_file(const std::string &path, std::function<bool()> at_work = {});

        journal_file file;
        open_tasks open;
    };

    /// `path` is that of the file. The loop must outlive the journal. Throws sqlite_error.
    sqlite_journal(uv_loop_t *loop, const std::string &path, std::unique_ptr<opened_file> opened);

    /// Opens the file here and now.
    sqlite_journal(uv_loop_t *loop, const std::string &path)
        : sqlite_journal(loop, path, std::make_unique<opened_file>(path))
    {
    }
    ~sqlite_journal() override;

    const std::string &id() const override { return opened_->file.id; }
    std::uint64_t revision() const override { return revision_; }

    void create(const task &wanted, bool only_find, created_fn done) override;
    void save(const task &changed, const model *with, saved_fn done) override;
    void save_model(const model &changed, saved_fn done) override;
    void remember_gateway(const std::string &gateway, const std::string &processes) override;
    void forget_gateway(const std::string &gateway) override;
    void save_series(const std::string &task_id, const std::string &model_id, std::string document,
                     std::function<void(outcome)> done) override;
    void purge(purge_position from, std::int64_t before_us, std::size_t rows, purged_fn done) override;

    void find(const std::string &task_id, found_fn done) override;
    void find_latest(task_kind kind, const std::string &model_id, found_fn done) override;
    void find_series(const std::string &task_id, series_fn done) override;
    void read_after(std::uint64_t revision, std::size_t max_bytes,
                    std::function<void(outcome, std::vector<task_row>)> done) override;
    void list(const task_filter &which, std::size_t limit, std::size_t max_bytes, listed_fn done) override;
    void list_models(const std::string &after, std::size_t limit, models_fn done) override;

    void count_tasks(std::function<void(outcome, std::uint64_t)> done) override;

    std::size_t count_unfinished() const override { return opened_->open.count(); }
    void list_unfinished(std::uint64_t after, std::size_t max_bytes, listed_fn done) override;
    void list_all_models(const std::string &after, std::size_t limit, models_fn done) override;
    void list_gateways(std::function<void(outcome, std::vector<known_gateway>)> done) override;

    /// Reads the part of the file that the start has not read, concurrently with all other work, and calls `found`
    /// with a sentence if the file is damaged.
    void check_integrity(std::function<void(const std::string &fault)> found);
    void stop_integrity_check();

    /// Returns whether anything is under way or waiting. Before the journal is destroyed, the loop must run until
    /// nothing is.
    bool busy() const noexcept;

  private:
    void end_batch(const commit_batch &batch);

    uv_loop_t *loop_;
    std::string path_;
    std::unique_ptr<opened_file> opened_; ///< the file's `writer` belongs to the committer from the first write on
    std::uint64_t revision_;
    checkpoints checkpoints_;
    committer committer_;
    journal_reader reader_;
    operation_ptr integrity_check_; ///< looks for damage
};

} // namespace rollout
