// SQLite's log of a journal that is written to all the time.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/logged.hpp"
#include "tests/unit/opened_journal.hpp"

#include <csignal>
#include <filesystem>

#include <sys/resource.h>

namespace {

using rollout::outcome;
using rollout::sqlite_database;
using rollout::task;

constexpr std::size_t large = 200'000;               // characters of a configuration
constexpr std::uintmax_t log_begins_anew = 30 << 20; // bytes that it stays below: checkpoints begin at 16 MB
constexpr std::size_t unending = 200;                // of such tasks: 40 MB

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
    explicit writer(opened_journal &book) : book_(book) {}

    /// Returns how many of them went well.
    std::size_t write(std::size_t count)
    {
        left_ = count;
        well_ = 0;
        for (int side = 0; side < 4; ++side) {
            next();
        }
        book_.loop.run_until([this] { return under_way_ == 0; });
        return well_;
    }

    std::vector<std::string> faults;

  private:
    void next()
    {
        if (left_ == 0) {
            return;
        }
        --left_;
        ++under_way_;
        ++made_;
        task one = task_of_model("t" + std::to_string(made_), "m" + std::to_string(made_ % 7));
        one.config = shared_json_of("{\"text\":\"" + std::string(large, 'x') + "\"}");
        book_->create(one, false,
                      [this](const outcome &ended, rollout::journal::creation, const rollout::task_row &) {
                          --under_way_;
                          ended ? (void)++well_ : faults.push_back(ended.detail);
                          next();
                      });
    }

    opened_journal &book_;
    std::size_t left_ = 0;
    std::size_t under_way_ = 0;
    std::size_t made_ = 0;
    std::size_t well_ = 0;
};

void the_log_begins_anew_while_writes_never_pause_and_nothing_is_lost(void **)
{
    const temporary_folder folder;
    const auto path = folder / "journal.db";
    opened_journal book(path);
    writer writes(book);
    assert_int_equal(writes.write(unending), unending);
    const auto file = std::filesystem::file_size(path);
    const auto log = std::filesystem::file_size(path.native() + "-wal");
    assert_true(file > unending * large / 2); // most of it is in the file by now
    assert_true(log < log_begins_anew);

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
    const auto path = folder / "journal.db";
    opened_journal book(path);
    writer writes(book);
    const auto first = writes.write(unending); // the file is larger than its log ever is
    assert_int_equal(first, unending);

    std::size_t more = 0;
    const auto said = logged([&] {
        const smallest_files full(std::filesystem::file_size(path));
        more = writes.write(2 * unending);
    });
    assert_true(more > 0 && more < 2 * unending); // as long as the log has room
    assert_holds(writes.faults.front(), "failed: ");
    const std::string line = "the journal's log cannot be taken into its file, and grows: ";
    assert_holds(said, line);
    assert_int_equal(said.find(line, said.find(line) + 1), std::string::npos);

    assert_int_equal(writes.write(unending), unending);
    assert_int_equal(book.count_tasks(), first + more + unending);
    assert_text(text_of(path, "PRAGMA integrity_check"), "ok");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_log_begins_anew_while_writes_never_pause_and_nothing_is_lost),
        cmocka_unit_test(a_log_that_cannot_be_taken_in_is_told_once_and_goes_in_when_it_can),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
