// A journal's file that cannot be used, or should not be.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/journal/sqlite/opened_journal.hpp"
#include "worker/base/permanent_start_error.hpp"
#include "worker/journal/sqlite/journal_file.hpp"

#include <filesystem>

#include <sys/stat.h>

namespace {

using rollout::journal_file;
using rollout::outcome;
using rollout::stop_flag;

/// The sentence with which the file is refused.
std::string refusal(const std::filesystem::path &path)
{
    try {
        const journal_file opened(path.native());
    } catch (const std::runtime_error &error) {
        return error.what();
    }
    return "it was opened";
}

void a_journal_of_a_newer_version_is_refused_with_its_name(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    const auto newest = rollout::newest_version(rollout::journal_migrations());
    run_on(path, ("PRAGMA user_version = " + std::to_string(newest + 1)).c_str());
    assert_text(refusal(path), "the journal " + path.native() + " is of version " + std::to_string(newest + 1) +
                                   ", this rolloutd knows the versions up to " + std::to_string(newest) +
                                   "; it is left unchanged");
    run_on(path, ("PRAGMA user_version = " + std::to_string(newest)).c_str());
    assert_text(refusal(path), "it was opened");
}

void another_programs_file_is_refused(void **)
{
    const temporary_folder folder;
    const auto path = folder / "other.db";
    run_on(path, "CREATE TABLE photos (name TEXT)");
    assert_text(refusal(path), "the file " + path.native() + " is not a journal of rolloutd; it is left unchanged");
}

void a_file_that_is_no_database_is_refused_and_stays(void **)
{
    const temporary_folder folder;
    const std::string text = "dear diary, " + std::string(5000, 'x');
    const auto path = folder.write("journal.db", text);
    const std::string why = refusal(path);
    assert_holds(why, path.native());
    assert_holds(why, "file is not a database");
    assert_text(folder.read("journal.db"), text);
}

void a_damaged_file_is_refused_with_its_name(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    std::string bytes = folder.read("journal.db");
    assert_true(bytes.size() > 8192);
    std::fill(bytes.begin() + 4096, bytes.end(), '\x5A');
    folder.write("journal.db", bytes);
    const std::string why = refusal(path);
    assert_holds(why, "the journal " + path.native() + " is damaged: ");
    assert_holds(why, "it is left unchanged");
}

void a_file_that_is_cut_off_is_refused(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    std::filesystem::resize_file(path, 4096);
    assert_holds(refusal(path), path.native());
}

void a_journal_in_use_is_refused(void **)
{
    const temporary_folder folder;
    const auto path = folder / "journal.db";
    {
        opened_journal journal(path);
        assert_text(refusal(path), "another rolloutd uses the journal " + path.native() +
                                       "; give each a journal and a socket of its own");
    }
    assert_text(refusal(path), "it was opened");
}

/// What a rolloutd that was killed leaves: the file and its log, which is not taken into it yet.
std::filesystem::path left_by_a_kill(const temporary_folder &from, const temporary_folder &to, const std::string &sql)
{
    const auto path = from / "journal.db";
    opened_journal journal(path);
    for (int i = 0; i < 200; ++i) {
        journal.create(task_of_model("t" + std::to_string(i), "a"));
    }
    run_on(path, sql);
    for (const char *name : {"journal.db", "journal.db-wal"}) {
        std::filesystem::copy_file(from / name, to / name);
    }
    return to / "journal.db";
}

void a_newer_journal_stays_as_it_is_byte_for_byte(void **)
{
    const temporary_folder living;
    const temporary_folder folder;
    const auto path = left_by_a_kill(living, folder, "PRAGMA user_version = 1000");
    const auto before = folder.read("journal.db");
    const auto log_before = folder.read("journal.db-wal");
    assert_true(log_before.size() > 4096);
    assert_holds(refusal(path), "is of version 1000");
    assert_true(folder.read("journal.db") == before);
    assert_true(folder.read("journal.db-wal") == log_before);
    // With a rolloutd that knows that version, all is there.
    run_on(
        path,
        ("PRAGMA user_version = " + std::to_string(rollout::newest_version(rollout::journal_migrations()))).c_str());
    opened_journal journal(path);
    assert_true(journal.find("t199").has_value());
}

void a_page_damaged_in_the_middle_is_found_at_the_start_and_nothing_is_changed(void **)
{
    const temporary_folder living;
    const temporary_folder folder;
    const auto path = left_by_a_kill(living, folder, "PRAGMA wal_checkpoint(TRUNCATE)");
    std::string bytes = folder.read("journal.db");
    assert_true(bytes.size() > std::size_t{20} * 4096);
    std::fill_n(bytes.begin() + std::ptrdiff_t{12} * 4096, 2048, '\x5A');
    folder.write("journal.db", bytes);
    const std::string why = refusal(path);
    assert_holds(why, "the journal " + path.native() + " is damaged: ");
    assert_holds(why, "it is left unchanged");
    assert_true(folder.read("journal.db") == bytes);
}

void a_folder_that_is_not_there_is_named(void **)
{
    const temporary_folder folder;
    const auto path = folder / "missing/journal.db";
    assert_text(
        refusal(path),
        "the journal cannot be used: " + path.native() +
            ".lock: No such file or directory. Its folder must exist, and rolloutd must be able to write to it");
}

void a_folder_in_the_files_place_is_refused(void **)
{
    const temporary_folder folder;
    std::filesystem::create_directory(folder / "journal.db");
    assert_holds(refusal(folder / "journal.db"), "Is a directory");
}

void nobody_else_may_read_the_journal(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    journal.create(task_of_model("t1", "a"));
    for (const char *name : {"journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"}) {
        struct stat status {};
        assert_int_equal(::stat((folder / name).c_str(), &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
}

void another_programs_file_is_left_as_it_is(void **)
{
    const temporary_folder folder;
    const auto path = folder / "other.db";
    run_on(path, "CREATE TABLE photos (name TEXT)");
    const std::string before = folder.read("other.db");
    refusal(path);
    assert_true(folder.read("other.db") == before);
}

void what_no_other_start_mends_is_told_apart_from_a_journal_that_is_in_use(void **)
{
    const temporary_folder folder;
    const auto path = folder / "journal.db";
    const auto is_permanent = [&] {
        try {
            const journal_file opened(path.native());
        } catch (const rollout::permanent_start_error &) {
            return true;
        } catch (const std::runtime_error &) {
            return false;
        }
        fail_msg("the file was opened");
        return false;
    };
    {
        const journal_file opened(path.native());
        assert_false(is_permanent());
    }
    run_on(path, "PRAGMA user_version = 1000");
    assert_true(is_permanent());
}

void a_look_at_the_whole_file_says_what_is_damaged_and_leaves_a_mark_for_the_next_start(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    const stop_flag goes_on{false};
    assert_true(static_cast<bool>(journal_file::check_integrity(path.native(), goes_on)));
    assert_false(folder.has("journal.db.damaged"));

    std::string bytes = folder.read("journal.db");
    std::fill(bytes.begin() + 4096, bytes.end(), '\x5A');
    folder.write("journal.db", bytes);
    const auto found = journal_file::check_integrity(path.native(), goes_on);
    assert_true(found.is == outcome::kind::permanent);
    assert_holds(found.detail, "the journal " + path.native() + " is damaged: ");
    assert_true(folder.has("journal.db.damaged"));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_journal_of_a_newer_version_is_refused_with_its_name),
        cmocka_unit_test(another_programs_file_is_refused),
        cmocka_unit_test(a_file_that_is_no_database_is_refused_and_stays),
        cmocka_unit_test(a_damaged_file_is_refused_with_its_name),
        cmocka_unit_test(a_file_that_is_cut_off_is_refused),
        cmocka_unit_test(a_journal_in_use_is_refused),
        cmocka_unit_test(a_newer_journal_stays_as_it_is_byte_for_byte),
        cmocka_unit_test(a_page_damaged_in_the_middle_is_found_at_the_start_and_nothing_is_changed),
        cmocka_unit_test(a_folder_that_is_not_there_is_named),
        cmocka_unit_test(a_folder_in_the_files_place_is_refused),
        cmocka_unit_test(nobody_else_may_read_the_journal),
        cmocka_unit_test(another_programs_file_is_left_as_it_is),
        cmocka_unit_test(what_no_other_start_mends_is_told_apart_from_a_journal_that_is_in_use),
        cmocka_unit_test(a_look_at_the_whole_file_says_what_is_damaged_and_leaves_a_mark_for_the_next_start),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
