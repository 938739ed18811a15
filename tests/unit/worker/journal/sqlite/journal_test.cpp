#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/journal/sqlite/opened_journal.hpp"

#include <array>
#include <map>

namespace {

using rollout::journal;
using rollout::model;
using rollout::outcome;
using rollout::sqlite_database;
using rollout::task;
using rollout::task_kind;
using rollout::task_row;
using rollout::task_status;

void a_task_is_created_with_the_next_revision(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    assert_int_equal(journal->revision(), 0);
    const auto first = journal.create(task_of_model("t1", "a"));
    const auto second = journal.create(task_of_model("t2", "b"));
    assert_true(first.how == journal::creation::created);
    assert_int_equal(first.row.sequence, 1);
    assert_int_equal(first.row.revision, 1);
    assert_int_equal(second.row.sequence, 2);
    assert_int_equal(journal->revision(), 2);
    assert_text(first.row.task_id, "t1");
    assert_true(first.row.status == task_status::pending);
    const auto read = rollout::task_of(first.row);
    assert_true(read.has_value());
    assert_text(read->model_id, "a");
}

void the_same_id_with_the_same_body_is_the_task_that_exists(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    task wanted = task_of_model("t1", "a");
    wanted.config = shared_json_of(R"({"x": 1, "y": [1.5, "\u0000"]})");
    journal.create(wanted);

    wanted.config = shared_json_of(R"({"y": [1.5, "\u0000"], "x": 1})");
    wanted.created_us = wanted.updated_us = 77;
    const auto again = journal.create(wanted);
    assert_true(again.how == journal::creation::existed);
    assert_int_equal(again.row.sequence, 1);
    assert_int_equal(rollout::task_of(again.row)->created_us, 1000000);
    assert_int_equal(journal->revision(), 1);
}

void the_same_id_with_another_body_is_a_conflict(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    journal.create(task_of_model("t1", "a"));

    std::vector<task> others(5, task_of_model("t1", "a"));
    others[0].kind = task_kind::remove;
    others[1].model_id = "b";
    others[2].parent_id = "p";
    others[3].config = shared_json_of(R"({"x": 1})");
    others[4].config = nullptr;
    for (const auto &other : others) {
        const auto answer = journal.create(other);
        assert_true(answer.how == journal::creation::conflict);
    }
    assert_int_equal(journal->revision(), 1);
    assert_text(rollout::task_of(*journal.find("t1"))->model_id, "a");
}

void a_look_creates_nothing(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    assert_true(journal.create(task_of_model("t1", "a"), true).how == journal::creation::absent);
    assert_false(journal.find("t1").has_value());
    journal.create(task_of_model("t1", "a"));
    assert_true(journal.create(task_of_model("t1", "a"), true).how == journal::creation::existed);
    assert_true(journal.create(task_of_model("t1", "b"), true).how == journal::creation::conflict);
    assert_int_equal(journal->revision(), 1);
}

void tasks_of_one_batch_know_each_other(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    std::vector<journal::creation> all;
    for (const char *model_id : {"a", "a", "b"}) {
        journal->create(task_of_model("t1", model_id), false,
                        [&](const outcome &ended, journal::creation how, const task_row &) {
                            assert_true(static_cast<bool>(ended));
                            all.push_back(how);
                        });
    }
    journal.loop.run_until([&] { return all.size() == 3; });
    assert_true(all[0] == journal::creation::created);
    assert_true(all[1] == journal::creation::existed);
    assert_true(all[2] == journal::creation::conflict);
    assert_int_equal(journal->revision(), 1);
}

void each_change_gets_a_revision_that_is_larger(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    task one = rollout::task_of(journal.create(task_of_model("t1", "a")).row).value();
    std::uint64_t last = one.revision;
    for (int i = 0; i < 5; ++i) {
        const auto revision = journal.save(one);
        assert_true(revision > last);
        last = revision;
    }
    model of;
    of.model_id = "a";
    assert_true(journal.save_model(of) > last);
    assert_int_equal(journal->revision(), last + 1);
    assert_int_equal(journal.find("t1")->revision, last);
    assert_int_equal(journal.find("t1")->sequence, 1);
}

void a_steps_state_is_there_after_a_restart(void **)
{
    const temporary_folder folder;
    {
        opened_journal journal(folder / "journal.db");
        task one = rollout::task_of(journal.create(task_of_model("t1", "a")).row).value();
        one.status = task_status::in_progress;
        one.step = "load";
        one.steps = {{"fetch", rollout::step_state::done, 1, 5, 6, "2 files"},
                     {"load", rollout::step_state::running, 3, 7, 0, "not yet"}};
        model of;
        of.model_id = "a";
        of.last_revision = 4;
        of.incoming.emplace();
        of.incoming->upstream = "inference";
        of.incoming->copies = {{"a__r4", {""}, nullptr}};
        of.incoming->load_begun = true;
        journal.save(one, &of);
    }
    opened_journal journal(folder / "journal.db");
    const auto row = journal.find("t1");
    assert_true(row->status == task_status::in_progress);
    const auto read = rollout::task_of(*row);
    assert_text(read->step, "load");
    assert_int_equal(read->steps.size(), 2);
    assert_true(read->steps[0].state == rollout::step_state::done);
    assert_int_equal(read->steps[1].attempts, 3);
    assert_text(read->steps[1].detail, "not yet");

    const auto models = journal.models();
    assert_int_equal(models.size(), 1);
    assert_text(models[0].model_id, "a");
    assert_int_equal(models[0].last_revision, 4);
    assert_int_equal(models[0].route_revision, 2);
    assert_text(models[0].incoming->copies.at(0).model, "a__r4");
    assert_true(models[0].incoming->load_begun);
}

void a_journal_keeps_its_id_and_counts_on_after_a_restart(void **)
{
    const temporary_folder folder;
    std::string id;
    {
        opened_journal journal(folder / "journal.db");
        id = journal->id();
        journal.create(task_of_model("t1", "a"));
    }
    opened_journal journal(folder / "journal.db");
    assert_text(journal->id(), id);
    assert_int_equal(id.size(), 32);
    assert_int_equal(journal->revision(), 1);
    assert_int_equal(journal.create(task_of_model("t2", "a")).row.revision, 2);

    opened_journal other(folder / "other.db");
    assert_true(other->id() != id);
}

void the_counter_does_not_go_back_when_the_last_rows_are_gone(void **)
{
    const temporary_folder folder;
    {
        opened_journal journal(folder / "journal.db");
        for (const char *id : {"t1", "t2"}) {
            journal.create(ended_task(id, "a", 10));
        }
        journal.save_model(placed_model("a"));
        assert_int_equal(journal.purge(1000).removed, 1);
    }
    opened_journal journal(folder / "journal.db");
    assert_int_equal(journal.create(task_of_model("t3", "a")).row.revision, 4);
}

void what_is_unfinished_comes_in_the_order_of_acceptance(void **)
{
    const temporary_folder folder;
    {
        opened_journal journal(folder / "journal.db");
        for (const char *id : {"t1", "t2", "t3", "t4"}) {
            journal.create(task_of_model(id, "a"));
        }
        task first = rollout::task_of(*journal.find("t1")).value();
        first.status = task_status::in_progress;
        journal.save(first);
        task third = rollout::task_of(*journal.find("t3")).value();
        third.status = task_status::refused;
        journal.save(third);
    }
    opened_journal journal(folder / "journal.db");
    const auto rows = journal.unfinished();
    assert_int_equal(rows.size(), 3);
    assert_text(rows[0].task_id, "t1");
    assert_text(rows[1].task_id, "t2");
    assert_text(rows[2].task_id, "t4");
}

void the_latest_of_a_kind_is_found_by_its_model(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    journal.create(task_of_model("t1", "a"));
    journal.create(task_of_model("t2", "a"));
    journal.create(task_of_model("t3", "b"));
    journal.create(task_of_model("t4", "a", task_kind::remove));
    task first = rollout::task_of(*journal.find("t1")).value();
    journal.save(first); // changed last, but accepted first

    assert_text(journal.find_latest(task_kind::deploy, "a")->task_id, "t2");
    assert_text(journal.find_latest(task_kind::remove, "a")->task_id, "t4");
    assert_false(journal.find_latest(task_kind::remove, "b").has_value());
    assert_false(journal.find_latest(task_kind::deploy, "c").has_value());
    assert_false(journal.find("t5").has_value());
}

void what_changed_after_a_revision_is_read_in_pages(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    std::vector<std::string> ids;
    for (int i = 1; i <= 10; ++i) {
        ids.push_back("t" + std::to_string(i));
        journal.create(task_of_model(ids.back(), "a"));
    }
    journal.save(rollout::task_of(*journal.find("t2")).value());

    const std::size_t one_document = journal.find("t1")->document.size();
    std::vector<std::string> seen;
    std::uint64_t at = 0;
    for (int pages = 0;; ++pages) {
        const auto rows = journal.read_after(at, one_document * 3);
        if (rows.empty()) {
            assert_true(pages >= 3);
            break;
        }
        assert_true(rows.size() <= 4);
        for (const auto &row : rows) {
            assert_true(row.revision > at);
            at = row.revision;
            seen.push_back(row.task_id);
        }
    }
    assert_int_equal(at, journal->revision());
    assert_int_equal(seen.size(), 10);
    assert_text(seen.front(), "t1");
    assert_text(seen[1], "t3");
    assert_text(seen.back(), "t2");
    assert_true(journal.read_after(journal->revision(), 1000).empty());
    assert_int_equal(journal.read_after(0, 1).size(), 1);
}

void each_task_is_read_once_where_it_changed_last_whatever_became_of_it(void **)
{
    constexpr std::array statuses{task_status::pending, task_status::in_progress, task_status::completed};
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    std::map<std::uint64_t, std::string> expected; // by revision
    std::vector<std::string> to_change;
    for (std::size_t i = 0; i < 24; ++i) {
        const std::string id = "t" + std::to_string(i);
        auto one = task_of_model(id, "a", i % 2 == 0 ? task_kind::deploy : task_kind::remove);
        one.status = i % 8 == 7 ? task_status::completed : task_status::pending; // as a fill from elsewhere has them
        expected[journal.create(one).row.revision] = id;
        if (i % 4 > 1) {
            to_change.push_back(id);
        }
        if (i % 6 == 5) {
            auto now = rollout::task_of(*journal.find(to_change.front())).value();
            std::erase_if(expected, [&](const auto &known) { return known.second == now.task_id; });
            now.status = statuses.at(i / 6 % statuses.size());
            expected[journal.save(now)] = now.task_id;
            to_change.erase(to_change.begin());
        }
    }
    for (const std::size_t page : {1, 500, 1 << 20}) {
        std::map<std::uint64_t, std::string> seen;
        std::uint64_t at = 0;
        for (auto rows = journal.read_after(at, page); !rows.empty(); rows = journal.read_after(at, page)) {
            for (const auto &row : rows) {
                assert_true(row.revision > at);
                at = row.revision;
                seen[at] = row.task_id;
            }
        }
        assert_true(seen == expected);
    }
}

void news_come_after_each_commit_in_their_order(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    std::uint64_t known = 0;
    std::vector<std::string> news;
    journal->on_commit = [&](const rollout::journal_news &is) {
        assert_int_equal(is.before, known);
        for (const auto &row : is.rows) {
            assert_true(row.revision > known && row.revision <= is.now);
            assert_int_equal(rollout::is_new(row), row.status == task_status::pending);
            known = row.revision;
            news.push_back(row.task_id + " " + std::string(rollout::status_name(row.status)));
        }
        for (const auto &changed : is.models) {
            assert_true(changed.route_revision > is.before && changed.route_revision <= is.now);
            news.push_back("model " + changed.model_id + " " + std::to_string(changed.last_revision));
        }
        known = is.now;
    };
    journal.create(task_of_model("t1", "a"));
    journal.create(task_of_model("t1", "a"));
    task one = rollout::task_of(*journal.find("t1")).value();
    one.status = task_status::in_progress;
    journal.save(one);
    model of;
    of.model_id = "a";
    journal.save_model(of);
    of.last_revision = 7;
    journal.save(one, &of);
    journal.create(task_of_model("t2", "a"));
    assert_int_equal(known, journal->revision());
    assert_int_equal(news.size(), 6);
    assert_text(news[0], "t1 pending");
    assert_text(news[1], "t1 in_progress");
    assert_text(news[2], "model a 0");
    assert_text(news[3], "t1 in_progress");
    assert_text(news[4], "model a 7");
    assert_text(news[5], "t2 pending");
}

void gateways_are_remembered_until_they_are_forgotten(void **)
{
    const temporary_folder folder;
    {
        opened_journal journal(folder / "journal.db");
        for (const char *id : {"g1", "g2", "g1"}) {
            journal->remember_gateway(id, std::string("processes of ") + id);
        }
        journal->forget_gateway("g2");
        journal->forget_gateway("g3");
    }
    opened_journal journal(folder / "journal.db");
    const auto gateways = journal.gateways();
    assert_int_equal(gateways.size(), 1);
    assert_text(gateways[0].id, "g1");
    assert_text(gateways[0].processes, "processes of g1");
}

void a_purge_takes_old_final_tasks_and_leaves_a_models_latest_of_each_kind(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    journal.save_model(placed_model("a"));
    journal.create(ended_task("old1", "a", 10));
    journal.create(ended_task("old2", "a", 10));
    journal.create(ended_task("deleted1", "a", 10, task_kind::remove));
    journal.create(ended_task("deleted2", "a", 10, task_kind::remove));
    journal.create(ended_task("young1", "b", 2000));
    journal.create(ended_task("young2", "b", 2000));
    task open = task_of_model("open1", "c");
    open.updated_us = 10;
    journal.create(open);
    open.task_id = "open2";
    journal.create(open);
    const auto revision = journal->revision();

    assert_int_equal(journal.purge(1000).removed, 2);
    for (const char *gone : {"old1", "deleted1"}) {
        assert_false(journal.find(gone).has_value());
    }
    for (const char *there : {"old2", "deleted2", "young1", "young2", "open1", "open2"}) {
        assert_true(journal.find(there).has_value());
    }
    assert_int_equal(journal.purge(1000).removed, 0);
    assert_int_equal(journal->revision(), revision);
}

void the_latest_of_a_model_that_stands_nowhere_goes_as_well(void **)
{
    const temporary_folder folder;
    const auto path = folder / "journal.db";
    opened_journal journal(path);
    for (const char *model_id : {"standing", "gone", "unreadable"}) {
        model of = placed_model(model_id);
        journal.save_model(of);
        if (of.model_id == "gone") {
            of.blue.reset();
            journal.save_model(of); // as a deletion leaves it: its last revision's number
        }
        journal.create(ended_task(of.model_id, model_id, 10));
    }
    journal.create(ended_task("nobody", "nobody", 10, task_kind::remove));
    sqlite_database(path.native(), SQLITE_OPEN_READWRITE)
        .run("UPDATE models SET state = '{' WHERE model_id = 'unreadable'");

    assert_int_equal(journal.purge(1000).removed, 2);
    assert_true(journal.find("standing").has_value());
    assert_true(journal.find("unreadable").has_value());
    assert_int_equal(journal.count_tasks(), 2);
}

void a_task_of_exactly_the_retention_stays(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    journal.save_model(placed_model("a"));
    journal.create(ended_task("t1", "a", 1000));
    journal.create(ended_task("t2", "a", 1000));
    assert_int_equal(journal.purge(1000).removed, 0);
    assert_int_equal(journal.purge(1001).removed, 1);
}

void a_purge_goes_in_portions_and_on_from_where_it_was(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    journal.save_model(placed_model("a"));
    journal.save_model(placed_model("b"));
    int created = 0;
    for (int i = 0; i < 61; ++i) { // each third is another model's; some have the same time
        journal->create(ended_task("t" + std::to_string(i), i % 3 == 0 ? "b" : "a", 10 + i / 8), false,
                        [&](const outcome &, journal::creation, const task_row &) { ++created; });
    }
    journal.loop.run_until([&] { return created == 61; });
    assert_int_equal(journal.count_tasks(), 61);

    std::uint64_t removed = 0;
    rollout::purge_step step;
    int steps = 0;
    do {
        step = journal.purge(1000, step.scanned_up_to, 7);
        removed += step.removed;
        ++steps;
        assert_true(step.removed <= 7);
    } while (step.more);
    assert_int_equal(removed, 59);
    assert_int_equal(steps, 9); // nobody is looked at twice: 61 are eight portions and a rest
    assert_int_equal(journal.count_tasks(), 2);
    assert_true(journal.find("t59").has_value() && journal.find("t60").has_value());
    assert_int_equal(journal.purge(1000).removed, 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_created_with_the_next_revision),
        cmocka_unit_test(the_same_id_with_the_same_body_is_the_task_that_exists),
        cmocka_unit_test(the_same_id_with_another_body_is_a_conflict),
        cmocka_unit_test(a_look_creates_nothing),
        cmocka_unit_test(tasks_of_one_batch_know_each_other),
        cmocka_unit_test(each_change_gets_a_revision_that_is_larger),
        cmocka_unit_test(a_steps_state_is_there_after_a_restart),
        cmocka_unit_test(a_journal_keeps_its_id_and_counts_on_after_a_restart),
        cmocka_unit_test(the_counter_does_not_go_back_when_the_last_rows_are_gone),
        cmocka_unit_test(what_is_unfinished_comes_in_the_order_of_acceptance),
        cmocka_unit_test(the_latest_of_a_kind_is_found_by_its_model),
        cmocka_unit_test(what_changed_after_a_revision_is_read_in_pages),
        cmocka_unit_test(each_task_is_read_once_where_it_changed_last_whatever_became_of_it),
        cmocka_unit_test(news_come_after_each_commit_in_their_order),
        cmocka_unit_test(gateways_are_remembered_until_they_are_forgotten),
        cmocka_unit_test(a_purge_takes_old_final_tasks_and_leaves_a_models_latest_of_each_kind),
        cmocka_unit_test(the_latest_of_a_model_that_stands_nowhere_goes_as_well),
        cmocka_unit_test(a_task_of_exactly_the_retention_stays),
        cmocka_unit_test(a_purge_goes_in_portions_and_on_from_where_it_was),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
