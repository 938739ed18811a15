// Models as a table.
#include "ctl/view/model_table.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"

namespace {

void those_with_a_problem_come_first_and_empty_columns_are_left_out(void **)
{
    std::vector<rollout::json_ptr> models;
    models.push_back(
        json_of(R"({"model_id": "a", "state": "deployed", "blue": {"revision": 3}, "green": null, "weight": 0})"));
    models.push_back(
        json_of(R"({"model_id": "b", "state": "rolling_out", "blue": {"revision": 1}, "green": {"revision": 2},
                                 "weight": 25, "task_ids": ["t"]})"));
    models.push_back(
        json_of(R"({"model_id": "c\u001b[2J", "state": "lost", "blue": {"revision": 9}, "detail": "It is gone."})"));
    std::string text;
    for (const auto &line : rollout::ctl::model_table(models)) {
        text += line.render(100, false) + '\n';
    }
    assert_text(text, "MODEL  STATE        BLUE  GREEN  WEIGHT  TASKS  DETAIL\n"
                      "c [2J  lost         9                           It is gone.\n"
                      "b      rolling_out  1     2      25 %    1      \n"
                      "a      deployed     3                           \n");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {cmocka_unit_test(those_with_a_problem_come_first_and_empty_columns_are_left_out)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
