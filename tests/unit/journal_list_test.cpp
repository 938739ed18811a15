// The lists: pages of tasks, newest first, and of models by name; complete, without repeats.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/opened_journal.hpp"

#include <string>

namespace {

using rollout::model;
using rollout::task_filter;
using rollout::task_kind;
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
    opened_journal book(folder / "journal.db");
    for (const char *id : {"t1", "t2", "t3", "t4", "t5"}) {
        book.create(task_of_model(id, "m"));
    }
    task_filter which;
    const auto first = book.list(which, 2);
    assert_text(ids_of(first), "t5 t4 …");
    book.create(task_of_model("t6", "m")); // which comes in meanwhile
    which.before = first.rows.back().sequence;
    const auto second = book.list(which, 2);
    assert_text(ids_of(second), "t3 t2 …");
    which.before = second.rows.back().sequence;
    assert_text(ids_of(book.list(which, 2)), "t1");
    which.before = 1;
    assert_text(ids_of(book.list(which, 2)), "");
}


void a_list_holds_what_was_asked_for(void **)
{
    const temporary_folder folder;
    opened_journal book(folder / "journal.db");
    book.create(task_of_model("a1", "a"));
    book.create(task_of_model("b1", "b"));
    book.create(task_of_model("x1", "a", task_kind::remove));
    auto done = task_of_model("a1", "a");
    done.status = task_status::completed;
    book.save(done);

    task_filter which;
    assert_text(ids_of(book.list(which, 9)), "b1 a1");
    which.model_id = "a";
    assert_text(ids_of(book.list(which, 9)), "a1");
    which.status = task_status::pending;
    assert_text(ids_of(book.list(which, 9)), "");
    which.model_id.clear();
    assert_text(ids_of(book.list(which, 9)), "b1");
    which = {};
    which.kind = task_kind::remove;
    assert_text(ids_of(book.list(which, 9)), "x1");
}


void a_page_ends_before_its_documents_are_too_many_bytes_but_has_one(void **)
{
    const temporary_folder folder;
    opened_journal book(folder / "journal.db");
    for (const char *id : {"t1", "t2", "t3"}) {
        book.create(task_of_model(id, "m"));
    }
    const auto size = book.list({}, 1).rows.front().document.size();
    assert_text(ids_of(book.list({}, 9, 2 * size)), "t3 t2 …");
    assert_text(ids_of(book.list({}, 9, 1)), "t3 …");
}


void models_are_listed_by_name_and_those_that_are_gone_are_left_out(void **)
{
    const temporary_folder folder;
    opened_journal book(folder / "journal.db");
    for (const char *id : {"c", "a", "gone", "b"}) {
        model one;
        one.model_id = id;
        one.last_revision = 1;
        if (one.model_id != "gone") {
            one.blue.emplace();
            one.blue->upstream = "inference";
            one.blue->copies = {{one.model_id + "__r1", {""}, nullptr}};
        }
        book.save_model(one);
    }
    const auto first = book.list_models("", 2);
    assert_int_equal(first.models.size(), 2);
    assert_text(first.models[0].model_id, "a");
    assert_text(first.models[1].model_id, "b");
    assert_true(first.more);
    const auto second = book.list_models("b", 2);
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
        cmocka_unit_test(a_page_ends_before_its_documents_are_too_many_bytes_but_has_one),
        cmocka_unit_test(models_are_listed_by_name_and_those_that_are_gone_are_left_out),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
