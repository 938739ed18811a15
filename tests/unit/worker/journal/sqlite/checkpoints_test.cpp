// SQLite's log of a journal that is written to all the time.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/logged.hpp"
#include "tests/unit/worker/journal/sqlite/opened_journal.hpp"

#include <csignal>
#include <filesystem>

#include <sys/resource.h>

namespace {

using rollout::outcome;
using rollout::sqlite_database;
using rollout::task;

constexpr std::size_t large = 200'000; // characters of a configuration
constexpr std::size_t unending = 340;  // of such tasks: 17,000 pages, more than the bound of the log

/// Of a statement of one value.
std::string text_of(const std::filesystem::path &path, const char *sql)
{
    sqlite_database base(path.native(), SQLITE_OPEN_READONLY);
    rollout::sqlite_statement at(base, sql);
    return at.step() ? at.text(0) : "";
}

/// Writes that never pause: each one's end begins the next.
class writer {
  public:
    explicit writer(opened_journal &journal) : journal_(journal) {}

    /// Returns how many of them went well.
    std::size_t write(std::size_t count)
    {
        left_ = count;
        for (int side = 0; side < 4; ++side) {
            next();
        }
        journal_.loop.run_until([this] { return under_way_ == 0; });
        return well_;
    }

  private:
    void next()
    {
        if (left_ == 0) {
            return;
        }
        task one = task_of_model("t" + std::to_string(left_), "m" + std::to_string(left_ % 7));
        one.config = shared_json_of("{\"text\":\"" + std::string(large, 'x') + "\"}");
        --left_;
        ++under_way_;
        journal_->create(one, false,
                         [this](const outcome &ended, rollout::journal::creation, const rollout::task_row &) {
                             --under_way_;
                             well_ += ended ? 1 : 0;
                             next();
                         });
    }

    opened_journal &journal_;
    std::size_t left_ = 0;
    std::size_t under_way_ = 0;
    std::size_t well_ = 0;
};

void nothing_is_lost_while_the_log_is_taken_in_beside_writes_that_never_pause(void **)
{
    const temporary_folder folder;
    const auto path = folder / "journal.db";
    opened_journal journal(path);
    writer writes(journal);
    assert_int_equal(writes.write(unending), unending);
    assert_true(std::filesystem::file_size(path) > large); // checkpoints went on beside

    // As after a loss of power.
    std::filesystem::copy_file(path, folder / "copy.db");
    std::filesystem::copy_file(path.native() + "-wal", folder / "copy.db-wal");
    opened_journal copy(folder / "copy.db");
    assert_int_equal(copy.count_tasks(), unending);
    assert_int_equal(copy->revision(), unending);
    for (std::size_t i = 1; i <= unending; ++i) {
        assert_true(copy.find("t" + std::to_string(i)).has_value());
    }
    assert_text(text_of(folder / "copy.db", "PRAGMA integrity_check"), "ok");
}

/// A journal's file: a row takes some ten pages, and its log is taken in when it has fifty.
class small_log {
  public:
    explicit small_log(std::filesystem::path to) : path(std::move(to)) {}

    /// Returns how many of the rows were written before one could not be.
    int write(int rows)
    {
        rollout::sqlite_statement insert(base, "INSERT INTO meta VALUES (?, ?)");
        const std::string text(10 * page_bytes, 'x');
        const int before = rows_in_it();
        try {
            for (int i = 0; i < rows; ++i) {
                insert.with(std::string_view(std::to_string(++made_)), std::string_view(text)).run();
                after.after_commit();
            }
        } catch (const rollout::sqlite_error &) {
            return rows_in_it() - before;
        }
        return rows;
    }

    int rows_in_it()
    {
        return static_cast<int>(base.number("SELECT count(*) FROM meta WHERE name > '0' AND name < 'a'"));
    }

    std::uintmax_t log_bytes() const { return std::filesystem::file_size(path.native() + "-wal"); }

    static constexpr std::uintmax_t page_bytes = 4096;
    static constexpr int log_pages = 50;

    /// Four times the pages at which it is taken in, and fewer than twenty by the last commit; each has a head.
    static constexpr std::uintmax_t most_bytes = (4 * log_pages + 20) * (page_bytes + 24);

    const std::filesystem::path path;
    rollout::journal_file file{path.native()};
    sqlite_database &base = file.writer;
    rollout::checkpoints after{base, path.native(), log_pages};

  private:
    int made_ = 0;
};

void a_log_that_grows_faster_than_it_is_taken_in_has_a_bound_and_begins_anew(void **)
{
    const temporary_folder folder;
    small_log log(folder / "some.db");
    assert_int_equal(log.write(2000), 2000);
    assert_true(log.log_bytes() < small_log::most_bytes);
    assert_int_equal(log.rows_in_it(), 2000);
    assert_text(text_of(log.path, "PRAGMA integrity_check"), "ok");
}

/// No file grows beyond that, as on a disk that is full.
class smallest_files {
  public:
    explicit smallest_files(rlim_t bytes)
    {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit now{bytes, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &now);
    }
    ~smallest_files() { ::setrlimit(RLIMIT_FSIZE, &before_); }
    smallest_files(const smallest_files &) = delete;
    smallest_files &operator=(const smallest_files &) = delete;

  private:
    rlimit before_{};
};

void a_log_that_cannot_be_taken_in_is_told_once_and_goes_in_when_it_can(void **)
{
    const temporary_folder folder;
    small_log log(folder / "some.db");
    assert_int_equal(log.write(500), 500); // the file is larger than its log by now
    int more = 0;
    const auto said = logged([&] {
        const smallest_files full(std::filesystem::file_size(log.path));
        more = log.write(2000);
    });
    assert_true(more > small_log::log_pages && more < 2000); // as long as the log had room
    const std::string line = "the journal's WAL cannot be checkpointed, and grows: ";
    assert_holds(said, line);
    assert_int_equal(said.find(line, said.find(line) + 1), std::string::npos);

    const auto grown = log.log_bytes();
    assert_int_equal(log.rows_in_it(), 500 + more);
    assert_int_equal(log.write(2000), 2000);
    assert_int_equal(log.rows_in_it(), 2500 + more);
    assert_true(log.log_bytes() < grown + small_log::most_bytes); // it has begun anew
    assert_text(text_of(log.path, "PRAGMA integrity_check"), "ok");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_while_the_log_is_taken_in_beside_writes_that_never_pause),
        cmocka_unit_test(a_log_that_grows_faster_than_it_is_taken_in_has_a_bound_and_begins_anew),
        cmocka_unit_test(a_log_that_cannot_be_taken_in_is_told_once_and_goes_in_when_it_can),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
