// A line for each change.
#include "ctl/view/task_changes.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/ctl/sample_document.hpp"

namespace {

using rollout::ctl::read_task_document;

void only_what_a_person_sees_is_a_change(void **)
{
    rollout::ctl::task_changes changes;
    const auto line = [&changes](const std::string &document) {
        return changes.line_of(read_task_document(rollout::task_kind::deploy, document).value());
    };
    assert_text(line(sample_document),
                "2026-11-24T16:10:02Z 123 revision 7 in progress, shift, 25 %: Revision 7 has 25 % of the "
                "traffic of model 123 until 16:10:40 UTC at the earliest.");
    assert_text(line(sample_with("\"requests\": 4120", "\"requests\": 4121")), "");
    assert_text(line(sample_with("\"in_progress\"", "\"completed\"")),
                "2026-11-24T16:10:02Z 123 revision 7 completed: Revision 7 has 25 % of the "
                "traffic of model 123 until 16:10:40 UTC at the earliest.");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {cmocka_unit_test(only_what_a_person_sees_is_a_change)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
