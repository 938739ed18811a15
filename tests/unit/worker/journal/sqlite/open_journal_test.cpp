// The journal is opened beside all else that goes on, and whoever waits for it may stop waiting.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/quiet.hpp"
#include "tests/unit/worker/journal/sqlite/opened_journal.hpp"
#include "worker/journal/sqlite/open_journal.hpp"

#include <atomic>
#include <memory>
#include <optional>

namespace {

using rollout::outcome;

struct opening {
    explicit opening(
        const std::filesystem::path &path, std::function<void()> at_work = [] {})
        : work(rollout::open_journal(loop.get(), path.native(), std::move(at_work),
                                     [this](const outcome &how, std::unique_ptr<rollout::sqlite_journal> made) {
                                         ended = how;
                                         journal = std::move(made);
                                     }))
    {
    }

    const outcome &end()
    {
        loop.run_until([this] { return ended.has_value(); });
        return *ended;
    }

    test_loop loop;
    std::optional<outcome> ended;
    std::unique_ptr<rollout::sqlite_journal> journal;
    rollout::operation_ptr work;
};

/// A journal with so many tasks that it is not checked in a moment.
std::filesystem::path old_journal(const temporary_folder &folder)
{
    const auto path = folder / "journal.db";
    {
        opened_journal journal(path);
        journal.create(task_of_model("t1", "a"));
    }
    run_on(path, "WITH RECURSIVE n (x) AS (SELECT 2 UNION ALL SELECT x + 1 FROM n LIMIT 20000) INSERT INTO tasks "
                 "(sequence, task_id, kind, model_id, status, revision, updated_us, document) "
                 "SELECT x, 't' || x, 'deploy', 'a', 'completed', x, x, '{}' FROM n");
    return path;
}

void a_journal_is_there_once_the_loop_says_so(void **)
{
    const temporary_folder folder;
    const auto path = old_journal(folder);
    opening of(path);
    assert_false(of.ended.has_value()); // never from inside the call
    assert_true(static_cast<bool>(of.end()));
    assert_non_null(of.journal.get());
    assert_int_equal(of.journal->revision(), 1);
    std::optional<bool> found;
    of.journal->find("t1",
                     [&](const outcome &, const std::optional<rollout::task_row> &row) { found = row.has_value(); });
    of.loop.run_until([&] { return found.has_value(); });
    assert_true(*found);
}

void a_journal_that_is_new_is_made(void **)
{
    const temporary_folder folder;
    opening of(folder / "journal.db");
    assert_true(static_cast<bool>(of.end()));
    assert_int_equal(of.journal->revision(), 0);
}

void what_cannot_be_used_is_said_and_whether_it_lasts(void **)
{
    const temporary_folder folder;
    const auto path = old_journal(folder);
    {
        const opened_journal other(path);
        opening of(path);
        assert_true(of.end().is == outcome::kind::transient);
        assert_holds(of.end().detail, "another rolloutd uses the journal " + path.native());
        assert_null(of.journal.get());
    }
    run_on(path, "PRAGMA user_version = 1000");
    opening newer(path);
    assert_true(newer.end().is == outcome::kind::permanent);
    assert_holds(newer.end().detail, "is of version 1000");
    opening nowhere(folder / "nowhere" / "journal.db");
    assert_true(nowhere.end().is == outcome::kind::transient);
    assert_holds(nowhere.end().detail, "Its folder must exist");
}

void what_is_canceled_while_it_works_ends_soon_and_leaves_the_file_as_it_was(void **)
{
    const temporary_folder folder;
    const auto path = old_journal(folder);
    std::atomic<bool> is_at_work{false};
    std::atomic<bool> may_go_on{false};
    opening of(path, [&] {
        is_at_work = true;
        while (!may_go_on) {
        }
    });
    while (!is_at_work) {
    }
    of.work->cancel();
    may_go_on = true;
    assert_true(of.end().is == outcome::kind::canceled);
    assert_null(of.journal.get());
    opening again(path);
    assert_true(static_cast<bool>(again.end()));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_journal_is_there_once_the_loop_says_so),
        cmocka_unit_test(a_journal_that_is_new_is_made),
        cmocka_unit_test(what_cannot_be_used_is_said_and_whether_it_lasts),
        cmocka_unit_test(what_is_canceled_while_it_works_ends_soon_and_leaves_the_file_as_it_was),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
