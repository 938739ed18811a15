// The rows in which clients read changes of many tasks and routes.
#include "module/tables/change_row.hpp"
#include "tests/unit/cmocka.hpp"

#include <string>

namespace {

using rollout::dialect;
using rollout::row_of;

std::string row(std::string_view document, dialect words = dialect::standard)
{
    rollout::task_record task;
    task.kind = rollout::task_kind::deploy;
    task.status = rollout::task_status::completed;
    task.task_id = "t";
    task.model_id = "m";
    task.document = document;
    return row_of(task, words);
}

void a_task_is_what_a_list_shows_of_it(void **)
{
    assert_text(
        row(R"({"task_id":"t","detail":"All is well.","updated_at":"2026-11-24T16:35:12.946412Z","created_by":{"user":"ann"},)"
            R"("metadata":{"revision":7,"step":"shift","traffic_weight":25,"config":{"a":1}}})"),
        R"({"task_id":"t","model_id":"m","kind":"deploy","status":"completed","step":"shift","weight":25,"revision":7,)"
        R"("detail":"All is well.","updated_at":"2026-11-24T16:35:12.946412Z"})");
}

void it_is_in_the_words_of_the_dialect(void **)
{
    assert_true(row("{}", dialect::embedding_studio).find(R"("status":"done")") != std::string::npos);
}

void what_a_document_lacks_is_null(void **)
{
    constexpr char empty[] =
        R"({"task_id":"t","model_id":"m","kind":"deploy","status":"completed","step":null,"weight":null,)"
        R"("revision":null,"detail":"","updated_at":null})";
    for (const char *document : {"{}", "", "[]", "not JSON", R"({"metadata":3,"detail":null})",
                                 R"({"metadata":{"step":1,"revision":"x","traffic_weight":null}})"}) {
        assert_text(row(document), empty);
    }
}

void a_detail_is_cut_to_two_hundred_characters_of_one_line(void **)
{
    std::string detail;
    for (int i = 0; i < 300; ++i) {
        detail += "ä";
    }
    const auto text = row(R"({"detail":"a\nb )" + detail + "\"}");
    std::string expected = "\"detail\":\"a b ";
    for (int i = 0; i < 195; ++i) {
        expected += "ä";
    }
    assert_true(text.find(expected + "…\"") != std::string::npos);
}

void a_route_has_both_slots(void **)
{
    assert_text(row_of({"m", "query", rollout::route_target{6, "inference", "m__r6"},
                        rollout::route_target{7, "inference", "m__r7"}, 25, true}),
                R"({"model_id":"m","part":"query","blue":{"revision":6,"model":"m__r6","upstream":"inference"},)"
                R"("green":{"revision":7,"model":"m__r7","upstream":"inference"},"weight":25})");
    assert_text(row_of({"m", "", {}, {}, 0, false}),
                R"({"model_id":"m","part":"","blue":null,"green":null,"weight":0})");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_what_a_list_shows_of_it),
        cmocka_unit_test(it_is_in_the_words_of_the_dialect),
        cmocka_unit_test(what_a_document_lacks_is_null),
        cmocka_unit_test(a_detail_is_cut_to_two_hundred_characters_of_one_line),
        cmocka_unit_test(a_route_has_both_slots),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
