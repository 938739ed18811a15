#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "worker/config/name_template.hpp"

namespace {

using rollout::check_template;
using rollout::fill_template;
using rollout::has_placeholder;

/// What becomes of the template, or its fault.
std::string filled(std::string_view text, std::string_view config = "{}")
{
    const auto parameters = json_of(config);
    std::vector<rollout::json_fault> faults;
    const std::string name = fill_template(text, {"123", 7, parameters.get()}, faults);
    return faults.empty() ? name : "fault: " + faults.front().pointer + ' ' + faults.front().detail;
}

void placeholders_are_filled_in_their_places(void **)
{
    assert_text(filled("{model_id}__r{revision}"), "123__r7");
    assert_text(filled("{revision}{revision}-{model_id}"), "77-123");
    assert_text(filled("file:///srv/models/{model_id}/"), "file:///srv/models/123/");
    assert_text(filled("plain"), "plain");
    assert_text(filled(""), "");
}

void a_parameter_of_the_task_is_filled_in(void **)
{
    assert_text(filled("{config.plugin}_{model_id}", R"({"plugin": "clip.v2"})"), "clip.v2_123");
    assert_text(filled("{config._A9}", R"({"_A9": "_x-y"})"), "_x-y");
}

void a_parameter_that_is_missing_or_no_string_is_a_fault(void **)
{
    for (const char *config :
         {"{}", R"({"plugin": 7})", R"({"plugin": null})", R"({"plugin": ["x"]})", R"({"plugin": ""})"}) {
        assert_text(
            filled("{config.plugin}_{model_id}", config),
            "fault: /config/plugin must be a string of A-Z a-z 0-9 . _ - that does not begin with . or -: it becomes "
            "a part of a name or a path");
    }
}

void a_parameter_that_could_leave_its_place_is_a_fault(void **)
{
    for (const char *value : {"..", ".", ".hidden", "a..b", "-rf", "a/b", "/etc", "a\\\\b", "a b", "a%2fb", "a\\nb",
                              "a\\u0000b", "caf\xC3\xA9", "a?b", "a#b", "{model_id}"}) {
        const std::string result = filled("x{config.p}", "{\"p\": \"" + std::string(value) + "\"}");
        if (!result.starts_with("fault: /config/p must be a string")) {
            fail_msg("%s: %s", value, result.c_str());
        }
    }
}

void a_parameters_value_is_not_read_as_a_template(void **)
{
    assert_holds(filled("{config.a}", R"({"a": "{config.b}", "b": "x"})"), "fault: /config/a ");
}

void a_good_template_has_no_fault(void **)
{
    for (const char *text : {"", "x", "{model_id}", "{revision}", "{config.a}", "{config.A_9}{model_id}",
                             "file:///srv/{model_id}/v{revision}"}) {
        assert_text(check_template(text), "");
    }
}

void an_unknown_placeholder_is_named(void **)
{
    for (const char *name : {"", "model", "MODEL_ID", "parts", "config", "config.", "config.9a", "config.a-b",
                             "config.a.b", "config.a b"}) {
        assert_text(check_template("x{" + std::string(name) + "}"),
                    "has the placeholder {" + std::string(name) +
                        "}; there are {model_id}, {revision}, {part} and {config.NAME}");
    }
    assert_holds(check_template("{ model_id }"), "has the placeholder {model_id}");
    assert_holds(check_template("{a\nb}{c}"), "has the placeholder {a b}");
}

void a_brace_that_stands_alone_is_a_fault(void **)
{
    for (const char *text :
         {"{", "}", "{model_id", "model_id}", "{{model_id}}", "{model_id}}", "x{model{_id}", "}{"}) {
        assert_text(check_template(text), "has a brace without its counterpart");
    }
}

void a_placeholder_is_found_by_its_whole_name(void **)
{
    assert_true(has_placeholder("{model_id}__r{revision}", "revision"));
    assert_false(has_placeholder("{model_id}__revision", "revision"));
    assert_false(has_placeholder("{config.revision}", "revision"));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(placeholders_are_filled_in_their_places),
        cmocka_unit_test(a_parameter_of_the_task_is_filled_in),
        cmocka_unit_test(a_parameter_that_is_missing_or_no_string_is_a_fault),
        cmocka_unit_test(a_parameter_that_could_leave_its_place_is_a_fault),
        cmocka_unit_test(a_parameters_value_is_not_read_as_a_template),
        cmocka_unit_test(a_good_template_has_no_fault),
        cmocka_unit_test(an_unknown_placeholder_is_named),
        cmocka_unit_test(a_brace_that_stands_alone_is_a_fault),
        cmocka_unit_test(a_placeholder_is_found_by_its_whole_name),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
