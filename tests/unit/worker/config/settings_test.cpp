#include "tests/unit/failing_json_memory.hpp"
#include "tests/unit/worker/config/settings_text.hpp"
#include "worker/rollout/gate_plan.hpp"

namespace {

using rollout::json_fault;
using rollout::settings;

/// CONTRACT.md, section 3.
constexpr std::string_view contract = R"({
  "listen": {"path": "/run/rollout/rolloutd.sock", "mode": "0660", "allow_users": ["www-data"]},
  "journal": {"type": "sqlite", "path": "/var/lib/rollout/journal.db", "retain_days": 30},
  "limits": {"max_deployed_models": 100, "max_concurrent_rollouts": 4, "max_queue": 100000, "time_limit_s": 18000, "retries": 3},
  "artifacts": {"source": "file:///srv/models/{model_id}", "allow": ["file:///srv/models/", "https://models.example.com/"],
                "max_bytes": 53687091200, "max_files": 10000},
  "backends": {
    "default": {"type": "triton", "url": "http://127.0.0.1:8000", "control": "explicit", "upstream": "inference",
                "repository": "/var/lib/rollout/repository", "model_name": "{model_id}__r{revision}"}
  },
  "rollout": {
    "ready_timeout_s": 600,
    "smoke": {"request": {"inputs": []}, "timeout_s": 30, "repeat": 1},
    "steps": [{"weight": 5, "hold_s": 30}, {"weight": 25, "hold_s": 60}, {"weight": 100, "hold_s": 60}],
    "gate": {"min_requests": 50, "max_error_rate": 0.01, "max_p99_ms": 500, "max_error_ratio_to_blue": 2.0},
    "old": "delete", "drain_s": 30
  }
})";

void the_smallest_configuration_is_enough_and_the_rest_has_its_default(void **)
{
    const settings made = read_good(smallest);
    assert_text(made.listen.path, "/run/rollout/rolloutd.sock");
    assert_int_equal(made.listen.mode, 0660);
    assert_true(made.listen.allow_users.empty());
    assert_text(made.journal.path, "/var/lib/rollout/journal.db");
    assert_int_equal(made.journal.retain_days, 30);
    assert_int_equal(made.limits.max_deployed_models, 100);
    assert_int_equal(made.limits.max_known_models, 100000);
    assert_int_equal(made.limits.max_concurrent_rollouts, 4);
    assert_int_equal(made.limits.max_queue, 100000);
    assert_int_equal(made.limits.time_limit_s, 18000);
    assert_int_equal(made.limits.retries, 3);
    assert_text(made.artifacts.source, "file:///srv/models/{model_id}");
    assert_int_equal(made.artifacts.allow.size(), 1);
    assert_text(made.artifacts.allow[0], "file:///srv/models/");
    assert_int_equal(made.artifacts.max_bytes, 53687091200);
    assert_int_equal(made.artifacts.max_files, 10000);
    assert_int_equal(made.backends.size(), 1);
    const auto &backend = made.backends.at("default");
    assert_text(backend.type, "triton");
    assert_text(backend.upstream, "127.0.0.1:8000");
    assert_text(backend.staging, "/var/lib/rollout/repository.staging");
    assert_text(backend.model_name, "{model_id}__r{revision}");
    assert_int_equal(made.rollout.ready_timeout_s, 600);
    assert_null(made.rollout.smoke_request.get());
    assert_int_equal(made.rollout.steps.size(), 1);
    assert_int_equal(made.rollout.steps[0].weight, 100);
    assert_int_equal(made.rollout.steps[0].hold_s, 0);
    assert_text(made.rollout.old, "delete");
    assert_int_equal(made.rollout.drain_s, 30);
    assert_true(made.warnings.empty());
}

void the_contracts_example_is_read_as_it_stands(void **)
{
    const settings made = read_good(contract);
    assert_int_equal(made.listen.mode, 0660);
    assert_int_equal(made.listen.allow_users.size(), 1);
    assert_text(made.listen.allow_users[0], "www-data");
    assert_text(made.artifacts.source, "file:///srv/models/{model_id}");
    assert_int_equal(made.artifacts.allow.size(), 2);
    assert_text(made.backends.at("default").upstream, "inference");
    assert_non_null(made.rollout.smoke_request.get());
    assert_int_equal(made.rollout.steps.size(), 3);
    assert_int_equal(made.rollout.steps[1].weight, 25);
    assert_int_equal(made.rollout.steps[1].hold_s, 60);
    assert_int_equal(made.rollout.steps[2].weight, 100);
    assert_int_equal(made.rollout.steps[2].hold_s, 60);
}

void a_gate_is_read_and_what_it_does_not_limit_does_not_count(void **)
{
    const auto gate = read_good(contract).rollout.gate.value();
    assert_int_equal(gate.min_requests, 50);
    assert_true(gate.max_error_rate == 0.01);
    assert_true(gate.max_p99_ms == 500);
    assert_true(gate.max_error_ratio_to_blue == 2);
    assert_false(gate.max_mean_ms || gate.max_mean_ratio_to_blue || gate.max_p99_ratio_to_blue);
}

void a_watch_that_nothing_judges_gets_a_warning(void **)
{
    const settings made = read_good(with(smallest, "/rollout", R"({"watch_s": 60})"));
    assert_int_equal(made.rollout.watch_s, 60);
    assert_int_equal(made.warnings.size(), 1);
    assert_holds(made.warnings[0], "/rollout/watch_s");
}

void a_first_step_for_previews_goes_with_a_gate(void **)
{
    const auto steps = [](const char *list) {
        const std::string rollout = std::string(R"({"gate": {}, "steps": )") + list + "}";
        return read_good(with(smallest, "/rollout", rollout.c_str())).rollout;
    };
    assert_int_equal(rollout::judged_holds(steps(R"([{"weight": 0, "hold_s": 9}, {"weight": 100, "hold_s": 9}])")),
                     1);
    assert_int_equal(rollout::judged_holds(steps(R"([{"weight": 0, "hold_s": 9}, {"weight": 100}])")), 0);
}

void the_projects_own_configuration_is_good(void **)
{
    const auto root = std::filesystem::path(ROLLOUT_ROOT);
    std::vector<json_fault> faults;
    const settings made = rollout::read_settings(root / "conf/rolloutd.json", faults);
    assert_text(lines_of(faults), "");
    assert_true(made.warnings.empty());
    assert_true(made.backends.contains("default"));
}

void a_required_member_that_is_missing_is_named(void **)
{
    assert_text(faults_of("{}"), "/listen: is missing\n/journal: is missing\n/backends: is missing\n");
    for (const char *pointer :
         {"/listen", "/listen/path", "/journal", "/journal/path", "/backends", "/backends/default/url"}) {
        assert_text(faults_of(with(smallest, pointer, nullptr)), pointer + std::string(": is missing\n"));
    }
    assert_text(faults_of(with(smallest, "/backends/default", nullptr)),
                "/backends: must name at least one backend\n");
    assert_text(faults_of(with(smallest, "/rollout/smoke", "{}")), "/rollout/smoke/request: is missing\n");
}

void an_unknown_member_is_a_fault_at_every_level(void **)
{
    for (const char *pointer : {"/x", "/listen/x", "/journal/x", "/limits/x", "/artifacts/x", "/backends/default/x",
                                "/rollout/x", "/rollout/gate/x"}) {
        refuse_each({{pointer, "1", "is not a known member"}});
    }
    assert_text(faults_of(with(smallest, "/rollout/smoke", R"({"request": {}, "x": 1})")),
                "/rollout/smoke/x: is not a known member\n");
    assert_text(faults_of(with(smallest, "/rollout/steps", R"([{"weight": 5}, {"wieght": 100}])")),
                "/rollout/steps/1/wieght: is not a known member\n");
}

void what_is_to_come_is_refused_rather_than_ignored(void **)
{
    refuse_each({{"/journal/type", "\"redis\"", "must be one of \"sqlite\", \"etcd\""},
                 {"/backends/default/control", "\"none\"", "must be one of"},
                 {"/hooks", "{}", "is not a known member"},
                 {"/backends/default/model_name", "\"{model_id}_{piece}\"", "{piece}"}});
}

void all_faults_are_reported_at_once(void **)
{
    assert_text(faults_of(R"({"listen": {"path": "x", "mode": "999"}, "journal": 7,
                              "limits": {"retries": -1, "retry": 1}, "backends": {"a": {"url": "x", "staging": "y"}}, "z": 0})"),
                "/listen/path: must be an absolute path of at most 107 bytes\n"
                "/listen/mode: must be a file mode in octal, as \"0660\"\n"
                "/journal: must be an object\n"
                "/limits/retries: must be a whole number from 0 to 1000\n"
                "/limits/retry: is not a known member\n"
                "/backends/a/url: must begin with http:// or https:// and a host\n"
                "/backends/a/repository: is missing\n"
                "/backends/a/staging: must be an absolute path\n"
                "/z: is not a known member\n");
}

void a_pointer_escapes_what_rfc_6901_escapes(void **)
{
    std::string text(smallest);
    text.insert(1, R"("a/b~c": 1,)");
    assert_text(faults_of(text), "/a~1b~0c: is not a known member\n");
}

void a_file_that_is_no_json_is_refused_with_its_line(void **)
{
    assert_holds(faults_of("{\"listen\":\n{,"), "is not JSON: ");
    assert_holds(faults_of("{\"listen\":\n{,"), "(line 2, column 2)");
    assert_holds(faults_of("{\"a\": 1, \"a\": 2}"), "is not JSON: duplicate object key");
    assert_holds(faults_of("{} x"), "is not JSON");
    assert_holds(faults_of("\xFF"), "is not JSON");
    assert_text(faults_of("[]"), ": must be an object\n");
}

void a_file_that_is_not_there_is_named(void **)
{
    std::vector<json_fault> faults;
    rollout::read_settings("/nowhere/rolloutd.json", faults);
    assert_text(lines_of(faults), ": the file /nowhere/rolloutd.json cannot be read: No such file or directory\n");
}

void an_empty_file_is_said_to_be_no_json(void **)
{
    assert_holds(faults_of(""), "is not JSON");
}

void a_backends_name_is_escaped_in_the_pointers_below_it(void **)
{
    assert_text(faults_of(with(smallest, "/backends", R"({"a/b": {"url": "http://h", "repository": "x"}})")),
                "/backends/a~1b/repository: must be an absolute path\n");
}

void a_file_is_not_taken_for_bad_json_when_memory_is_out(void **)
{
    const temporary_folder folder;
    const auto path = folder.write("rolloutd.json", "{}").native();
    std::vector<rollout::json_fault> faults;
    assert_true(tells_of_no_json_memory([&] { rollout::read_settings(path, faults); }));
    assert_true(faults.empty());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_configuration_is_enough_and_the_rest_has_its_default),
        cmocka_unit_test(the_contracts_example_is_read_as_it_stands),
        cmocka_unit_test(a_gate_is_read_and_what_it_does_not_limit_does_not_count),
        cmocka_unit_test(a_watch_that_nothing_judges_gets_a_warning),
        cmocka_unit_test(a_first_step_for_previews_goes_with_a_gate),
        cmocka_unit_test(the_projects_own_configuration_is_good),
        cmocka_unit_test(a_required_member_that_is_missing_is_named),
        cmocka_unit_test(an_unknown_member_is_a_fault_at_every_level),
        cmocka_unit_test(what_is_to_come_is_refused_rather_than_ignored),
        cmocka_unit_test(all_faults_are_reported_at_once),
        cmocka_unit_test(a_pointer_escapes_what_rfc_6901_escapes),
        cmocka_unit_test(a_file_that_is_no_json_is_refused_with_its_line),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(an_empty_file_is_said_to_be_no_json),
        cmocka_unit_test(a_backends_name_is_escaped_in_the_pointers_below_it),
        cmocka_unit_test(a_file_is_not_taken_for_bad_json_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
