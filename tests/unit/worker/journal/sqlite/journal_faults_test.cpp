#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/journal/sqlite/opened_journal.hpp"

#include <filesystem>

#include <sys/stat.h>

namespace {

using rollout::journal;
using rollout::outcome;
using rollout::sqlite_database;
using rollout::task_row;

/// The sentence with which the file is refused.
std::string refusal(const std::filesystem::path &path)
{
    test_loop loop;
    try {
        const rollout::sqlite_journal opened(loop.get(), path.native());
    } catch (const std::runtime_error &error) {
        return error.what();
    }
    return "it was opened";
}

/// Another connection to the file, as an operator's sqlite3 has it.
void run_on(const std::filesystem::path &path, const std::string &sql)
{
    sqlite_database(path.native(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE).run(sql.c_str());
}

std::filesystem::path filled_journal(const temporary_folder &folder)
{
    const auto path = folder / "journal.db";
    opened_journal book(path);
    book.create(task_of_model("t1", "a"));
    rollout::model of;
    of.model_id = "a";
    book.save_model(of);
    return path;
}

void a_journal_of_a_newer_version_is_refused_with_its_name(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    const auto newest = rollout::newest_version(rollout::journal_migrations());
    run_on(path, ("PRAGMA user_version = " + std::to_string(newest + 1)).c_str());
    assert_text(refusal(path), "the journal " + path.native() + " is of version " + std::to_string(newest + 1) +
                                   ", this rolloutd knows the versions up to " + std::to_string(newest) +
                                   "; it is left as it is");
    run_on(path, ("PRAGMA user_version = " + std::to_string(newest)).c_str());
    assert_text(refusal(path), "it was opened");
}

void another_programs_file_is_refused(void **)
{
    const temporary_folder folder;
    const auto path = folder / "other.db";
    run_on(path, "CREATE TABLE photos (name TEXT)");
    assert_text(refusal(path), "the file " + path.native() + " is no journal of rolloutd's; it is left as it is");
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
    assert_holds(why, "it is left as it is");
}

void a_file_that_is_cut_off_is_refused(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    std::filesystem::resize_file(path, 4096);
    assert_holds(refusal(path), path.native());
}

void a_models_entry_that_cannot_be_read_is_named(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    run_on(path, "UPDATE models SET state = '{'");
    opened_journal book(path);
    try {
        book->models();
        fail_msg("the entry was read");
    } catch (const std::runtime_error &error) {
        assert_holds(error.what(), "the journal's entry of model a cannot be read");
    }
}

void a_journal_in_use_is_refused(void **)
{
    const temporary_folder folder;
    const auto path = folder / "journal.db";
    {
        opened_journal book(path);
        assert_text(refusal(path), "another rolloutd uses the journal " + path.native() +
                                       "; give each a journal and a socket of its own");
    }
    assert_text(refusal(path), "it was opened");
}

/// What a rolloutd that was killed leaves: the file and its log, which is not taken into it yet.
std::filesystem::path left_by_a_kill(const temporary_folder &from, const temporary_folder &to, const std::string &sql)
{
    const auto path = from / "journal.db";
    opened_journal book(path);
    for (int i = 0; i < 200; ++i) {
        book.create(task_of_model("t" + std::to_string(i), "a"));
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
    opened_journal book(path);
    assert_true(book.find("t199").has_value());
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
    assert_holds(why, "it is left as it is");
    assert_true(folder.read("journal.db") == bytes);
}

/// More than a start reads whole.
std::filesystem::path large_journal(const temporary_folder &folder)
{
    const auto path = folder / "journal.db";
    {
        opened_journal book(path);
        auto large = task_of_model("", "a");
        large.config = shared_json_of(R"({"p": ")" + std::string(60000, 'x') + "\"}");
        int created = 0;
        constexpr int count = 600;
        for (int i = 0; i < count; ++i) {
            large.task_id = "t" + std::to_string(i);
            book->create(large, false, [&](const outcome &, journal::creation, const task_row &) { ++created; });
        }
        book.loop.run_until([&] { return created == count; });
    }
    run_on(path, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_true(std::filesystem::file_size(path) > std::size_t{32} << 20U);
    return path;
}

void a_large_file_that_is_damaged_is_found_while_it_is_in_use_and_refused_from_then_on(void **)
{
    const temporary_folder folder;
    const auto path = large_journal(folder);
    const std::string whole = folder.read("journal.db");
    std::string damaged = whole;
    std::fill_n(damaged.begin() + std::ptrdiff_t{5000} * 4096, 4096, '\x5A');
    folder.write("journal.db", damaged);

    const std::string words = "the journal " + path.native() + " is damaged: ";
    {
        opened_journal book(path);
        assert_true(book.find("t599").has_value());
        std::string found;
        book->look_for_damage([&](const std::string &fault) { found = fault; });
        book.loop.run_until([&] { return !found.empty(); });
        assert_holds(found, words);
    }
    assert_holds(refusal(path), words);
    assert_holds(refusal(path), words);

    // A copy of it from before is used again.
    std::filesystem::remove(path.native() + "-wal");
    std::filesystem::remove(path.native() + "-shm");
    folder.write("journal.db", whole);
    assert_true(opened_journal(path).find("t599").has_value());
    folder.write("journal.db", damaged);
    assert_true(opened_journal(path).find("t599").has_value());
}

void looking_for_damage_ends_when_told_to_and_finds_none_in_a_whole_file(void **)
{
    const temporary_folder folder;
    const auto path = large_journal(folder);
    opened_journal book(path);
    std::string found;
    book->look_for_damage([&](const std::string &fault) { found = fault; });
    book->stop_looking();
    book.loop.run_until([&] { return !book->busy(); });
    book->look_for_damage([&](const std::string &fault) { found = fault; });
    book.loop.run_until([&] { return !book->busy(); });
    assert_text(found, "");
}

void a_folder_that_is_not_there_is_named(void **)
{
    const temporary_folder folder;
    const auto path = folder / "missing/journal.db";
    assert_text(refusal(path), "the journal cannot be used: " + path.native() +
                                   ".lock: No such file or directory. Its folder must be there and be rolloutd's to "
                                   "write");
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
    opened_journal book(folder / "journal.db");
    book.create(task_of_model("t1", "a"));
    for (const char *name : {"journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"}) {
        struct stat status {};
        assert_int_equal(::stat((folder / name).c_str(), &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
}

void a_batch_that_fails_changes_nothing_and_a_later_one_works(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    opened_journal book(path);
    const auto before = book->revision();
    bool news = false;
    book->on_commit = [&](const std::vector<task_row> &, std::uint64_t, std::uint64_t) { news = true; };
    run_on(path, "CREATE TRIGGER broken BEFORE INSERT ON tasks WHEN NEW.task_id = 'bad' "
                 "BEGIN SELECT RAISE(ABORT, 'the disk is gone'); END");

    std::vector<outcome> ended;
    const auto create = [&](const char *id) {
        book->create(task_of_model(id, "a"), false,
                     [&](const outcome &how, journal::creation, const task_row &) { ended.push_back(how); });
    };
    create("first");
    book.loop.run_until([&] { return ended.size() == 1; });
    news = false;
    // What comes in one turn of the loop is one batch.
    create("good");
    create("bad");
    book.loop.run_until([&] { return ended.size() == 3; });
    assert_true(static_cast<bool>(ended[0]));
    for (const std::size_t i : {1, 2}) {
        assert_true(ended[i].is == outcome::kind::transient);
        assert_holds(ended[i].detail, path.native());
        assert_holds(ended[i].detail, "the disk is gone");
    }
    assert_false(news);
    assert_int_equal(book->revision(), before + 1);
    assert_false(book.find("good").has_value());

    run_on(path, "DROP TRIGGER broken");
    assert_int_equal(book.create(task_of_model("good", "a")).row.revision, before + 2);
}

void a_task_and_its_model_are_saved_both_or_neither(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    {
        opened_journal book(path);
        run_on(path, "CREATE TRIGGER broken BEFORE INSERT ON models BEGIN SELECT RAISE(ABORT, 'no'); END");
        rollout::task one = rollout::task_of(*book.find("t1")).value();
        one.status = rollout::task_status::completed;
        rollout::model of;
        of.model_id = "a";
        of.last_revision = 9;
        std::optional<outcome> ended;
        book->save(one, &of, [&](const outcome &how, std::uint64_t) { ended = how; });
        book.loop.run_until([&] { return ended.has_value(); });
        assert_true(ended->is == outcome::kind::transient);
    }
    opened_journal book(path);
    assert_true(book.find("t1")->status == rollout::task_status::pending);
    assert_int_equal(book->models().at(0).last_revision, 0);
}

void a_read_that_fails_says_why(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    opened_journal book(path);
    run_on(path, "ALTER TABLE tasks RENAME TO gone");
    std::optional<outcome> ended;
    book->find("t1", [&](const outcome &how, const std::optional<task_row> &) { ended = how; });
    book.loop.run_until([&] { return ended.has_value(); });
    assert_true(ended->is == outcome::kind::transient);
    assert_holds(ended->detail, "no such table: tasks");
    run_on(path, "ALTER TABLE gone RENAME TO tasks");
    assert_true(book.find("t1").has_value());
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

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_journal_of_a_newer_version_is_refused_with_its_name),
        cmocka_unit_test(another_programs_file_is_refused),
        cmocka_unit_test(a_file_that_is_no_database_is_refused_and_stays),
        cmocka_unit_test(a_damaged_file_is_refused_with_its_name),
        cmocka_unit_test(a_file_that_is_cut_off_is_refused),
        cmocka_unit_test(a_models_entry_that_cannot_be_read_is_named),
        cmocka_unit_test(a_journal_in_use_is_refused),
        cmocka_unit_test(a_newer_journal_stays_as_it_is_byte_for_byte),
        cmocka_unit_test(a_page_damaged_in_the_middle_is_found_at_the_start_and_nothing_is_changed),
        cmocka_unit_test(a_large_file_that_is_damaged_is_found_while_it_is_in_use_and_refused_from_then_on),
        cmocka_unit_test(looking_for_damage_ends_when_told_to_and_finds_none_in_a_whole_file),
        cmocka_unit_test(a_folder_that_is_not_there_is_named),
        cmocka_unit_test(a_folder_in_the_files_place_is_refused),
        cmocka_unit_test(nobody_else_may_read_the_journal),
        cmocka_unit_test(a_batch_that_fails_changes_nothing_and_a_later_one_works),
        cmocka_unit_test(a_task_and_its_model_are_saved_both_or_neither),
        cmocka_unit_test(a_read_that_fails_says_why),
        cmocka_unit_test(another_programs_file_is_left_as_it_is),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
