// The body of a deployment, out of options.
#include "ctl/commands/deployment_request.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/ctl/command_fails.hpp"

namespace {

using rollout::ctl::deployment_options;

std::string body_of(const deployment_options &from)
{
    return rollout::json_compact(make_deployment(from).get());
}

std::string fault_of(const deployment_options &from)
{
    return error_text([&] { make_deployment(from); });
}

void options_become_members(void **)
{
    assert_text(body_of({.model_id = "123"}), R"({"model_id":"123","config":{}})");
    assert_text(
        body_of({.model_id = "123",
                 .source = "https://x/m.tar",
                 .sha256 = "ab",
                 .config = R"({"backend": "gpu"})",
                 .parameters = {"plugin=Text", "size=7", "on=true", "a=b=c", "empty="},
                 .steps = "5:30s,25:2m,100"}),
        R"({"model_id":"123","config":{"backend":"gpu","source":"https://x/m.tar","sha256":"ab","plugin":"Text","size":7,)"
        R"("on":true,"a":"b=c","empty":"","rollout":{"steps":[{"weight":5,"hold_s":30},{"weight":25,"hold_s":120},)"
        R"({"weight":100}]}}})");
    assert_text(body_of({.model_id = "1", .config = R"({"rollout": {"promote": "manual"}})", .steps = "100:1m"}),
                R"({"model_id":"1","config":{"rollout":{"promote":"manual","steps":[{"weight":100,"hold_s":60}]}}})");
}

void steps_that_are_none_say_how_to_write_them(void **)
{
    for (const char *steps : {"", "x", "101", "5:", "5:30x", "5,,10", "-1", "5:500ms", "5:1:2"}) {
        const std::string fault = fault_of({.model_id = "1", .steps = steps});
        if (std::string(steps) != "5:") { // no hold is no fault
            assert_holds(fault, "2 --steps ");
            assert_holds(fault, "5:30s,25:10m,100");
        }
    }
}

void what_is_given_twice_is_refused(void **)
{
    assert_text(fault_of({.model_id = "1", .source = "a", .config = R"({"source": "b"})"}),
                "2 \"source\" is given twice: by --source and by --config.");
    assert_holds(fault_of({.model_id = "1", .parameters = {"a=1", "a=2"}}), "\"a\" is given twice");
}

void malformed_json_says_where(void **)
{
    assert_holds(fault_of({.model_id = "1", .config = "{\"a\": }"}), "2 --config is not JSON: line 1, column 7: ");
    assert_text(fault_of({.model_id = "1", .config = "[1]"}), "2 --config must be a JSON object.");
    assert_text(fault_of({.model_id = "1", .config = "@/nonexistent"}),
                "2 --config: the file /nonexistent cannot be read: No such file or directory.");
    assert_text(fault_of({.model_id = "1", .parameters = {"alone"}}), "2 --param alone: write NAME=VALUE.");
    assert_holds(fault_of({.model_id = "1", .source = "\xFF"}), "2 --source: the text is not UTF-8.");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(options_become_members),
        cmocka_unit_test(steps_that_are_none_say_how_to_write_them),
        cmocka_unit_test(what_is_given_twice_is_refused),
        cmocka_unit_test(malformed_json_says_where),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
