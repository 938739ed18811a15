#include "worker/journal/sqlite/journal_replica.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "tests/unit/test_loop.hpp"
#include "tests/unit/worker/journal/sqlite/opened_journal.hpp"
#include "worker/journal/sqlite/packed_text.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

using rollout::journal_replica;
using rollout::outcome;
using rollout::replica_changes;
using rollout::replica_position;
using rollout::task_kind;
using rollout::task_row;
using rollout::task_status;

std::shared_ptr<const replica_changes> shared(replica_changes changes)
{
    return std::make_shared<const replica_changes>(std::move(changes));
}

/// A replica on a loop of its own, asked and answered in one call.
struct opened_replica {
    explicit opened_replica(const std::filesystem::path &path)
        : replica(std::make_unique<rollout::journal_replica>(loop.get(), path.native()))
    {
    }
    ~opened_replica()
    {
        loop.run_until([this] { return !replica->busy(); });
    }

    rollout::journal_replica *operator->() { return replica.get(); }

    outcome apply(replica_changes changes, std::uint64_t revision, const std::string &mark = "m")
    {
        return await([&](rollout::done_fn done) {
            replica->apply(shared(std::move(changes)), replica->position().revision, {id, 7, revision, mark},
                           std::move(done));
        });
    }

    outcome await(const std::function<void(rollout::done_fn)> &begin)
    {
        std::optional<outcome> result;
        begin([&](const outcome &ended) { result = ended; });
        loop.run_until([&] { return result.has_value(); });
        return *result;
    }

    std::optional<task_row> find(const std::string &task_id)
    {
        std::optional<std::optional<task_row>> answer;
        replica->read().find(task_id, [&](const outcome &ended, const std::optional<task_row> &row) {
            assert_true(static_cast<bool>(ended));
            answer = row;
        });
        loop.run_until([&] { return answer.has_value(); });
        return *answer;
    }

    std::optional<task_row> find_latest(const std::string &model_id)
    {
        std::optional<std::optional<task_row>> answer;
        replica->read().find_latest(task_kind::deploy, model_id,
                                    [&](const outcome &, const std::optional<task_row> &row) { answer = row; });
        loop.run_until([&] { return answer.has_value(); });
        return *answer;
    }

    std::vector<task_row> all()
    {
        std::optional<std::vector<task_row>> answer;
        replica->read().read_after(0, 1 << 30, [&](const outcome &ended, const std::vector<task_row> &rows) {
            assert_true(static_cast<bool>(ended));
            answer = rows;
        });
        loop.run_until([&] { return answer.has_value(); });
        return *answer;
    }

    std::vector<rollout::model> models()
    {
        std::optional<std::vector<rollout::model>> answer;
        replica->read().list_all_models("", 100, [&](const outcome &ended, std::vector<rollout::model> found, bool) {
            assert_true(static_cast<bool>(ended));
            answer = std::move(found);
        });
        loop.run_until([&] { return answer.has_value(); });
        return *answer;
    }

    std::vector<task_row> unfinished()
    {
        std::optional<std::vector<task_row>> answer;
        replica->read().list_unfinished(0, 1 << 30, [&](const outcome &ended, std::vector<task_row> found, bool) {
            assert_true(static_cast<bool>(ended));
            answer = std::move(found);
        });
        loop.run_until([&] { return answer.has_value(); });
        return *answer;
    }

    /// The document of a task's series; empty: there is none.
    std::string series(const std::string &task_id)
    {
        std::optional<std::string> answer;
        replica->read().find_series(task_id,
                                    [&](const outcome &, const std::optional<rollout::stored_series> &found) {
                                        answer = found.value().document;
                                    });
        loop.run_until([&] { return answer.has_value(); });
        return *answer;
    }

    test_loop loop;
    std::unique_ptr<rollout::journal_replica> replica;
    std::string id = std::string(32, 'a');
};


std::string packed(const std::string &document)
{
    return rollout::pack_text(document);
}


rollout::replica_task row(const std::string &task_id, std::uint64_t sequence, std::uint64_t revision,
                          task_status status = task_status::pending, const std::string &model_id = "m")
{
    auto task = task_of_model(task_id, model_id);
    task.sequence = sequence;
    task.status = status;
    task.detail = "at " + std::to_string(revision);
    return {rollout::row_of(task, revision), 1000};
}


rollout::replica_model model_row(const std::string &model_id, std::uint64_t revision)
{
    return {model_id, revision, rollout::json_compact(rollout::model_to_json(placed_model(model_id)).get())};
}


void changes_are_there_with_their_position_also_after_a_restart(void **)
{
    const temporary_folder folder;
    {
        opened_replica replica(folder / "replica.db");
        assert_true(replica->position() == replica_position());
        assert_true(static_cast<bool>(
            replica.apply({{row("t1", 256, 256), row("t2", 257, 257)}, {model_row("m", 256)}, {}}, 511, "first")));
        assert_true(static_cast<bool>(
            replica.apply({{row("t1", 256, 600, task_status::in_progress)}, {}, {}}, 767, "second")));
        assert_true((replica->position() == replica_position{replica.id, 7, 767, "second"}));
        assert_int_equal(replica->count_unfinished(), 2);
    }
    opened_replica replica(folder / "replica.db");
    assert_true((replica->position() == replica_position{replica.id, 7, 767, "second"}));
    const auto found = replica.find("t1");
    assert_true(found->status == task_status::in_progress);
    assert_int_equal(found->sequence, 256);
    assert_int_equal(found->revision, 600);
    const auto rows = replica.all();
    assert_int_equal(rows.size(), 2);
    assert_text(rows[0].task_id, "t2");
    assert_text(rows[1].task_id, "t1");
    assert_int_equal(replica.models().at(0).route_revision, 256);
    assert_int_equal(replica.unfinished().at(0).sequence, 256);
    assert_int_equal(replica.unfinished().at(1).sequence, 257);
    assert_text(replica.find_latest("m")->task_id, "t2");
}


void removed_tasks_are_gone_and_an_id_may_come_again(void **)
{
    const temporary_folder folder;
    opened_replica replica(folder / "replica.db");
    replica.apply({{row("t1", 256, 256, task_status::completed), row("t2", 257, 257)}, {}, {}}, 511);
    replica.apply({{}, {}, {"t1", "never there"}}, 767);
    assert_false(replica.find("t1").has_value());
    assert_true(replica.find("t2").has_value());
    // Its removal may never be told.
    replica.apply({{row("t2", 1024, 1024)}, {}, {}}, 1279);
    assert_int_equal(replica.all().size(), 1);
    assert_int_equal(replica.find("t2")->sequence, 1024);
}


void changes_that_build_on_others_are_not_there_without_them(void **)
{
    const temporary_folder folder;
    opened_replica replica(folder / "replica.db");
    replica.apply({{row("t1", 256, 256)}, {}, {}}, 511);
    std::vector<bool> applied;
    const auto told = [&applied](const outcome &ended) { applied.push_back(static_cast<bool>(ended)); };
    replica->apply(shared({{row("t2", 512, 512)}, {}, {}}), 511, {replica.id, 7, 767, "a"}, told);
    replica->apply(shared({{row("t3", 768, 768)}, {}, {}}), 767, {replica.id, 7, 1023, "b"}, told);
    replica->apply(shared({{row("t9", 9000, 9000)}, {}, {}}), 8191, {replica.id, 7, 9215, "d"}, told);
    replica->apply(shared({{row("t4", 1024, 1024)}, {}, {}}), 1023, {replica.id, 7, 1279, "c"}, told);
    replica.loop.run_until([&] { return applied.size() == 4; });
    assert_true((applied == std::vector<bool>{true, true, false, true}));
    assert_int_equal(replica.all().size(), 4);
    assert_int_equal(replica->count_unfinished(), 4);
    assert_text(replica->position().mark, "c");
}


void a_series_comes_with_its_task_and_goes_with_it(void **)
{
    const temporary_folder folder;
    opened_replica replica(folder / "replica.db");
    replica.apply({.tasks = {row("t1", 256, 256), row("t2", 257, 257)},
                   .series = {{"t1", packed("one")}, {"t2", packed("two")}, {"t3", packed("of no task")}}},
                  511);
    assert_text(replica.series("t1"), "one");
    assert_text(replica.series("t2"), "two");
    replica.apply({.series = {{"t1", packed("newer")}}}, 767);
    assert_text(replica.series("t1"), "newer");
    replica.apply({.removed_series = {"t2", "nobody"}}, 1023);
    assert_text(replica.series("t2"), "");
    replica.apply({.removed = {"t1"}, .removed_series = {"t1"}}, 1279);
    replica.apply({.tasks = {row("t1", 2000, 2000)}}, 2047);
    assert_text(replica.series("t1"), "");
}


void a_shadow_takes_the_place_of_all_when_it_is_whole(void **)
{
    const temporary_folder folder;
    opened_replica replica(folder / "replica.db");
    replica.apply({{row("same", 256, 300), row("changed", 257, 257), row("gone", 258, 258), row("other", 259, 259)},
                   {model_row("m", 1), model_row("gone", 2)},
                   {}},
                  511);
    replica.apply({.series = {{"same", packed("same")}, {"changed", packed("before")}, {"gone", packed("x")}}}, 767);
    const auto ok = [](const outcome &result) { assert_true(static_cast<bool>(result)); };
    replica->begin_shadow(ok);
    replica->add_to_shadow({.series = {{"same", packed("same")},
                                       {"changed", packed("after")},
                                       {"new", packed("new")},
                                       {"of no task", packed("x")}}},
                           ok);
    replica->add_to_shadow({{row("same", 256, 300), row("changed", 257, 700, task_status::completed)}, {}, {}}, ok);
    assert_true(static_cast<bool>(replica.await([&](rollout::done_fn done) {
        replica->add_to_shadow({{row("new", 800, 800), row("other", 900, 900)}, {model_row("m", 700)}, {}},
                               std::move(done));
    })));
    assert_true(replica.find("gone").has_value()); // not yet
    assert_text(replica.series("gone"), "x");
    assert_int_equal(replica->position().revision, 767);

    const std::string other(32, 'b');
    assert_true(static_cast<bool>(replica.await([&](rollout::done_fn done) {
        replica->swap_shadow({other, 8, 1023, "shadow"}, std::move(done));
    })));
    assert_true((replica->position() == replica_position{other, 8, 1023, "shadow"}));
    assert_int_equal(replica.all().size(), 4);
    assert_false(replica.find("gone").has_value());
    assert_int_equal(replica.find("same")->revision, 300);
    assert_int_equal(replica.find("changed")->revision, 700);
    assert_int_equal(replica.find("other")->sequence, 900);
    assert_int_equal(replica.models().size(), 1);
    assert_int_equal(replica->count_unfinished(), 3);
    assert_text(replica.series("same"), "same");
    assert_text(replica.series("changed"), "after");
    assert_text(replica.series("new"), "new");
    assert_text(replica.series("other"), "");
    // It goes on from there, and another one can begin.
    replica.apply({{row("next", 1024, 1024)}, {}, {}}, 1279);
    replica->begin_shadow(ok);
    assert_true(static_cast<bool>(replica.await([&](rollout::done_fn done) {
        replica->swap_shadow({other, 8, 1535, "empty"}, std::move(done));
    })));
    assert_int_equal(replica.all().size(), 0);
    assert_int_equal(replica->count_unfinished(), 0);
}


void a_shadow_that_was_never_whole_does_no_harm(void **)
{
    const temporary_folder folder;
    {
        opened_replica replica(folder / "replica.db");
        replica.apply({{row("t1", 256, 256)}, {}, {}}, 511);
        replica->begin_shadow([](const outcome &) {});
        replica->add_to_shadow({{row("t2", 257, 257)}, {}, {}}, [](const outcome &) {});
    }
    opened_replica replica(folder / "replica.db");
    assert_int_equal(replica.all().size(), 1);
    replica->begin_shadow([](const outcome &) {});
    replica.await([&](rollout::done_fn done) { replica->swap_shadow({replica.id, 7, 511, "x"}, std::move(done)); });
    assert_int_equal(replica.all().size(), 0);
}


void a_journal_is_not_taken_for_a_replica_nor_the_other_way(void **)
{
    const temporary_folder folder;
    const auto fault_of = [](const auto &open) {
        try {
            open();
        } catch (const std::runtime_error &error) {
            return std::string(error.what());
        }
        return std::string();
    };
    const auto of_journal = filled_journal(folder);
    assert_holds(fault_of([&] { opened_replica replica(of_journal); }), "is a journal, not a replica");
    assert_true(opened_journal(of_journal).find("t1").has_value());
    const auto of_replica = folder / "replica.db";
    {
        opened_replica replica(of_replica);
        replica.apply({{row("t1", 256, 256)}, {}, {}}, 511);
    }
    assert_holds(fault_of([&] { opened_journal journal(of_replica); }), "is a replica of a journal in etcd");
    assert_int_equal(opened_replica(of_replica).all().size(), 1);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_there_with_their_position_also_after_a_restart),
        cmocka_unit_test(removed_tasks_are_gone_and_an_id_may_come_again),
        cmocka_unit_test(changes_that_build_on_others_are_not_there_without_them),
        cmocka_unit_test(a_series_comes_with_its_task_and_goes_with_it),
        cmocka_unit_test(a_shadow_takes_the_place_of_all_when_it_is_whole),
        cmocka_unit_test(a_shadow_that_was_never_whole_does_no_harm),
        cmocka_unit_test(a_journal_is_not_taken_for_a_replica_nor_the_other_way),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
