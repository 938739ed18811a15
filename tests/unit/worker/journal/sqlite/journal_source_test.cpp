// A journal that is read to be moved elsewhere: its writes in their order, and a file that is left as it was.
#include "worker/journal/sqlite/journal_source.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/logged.hpp"
#include "tests/unit/worker/journal/sqlite/opened_journal.hpp"
#include "tests/unit/worker/journal/sqlite/written_file.hpp"
#include "worker/base/permanent_start_error.hpp"

#include <optional>
#include <string>

namespace {

using rollout::journal_source;
using rollout::past_write;
using rollout::task_status;

std::string text_of(const past_write &of)
{
    std::string text = std::to_string(of.at);
    if (of.task) {
        const auto &row = of.task->row;
        text += (row.sequence == of.at ? " creates " : " changes ") + row.task_id;
        text += row.document.empty() ? "" : " whole";
    }
    for (const auto &model : of.models) {
        text += " model " + model.model_id;
    }
    return text;
}


std::string all_of(journal_source &from)
{
    std::string text;
    while (const auto write = from.next()) {
        text += text_of(*write) + "\n";
    }
    return text;
}


/// Why it cannot be opened; `is_permanent`: another attempt does not help.
std::string fault_of(const std::filesystem::path &path, bool is_permanent)
{
    try {
        const journal_source from(path.native());
    } catch (const rollout::permanent_start_error &error) {
        assert_true(is_permanent);
        return error.what();
    } catch (const rollout::sqlite_error &error) {
        assert_true(is_permanent == error.is_permanent());
        return error.what();
    } catch (const std::exception &error) {
        assert_false(is_permanent);
        return error.what();
    }
    return "";
}


void writes_are_told_in_their_order(void **)
{
    const temporary_folder folder;
    const auto path = folder / "journal.db";
    {
        opened_journal journal(path);
        auto first = *rollout::task_of(journal.create(task_of_model("t1", "a")).row);
        journal.create(task_of_model("t2", "b"));
        auto third = *rollout::task_of(journal.create(task_of_model("t3", "c")).row);
        journal.save_model(placed_model("b")); // 4
        first.status = task_status::in_progress;
        const auto model = placed_model("a");
        journal.save(first, &model); // 5
        journal.save(first, &model); // 6
        third.detail = "changed";
        journal.save(third); // 7
    }
    journal_source from(path.native());
    assert_int_equal(from.tasks(), 3);
    assert_int_equal(from.models(), 2);
    assert_int_equal(from.id().size(), 32);
    assert_text(all_of(from), "1 creates t1\n"
                              "2 creates t2 whole\n"
                              "3 creates t3\n"
                              "4 model b\n"
                              "6 changes t1 whole model a\n"
                              "7 changes t3 whole\n");
    assert_int_equal(from.left_out(), 0);
}


void the_file_is_left_as_it_is(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    const auto before = folder.read("journal.db");
    {
        journal_source from(path.native());
        assert_text(all_of(from), "1 creates t1 whole\n2 model a\n");
        assert_holds(fault_of(path, false), "a rolloutd uses the journal");
    }
    assert_true(folder.read("journal.db") == before);
    assert_false(folder.has("journal.db-wal"));
    assert_false(folder.has("journal.db-shm"));
}


/// As after a crash: what is in the WAL alone is read too, and stays there.
void a_wal_is_read_and_left(void **)
{
    written_file crashed;
    const temporary_folder folder;
    crashed.create(task_of_model("t1", "a"));
    const auto copy = [&](const std::string &name) { folder.write(name, crashed.folder.read(name)); };
    copy("journal.db");
    copy("journal.db-wal");
    const auto wal = folder.read("journal.db-wal");
    assert_true(wal.size() > 1000);
    {
        journal_source from((folder / "journal.db").native());
        assert_text(all_of(from), "1 creates t1 whole\n");
    }
    assert_true(folder.read("journal.db") == crashed.folder.read("journal.db"));
    assert_true(folder.read("journal.db-wal") == wal);
}


void what_is_no_journal_of_this_version_is_refused(void **)
{
    const temporary_folder folder;
    assert_holds(fault_of(folder / "none.db", true), "there is no journal");
    assert_false(folder.has("none.db"));
    assert_holds(fault_of(folder.write("text.db", std::string(4096, 'x')), true), "not a database");
    assert_holds(fault_of(folder.write("empty.db", ""), true), "is not a journal of rolloutd");
    const auto path = filled_journal(folder);
    run_on(path, "PRAGMA user_version = 1");
    assert_holds(fault_of(path, true), "is of version 1, which is older");
    run_on(path, "PRAGMA user_version = 99");
    assert_holds(fault_of(path, true), "is of version 99, this rolloutd knows");
    run_on(path, "PRAGMA application_id = 1");
    assert_holds(fault_of(path, true), "is not a journal of rolloutd");
    {
        test_loop loop;
        const rollout::journal_replica replica(loop.get(), (folder / "replica.db").native());
    }
    assert_holds(fault_of(folder / "replica.db", true), "is a replica of a journal in etcd");
}


void a_damaged_journal_is_refused(void **)
{
    const temporary_folder folder;
    const auto path = folder / "journal.db";
    {
        opened_journal journal(path);
        for (int i = 0; i < 200; ++i) {
            journal.create(task_of_model("t" + std::to_string(i), "a"));
        }
    }
    auto bytes = folder.read("journal.db");
    for (std::size_t at = 2 * 4096; at < bytes.size(); at += 4096) {
        bytes.replace(at, 64, std::string(64, 'x'));
    }
    folder.write("damaged.db", bytes);
    assert_holds(fault_of(folder / "damaged.db", true), "is damaged");
}


void a_model_that_cannot_be_read_is_refused_and_a_task_is_left_out(void **)
{
    const temporary_folder folder;
    const auto path = filled_journal(folder);
    run_on(path, "INSERT INTO tasks SELECT 100, 'bad', kind, model_id, 'completed', 101, 1, '{\"cut\":' FROM tasks;"
                 "INSERT INTO tasks SELECT 102, '../t', kind, model_id, status, 102, 1, '{}' FROM tasks LIMIT 1;"
                 "INSERT INTO tasks SELECT 103, 't3', kind, model_id, status, 103, 1, '{}' FROM tasks LIMIT 1;");
    std::string found;
    std::uint64_t left_out = 0;
    const auto said = logged([&] {
        journal_source from(path.native());
        found = all_of(from);
        left_out = from.left_out();
    });
    assert_text(found, "1 creates t1 whole\n2 model a\n103 creates t3 whole\n");
    assert_int_equal(left_out, 2);
    assert_holds(said, "\"task_id\":\"bad\"");
    run_on(path, "UPDATE models SET state = '{\"weight\":101}'");
    assert_holds(fault_of(path, true), "entry of model a cannot be read");
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(writes_are_told_in_their_order),
        cmocka_unit_test(the_file_is_left_as_it_is),
        cmocka_unit_test(a_wal_is_read_and_left),
        cmocka_unit_test(what_is_no_journal_of_this_version_is_refused),
        cmocka_unit_test(a_damaged_journal_is_refused),
        cmocka_unit_test(a_model_that_cannot_be_read_is_refused_and_a_task_is_left_out),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
