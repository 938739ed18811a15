// The lists: pages of tasks, newest first, and of models by name; complete, without repeats.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/journal/sqlite/opened_journal.hpp"

#include <random>
#include <string>
#include <vector>

namespace {

using rollout::model;
using rollout::task_filter;
using rollout::task_kind;
using rollout::task_row;
using rollout::task_status;


std::string ids_of(const opened_journal::page &page)
{
    std::string all;
    for (const auto &row : page.rows) {
        all += (all.empty() ? "" : " ") + row.task_id;
    }
    return all + (page.more ? " …" : "");
}


void tasks_are_listed_newest_first_and_the_next_page_goes_on_where_one_ended(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    for (const char *id : {"t1", "t2", "t3", "t4", "t5"}) {
        journal.create(task_of_model(id, "m"));
    }
    task_filter which;
    const auto first = journal.list(which, 2);
    assert_text(ids_of(first), "t5 t4 …");
    journal.create(task_of_model("t6", "m")); // which comes in meanwhile
    which.before = first.rows.back().sequence;
    const auto second = journal.list(which, 2);
    assert_text(ids_of(second), "t3 t2 …");
    which.before = second.rows.back().sequence;
    assert_text(ids_of(journal.list(which, 2)), "t1");
    which.before = 1;
    assert_text(ids_of(journal.list(which, 2)), "");
}


void a_list_holds_what_was_asked_for(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    journal.create(task_of_model("a1", "a"));
    journal.create(task_of_model("b1", "b"));
    journal.create(task_of_model("x1", "a", task_kind::remove));
    auto done = task_of_model("a1", "a");
    done.status = task_status::completed;
    journal.save(done);

    task_filter which;
    assert_text(ids_of(journal.list(which, 9)), "b1 a1");
    which.model_id = "a";
    assert_text(ids_of(journal.list(which, 9)), "a1");
    which.status = task_status::pending;
    assert_text(ids_of(journal.list(which, 9)), "");
    which.model_id.clear();
    assert_text(ids_of(journal.list(which, 9)), "b1");
    which = {};
    which.kind = task_kind::remove;
    assert_text(ids_of(journal.list(which, 9)), "x1");
}


/// What a look at every task would find, newest first.
std::string all_of(const std::vector<task_row> &tasks, const task_filter &which)
{
    std::string all;
    for (auto at = tasks.rbegin(); at != tasks.rend(); ++at) {
        if (at->kind == which.kind && (!which.status || at->status == *which.status) &&
            (which.model_id.empty() || at->model_id == which.model_id)) {
            all += (all.empty() ? "" : " ") + at->task_id;
        }
    }
    return all;
}


/// Page by page.
std::string listed(opened_journal &journal, task_filter which, std::size_t limit)
{
    std::string all;
    for (bool more = true; more;) {
        const auto page = journal.list(which, limit);
        for (const auto &row : page.rows) {
            all += (all.empty() ? "" : " ") + row.task_id;
            which.before = row.sequence;
        }
        more = page.more;
    }
    return all;
}


/// Every list, and each model's latest.
void compare_all(opened_journal &journal, const std::vector<task_row> &tasks)
{
    for (const auto kind : {task_kind::deploy, task_kind::remove}) {
        for (const std::string model_id : {"", "a", "b", "c", "none"}) {
            task_filter which;
            which.kind = kind;
            which.model_id = model_id;
            for (const std::size_t limit : {1, 7, 1000}) {
                assert_text(listed(journal, which, limit), all_of(tasks, which));
            }
            if (!model_id.empty()) {
                const std::string all = all_of(tasks, which);
                const auto latest = journal.find_latest(kind, model_id);
                assert_text(latest ? latest->task_id : "", all.substr(0, all.find(' ')));
            }
            for (std::size_t i = 0; i < rollout::task_statuses; ++i) {
                which.status = static_cast<task_status>(i);
                assert_text(listed(journal, which, 3), all_of(tasks, which));
            }
        }
    }
}


void lists_and_latest_tasks_are_what_a_look_at_every_task_would_find(void **)
{
    const temporary_folder folder;
    std::mt19937 chance(20261125);
    const auto below = [&chance](unsigned bound) { return static_cast<std::size_t>(chance() % bound); };
    std::vector<task_row> tasks; // in the order of acceptance
    for (int start = 0; start < 3; ++start) {
        opened_journal journal(folder / "journal.db");
        compare_all(journal, tasks); // as it was left
        for (int i = 0; i < 60; ++i) {
            const auto kind = below(3) == 0 ? task_kind::remove : task_kind::deploy;
            const std::string model_id(1, static_cast<char>('a' + below(3)));
            const std::string id = "t" + std::to_string(tasks.size());
            tasks.push_back(journal.create(task_of_model(id, model_id, kind)).row);

            // Any one of them goes on, or comes to its end, whatever was accepted after it.
            auto &changed = tasks[below(static_cast<unsigned>(tasks.size()))];
            if (!is_final(changed.status)) {
                changed.status = static_cast<task_status>(static_cast<std::size_t>(changed.status) + 1 + below(4));
                auto saved = task_of_model(changed.task_id, changed.model_id, changed.kind);
                saved.sequence = changed.sequence;
                saved.status = changed.status;
                journal.save(saved);
            }
        }
        compare_all(journal, tasks);

        std::string open;
        for (const auto &row : journal.unfinished()) {
            open += row.task_id + " ";
        }
        std::string expected;
        for (const auto &row : tasks) {
            expected += is_final(row.status) ? "" : row.task_id + " ";
        }
        assert_text(open, expected);
    }
}


void a_page_ends_before_its_documents_are_too_many_bytes_but_has_one(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    for (const char *id : {"t1", "t2", "t3"}) {
        journal.create(task_of_model(id, "m"));
    }
    const auto size = journal.list({}, 1).rows.front().document.size();
    assert_text(ids_of(journal.list({}, 9, 2 * size)), "t3 t2 …");
    assert_text(ids_of(journal.list({}, 9, 1)), "t3 …");
}


void models_are_listed_by_name_and_those_that_are_gone_are_left_out(void **)
{
    const temporary_folder folder;
    opened_journal journal(folder / "journal.db");
    for (const char *id : {"c", "a", "gone", "b"}) {
        model one;
        one.model_id = id;
        one.last_revision = 1;
        if (one.model_id != "gone") {
            one.blue.emplace();
            one.blue->upstream = "inference";
            one.blue->copies = {{one.model_id + "__r1", {""}, nullptr}};
        }
        journal.save_model(one);
    }
    const auto first = journal.list_models("", 2);
    assert_int_equal(first.models.size(), 2);
    assert_text(first.models[0].model_id, "a");
    assert_text(first.models[1].model_id, "b");
    assert_true(first.more);
    const auto second = journal.list_models("b", 2);
    assert_int_equal(second.models.size(), 1);
    assert_text(second.models[0].blue->names(), "c__r1");
    assert_false(second.more);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(tasks_are_listed_newest_first_and_the_next_page_goes_on_where_one_ended),
        cmocka_unit_test(a_list_holds_what_was_asked_for),
        cmocka_unit_test(lists_and_latest_tasks_are_what_a_look_at_every_task_would_find),
        cmocka_unit_test(a_page_ends_before_its_documents_are_too_many_bytes_but_has_one),
        cmocka_unit_test(models_are_listed_by_name_and_those_that_are_gone_are_left_out),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
