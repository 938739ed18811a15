// The series of deployments in the journal: how many stay, and what becomes of one that cannot be read.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/logged.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "tests/unit/worker/journal/sqlite/written_file.hpp"
#include "worker/journal/sqlite/reads.hpp"

#include <optional>
#include <string>

namespace {

using rollout::journal;
using rollout::outcome;
using rollout::task_kind;
namespace reads = rollout::reads;
namespace writes = rollout::writes;

struct series_file : written_file {
    void keep(const std::string &task_id, const std::string &model_id, const std::string &document)
    {
        write(writes::save_series(task_id, model_id, document, [](const outcome &) {}));
    }

    std::string found(const std::string &task_id)
    {
        const auto series = reads::find_series(database, task_id);
        return series ? series->model_id + " " + series->document : "no deployment";
    }

    std::int64_t count() { return database.number("SELECT count(*) FROM series"); }
};


void the_last_one_is_found_with_its_model(void **)
{
    series_file file;
    file.create(task_of_model("t1", "a"));
    assert_text(file.found("t1"), "a ");
    file.keep("t1", "a", "first");
    file.keep("t1", "a", "second");
    assert_text(file.found("t1"), "a second");
    assert_int_equal(file.count(), 1);
    assert_int_equal(file.statements.revision, 1); // it is no news
}


void a_deletion_and_an_unknown_task_have_none(void **)
{
    series_file file;
    file.create(ended_task("gone", "a", 10, task_kind::remove));
    assert_text(file.found("gone"), "no deployment");
    assert_text(file.found("nobody"), "no deployment");
    file.keep("nobody", "a", "of a task that was purged");
    assert_int_equal(file.count(), 0);
}


void a_model_keeps_those_of_its_last_twenty(void **)
{
    series_file file;
    for (int i = 0; i < 25; ++i) {
        for (const char *model_id : {"a", "b"}) {
            const std::string task_id = model_id + std::to_string(i);
            file.create(task_of_model(task_id, model_id));
            if (i < 22 || model_id[0] == 'a') {
                file.keep(task_id, model_id, "x");
            }
        }
    }
    assert_int_equal(file.count(), 2 * journal::series_of_model);
    assert_text(file.found("a4"), "a ");
    assert_text(file.found("a5"), "a x");
    assert_text(file.found("b1"), "b ");
    assert_text(file.found("b2"), "b x"); // those that have one are counted
}


void a_thousand_stay_in_all(void **)
{
    series_file file;
    for (int i = 0; i < 1010; ++i) {
        const std::string name = std::to_string(i);
        file.create(task_of_model("t" + name, "m" + name));
        file.keep("t" + name, "m" + name, "x");
    }
    assert_int_equal(file.count(), journal::series_in_all);
    assert_text(file.found("t9"), "m9 ");
    assert_text(file.found("t10"), "m10 x");
}


/// In etcd, the leader removes them, and not the file.
void those_beyond_the_bounds_are_named(void **)
{
    series_file file;
    for (int i = 0; i < 1005; ++i) {
        const std::string name = std::to_string(i);
        file.create(task_of_model("t" + name, i < 30 ? "m" : "m" + name));
    }
    file.database.run("INSERT INTO series SELECT sequence, model_id, 'x' FROM tasks");
    assert_int_equal(file.count(), 1005);
    const auto beyond = reads::series_beyond(file.database, "m", 100);
    assert_int_equal(beyond.size(), 10);
    assert_text(beyond[0], "t0");
    assert_text(beyond[9], "t9");
    assert_int_equal(reads::series_beyond(file.database, "m7", 100).size(), 5);
    assert_int_equal(reads::series_beyond(file.database, "m", 3).size(), 3);
}


void a_purged_task_takes_its_series_along(void **)
{
    series_file file;
    file.create(ended_task("t1", "a", 10));
    file.keep("t1", "a", "x");
    file.write(writes::purge({}, 1000, 10, [](const auto &...) {}));
    assert_text(file.found("t1"), "no deployment");
    assert_int_equal(file.count(), 0);
}


void a_damaged_one_is_logged_and_left_out(void **)
{
    series_file file;
    file.create(task_of_model("t1", "a"));
    file.keep("t1", "a", "x");
    file.database.run("UPDATE series SET content = x'0102'");
    std::string found;
    const auto said = logged([&] { found = file.found("t1"); });
    assert_text(found, "a ");
    assert_holds(said, "cannot be read");
    assert_holds(said, R"("task_id":"t1")");
}


void who_writes_hears_that_it_failed(void **)
{
    std::optional<outcome> how;
    const auto write = writes::save_series("t", "m", "x", [&](const outcome &ended) { how = ended; });
    write->end(outcome::transient("the disk is full"));
    assert_text(how->detail, "the disk is full");
    assert_text(write->name(), "save_series");
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_last_one_is_found_with_its_model),
        cmocka_unit_test(a_deletion_and_an_unknown_task_have_none),
        cmocka_unit_test(a_model_keeps_those_of_its_last_twenty),
        cmocka_unit_test(a_thousand_stay_in_all),
        cmocka_unit_test(those_beyond_the_bounds_are_named),
        cmocka_unit_test(a_purged_task_takes_its_series_along),
        cmocka_unit_test(a_damaged_one_is_logged_and_left_out),
        cmocka_unit_test(who_writes_hears_that_it_failed),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
