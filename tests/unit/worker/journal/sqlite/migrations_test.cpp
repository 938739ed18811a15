// Journals of older versions, with steps that this test makes up.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/journal/sqlite/opened_journal.hpp"

#include "worker/journal/sqlite/journal_file.hpp"

#include <array>
#include <filesystem>
#include <fstream>

#include <sys/stat.h>

namespace {

using rollout::journal_file;
using rollout::migration;
using rollout::sqlite_database;
using rollout::sqlite_statement;

constexpr std::array<migration, 2> two_steps{{
    {"ALTER TABLE tasks ADD COLUMN owner TEXT NOT NULL DEFAULT 'nobody';"},
    {"CREATE TABLE owners (name TEXT PRIMARY KEY); INSERT INTO owners SELECT DISTINCT owner FROM tasks;"},
}};
constexpr std::span<const migration> one_step = std::span(two_steps).first(1);

std::filesystem::path journal_of_version_1(const temporary_folder &folder)
{
    const auto path = folder / "journal.db";
    journal_file made(path.native(), {});
    made.writer.run("INSERT INTO tasks SELECT value, 't' || value, 'deploy', 'a', 'pending', value, value, '{}' "
                    "FROM json_each('[1, 2, 3]')");
    made.writer.run("UPDATE meta SET value = 3 WHERE name = 'revision'");
    return path;
}

std::int64_t number_of(const std::filesystem::path &path, const char *sql)
{
    return sqlite_database(path.native(), SQLITE_OPEN_READONLY).number(sql);
}

std::string refusal(const std::filesystem::path &path, std::span<const migration> steps)
{
    try {
        const journal_file opened(path.native(), steps);
    } catch (const std::runtime_error &error) {
        return error.what();
    }
    return "it was opened";
}

void an_older_journal_takes_every_step_and_keeps_its_tasks(void **)
{
    const temporary_folder folder;
    const auto path = journal_of_version_1(folder);
    std::string id;
    std::uint64_t revision = 0;
    {
        const journal_file before(path.native(), {});
        id = before.id;
        revision = before.revision;
    }
    {
        const journal_file after(path.native(), two_steps);
        assert_text(after.id, id);
        assert_int_equal(after.revision, revision);
    }
    assert_int_equal(number_of(path, "PRAGMA user_version"), 3);
    assert_int_equal(number_of(path, "SELECT count(*) FROM tasks WHERE owner = 'nobody'"), 3);
    assert_int_equal(number_of(path, "SELECT count(*) FROM owners"), 1);
    assert_text(refusal(path, two_steps), "it was opened"); // nothing is done twice
}

void the_journal_as_it_was_is_kept_beside_for_who_goes_back(void **)
{
    const temporary_folder folder;
    const auto path = journal_of_version_1(folder);
    {
        const journal_file migrated(path.native(), one_step);
    }
    const auto kept = folder / "journal.db.v1";
    struct stat info = {};
    assert_int_equal(::stat(kept.c_str(), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_false(std::filesystem::exists(folder / "journal.db.v1.new"));

    // The rolloutd of before does not touch what is newer, and goes on with the copy.
    assert_text(refusal(path, {}), "the journal " + path.native() +
                                       " is of version 2, this rolloutd knows version 1; it is left unchanged");
    for (const char *end : {"", "-wal", "-shm"}) {
        std::filesystem::remove(path.native() + end);
    }
    std::filesystem::rename(kept, path);
    opened_journal journal(path);
    assert_true(journal.find("t3").has_value());
    journal.create(task_of_model("t4", "a"));
    assert_int_equal(journal.count_tasks(), 4);
}

void a_step_that_fails_changes_nothing_and_says_why(void **)
{
    constexpr std::array<migration, 2> second_fails{
        {two_steps[0], {"CREATE TABLE halfway (x); DROP TABLE missing;"}}};
    const temporary_folder folder;
    const auto path = journal_of_version_1(folder);
    const auto said = refusal(path, second_fails);
    assert_holds(said, ("the journal " + path.native() + " cannot be brought to version 3: ").c_str());
    assert_holds(said, "no such table: missing");
    assert_int_equal(number_of(path, "PRAGMA user_version"),
                     2); // the first step stands, the second is not there at all
    assert_int_equal(number_of(path, "SELECT count(*) FROM sqlite_master WHERE name = 'halfway'"), 0);
    assert_int_equal(number_of(path, "SELECT count(*) FROM tasks"), 3);

    assert_text(refusal(path, two_steps), "it was opened"); // a rolloutd whose step is mended goes on from there
    assert_int_equal(number_of(path, "PRAGMA user_version"), 3);
    assert_int_equal(number_of(folder / "journal.db.v1", "PRAGMA user_version"), 1);
    assert_int_equal(number_of(folder / "journal.db.v2", "PRAGMA user_version"), 2);
}

void without_room_for_the_copy_nothing_is_changed(void **)
{
    const temporary_folder folder;
    const auto path = journal_of_version_1(folder);
    std::filesystem::create_directories(folder / "journal.db.v1.new" / "in the way");
    assert_holds(refusal(path, one_step), ("cannot be copied to " + path.native() + ".v1: ").c_str());
    assert_int_equal(number_of(path, "PRAGMA user_version"), 1);
    assert_text(refusal(path, {}), "it was opened");
}

void what_a_copy_that_was_cut_short_left_is_no_obstacle(void **)
{
    const temporary_folder folder;
    const auto path = journal_of_version_1(folder);
    std::ofstream(folder / "journal.db.v1.new") << "half of it";
    std::ofstream(folder / "journal.db.v1") << "of an earlier upgrade";
    assert_text(refusal(path, one_step), "it was opened");
    assert_int_equal(number_of(folder / "journal.db.v1", "SELECT count(*) FROM tasks"), 3);
}

void a_new_journal_takes_the_steps_and_leaves_no_copy(void **)
{
    const temporary_folder folder;
    const auto path = folder / "journal.db";
    {
        const journal_file made(path.native(), two_steps);
    }
    assert_int_equal(number_of(path, "PRAGMA user_version"), 3);
    assert_int_equal(number_of(path, "SELECT count(*) FROM owners"), 0);
    assert_false(std::filesystem::exists(folder / "journal.db.v1"));
}

void whoever_waits_for_a_start_hears_of_the_copy_and_of_each_step_while_they_run(void **)
{
    constexpr std::array<migration, 1> long_step{{
        {"CREATE TABLE numbers AS WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 50000) "
         "SELECT x FROM n;"},
    }};
    const temporary_folder folder;
    const auto path = journal_of_version_1(folder);
    sqlite_database(path.native(), SQLITE_OPEN_READWRITE)
        .run("WITH RECURSIVE n (x) AS (SELECT 4 UNION ALL SELECT x + 1 FROM n LIMIT 50000) "
             "INSERT INTO tasks SELECT x, 't' || x, 'deploy', 'a', 'completed', x, x, '{}' FROM n");
    int during_copy = 0;
    int during_step = 0;
    {
        const journal_file opened(path.native(), long_step, [&] {
            during_copy += std::filesystem::exists(folder / "journal.db.v1.new") ? 1 : 0;
            during_step += std::filesystem::exists(folder / "journal.db.v1") ? 1 : 0;
            return true;
        });
    }
    assert_true(during_copy > 3);
    assert_true(during_step > 3);

    int afterwards = 0;
    journal_file open(path.native(), long_step, [&] { return ++afterwards != 0; });
    afterwards = 0;
    assert_int_equal(open.writer.number("SELECT count(*) FROM numbers, (SELECT 1 UNION SELECT 2)"), 100000);
    assert_int_equal(afterwards, 0);
}

void a_journal_of_no_known_version_is_left_as_it_is(void **)
{
    for (const char *version : {"PRAGMA user_version = 0", "PRAGMA user_version = 4", "PRAGMA user_version = -1"}) {
        const temporary_folder folder;
        const auto path = journal_of_version_1(folder);
        sqlite_database(path.native(), SQLITE_OPEN_READWRITE).run(version);
        assert_holds(refusal(path, two_steps), "this rolloutd knows the versions up to 3; it is left unchanged");
        assert_int_equal(number_of(path, "SELECT count(*) FROM tasks"), 3);
        assert_false(std::filesystem::exists(folder / "journal.db.v1"));
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_older_journal_takes_every_step_and_keeps_its_tasks),
        cmocka_unit_test(the_journal_as_it_was_is_kept_beside_for_who_goes_back),
        cmocka_unit_test(a_step_that_fails_changes_nothing_and_says_why),
        cmocka_unit_test(without_room_for_the_copy_nothing_is_changed),
        cmocka_unit_test(what_a_copy_that_was_cut_short_left_is_no_obstacle),
        cmocka_unit_test(a_new_journal_takes_the_steps_and_leaves_no_copy),
        cmocka_unit_test(whoever_waits_for_a_start_hears_of_the_copy_and_of_each_step_while_they_run),
        cmocka_unit_test(a_journal_of_no_known_version_is_left_as_it_is),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
