#include "tests/unit/worker/config/settings_text.hpp"
#include "worker/config/model_overrides.hpp"
#include "worker/rollout/plan.hpp"

namespace {

using rollout::settings;

settings with_models(const char *models,
                     const char *more = R"({"drain_s": 7, "steps": [{"weight": 10}, {"weight": 100}]})")
{
    std::string text = with(staged, "/backends/gpu", R"({"url": "http://gpu:8000", "repository": "/srv/gpu"})");
    text = with(text, "/rollout", more);
    return read_good(with(text, "/models", models));
}

std::string entry_of(const settings &from, const std::string &model_id)
{
    const auto *entry = rollout::find_model_settings(from, model_id);
    return entry == nullptr ? "none" : entry->first;
}

rollout::deployment_plan plan(const settings &from, const std::string &model_id, std::string_view config = "{}")
{
    std::vector<rollout::json_fault> faults;
    auto made = rollout::plan_deployment(from, model_id, 1, json_of(config).get(), faults);
    assert_text(lines_of(faults), "");
    return made;
}

void exactly_one_entry_applies_the_name_before_the_longest_pattern(void **)
{
    const auto from =
        with_models(R"({"*": {}, "search-*": {}, "search-?": {}, "*-1": {}, "search-1": {}, "b*": {}, "*b": {}})");
    assert_text(entry_of(from, "search-1"), "search-1");
    assert_text(entry_of(from, "search-22"), "search-*");
    assert_text(entry_of(from, "search-2"), "search-*"); // as long as search-?, and before it by name
    assert_text(entry_of(from, "other-1"), "*-1");
    assert_text(entry_of(from, "bb"), "*b");
    assert_text(entry_of(from, "anything"), "*");
    assert_text(entry_of(with_models(R"({"search-*": {}})"), "research-1"), "none");
    assert_text(entry_of(with_models(R"({"a?c": {}})"), "ac"), "none");
    assert_text(entry_of(with_models(R"({"*": {}})"), "a.b"), "*");
}

void an_entry_lies_over_the_rollout_of_all_and_a_task_over_both(void **)
{
    const auto from = with_models(R"({"search-*": {"backend": "gpu", "source": "file:///srv/search/{model_id}",
                                                   "rollout": {"old": "keep", "drain_s": 9}}})");
    auto made = plan(from, "search-1");
    assert_text(made.backend, "gpu");
    assert_text(made.copies.at(0).source, "file:///srv/search/search-1");
    assert_text(made.rollout.old, "keep");
    assert_int_equal(made.rollout.drain_s, 9);
    assert_int_equal(made.rollout.steps.front().weight, 10);

    made = plan(from, "search-1",
                R"({"backend": "default", "source": "file:///srv/models/x", "rollout": {"drain_s": 3}})");
    assert_text(made.backend, "default");
    assert_text(made.copies.at(0).source, "file:///srv/models/x");
    assert_text(made.rollout.old, "keep");
    assert_int_equal(made.rollout.drain_s, 3);

    made = plan(from, "other");
    assert_text(made.backend, "default");
    assert_text(made.copies.at(0).source, "file:///srv/models/other");
    assert_text(made.rollout.old, "delete");
    assert_int_equal(made.rollout.drain_s, 7);
}

void an_entrys_source_is_allowed_where_the_operator_lists_none(void **)
{
    const auto made = with_models(R"({"a": {"source": "file:///srv/a/{model_id}"}})");
    assert_int_equal(made.artifacts.allow.size(), 2);
    assert_text(made.artifacts.allow.back(), "file:///srv/a/");
    const auto listed = read_good(with(with(staged, "/artifacts/allow", R"(["file:///srv/models/"])"), "/models",
                                       R"({"a": {"source": "file:///srv/a/{model_id}"}})"));
    assert_int_equal(listed.artifacts.allow.size(), 1);
}

void a_wrong_entry_is_a_fault_at_its_pointer(void **)
{
    refuse_each({
        {"/models", "[]", "must be an object"},
        {"/models/search-*", "5", "must be an object"},
        {"/models/[ab]", "{}", "must be a model's id, or a pattern of ids"},
        {"/models/a..b", "{}", "must be a model's id"},
        {"/models/search-*/backend", R"("tpu")", "must be the name of a backend: default"},
        {"/models/search-*/source", R"("file:///{nothing}")", ""},
        {"/models/search-*/protect", R"("yes")", "must be true or false"},
        {"/models/search-*/colour", R"("red")", "is not a known member"},
        {"/models/search-*/rollout/steps", "5", "must be an array"},
        {"/models/search-*/rollout/keep_revisions", "101", "from 0 to 100"},
    });
    assert_text(faults_of(with(staged, "/models", R"({"search-*": {"rollout": {"steps": [{"weight": 101}]}}})")),
                "/models/search-*/rollout/steps/0/weight: must be a whole number from 0 to 100\n");
    assert_text(faults_of(with(staged, "/models", R"({"a/b~c": {}})")),
                "/models/a~1b~0c: must be a model's id, or a pattern of ids with * and ?\n");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(exactly_one_entry_applies_the_name_before_the_longest_pattern),
        cmocka_unit_test(an_entry_lies_over_the_rollout_of_all_and_a_task_over_both),
        cmocka_unit_test(an_entrys_source_is_allowed_where_the_operator_lists_none),
        cmocka_unit_test(a_wrong_entry_is_a_fault_at_its_pointer),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
