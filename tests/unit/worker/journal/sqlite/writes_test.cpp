#include "tests/unit/cmocka.hpp"
#include "tests/unit/logged.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "tests/unit/worker/journal/sqlite/written_file.hpp"

#include <optional>

namespace {

using rollout::journal;
using rollout::outcome;
using rollout::task;
using rollout::task_row;
using rollout::task_status;
using rollout::write_ptr;
namespace writes = rollout::writes;

/// A creation, and what its end said.
struct creation {
    explicit creation(const task &wanted, bool only_find = false)
        : write(writes::create(wanted, only_find,
                               [this](const outcome &ended, journal::creation is, const task_row &row) {
                                   how = ended;
                                   became = is;
                                   of = row;
                               }))
    {
    }

    outcome how;
    std::optional<journal::creation> became;
    task_row of;
    write_ptr write;
};

void a_new_task_takes_the_next_revision_and_is_news(void **)
{
    written_file journal;
    journal.create(task_of_model("t1", "a"));
    creation second(task_of_model("t2", "a"));
    journal.write(second.write);
    assert_true(second.became == journal::creation::created);
    assert_int_equal(second.of.revision, 2);
    assert_int_equal(second.of.sequence, 2);
    assert_int_equal(journal.statements.revision, 2);
    assert_non_null(second.write->news());
    assert_text(second.write->news()->task_id, "t2");
}

void a_task_whose_id_is_taken_takes_no_revision_and_is_no_news(void **)
{
    written_file journal;
    journal.create(task_of_model("t1", "a"));
    creation again(task_of_model("t1", "a"));
    journal.write(again.write);
    creation other(task_of_model("t1", "b"));
    journal.write(other.write);
    assert_true(again.became == journal::creation::existed);
    assert_true(other.became == journal::creation::conflict);
    assert_text(other.of.model_id, "a"); // the one that has the id
    assert_int_equal(journal.statements.revision, 1);
    assert_null(again.write->news());
    assert_null(other.write->news());
}

void a_look_says_what_is_there_and_stores_nothing(void **)
{
    written_file journal;
    creation first(task_of_model("t1", "a"), true);
    journal.write(first.write);
    assert_true(first.became == journal::creation::absent);
    journal.create(task_of_model("t1", "a"));
    creation second(task_of_model("t1", "a"), true);
    journal.write(second.write);
    assert_true(second.became == journal::creation::existed);
    assert_int_equal(journal.statements.revision, 1);
}

void a_task_is_saved_with_its_model_in_one_revision_and_a_model_alone_is_no_news(void **)
{
    written_file journal;
    journal.create(task_of_model("t1", "a"));
    task changed = ended_task("t1", "a", 7);
    const auto model = placed_model("a");
    std::uint64_t saved_as = 0;
    const auto note = [&](const outcome &, std::uint64_t revision) { saved_as = revision; };

    const auto both = writes::save(changed, &model, note);
    journal.write(both);
    assert_int_equal(saved_as, 2);
    assert_int_equal(both->news()->revision, 2);
    assert_true(both->news()->status == task_status::completed);
    assert_int_equal(journal.database.number("SELECT revision FROM models WHERE model_id = 'a'"), 2);
    assert_int_equal(journal.database.number("SELECT revision FROM tasks WHERE task_id = 't1'"), 2);

    const auto alone = writes::save_model(model, note);
    journal.write(alone);
    assert_int_equal(saved_as, 3);
    assert_null(alone->news());
    assert_int_equal(journal.database.number("SELECT revision FROM models WHERE model_id = 'a'"), 3);
}

void who_asked_hears_that_the_transaction_failed(void **)
{
    creation lost(task_of_model("t1", "a"));
    lost.write->end(outcome::transient("the disk is full"));
    assert_true(lost.how.is == outcome::kind::transient);
    assert_text(lost.how.detail, "the disk is full");
}

void a_gateway_that_could_not_be_noted_is_logged_with_its_name(void **)
{
    const auto write = writes::remember_gateway("g1", "processes");
    const auto said = logged([&] { write->end(outcome::transient("the disk is full")); });
    assert_holds(said, "A gateway could not be recorded in the journal: the disk is full");
    assert_holds(said, R"("gateway":"g1")");
}

void a_purge_that_finds_nothing_old_takes_no_revision(void **)
{
    written_file journal;
    journal.create(ended_task("t1", "a", 2000));
    std::optional<rollout::purge_step> done;
    const auto purge = [&](std::int64_t before_us) {
        journal.write(
            writes::purge({}, before_us, 10, [&](const outcome &, const rollout::purge_step &step) { done = step; }));
    };
    purge(1000);
    assert_int_equal(done->removed, 0);
    assert_false(done->more);
    purge(3000); // nothing of the model stands anywhere
    assert_int_equal(done->removed, 1);
    assert_int_equal(journal.statements.revision, 1);
}

void each_has_the_name_of_its_failpoints(void **)
{
    const auto model = placed_model("a");
    const task of_it = task_of_model("t1", "a");
    const auto nothing = [](const auto &...) {};
    assert_text(writes::create(of_it, false, nothing)->name(), "create");
    assert_text(writes::create(of_it, true, nothing)->name(), "find");
    assert_text(writes::save(of_it, nullptr, nothing)->name(), "save");
    assert_text(writes::save(of_it, &model, nothing)->name(), "save");
    assert_text(writes::save_model(model, nothing)->name(), "save_model");
    assert_text(writes::remember_gateway("g", "")->name(), "remember_gateway");
    assert_text(writes::forget_gateway("g")->name(), "forget_gateway");
    assert_text(writes::purge({}, 0, 1, nothing)->name(), "purge");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_new_task_takes_the_next_revision_and_is_news),
        cmocka_unit_test(a_task_whose_id_is_taken_takes_no_revision_and_is_no_news),
        cmocka_unit_test(a_look_says_what_is_there_and_stores_nothing),
        cmocka_unit_test(a_task_is_saved_with_its_model_in_one_revision_and_a_model_alone_is_no_news),
        cmocka_unit_test(who_asked_hears_that_the_transaction_failed),
        cmocka_unit_test(a_gateway_that_could_not_be_noted_is_logged_with_its_name),
        cmocka_unit_test(a_purge_that_finds_nothing_old_takes_no_revision),
        cmocka_unit_test(each_has_the_name_of_its_failpoints),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
