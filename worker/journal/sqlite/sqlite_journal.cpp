#include "worker/journal/sqlite/sqlite_journal.hpp"

#include "worker/async/thread_work.hpp"
#include "worker/base/failpoint.hpp"
#include "worker/base/log.hpp"
#include "worker/journal/sqlite/committer.hpp"
#include "worker/journal/sqlite/rows.hpp"
#include "worker/journal/sqlite/writes.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace rollout {

namespace {

/// Reads of one turn of a thread: a look-up takes microseconds, a turn more. What they find is in memory all at once.
constexpr std::size_t reads_a_turn = 64;

/// So many writes do not wait for the end of the loop's turn, which may take in posts for milliseconds while the disk has
/// nothing to do.
constexpr std::size_t worth_a_sync = 16;

} // namespace


sqlite_journal::sqlite_journal(uv_loop_t *loop, const std::string &path, std::function<void()> at_work)
    : loop_(loop), path_(path), soon_(loop), file_(path, journal_migrations(), std::move(at_work)),
      revision_(file_.revision), statements_(new statements{file_.writer, revision_}),
      checkpoints_(file_.writer, path),
      commits_(std::make_unique<committer>(loop, *statements_, checkpoints_,
                                           [this](const batch &one) { end_batch(one); })),
      reader_(path, SQLITE_OPEN_READONLY)
{
    sqlite_statement at(file_.writer,
                        "SELECT sequence, kind, model_id FROM tasks WHERE kind IN ('deploy', 'delete') AND "
                        "status IN ('pending', 'in_progress') ORDER BY sequence");
    while (at.step()) {
        open_of(kind_from(at.text(1)).value_or(task_kind::deploy))[at.text(2)].push_back(
            static_cast<std::uint64_t>(at.number(0)));
    }
}


sqlite_journal::~sqlite_journal() = default;


void sqlite_journal::look_for_damage(std::function<void(const std::string &fault)> found)
{
    if (file_.is_whole) {
        return;
    }
    looking_ = run_on_thread(
        loop_, [path = path_](const stop_flag &stop) { return journal_file::look_for_damage(path, stop); },
        [this, found = std::move(found)](const outcome &how) {
            looking_.reset();
            if (how.is == outcome::kind::permanent) {
                found(how.detail);
            }
        });
}


void sqlite_journal::stop_looking()
{
    if (looking_) {
        looking_->cancel();
    }
}


bool sqlite_journal::busy() const noexcept
{
    return commits_->busy() || reading_ || looking_ || counting_ || !waiting_.empty() || !reads_.empty();
}


void sqlite_journal::add(std::unique_ptr<write> one)
{
    waiting_.push_back(std::move(one));
    if (waiting_.size() >= worth_a_sync && !commits_->busy()) {
        give_waiting();
    } else if (waiting_.size() == 1) {
        // With this turn of the loop's end: what a gateway sends comes many at a time, and the first is not to have a sync of its own.
        soon_.start(std::chrono::milliseconds(0), [this] { give_waiting(); });
    }
}


void sqlite_journal::give_waiting()
{
    soon_.stop();
    commits_->give(std::exchange(waiting_, {}));
}


void sqlite_journal::end_batch(const batch &one)
{
    const auto before = std::exchange(revision_, one.revision);
    const log_burst audits; // each answer has its line
    if (on_attempt) {
        on_attempt(one.took, static_cast<bool>(one.ended));
    }
    if (one.ended) {
        for (const auto &change : one.of) {
            if (const task_row *row = change->news()) {
                note_open(*row);
            }
        }
    }
    for (const auto &change : one.of) {
        change->end(one.ended);
    }
    if (one.ended && on_commit) {
        std::vector<task_row> rows;
        rows.reserve(one.of.size());
        for (const auto &change : one.of) {
            if (task_row *row = change->news()) {
                rows.push_back(std::move(*row));
            }
        }
        on_commit(rows, before, one.revision);
    }
}


void sqlite_journal::note_open(const task_row &row)
{
    auto &of_kind = open_of(row.kind);
    const auto found = of_kind.try_emplace(row.model_id).first;
    auto &open = found->second;
    const auto at = std::ranges::lower_bound(open, row.sequence);
    const bool is_there = at != open.end() && *at == row.sequence;
    if (!is_final(row.status) && !is_there) {
        open.insert(at, row.sequence); // a new one comes last
    } else if (is_final(row.status) && is_there) {
        open.erase(at);
    }
    if (open.empty()) {
        of_kind.erase(found);
    }
}


/// Of that model and kind, as they are now.
sqlite_journal::sequences sqlite_journal::open_tasks(task_kind kind, const std::string &model_id) const
{
    const auto &of_kind = open_.at(static_cast<std::size_t>(kind));
    const auto found = of_kind.find(model_id);
    return found == of_kind.end() ? sequences() : found->second;
}


// Reading.

void sqlite_journal::read(std::function<void(sqlite_database &)> work, std::function<void(outcome)> done)
{
    reads_.emplace_back(std::move(work), std::move(done));
    if (!reading_) {
        start_read();
    }
}


void sqlite_journal::start_read()
{
    const auto end = reads_.begin() + static_cast<std::ptrdiff_t>(std::min(reads_.size(), reads_a_turn));
    auto jobs = std::make_shared<std::vector<read_job>>(std::move_iterator(reads_.begin()), std::move_iterator(end));
    auto failures = std::make_shared<std::vector<outcome>>(jobs->size());
    reads_.erase(reads_.begin(), end);
    reading_ = run_on_thread(
        loop_,
        [this, jobs, failures](const stop_flag &) {
            for (std::size_t i = 0; i < jobs->size(); ++i) {
                try {
                    if (failpoint({"journal", "read"}, {fault::error}) != fault::none) {
                        throw sqlite_error("the journal: a test lets it fail");
                    }
                    (*jobs)[i].first(reader_);
                } catch (const sqlite_error &error) {
                    (*failures)[i] = outcome::transient(error.what());
                }
            }
            return outcome::ok();
        },
        [this, jobs, failures](const outcome &) {
            reading_.reset();
            if (!reads_.empty()) {
                start_read();
            }
            for (std::size_t i = 0; i < jobs->size(); ++i) {
                (*jobs)[i].second((*failures)[i]);
            }
        });
}


void sqlite_journal::find(const std::string &task_id, found_fn done)
{
    auto row = std::make_shared<std::optional<task_row>>();
    read(
        [row, task_id](sqlite_database &database) {
            sqlite_statement at(database, select("WHERE task_id = ?"));
            if (at.with(std::string_view(task_id)).step()) {
                *row = row_of(at);
            }
        },
        [row, done = std::move(done)](const outcome &ended) { done(ended, std::move(*row)); });
}


void sqlite_journal::find_latest(task_kind kind, const std::string &model_id, found_fn done)
{
    auto row = std::make_shared<std::optional<task_row>>();
    const auto unended = open_tasks(kind, model_id);
    const std::uint64_t last_open = unended.empty() ? 0 : unended.back();
    read(
        [row, kind, model_id, last_open](sqlite_database &database) {
            sqlite_statement ended(database, select("INDEXED BY tasks_ended WHERE model_id = ? AND kind = ? AND "
                                                    "status NOT IN ('pending', 'in_progress') "
                                                    "ORDER BY sequence DESC LIMIT 1"));
            if (ended.with(std::string_view(model_id), kind_name(kind)).step()) {
                *row = row_of(ended);
            }
            // One that waited can have ended, canceled, before an earlier one.
            sqlite_statement open(database, select("WHERE sequence = ?"));
            if ((!*row || (*row)->sequence < last_open) && open.with(last_open).step()) {
                *row = row_of(open);
            }
        },
        [row, done = std::move(done)](const outcome &ended) { done(ended, std::move(*row)); });
}


void sqlite_journal::count_tasks(std::function<void(outcome, std::uint64_t)> done)
{
    auto count = std::make_shared<std::int64_t>(0);
    counting_ = run_on_thread(
        loop_,
        [path = path_, count](const stop_flag &) {
            *count = sqlite_database(path, SQLITE_OPEN_READONLY).number("SELECT count(*) FROM tasks");
            return outcome::ok();
        },
        [this, count, done = std::move(done)](const outcome &how) {
            counting_.reset();
            done(how, static_cast<std::uint64_t>(*count));
        });
}


std::vector<task_row> sqlite_journal::unfinished()
{
    sequences all;
    for (const auto &of_kind : open_) {
        for (const auto &[_, open] : of_kind) {
            all.insert(all.end(), open.begin(), open.end());
        }
    }
    std::ranges::sort(all);
    std::vector<task_row> rows;
    sqlite_statement at(file_.writer, select("WHERE sequence = ?"));
    for (const auto sequence : all) {
        if (at.with(sequence).step()) {
            rows.push_back(row_of(at));
        }
        at.reset();
    }
    return rows;
}


std::vector<model> sqlite_journal::models()
{
    std::vector<model> all;
    sqlite_statement at(file_.writer, select_models(""));
    while (at.step()) {
        all.push_back(model_at(at));
    }
    return all;
}


std::vector<known_gateway> sqlite_journal::gateways()
{
    std::vector<known_gateway> all;
    sqlite_statement at(file_.writer, "SELECT gateway, processes FROM gateways");
    while (at.step()) {
        all.push_back({at.text(0), at.text(1)});
    }
    return all;
}

} // namespace rollout
