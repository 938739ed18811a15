// The members of rolloutd.json that name programs and addresses: hooks and command backends.
#include "tests/unit/worker/config/settings_text.hpp"
#include "worker/rollout/plan.hpp"

namespace {

constexpr const char *command_backend =
    R"({"type": "command", "command": ["/usr/bin/serve", "-v"], "upstream": "inference", "staging": "/var/lib/s"})";

void hooks_are_read_by_name_and_in_their_order(void **)
{
    const auto read = read_good(with(smallest, "/rollout/hooks", R"({
        "before_stage": [{"url": "http://127.0.0.1:9/ask", "timeout_s": 3}, {"command": ["/bin/true", "x"]}],
        "after_rollback": [{"url": "https://h/"}], "before_shift": [], "before_promote": [], "after_promote": []})"));
    const auto &asked = read.rollout.hooks.at("before_stage");
    assert_int_equal(asked.size(), 2);
    assert_text(asked[0].url, "http://127.0.0.1:9/ask");
    assert_int_equal(asked[0].timeout_s, 3);
    assert_text(asked[1].command.at(1), "x");
    assert_int_equal(asked[1].timeout_s, 10);
    assert_int_equal(read.rollout.hooks.at("after_rollback").size(), 1);
}

struct fault_case {
    const char *hook;
    const char *faults;
};

void a_wrong_hook_is_a_fault_at_its_pointer(void **)
{
    const fault_case cases[] = {
        {R"({})", ": must have either a \"url\" or a \"command\"\n"},
        {R"({"url": "http://h/", "command": ["/x"]})", ": must have either a \"url\" or a \"command\"\n"},
        {R"({"url": "ftp://h/"})", "/url: must begin with http:// or https:// and a host\n"},
        {R"({"url": "http:///x"})", "/url: must begin with http:// or https:// and a host\n"},
        {R"({"url": 7})", "/url: must be a string that is not empty\n"},
        {R"({"command": "/x"})", "/command: must be an array\n"},
        {R"({"command": []})", "/command: must be the absolute path of a program, and its arguments\n"},
        {R"({"command": ["x"]})", "/command: must be the absolute path of a program, and its arguments\n"},
        {R"({"command": [7]})", "/command/0: must be a string that is not empty\n"},
        {R"({"command": ["/x", ""]})", "/command/1: must be a string that is not empty\n"},
        {R"({"url": "http://h/", "timeout_s": 0})", "/timeout_s: must be a whole number from 1 to 3600\n"},
        {R"({"url": "http://h/", "shell": true})", "/shell: is not a known member\n"},
        {R"("http://h/")", ": must be an object\n"},
    };
    for (const auto &[hook, faults] : cases) {
        const std::string list = "[" + std::string(hook) + "]";
        assert_text(faults_of(with(smallest, "/rollout/hooks/after_promote", list.c_str())),
                    "/rollout/hooks/after_promote/0" + std::string(faults));
    }
    assert_text(faults_of(with(smallest, "/rollout/hooks", "[]")), "/rollout/hooks: must be an object\n");
    assert_text(faults_of(with(smallest, "/rollout/hooks/before_load", "[]")),
                "/rollout/hooks/before_load: is not a known member\n");
    assert_text(faults_of(with(smallest, "/rollout/hooks/before_shift", "{}")),
                "/rollout/hooks/before_shift: must be an array\n");
}

void a_command_backend_is_a_program_and_a_folder(void **)
{
    const auto backend = read_good(with(smallest, "/backends/default", command_backend)).backends.at("default");
    assert_text(backend.type, "command");
    assert_text(backend.command.at(0), "/usr/bin/serve");
    assert_text(backend.command.at(1), "-v");
    assert_int_equal(backend.timeout_s, 600);
    assert_text(backend.staging, "/var/lib/s");
    assert_text(backend.repository, "");
    const std::string in_repository =
        with(with(smallest, "/backends/default", command_backend), "/backends/default/repository", "\"/var/lib/r\"");
    assert_text(read_good(with(in_repository, "/backends/default/staging", nullptr)).backends.at("default").staging,
                "/var/lib/r.staging");
}

void a_wrong_member_of_a_command_backend_is_a_fault_at_its_pointer(void **)
{
    const wrong cases[] = {
        {"/backends/default/command", nullptr, "is missing"},
        {"/backends/default/command", "[]", "must be the absolute path of a program"},
        {"/backends/default/command", "[\"serve\"]", "must be the absolute path of a program"},
        {"/backends/default/upstream", nullptr, "is missing"},
        {"/backends/default/staging", nullptr, "is missing"},
        {"/backends/default/staging", "\"s\"", "must be an absolute path"},
        {"/backends/default/timeout_s", "0", "must be a whole number from 1 to 86400"},
        {"/backends/default/url", "\"http://h\"", "is not a known member"},
        {"/backends/default/control", "\"poll\"", "is not a known member"},
    };
    const std::string good = with(smallest, "/backends/default", command_backend);
    for (const auto &[pointer, value, words] : cases) {
        const std::string lines = faults_of(with(good, pointer, value));
        assert_true(lines.starts_with(pointer + std::string(": ") + words));
        assert_int_equal(lines.find('\n'), lines.size() - 1);
    }
    refuse_each({{"/backends/default/command", "[\"/x\"]", "is not a known member"},
                 {"/backends/default/control", "\"none\"", "must be one of \"explicit\", \"poll\""}});
    assert_text(read_good(with(smallest, "/backends/default/control", "\"poll\"")).backends.at("default").control,
                "poll");
}

std::string plan_faults(const std::string &text, std::string_view config)
{
    const auto from = read_good(text);
    std::vector<rollout::json_fault> faults;
    rollout::plan_deployment(from, "m", 1, json_of(config).get(), faults);
    return lines_of(faults);
}

void what_makes_no_sense_for_a_backend_is_refused_with_the_task(void **)
{
    const std::string polled = with(smallest, "/backends/default/control", "\"poll\"");
    const std::string command = with(smallest, "/backends/default", command_backend);
    const char *smoke = R"({"rollout": {"smoke": {"request": {}}}})";
    assert_true(plan_faults(polled, R"({"triton": {}})").starts_with("/config/triton: goes with a load call"));
    assert_text(plan_faults(command, R"({"triton": {}})"), "");
    assert_text(plan_faults(polled, smoke), "");
    assert_true(plan_faults(command, smoke).starts_with("/config/rollout/smoke: is an inference"));
    assert_true(faults_of(with(command, "/rollout/smoke", R"({"request": {}})"))
                    .starts_with("/rollout/smoke: is an inference"));
}

void a_task_sets_no_hooks(void **)
{
    assert_text(plan_faults(std::string(smallest), R"({"rollout": {"hooks": {"before_stage": []}}})"),
                "/config/rollout/hooks: is the operator's to set, in rolloutd's configuration\n");
    assert_text(plan_faults(std::string(smallest), R"({"hooks": 7})"), ""); // a parameter like any other
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(hooks_are_read_by_name_and_in_their_order),
        cmocka_unit_test(a_wrong_hook_is_a_fault_at_its_pointer),
        cmocka_unit_test(a_command_backend_is_a_program_and_a_folder),
        cmocka_unit_test(a_wrong_member_of_a_command_backend_is_a_fault_at_its_pointer),
        cmocka_unit_test(what_makes_no_sense_for_a_backend_is_refused_with_the_task),
        cmocka_unit_test(a_task_sets_no_hooks),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
