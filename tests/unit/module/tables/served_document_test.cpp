// A task's document as a location serves it.
#include "module/tables/served_document.hpp"
#include "tests/unit/cmocka.hpp"

#include <string>

namespace {

using rollout::dialect;
using rollout::task_status;

std::string served(std::string_view document, const rollout::document_form &form)
{
    rollout::task_record task;
    task.status = task_status::in_progress;
    task.document = document;
    std::string text;
    for (const auto piece : serve_document(task, form)) {
        text += piece;
    }
    return text;
}

constexpr std::string_view whole =
    R"({"task_id":"t","status":"in_progress","created_by":{"address":"10.1.0.7","user":"}\"\\"},"detail":"x"})";

void a_document_is_served_as_it_is(void **)
{
    assert_text(served(whole, {}), whole);
    assert_text(served("{}", {}), "{}");
}

void who_created_the_task_is_left_out_if_the_location_says_so(void **)
{
    assert_text(served(whole, {dialect::standard, false}), R"({"task_id":"t","status":"in_progress","detail":"x"})");
    assert_text(served(whole, {dialect::embedding_studio, false}),
                R"({"task_id":"t","status":"processing","detail":"x"})");
    assert_text(
        served(R"({"task_id":"t","status":"in_progress","created_by":{"user":"\"}"}})", {dialect::standard, false}),
        R"({"task_id":"t","status":"in_progress"})");
}

void the_words_are_the_dialects(void **)
{
    assert_holds(served(whole, {dialect::embedding_studio, true}),
                 R"("status":"processing","created_by":{"address")");
}

void what_only_looks_like_it_stays(void **)
{
    for (
        const char *document :
        {R"({"task_id":"t","status":"in_progress","detail":",\"created_by\":{}"})",
         R"({"task_id":"t","status":"in_progress"})",
         R"({"task_id":"t","status":"in_progress","detail":"x","metadata":{"config":{"a":1,"created_by":{"a":"b"}}}})",
         R"({"task_id":"t","status":"in_progress","created_by":{"half)"}) {
        assert_text(served(document, {dialect::standard, false}), document);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_served_as_it_is),
        cmocka_unit_test(who_created_the_task_is_left_out_if_the_location_says_so),
        cmocka_unit_test(the_words_are_the_dialects),
        cmocka_unit_test(what_only_looks_like_it_stays),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
