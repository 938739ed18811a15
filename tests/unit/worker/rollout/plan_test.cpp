#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "worker/rollout/plan.hpp"
#include "worker/rollout/plan_report.hpp"

namespace {

using rollout::deployment_plan;
using rollout::json_fault;
using rollout::settings;

settings one_backend()
{
    settings made;
    made.artifacts.source = "file:///srv/models/{model_id}";
    made.backends["default"].url = "http://127.0.0.1:8000";
    made.rollout.drain_s = 7;
    made.rollout.smoke_timeout_s = 3;
    return made;
}

deployment_plan plan(const settings &from, std::string_view config, std::string &faults,
                     const std::string &model_id = "123")
{
    const auto parameters = json_of(config);
    std::vector<json_fault> all;
    auto made = rollout::plan_deployment(from, model_id, 7, parameters.get(), all);
    faults = lines_of(all);
    return made;
}

deployment_plan good_plan(const settings &from, std::string_view config)
{
    std::string faults;
    auto made = plan(from, config, faults);
    assert_text(faults, "");
    return made;
}

std::string faults_of(std::string_view config, const settings &from = one_backend())
{
    std::string faults;
    plan(from, config, faults);
    return faults;
}

void a_config_that_says_nothing_is_the_operators(void **)
{
    const auto made = good_plan(one_backend(), R"({"param": "value"})");
    assert_text(made.copies.at(0).source, "file:///srv/models/123");
    assert_text(made.copies.at(0).sha256, "");
    assert_text(made.backend, "default");
    assert_text(made.copies.at(0).placed.model, "123__r7");
    assert_true(made.versioned);
    assert_null(made.copies.at(0).placed.server_config.get());
    assert_null(made.rollout.smoke_request.get());
    assert_int_equal(made.rollout.drain_s, 7);
    assert_text(made.rollout.old, "delete");
}

void a_task_names_its_own_source_checksum_and_server_configuration(void **)
{
    const std::string digits = "0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdefABCD";
    const auto made = good_plan(one_backend(), R"({"source": "file:///srv/models/x.onnx", "sha256": ")" + digits +
                                                   R"(", "triton": {"max_batch_size": 8}})");
    assert_text(made.copies.at(0).source, "file:///srv/models/x.onnx");
    assert_text(made.copies.at(0).sha256, digits);
    assert_int_equal(rollout::json_number(made.copies.at(0).placed.server_config.get(), "max_batch_size"), 8);
}

void the_server_configuration_outlives_the_request(void **)
{
    std::string faults;
    auto config = json_of(R"({"triton": {"name": "x"}})");
    std::vector<json_fault> all;
    const auto made = rollout::plan_deployment(one_backend(), "123", 7, config.get(), all);
    config.reset();
    assert_text(rollout::json_text(made.copies.at(0).placed.server_config.get(), "name"), "x");
}

void a_tasks_rollout_lies_over_the_operators(void **)
{
    auto from = one_backend();
    from.rollout.old = "archive";
    const auto made = good_plan(from, R"({"rollout": {"drain_s": 0, "steps": [{"weight": 50, "hold_s": 1}],
                                          "smoke": {"request": {"inputs": []}, "repeat": 2}}})");
    assert_int_equal(made.rollout.drain_s, 0);
    assert_text(made.rollout.old, "archive");
    assert_int_equal(made.rollout.ready_timeout_s, 600);
    assert_int_equal(made.rollout.steps.size(), 1);
    assert_int_equal(made.rollout.steps[0].weight, 50);
    assert_int_equal(made.rollout.smoke_repeat, 2);
    assert_int_equal(made.rollout.smoke_timeout_s, 3);
    assert_non_null(made.rollout.smoke_request.get());
}

void a_wrong_member_is_a_fault_at_its_pointer_in_the_request(void **)
{
    assert_text(faults_of(R"({"source": 7})"), "/config/source: must be a string that is not empty\n");
    assert_text(faults_of(R"({"source": ""})"), "/config/source: must be a string that is not empty\n");
    assert_text(faults_of(R"({"triton": []})"), "/config/triton: must be an object\n");
    assert_text(faults_of(R"({"rollout": 7})"), "/config/rollout: must be an object\n");
    assert_text(faults_of(R"({"rollout": {"old": "x", "steps": [{"weight": 101}], "y": 1}})"),
                "/config/rollout/steps/0/weight: must be a whole number from 0 to 100\n"
                "/config/rollout/old: must be one of \"delete\", \"archive\", \"keep\"\n"
                "/config/rollout/y: is not a known member\n");
    assert_text(faults_of(R"({"rollout": {"smoke": {"repeat": 0}}})"),
                "/config/rollout/smoke/request: is missing\n"
                "/config/rollout/smoke/repeat: must be a whole number from 1 to 1000\n");
    assert_holds(faults_of(R"({"parts": {}})"), "/config/parts: ");
}

void a_checksum_is_64_hexadecimal_digits(void **)
{
    for (const std::string &wrong :
         {std::string("\"\""), std::string("7"), '"' + std::string(63, 'a') + '"', '"' + std::string(65, 'a') + '"',
          '"' + std::string(63, 'a') + "g\"", "\"" + std::string(63, 'a') + "\\u0000\""}) {
        assert_text(faults_of("{\"sha256\": " + wrong + "}"),
                    "/config/sha256: must be a string of 64 hexadecimal digits\n");
    }
}

void all_faults_are_reported_at_once(void **)
{
    assert_text(faults_of(R"({"source": 1, "sha256": 2, "backend": 3, "triton": 4, "rollout": {"drain_s": -1}})"),
                "/config/backend: must be the name of a backend of rolloutd's configuration: default\n"
                "/config/source: must be a string that is not empty\n"
                "/config/sha256: must be a string of 64 hexadecimal digits\n"
                "/config/triton: must be an object\n"
                "/config/rollout/drain_s: must be a whole number from 0 to 31622400\n");
}

void a_backend_is_the_tasks_choice_else_default_else_the_only_one(void **)
{
    auto from = one_backend();
    from.backends["gpu"].model_name = "gpu_{model_id}_{revision}";
    assert_text(good_plan(from, "{}").backend, "default");
    assert_text(good_plan(from, R"({"backend": "gpu"})").backend, "gpu");
    assert_text(good_plan(from, R"({"backend": "gpu"})").copies.at(0).placed.model, "gpu_123_7");

    from.backends.erase("default");
    assert_text(good_plan(from, "{}").backend, "gpu");

    from.backends["cpu"];
    assert_text(faults_of("{}", from),
                "/config/backend: must be the name of a backend of rolloutd's configuration: cpu, gpu\n");
    assert_text(faults_of(R"({"backend": "tpu"})", from),
                "/config/backend: must be the name of a backend of rolloutd's configuration: cpu, gpu\n");
}

void a_name_without_a_revision_is_not_versioned(void **)
{
    auto from = one_backend();
    from.backends["default"].model_name = "{config.plugin}_{model_id}";
    const auto made = good_plan(from, R"({"plugin": "clip"})");
    assert_text(made.copies.at(0).placed.model, "clip_123");
    assert_false(made.versioned);
}

void a_parameter_that_the_names_need_must_be_in_the_config(void **)
{
    auto from = one_backend();
    from.backends["default"].model_name = "{config.plugin}_{model_id}_{revision}";
    assert_holds(faults_of("{}", from), "/config/plugin: must be a string");
    from = one_backend();
    from.artifacts.source = "file:///srv/{config.team}/{model_id}";
    assert_holds(faults_of(R"({"team": "../x"})", from), "/config/team: must be a string");
    assert_text(faults_of(R"({"team": "../x", "source": "file:///srv/a"})", from), "");
}

void a_source_on_the_web_needs_a_checksum_unless_the_operator_waives_it(void **)
{
    constexpr const char *without = R"({"source": "https://models.example.com/1.onnx"})";
    assert_holds(faults_of(without), "/config/sha256: is missing: a source on a web server");
    assert_text(
        faults_of(R"({"source": "https://models.example.com/1.onnx", "sha256": ")" + std::string(64, 'a') + "\"}"),
        "");
    assert_text(faults_of(R"({"source": "file:///srv/models/1.onnx"})"), "");
    assert_holds(faults_of(R"({"parts": {"q": {"source": "HTTP://models.example.com/1.onnx"}}})"),
                 "/config/parts/q/sha256: is missing");
    auto from = one_backend();
    from.artifacts.source = "https://models.example.com/{model_id}.tar";
    assert_holds(faults_of("{}", from), "/config/sha256: is missing");
    from.artifacts.require_sha256 = false;
    assert_text(faults_of(without, from), "");
}

void a_name_longer_than_a_folders_is_refused(void **)
{
    auto from = one_backend();
    from.backends["default"].model_name = "{config.a}{config.a}{revision}";
    const auto named = [&](std::size_t bytes) {
        return faults_of("{\"a\": \"" + std::string(bytes, 'x') + "\"}", from);
    };
    assert_text(named(127), "");
    assert_text(named(128), "/model_id: makes a model name of 257 bytes on the server, and the limit is 255\n");
}

void a_plan_is_reported_as_it_will_be_done(void **)
{
    const auto from = one_backend();
    const auto made = good_plan(from, R"({"rollout": {"steps": [{"weight": 20, "hold_s": 6}, {"weight": 100}],
                                          "old": "keep", "watch_s": 9, "gate": {}, "on_no_traffic": "promote"}})");
    const auto report = [&](rollout::task_kind kind, bool has_blue) {
        return rollout::json_compact(
            rollout::plan_report({kind, made, has_blue, {&from.backends.at("default")}, {}}).get());
    };
    assert_text(report(rollout::task_kind::deploy, true),
                R"({"steps":[{"weight":20,"hold_s":6},{"weight":100,"hold_s":0}],"promote":"auto","watch_s":9,)"
                R"("old":"keep","progress_deadline_s":600,"on_no_traffic":"promote",)"
                R"("gate":{"min_requests":1,"latency":"total","absolute_unless_blue":false,"false_alarm":0.01,)"
                R"("holds":2,"false_alarm_of_each_hold":{"abandoned":0.0040000000000000001}},"drain_s":7,)"
                R"("servers":[{"url":"http://127.0.0.1:8000","upstream":""}],"warnings":[]})");
    assert_holds(report(rollout::task_kind::deploy, false), R"("steps":[{"weight":100,"hold_s":0}])"); // no blue
    assert_text(report(rollout::task_kind::remove, true),
                R"({"drain_s":7,"servers":[{"url":"http://127.0.0.1:8000","upstream":""}]})");
}

void a_gate_that_nothing_gives_time_is_warned_of(void **)
{
    const auto warnings = [](const char *rollout) {
        return good_plan(one_backend(), std::string(R"({"rollout": )") + rollout + "}").warnings.size();
    };
    assert_int_equal(warnings(R"({"gate": {"max_error_rate": 0.1}})"), 1);
    assert_int_equal(warnings(R"({"gate": {}, "steps": [{"weight": 20}, {"weight": 100, "hold_s": 0}]})"), 1);
    assert_int_equal(warnings(R"({"gate": {}, "steps": [{"weight": 20}, {"weight": 100, "hold_s": 1}]})"), 0);
    assert_int_equal(warnings(R"({"gate": {}, "watch_s": 1})"), 0);
    assert_int_equal(warnings(R"({"gate": {}, "promote": "manual"})"), 0);
    assert_int_equal(warnings("{}"), 0);
    settings from = one_backend(); // the operator's, of a task that says nothing
    from.rollout.gate.emplace();
    assert_int_equal(good_plan(from, "{}").warnings.size(), 1);
}

void there_are_no_more_steps_than_weights(void **)
{
    std::string steps;
    for (int weight = 0; weight <= 100; ++weight) {
        steps += (weight == 0 ? "" : ",") + std::string(R"({"weight": )") + std::to_string(weight) + "}";
    }
    const auto faults = [](const std::string &list) {
        return faults_of(R"({"rollout": {"steps": [)" + list + "]}}");
    };
    assert_text(faults(steps), "");
    assert_text(faults(steps + R"(,{"weight": 100})"),
                "/config/rollout/steps/101/weight: must be more than the weight before it\n");
    assert_text(faults(steps + R"(,{"weight": 101})"), // and the one that stands for it does not rise
                "/config/rollout/steps/101/weight: must be a whole number from 0 to 100\n"
                "/config/rollout/steps/101/weight: must be more than the weight before it\n");
}

void a_member_that_is_nearly_a_known_one_is_a_fault_that_names_it(void **)
{
    const struct {
        const char *written;
        const char *meant;
    } cases[] = {
        {"sha265", "sha256"},       {"sha_256", "sha256"},       {"SHA256", "sha256"},    {"sha-256", "sha256"},
        {"sha2566", "sha256"},      {"sha56", "sha256"},         {"sha512", "sha256"},    {"sha256sum", "sha256"},
        {"souce", "source"},        {"soruce", "source"},        {"Source", "source"},    {"sources", "source"},
        {"sourcce", "source"},      {"surce", "source"},         {"backnd", "backend"},   {"back_end", "backend"},
        {"rolout", "rollout"},      {"roll-out", "rollout"},     {"rollouts", "rollout"}, {"trition", "triton"},
        {"tritn", "triton"},        {"part", "parts"},           {"Parts", "parts"},      {"supercede", "supersede"},
        {"superseed", "supersede"}, {"supersedes", "supersede"},
    };
    for (const auto &[written, meant] : cases) {
        const std::string faults = faults_of(std::string("{\"") + written + "\": \"x\"}");
        assert_holds(faults, std::string("/config/") + written + ": ");
        assert_holds(faults, std::string("did you mean `") + meant + "`?");
    }
    assert_holds(faults_of(R"({"parts": {"q": {"sha265": "x"}, "i": {"note": "x"}}})"),
                 "/config/parts/q/sha265: is not a known member: did you mean `sha256`?");
    assert_holds(faults_of(R"({"parts": {"i": {"note": "x"}}})"), "/config/parts/i/note: is not a known member\n");
}

void other_members_are_the_tasks_own(void **)
{
    for (const char *own :
         {"param", "params", "parameters", "plugin", "path", "name", "team", "force", "resource", "model", "version",
          "embedding_model", "source_language", "batch_size", "backup", "shard", "a", ""}) {
        assert_text(faults_of(std::string("{\"") + own + "\": \"x\"}"), "");
    }
    // What the operator's own templates ask for.
    auto from = one_backend();
    from.backends["default"].model_name = "{config.part}_{model_id}_{revision}";
    assert_text(faults_of(R"({"part": "x"})", from), "");
}

void what_was_accepted_once_is_not_held_to_it_again(void **)
{
    auto from = one_backend();
    from.artifacts.allow = {"file:///srv/models/"};
    const auto config = json_of(R"({"part": "x", "source": "file:///elsewhere"})");
    std::vector<json_fault> faults;
    rollout::plan_deployment(from, "123", 7, config.get(), faults, rollout::plan_for::accepted);
    assert_text(lines_of(faults), "");
}

void a_source_that_is_not_allowed_is_a_fault_at_once(void **)
{
    auto from = one_backend();
    from.artifacts.allow = {"file:///srv/models/", "https://models.example.com/"};
    assert_text(faults_of("{}", from), "");
    for (const char *source : {"file:///etc/passwd", "file:///srv/models/../x", "ftp://models.example.com/x",
                               "models/x", "file:///srv/models"}) {
        assert_holds(faults_of(std::string(R"({"source": ")") + source + "\"}", from),
                     "/config/source: cannot be fetched: ");
    }
    assert_holds(faults_of(R"({"parts": {"q": {"source": "file:///etc/passwd"}}})", from),
                 "/config/parts/q/source: cannot be fetched: ");
}

void what_may_be_a_secret_in_a_source_is_not_repeated(void **)
{
    auto from = one_backend();
    from.artifacts.allow = {"file:///srv/models/", "https://models.example.com/"};
    from.artifacts.require_sha256 = false;
    for (const char *source : {"https://elsewhere.example.com/m?X-Amz-Signature=SECRET",
                               "https://u:SECRET@models.example.com/m", "s3://key:SECRET@bucket/m?x=SECRET",
                               "s3://bucket/m?sig=SECRET", "file:///x?SECRET", "file://u:SECRET@host/x",
                               "https://models.example.com/m#SECRET", "https://models.example.com/a b/../m?SECRET"}) {
        const auto faults = faults_of(std::string(R"({"source": ")") + source + "\"}", from);
        assert_holds(faults, "/config/source: ");
        assert_true(faults.find("SECRET") == std::string::npos);
    }
}

void holds_that_are_longer_than_a_task_may_take_are_refused_at_their_member(void **)
{
    settings from = one_backend();
    from.limits.time_limit_s = 100;
    const auto faults = [&from](std::string_view config) { return faults_of(config, from); };
    assert_text(faults(R"({"rollout": {"steps": [{"weight": 5, "hold_s": 60}, {"weight": 100, "hold_s": 40}]}})"),
                "");
    assert_holds(faults(R"({"rollout": {"steps": [{"weight": 5, "hold_s": 60}, {"weight": 100, "hold_s": 41}]}})"),
                 "/config/rollout/steps/1/hold_s: makes the holds and the watch last 101 s together");
    assert_holds(faults(R"({"rollout": {"watch_s": 101}})"), "/config/rollout/watch_s: ");
    from.rollout.steps = {{5, 60}, {100, 0}};
    assert_text(faults(R"({"rollout": {"watch_s": 40}})"), "");
    assert_holds(faults(R"({"rollout": {"watch_s": 41}})"), "/config/rollout/watch_s: ");
    from.rollout.watch_s = 60;
    assert_holds(faults(R"({"rollout": {"steps": [{"weight": 100, "hold_s": 50}]}})"), "/config/rollout/steps: ");
    assert_text(faults(R"({"rollout": {"old": "keep"}})"), ""); // that is the configuration's own
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_config_that_says_nothing_is_the_operators),
        cmocka_unit_test(a_task_names_its_own_source_checksum_and_server_configuration),
        cmocka_unit_test(the_server_configuration_outlives_the_request),
        cmocka_unit_test(a_tasks_rollout_lies_over_the_operators),
        cmocka_unit_test(a_wrong_member_is_a_fault_at_its_pointer_in_the_request),
        cmocka_unit_test(a_checksum_is_64_hexadecimal_digits),
        cmocka_unit_test(all_faults_are_reported_at_once),
        cmocka_unit_test(a_backend_is_the_tasks_choice_else_default_else_the_only_one),
        cmocka_unit_test(a_name_without_a_revision_is_not_versioned),
        cmocka_unit_test(a_parameter_that_the_names_need_must_be_in_the_config),
        cmocka_unit_test(a_source_on_the_web_needs_a_checksum_unless_the_operator_waives_it),
        cmocka_unit_test(a_name_longer_than_a_folders_is_refused),
        cmocka_unit_test(a_plan_is_reported_as_it_will_be_done),
        cmocka_unit_test(a_gate_that_nothing_gives_time_is_warned_of),
        cmocka_unit_test(there_are_no_more_steps_than_weights),
        cmocka_unit_test(a_member_that_is_nearly_a_known_one_is_a_fault_that_names_it),
        cmocka_unit_test(other_members_are_the_tasks_own),
        cmocka_unit_test(what_was_accepted_once_is_not_held_to_it_again),
        cmocka_unit_test(a_source_that_is_not_allowed_is_a_fault_at_once),
        cmocka_unit_test(what_may_be_a_secret_in_a_source_is_not_repeated),
        cmocka_unit_test(holds_that_are_longer_than_a_task_may_take_are_refused_at_their_member),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
