#include "worker/journal/etcd/records.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "worker/journal/etcd/revision.hpp"

#include <vector>

namespace {

using namespace rollout::cluster;
using rollout::task_kind;
using rollout::task_row;
using rollout::task_status;
using rollout::etcd::key_value;

key_value entry_of(std::string key, std::string value)
{
    return {std::move(key), std::move(value), 40, 50, 3, 0};
}


template <typename Result>
void is_refused(const Result &read, const std::string &key)
{
    assert_false(static_cast<bool>(read));
    assert_holds(read.sentence(), "\"" + key + "\"");
}


void revisions_grow_with_etcds_and_in_a_transaction_by_the_index(void **)
{
    assert_true(revision_of(5, 0) > revision_of(4, 255));
    assert_true(revision_of(5, 1) > revision_of(5, 0));
    assert_int_equal(mod_revision_of(revision_of(77, 119)), 77);
    assert_int_equal(index_of(revision_of(77, 119)), 119);
    assert_true(revision_after(5) >= revision_of(5, 255));
    assert_true(revision_after(5) < revision_of(6, 0));
    assert_int_equal(revision_after(0), 0);
    // 55 bits of etcd's own remain, in what SQLite can count.
    assert_true(revision_after((std::int64_t{1} << 55) - 1) == INT64_MAX);
}


void a_task_is_read_as_it_was_written(void **)
{
    auto task = task_of_model("t1", "a.b", task_kind::remove);
    task.status = task_status::in_progress;
    const auto row = rollout::row_of(task, 0);
    const auto read = read_task(entry_of("k", write_task(row, -7, "w-1", 119)), "t1");
    assert_true(static_cast<bool>(read));
    assert_int_equal(read->row.sequence, revision_of(40, 119)); // as a new one, whose index is that of its creation
    assert_int_equal(read->row.revision, revision_of(50, 119));
    assert_true(read->row.kind == task_kind::remove);
    assert_true(read->row.status == task_status::in_progress);
    assert_text(read->row.task_id, "t1");
    assert_text(read->row.model_id, "a.b");
    assert_text(read->row.document, row.document);
    assert_text(read->write_id, "w-1");
    assert_int_equal(read->updated_us, -7);
}


void a_later_change_keeps_the_index_of_the_creation(void **)
{
    auto task = task_of_model("t1", "a");
    task.sequence = revision_of(40, 17);
    const auto read = read_task(entry_of("k", write_task(rollout::row_of(task, 0), 1, "w", 3)), "t1");
    assert_int_equal(read->row.sequence, revision_of(40, 17));
    assert_int_equal(read->row.revision, revision_of(50, 3));
}


void a_document_may_hold_lines_and_zeros(void **)
{
    task_row row{0, 0, task_kind::deploy, task_status::pending, "t1", "a", std::string("{\n\0 1 2\n}", 9)};
    assert_true(read_task(entry_of("k", write_task(row, 1, "w", 0)), "t1")->row.document == row.document);
}


void a_damaged_task_is_refused_by_its_key(void **)
{
    const std::string key = "/rollout/default/s/tasks/t1";
    const std::string good = write_task(rollout::row_of(task_of_model("t1", "a"), 0), 1, "w", 0);
    assert_true(static_cast<bool>(read_task(entry_of(key, good), "t1")));
    for (std::size_t size = 0; size < good.size(); ++size) {
        if (size == 0 || good[size - 1] != '}') { // the end of an object inside is not told from that of the document
            is_refused(read_task(entry_of(key, good.substr(0, size)), "t1"), key);
        }
    }
    for (const std::string line :
         {"256 0 w deploy pending 1 a", "-1 0 w deploy pending 1 a", "0 x w deploy pending 1 a",
          "0 0  deploy pending 1 a", "0 0 w destroy pending 1 a", "0 0 w deploy gone 1 a", "0 0 w deploy pending x a",
          "0 0 w deploy pending 1 ..", "0 0 w deploy pending 1 a b", "0 0 w deploy pending 1",
          "0 0 w deploy pending 1 a ", " 0 0 w deploy pending 1 a"}) {
        is_refused(read_task(entry_of(key, line + "\n{}"), "t1"), key);
    }
    assert_true(static_cast<bool>(read_task(entry_of(key, "0 0 w deploy pending 1 a\n{}"), "t1")));
}


void a_model_is_read_as_it_was_written_and_refused_if_it_is_damaged(void **)
{
    const std::string key = "/rollout/default/s/models/a";
    const auto state = rollout::json_compact(rollout::model_to_json(placed_model("a")).get());
    const std::string good = write_model(state, "w", 9);
    const auto read = read_model(entry_of(key, good), "a");
    assert_true(static_cast<bool>(read));
    assert_int_equal(read->revision, revision_of(50, 9));
    assert_text(read->state, state);
    assert_text(read->write_id, "w");
    for (std::size_t size = 0; size < good.size(); ++size) {
        is_refused(read_model(entry_of(key, good.substr(0, size)), "a"), key);
    }
    is_refused(read_model(entry_of(key, "0 w\n{\"weight\":101}"), "a"), key);
    is_refused(read_model(entry_of(key, "300 w\n" + state), "a"), key);
}


void meta_says_which_cluster_this_is_and_who_may_use_it(void **)
{
    const std::string key = "/rollout/default/s/meta";
    const std::string id = "0123456789abcdef0123456789abcdef";
    const auto read = read_meta(entry_of(key, write_meta({id})));
    assert_true(static_cast<bool>(read));
    assert_text(read->id, id);
    assert_int_equal(read->format, format);
    assert_int_equal(read->oldest_reader, format);
    // A newer one that this rolloutd may use as well, and one that it may not.
    assert_true(static_cast<bool>(read_meta(entry_of(key, write_meta({id, format + 1, format})))));
    const auto newer = read_meta(entry_of(key, write_meta({id, format + 2, format + 1})));
    is_refused(newer, key);
    assert_holds(newer.sentence(), "Upgrade it");
    const std::string good = write_meta({id});
    for (std::size_t size = 0; size < good.size(); ++size) {
        is_refused(read_meta(entry_of(key, good.substr(0, size))), key);
    }
    for (const std::string bad : {"[]", "{}", R"({"id":"short","format":1,"oldest_reader":1})",
                                  R"({"id":"0123456789abcdef0123456789abcdef","format":1,"oldest_reader":2})",
                                  R"({"id":"0123456789abcdef0123456789abcde/","format":1,"oldest_reader":1})"}) {
        is_refused(read_meta(entry_of(key, bad)), key);
    }
}


void an_import_that_has_not_ended_keeps_everybody_out(void **)
{
    const std::string key = "/rollout/default/s/meta";
    meta_record importing{"0123456789abcdef0123456789abcdef"};
    assert_text(import_under_way(entry_of(key, write_meta(importing))), "");
    importing.import_of = "abcdefabcdefabcdefabcdefabcdefab";
    const auto entry = entry_of(key, write_meta(importing));
    const auto read = read_meta(entry);
    is_refused(read, key);
    assert_holds(read.sentence(), "is being imported");
    assert_text(import_under_way(entry), importing.import_of);
    assert_text(import_under_way(entry_of(key, "no JSON")), "");
}


void the_position_says_who_wrote_last(void **)
{
    const auto read = read_position(entry_of("k", write_position({"0af", 1795536561000000})));
    assert_true(static_cast<bool>(read));
    assert_text(read->writer, "0af");
    assert_int_equal(read->wall_us, 1795536561000000);
    assert_text(read->host, "");
    const auto with_host = read_position(entry_of("k", write_position({"0af", 1, "gateway-2"})));
    assert_text(with_host->host, "gateway-2");
    assert_int_equal(with_host->wall_us, 1);
    for (const std::string bad : {"", "a", "a b", "a b c", "a 1 2 3", " 1", " 1 h"}) {
        is_refused(read_position(entry_of("s/rev", bad)), "s/rev");
    }
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(revisions_grow_with_etcds_and_in_a_transaction_by_the_index),
        cmocka_unit_test(a_task_is_read_as_it_was_written),
        cmocka_unit_test(a_later_change_keeps_the_index_of_the_creation),
        cmocka_unit_test(a_document_may_hold_lines_and_zeros),
        cmocka_unit_test(a_damaged_task_is_refused_by_its_key),
        cmocka_unit_test(a_model_is_read_as_it_was_written_and_refused_if_it_is_damaged),
        cmocka_unit_test(meta_says_which_cluster_this_is_and_who_may_use_it),
        cmocka_unit_test(an_import_that_has_not_ended_keeps_everybody_out),
        cmocka_unit_test(the_position_says_who_wrote_last),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
