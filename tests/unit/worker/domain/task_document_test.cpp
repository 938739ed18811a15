#include "common/domain/limits.hpp"
#include "tests/unit/characters.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "worker/domain/task.hpp"
#include "worker/journal/journal.hpp"
#include "worker/rollout/plan_report.hpp"

namespace {

using rollout::document_of;
using rollout::step_state;
using rollout::task;
using rollout::task_status;

constexpr std::int64_t noon_us = 1795536561000000; // 2026-11-24T16:09:21Z

task some_task()
{
    task made;
    made.kind = rollout::task_kind::deploy;
    made.status = task_status::in_progress;
    made.task_id = "0193-a_b";
    made.model_id = "123";
    made.detail = "Step load of revision 7 is running.";
    made.created_us = noon_us;
    made.updated_us = noon_us + 1;
    made.model_revision = 7;
    made.step = "load";
    made.progress = 0.25;
    made.traffic_weight = 5;
    made.steps = {{"fetch", step_state::done, 2, noon_us, noon_us + 2000000, "4 files, 2.2 MiB"},
                  {"load", step_state::running, 1, noon_us + 3, 0, ""},
                  {"smoke", step_state::skipped, 0, 0, 0, "not configured"}};
    made.config = shared_json_of(R"({"param": "value"})");
    return made;
}

std::string members_of(const json_t *object)
{
    std::string all;
    const char *name;
    json_t *value;
    json_object_foreach(const_cast<json_t *>(object), name, value)
    {
        all += (all.empty() ? "" : " ") + std::string(name);
    }
    return all;
}

void a_document_has_the_contracts_members(void **)
{
    const auto document = json_of(document_of(some_task()));
    assert_text(members_of(document.get()),
                "task_id id model_id embedding_model_id status detail created_at updated_at metadata");
    const json_t *metadata = json_object_get(document.get(), "metadata");
    for (const char *name : {"revision", "step", "progress", "traffic_weight", "steps", "config"}) {
        assert_non_null(json_object_get(metadata, name));
    }
    assert_text(members_of(json_array_get(json_object_get(metadata, "steps"), 0)),
                "name state attempts started_at ended_at detail");
}

void a_document_says_what_the_task_is(void **)
{
    const auto document = json_of(document_of(some_task()));
    const auto text = [&](const char *name) { return std::string(rollout::json_text(document.get(), name)); };
    assert_text(text("task_id"), "0193-a_b");
    assert_text(text("id"), "0193-a_b");
    assert_text(text("model_id"), "123");
    assert_text(text("embedding_model_id"), "123");
    assert_text(text("status"), "in_progress");
    assert_text(text("detail"), "Step load of revision 7 is running.");
    assert_text(text("created_at"), "2026-11-24T16:09:21.000000Z");
    assert_text(text("updated_at"), "2026-11-24T16:09:21.000001Z");

    const json_t *metadata = json_object_get(document.get(), "metadata");
    assert_int_equal(rollout::json_number(metadata, "revision"), 7);
    assert_text(rollout::json_text(metadata, "step"), "load");
    assert_true(json_real_value(json_object_get(metadata, "progress")) == 0.25);
    assert_int_equal(rollout::json_number(metadata, "traffic_weight"), 5);
    assert_text(rollout::json_compact(json_object_get(metadata, "config")), R"({"param":"value"})");
    assert_text(rollout::json_compact(json_object_get(metadata, "steps")),
                R"([{"name":"fetch","state":"done","attempts":2,"started_at":"2026-11-24T16:09:21.000000Z",)"
                R"("ended_at":"2026-11-24T16:09:23.000000Z","detail":"4 files, 2.2 MiB"},)"
                R"({"name":"load","state":"running","attempts":1,"started_at":"2026-11-24T16:09:21.000003Z",)"
                R"("ended_at":null,"detail":""},)"
                R"({"name":"smoke","state":"skipped","attempts":0,"started_at":null,"ended_at":null,)"
                R"("detail":"not configured"}])");
}

void a_parent_is_there_only_where_it_was_given(void **)
{
    task with = some_task();
    with.parent_id = "parent-1";
    assert_text(rollout::json_text(json_of(document_of(with)).get(), "parent_id"), "parent-1");
    assert_null(json_object_get(json_of(document_of(some_task())).get(), "parent_id"));
}

void who_created_it_stands_right_behind_the_status(void **)
{
    task given = some_task();
    given.created_by = {"10.1.0.7", "ann", "CN=ci,O=Example"};
    const std::string text = document_of(given);
    assert_holds(text, R"("status":"in_progress","created_by":{"address":"10.1.0.7","user":"ann",)"
                       R"("certificate":"CN=ci,O=Example"},"detail":)");
    const auto read = rollout::task_from_document(json_of(text).get());
    assert_true(read && read->created_by == given.created_by);
    given.created_by = {"unix:", "", ""};
    assert_holds(document_of(given), R"("created_by":{"address":"unix:"},)"); // what is not known is left out
}

void what_is_not_known_yet_is_null(void **)
{
    task fresh;
    fresh.task_id = "t";
    fresh.model_id = "m";
    const auto document = json_of(document_of(fresh));
    const json_t *metadata = json_object_get(document.get(), "metadata");
    assert_true(json_is_null(json_object_get(metadata, "revision")));
    assert_true(json_is_null(json_object_get(metadata, "step")));
    assert_text(rollout::json_compact(json_object_get(metadata, "steps")), "[]");
    assert_text(rollout::json_compact(json_object_get(metadata, "config")), "{}");
}

void the_ids_come_before_the_status(void **)
{
    const std::string text = document_of(some_task());
    assert_true(text.find("\"task_id\"") < text.find("\"status\""));
    assert_true(text.find("\"model_id\"") < text.find("\"status\""));
}

/// A config of exactly that many bytes as compact JSON.
std::shared_ptr<const json_t> config_of(std::size_t bytes, const std::string &unit)
{
    const std::size_t frame = std::string(R"({"a":""})").size();
    std::string text;
    while (text.size() + unit.size() <= bytes - frame) {
        text += unit;
    }
    text.resize(bytes - frame, 'x');
    return shared_json_of("{\"a\":\"" + text + "\"}");
}

/// As many steps as there are weights, and an operator's texts of any length.
std::shared_ptr<const json_t> largest_plan()
{
    rollout::deployment_plan plan;
    plan.rollout.steps.clear();
    for (unsigned weight = 0; weight <= 100; ++weight) {
        plan.rollout.steps.push_back({weight, 31622400});
    }
    plan.rollout.watch_s = plan.rollout.drain_s = plan.rollout.progress_deadline_s = 31622400;
    plan.warnings = {std::string(5000, '"'), std::string(5000, '"')};
    rollout::backend_settings server;
    server.url = "http://127.0.0.1:8000/" + std::string(5000, '"');
    server.upstream = std::string(rollout::limits::upstream_bytes, 'u');
    return rollout::share(rollout::plan_report({rollout::task_kind::deploy, plan, true, {&server}, {}}));
}

void the_largest_document_is_within_its_bound(void **)
{
    task large = some_task();
    large.task_id = std::string(rollout::limits::task_id_bytes, 't');
    large.parent_id = std::string(rollout::limits::task_id_bytes, 'p');
    large.model_id = std::string(rollout::limits::model_id_bytes, 'm');
    large.model_revision = large.elapsed_ms = UINT64_MAX / 2;
    large.progress = 1.0 / 3;
    large.set_waiting({rollout::wait_reason::requests, noon_us, {}});
    large.plan = largest_plan();
    for (const std::string &character :
         {std::string("\""), std::string("\\"), std::string("\xF0\x9F\x9A\x80"), std::string("\xFF")}) {
        std::string words;
        for (int i = 0; i < 5000; ++i) {
            words += character;
        }
        large.detail = words;
        large.created_by = {words, words, words};
        large.steps.clear();
        for (const char *name :
             {"fetch", "stage", "load", "ready", "smoke", "shift", "promote", "retire", "rollback"}) {
            large.steps.push_back({name, step_state::failed, UINT32_MAX, noon_us, noon_us, words});
        }
        for (const std::string &unit : {std::string("x"), std::string("\\u0001"), std::string("\\\""), character}) {
            if (unit == "\xFF" || unit == "\"" || unit == "\\") {
                continue;
            }
            large.config = config_of(rollout::limits::config_bytes, unit);
            assert_int_equal(rollout::json_compact(large.config.get()).size(), rollout::limits::config_bytes);
            const auto text = document_of(large);
            assert_true(!text.empty() && text.size() <= rollout::limits::document_bytes);
        }
    }
}

void details_are_cleaned_and_cut_to_their_bounds(void **)
{
    task made = some_task();
    made.detail = "first\nsecond \xFF" + std::string(5000, 'x');
    made.steps[0].detail = "a\r\nb" + std::string(5000, 'y');
    const auto document = json_of(document_of(made));
    const std::string detail(rollout::json_text(document.get(), "detail"));
    assert_int_equal(characters_of(detail), 1500);
    assert_holds(detail, "first second \xEF\xBF\xBDxxx");
    const json_t *step = json_array_get(json_object_get(json_object_get(document.get(), "metadata"), "steps"), 0);
    assert_int_equal(characters_of(rollout::json_text(step, "detail")), 300);
    assert_holds(std::string(rollout::json_text(step, "detail")), "a byyy");
}

void a_task_is_read_back_whole(void **)
{
    task given = some_task();
    given.parent_id = "p";
    given.elapsed_ms = 1234;
    const auto document = json_of(document_of(given));
    const auto read = rollout::task_from_document(document.get());
    assert_true(read.has_value());
    assert_true(json_equal(json_of(document_of(*read)).get(), document.get()));
    assert_int_equal(read->elapsed_ms, 1234);
    assert_int_equal(read->created_us, noon_us);
    assert_int_equal(read->updated_us, noon_us + 1);
    assert_int_equal(read->steps.size(), 3);
    assert_int_equal(read->steps[0].ended_us, noon_us + 2000000);
    assert_true(read->steps[1].state == step_state::running);
}

void what_a_task_waits_for_and_will_do_is_written_and_read_back(void **)
{
    using rollout::wait_reason;
    for (const auto reason : {wait_reason::time, wait_reason::requests, wait_reason::person, wait_reason::gateway,
                              wait_reason::server, wait_reason::turn}) {
        task given = some_task();
        given.set_waiting({reason, reason == wait_reason::time ? noon_us + 60000000 : 0, {}});
        given.plan = shared_json_of(R"({"drain_s": 30})");
        const auto document = json_of(document_of(given));
        const json_t *metadata = json_object_get(document.get(), "metadata");
        assert_text(rollout::json_text(metadata, "waits_for"), std::string(rollout::wait_reason_name(reason)));
        assert_text(rollout::json_text(metadata, "hold_ends_at"),
                    reason == wait_reason::time ? "2026-11-24T16:10:21.000000Z" : "");
        const auto read = rollout::task_from_document(document.get());
        assert_true(read && json_equal(json_of(document_of(*read)).get(), document.get()));
        assert_true(read->waits_for == reason);
    }
    const auto working = json_of(document_of(some_task()));
    const json_t *metadata = json_object_get(working.get(), "metadata");
    for (const char *name : {"waits_for", "hold_ends_at", "plan"}) {
        assert_null(json_object_get(metadata, name));
    }
}

void numbers_of_plan_and_gate_are_read_as_they_were_written(void **)
{
    task given = some_task();
    given.plan = shared_json_of(R"({"gate": {"max_error_rate": 0.004, "false_alarm": 1e-6}})");
    given.gate = shared_json_of(R"({"verdict": {"limit": 0.1}})");
    given.config = shared_json_of(R"({"x": 0.12345678901234566})");
    const std::string document = document_of(given);
    assert_holds(document, R"("max_error_rate":0.004,)");
    assert_holds(document, R"("limit":0.1})");
    assert_holds(document, R"("x":0.12345678901234566)"); // a client's own keeps all that a double has
}

void a_fresh_task_is_read_back_whole(void **)
{
    task fresh;
    fresh.task_id = "t";
    fresh.model_id = "m";
    const auto document = json_of(document_of(fresh));
    const auto read = rollout::task_from_document(document.get());
    assert_true(read.has_value());
    assert_text(read->step, "");
    assert_int_equal(read->model_revision, 0);
    assert_true(json_equal(json_of(document_of(*read)).get(), document.get()));
}

void what_is_no_document_is_not_read(void **)
{
    for (const char *text :
         {"[]", "{}", "7", R"({"task_id": "t", "model_id": "m", "status": "done", "metadata": {}})",
          R"({"task_id": "t", "model_id": "m", "status": "pending", "metadata": []})",
          R"({"task_id": "t", "model_id": "", "status": "pending", "metadata": {}})",
          R"({"task_id": 7, "model_id": "m", "status": "pending", "metadata": {}})"}) {
        assert_false(rollout::task_from_document(json_of(text).get()).has_value());
    }
    assert_false(rollout::task_from_document(nullptr).has_value());
}

void a_row_gives_its_task_the_journals_numbers(void **)
{
    rollout::task_row row;
    row.sequence = 3;
    row.revision = 9;
    row.kind = rollout::task_kind::remove;
    row.document = document_of(some_task());
    const auto read = rollout::task_of(row);
    assert_true(read.has_value());
    assert_int_equal(read->sequence, 3);
    assert_int_equal(read->revision, 9);
    assert_true(read->kind == rollout::task_kind::remove);
    row.document = "{";
    assert_false(rollout::task_of(row).has_value());
}

void numbers_out_of_range_are_read_as_the_nearest(void **)
{
    const auto read = rollout::task_from_document(
        json_of(R"({"task_id": "a", "model_id": "123", "status": "pending", "metadata": {"traffic_weight": 5000000000,
                    "steps": [{"name": "load", "attempts": -1}, {"name": "ready", "attempts": 9000000000}]}})")
            .get());
    assert_true(read.has_value());
    assert_int_equal(read->traffic_weight, 100);
    assert_int_equal(read->steps[0].attempts, 0);
    assert_int_equal(read->steps[1].attempts, 4294967295U);
}

void a_nul_in_a_config_is_read_back(void **)
{
    task made = some_task();
    made.config = shared_json_of(R"({"a": "x\u0000y"})");
    rollout::task_row row;
    row.document = document_of(made);
    const auto read = rollout::task_of(row);
    assert_true(read.has_value());
    assert_true(json_equal(read->config.get(), made.config.get()));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_document_has_the_contracts_members),
        cmocka_unit_test(a_document_says_what_the_task_is),
        cmocka_unit_test(a_parent_is_there_only_where_it_was_given),
        cmocka_unit_test(who_created_it_stands_right_behind_the_status),
        cmocka_unit_test(what_is_not_known_yet_is_null),
        cmocka_unit_test(the_ids_come_before_the_status),
        cmocka_unit_test(the_largest_document_is_within_its_bound),
        cmocka_unit_test(details_are_cleaned_and_cut_to_their_bounds),
        cmocka_unit_test(a_task_is_read_back_whole),
        cmocka_unit_test(what_a_task_waits_for_and_will_do_is_written_and_read_back),
        cmocka_unit_test(numbers_of_plan_and_gate_are_read_as_they_were_written),
        cmocka_unit_test(a_fresh_task_is_read_back_whole),
        cmocka_unit_test(what_is_no_document_is_not_read),
        cmocka_unit_test(a_row_gives_its_task_the_journals_numbers),
        cmocka_unit_test(numbers_out_of_range_are_read_as_the_nearest),
        cmocka_unit_test(a_nul_in_a_config_is_read_back),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
