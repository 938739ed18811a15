#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/journal/sqlite/opened_journal.hpp"

#include <filesystem>

namespace {

using rollout::journal;
using rollout::outcome;
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

void a_models_entry_that_cannot_be_read_is_named(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    run_on(path, "UPDATE models SET state = '{'");
    opened_journal journal(path);
    try {
        journal.models();
        fail_msg("the entry was read");
    } catch (const std::runtime_error &error) {
        assert_holds(error.what(), "the journal's entry of model a cannot be read");
    }
}

/// More than a start reads whole.
std::filesystem::path large_journal(const temporary_folder &folder)
{
    const auto path = folder / "journal.db";
    {
        opened_journal journal(path);
        auto large = task_of_model("", "a");
        large.config = shared_json_of(R"({"p": ")" + std::string(60000, 'x') + "\"}");
        int created = 0;
        constexpr int count = 600;
        for (int i = 0; i < count; ++i) {
            large.task_id = "t" + std::to_string(i);
            journal->create(large, false, [&](const outcome &, journal::creation, const task_row &) { ++created; });
        }
        journal.loop.run_until([&] { return created == count; });
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
        opened_journal journal(path);
        assert_true(journal.find("t599").has_value());
        std::string found;
        journal->check_integrity([&](const std::string &fault) { found = fault; });
        journal.loop.run_until([&] { return !found.empty(); });
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
    opened_journal journal(path);
    std::string found;
    journal->check_integrity([&](const std::string &fault) { found = fault; });
    journal->stop_integrity_check();
    journal.loop.run_until([&] { return !journal->busy(); });
    journal->check_integrity([&](const std::string &fault) { found = fault; });
    journal.loop.run_until([&] { return !journal->busy(); });
    assert_text(found, "");
}

void a_batch_that_fails_changes_nothing_and_a_later_one_works(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    opened_journal journal(path);
    const auto before = journal->revision();
    bool news = false;
    journal->on_commit = [&](const rollout::journal_news &) { news = true; };
    run_on(path, "CREATE TRIGGER broken BEFORE INSERT ON tasks WHEN NEW.task_id = 'bad' "
                 "BEGIN SELECT RAISE(ABORT, 'the disk is gone'); END");

    std::vector<outcome> ended;
    const auto create = [&](const char *id) {
        journal->create(task_of_model(id, "a"), false,
                        [&](const outcome &how, journal::creation, const task_row &) { ended.push_back(how); });
    };
    create("first");
    journal.loop.run_until([&] { return ended.size() == 1; });
    news = false;
    // What comes in one turn of the loop is one batch.
    create("good");
    create("bad");
    journal.loop.run_until([&] { return ended.size() == 3; });
    assert_true(static_cast<bool>(ended[0]));
    for (const std::size_t i : {1, 2}) {
        assert_true(ended[i].is == outcome::kind::transient);
        assert_holds(ended[i].detail, path.native());
        assert_holds(ended[i].detail, "the disk is gone");
    }
    assert_false(news);
    assert_int_equal(journal->revision(), before + 1);
    assert_false(journal.find("good").has_value());

    run_on(path, "DROP TRIGGER broken");
    assert_int_equal(journal.create(task_of_model("good", "a")).row.revision, before + 2);
}

void a_task_and_its_model_are_saved_both_or_neither(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    {
        opened_journal journal(path);
        run_on(path, "CREATE TRIGGER broken BEFORE INSERT ON models BEGIN SELECT RAISE(ABORT, 'no'); END");
        rollout::task one = rollout::task_of(*journal.find("t1")).value();
        one.status = rollout::task_status::completed;
        rollout::model of;
        of.model_id = "a";
        of.last_revision = 9;
        std::optional<outcome> ended;
        journal->save(one, &of, [&](const outcome &how, std::uint64_t) { ended = how; });
        journal.loop.run_until([&] { return ended.has_value(); });
        assert_true(ended->is == outcome::kind::transient);
    }
    opened_journal journal(path);
    assert_true(journal.find("t1")->status == rollout::task_status::pending);
    assert_int_equal(journal.models().at(0).last_revision, 0);
}

void a_read_that_fails_says_why(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    opened_journal journal(path);
    run_on(path, "ALTER TABLE tasks RENAME TO gone");
    std::optional<outcome> ended;
    journal->find("t1", [&](const outcome &how, const std::optional<task_row> &) { ended = how; });
    journal.loop.run_until([&] { return ended.has_value(); });
    assert_true(ended->is == outcome::kind::transient);
    assert_holds(ended->detail, "no such table: tasks");
    run_on(path, "ALTER TABLE gone RENAME TO tasks");
    assert_true(journal.find("t1").has_value());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_models_entry_that_cannot_be_read_is_named),
        cmocka_unit_test(a_large_file_that_is_damaged_is_found_while_it_is_in_use_and_refused_from_then_on),
        cmocka_unit_test(looking_for_damage_ends_when_told_to_and_finds_none_in_a_whole_file),
        cmocka_unit_test(a_batch_that_fails_changes_nothing_and_a_later_one_works),
        cmocka_unit_test(a_task_and_its_model_are_saved_both_or_neither),
        cmocka_unit_test(a_read_that_fails_says_why),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
