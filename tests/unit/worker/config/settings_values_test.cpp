#include "tests/unit/worker/config/settings_text.hpp"

namespace {

void a_member_of_a_wrong_type_is_a_fault_at_its_pointer(void **)
{
    for (const char *pointer : {"/listen", "/journal", "/limits", "/artifacts", "/backends", "/rollout",
                                "/rollout/smoke", "/rollout/gate"}) {
        refuse_each({{pointer, "[]", "must be an object"},
                     {pointer, "null", "must be an object"},
                     {pointer, "\"x\"", "must be an object"}});
    }
    for (const char *pointer : {"/listen/path", "/listen/mode", "/journal/path", "/artifacts/source",
                                "/backends/default/url", "/backends/default/upstream", "/backends/default/repository",
                                "/backends/default/staging", "/backends/default/model_name"}) {
        refuse_each({{pointer, "7", "must be a string"},
                     {pointer, "null", "must be a string"},
                     {pointer, "[\"x\"]", "must be a string"},
                     {pointer, "\"\"", "must be a string that is not empty"}});
    }
    refuse_each({{"/listen/allow_users", "\"www-data\"", "must be an array of strings"},
                 {"/artifacts/allow", "{}", "must be an array of strings"},
                 {"/rollout/steps", "{}", "must be an array"}});
    assert_text(faults_of(with(smallest, "/rollout/smoke", R"({"request": []})")),
                "/rollout/smoke/request: must be an object\n");
}

void an_element_of_a_wrong_type_is_a_fault_at_its_index(void **)
{
    assert_text(faults_of(with(smallest, "/artifacts/allow", R"(["file:///a/", 7, ""])")),
                "/artifacts/allow/1: must be a string that is not empty\n"
                "/artifacts/allow/2: must be a string that is not empty\n");
    assert_text(faults_of(with(smallest, "/rollout/steps", R"([{"weight": 50}, 7])")),
                "/rollout/steps/1: must be an object\n");
    assert_text(faults_of(with(smallest, "/listen/allow_users", R"(["root", "nobody of that name"])")),
                "/listen/allow_users/1: there is no user \"nobody of that name\" on this machine\n");
}

struct range {
    const char *pointer;
    const char *least;
    const char *below;
    const char *most;
    const char *above;
};

void a_number_is_good_up_to_its_bounds_and_a_fault_past_them(void **)
{
    const range ranges[] = {
        {"/journal/retain_days", "1", "0", "36500", "36501"},
        {"/journal/max_tasks", "1", "0", "1000000000", "1000000001"},
        {"/limits/max_deployed_models", "0", "-1", "1000000", "1000001"},
        {"/limits/max_known_models", "1", "0", "10000000", "10000001"},
        {"/limits/max_concurrent_rollouts", "0", "-1", "1000", "1001"},
        {"/limits/max_queue", "0", "-1", "10000000", "10000001"},
        {"/limits/time_limit_s", "1", "0", "31622400", "31622401"},
        {"/limits/retries", "0", "-1", "1000", "1001"},
        {"/artifacts/max_bytes", "1", "0", "1152921504606846976", "1152921504606846977"},
        {"/artifacts/max_files", "1", "0", "100000000", "100000001"},
        {"/backends/default/check_s", "0", "-1", "86400", "86401"},
        {"/backends/default/max_reloads", "1", "0", "1000", "1001"},
        {"/backends/default/unload_retry_s", "0", "-1", "86400", "86401"},
        {"/rollout/ready_timeout_s", "1", "0", "31622400", "31622401"},
        {"/rollout/drain_s", "0", "-1", "31622400", "31622401"},
        {"/rollout/gate/min_requests", "0", "-1", "1000000000", "1000000001"},
    };
    for (const auto &[pointer, least, below, most, above] : ranges) {
        assert_text(faults_of(with(smallest, pointer, least)), "");
        assert_text(faults_of(with(smallest, pointer, most)), "");
        refuse_each({{pointer, below, "must be a whole number from"},
                     {pointer, above, "must be a whole number from"},
                     {pointer, "5.5", "must be a whole number from"},
                     {pointer, "\"5\"", "must be a whole number from"},
                     {pointer, "true", "must be a whole number from"}});
    }
    for (const char *pointer : {"/rollout/gate/max_error_rate", "/rollout/gate/max_p99_ms",
                                "/rollout/gate/max_mean_ms", "/rollout/gate/max_error_ratio_to_blue",
                                "/rollout/gate/max_p99_ratio_to_blue", "/rollout/gate/max_mean_ratio_to_blue"}) {
        assert_text(faults_of(with(smallest, pointer, "0.5")), "");
        refuse_each({{pointer, "-0.1", "must be a number from"},
                     {pointer, "1000000001", "must be a number from"},
                     {pointer, "\"1\"", "must be a number from"}});
    }
    refuse_each({{"/rollout/gate/max_error_rate", "1.01", "must be a number from 0 to 1"}});

    // No failure at all may be asked for; a latency of 0, or nothing but a multiple of blue's, is kept by nobody.
    assert_text(faults_of(with(smallest, "/rollout/gate/max_error_rate", "0")), "");
    refuse_each({{"/rollout/gate/max_p99_ms", "0", "must be more than 0"},
                 {"/rollout/gate/max_mean_ms", "0.0", "must be more than 0"},
                 {"/rollout/gate/max_error_ratio_to_blue", "0", "must be more than 0"}});
    for (const char *good : {"0.000001", "0.01", "0.5"}) {
        assert_text(faults_of(with(smallest, "/rollout/gate/false_alarm", good)), "");
    }
    for (const char *bad : {"0", "0.0000001", "0.51", "1", "\"0.01\"", "null"}) {
        refuse_each({{"/rollout/gate/false_alarm", bad, "must be a number from 0.000001 to 0.5"}});
    }
    refuse_each({{"/rollout/gate/absolute_unless_blue", "1", "must be true or false"},
                 {"/rollout/gate/latency", "\"last_byte\"", "must be one of"}});
}

void a_whole_number_is_whole_however_it_is_written(void **)
{
    for (const char *pointer : {"/journal/retain_days", "/limits/max_queue", "/rollout/drain_s",
                                "/rollout/gate/min_requests", "/backends/default/check_s"}) {
        for (const char *number : {"30", "30.0", "3e1", "300E-1", "0.03e+3"}) {
            assert_text(faults_of(with(smallest, pointer, number)), "");
        }
        refuse_each({{pointer, "30.1", "must be a whole number from"},
                     {pointer, "3e-1", "must be a whole number from"},
                     {pointer, "1e300", "must be a whole number from"},
                     {pointer, "-30.0", "must be a whole number from"}});
    }
}

void the_bounds_of_a_smoke_test_and_of_a_step_are_kept(void **)
{
    const auto smoke = [](const char *members) {
        return faults_of(
            with(smallest, "/rollout/smoke", (R"({"request": {}, )" + std::string(members) + "}").c_str()));
    };
    assert_text(smoke(R"("timeout_s": 86400, "repeat": 1000)"), "");
    assert_text(smoke(R"("timeout_s": 0, "repeat": 1001)"),
                "/rollout/smoke/timeout_s: must be a whole number from 1 to 86400\n"
                "/rollout/smoke/repeat: must be a whole number from 1 to 1000\n");

    const auto steps = [](const char *list) { return faults_of(with(smallest, "/rollout/steps", list)); };
    assert_text(steps(R"([{"weight": 1, "hold_s": 31622400}, {"weight": 100}])"), "");
    assert_text(steps(R"([{"weight": 0}, {"weight": 100}])"), "");
    assert_text(steps(R"([{"weight": -1}])"), "/rollout/steps/0/weight: must be a whole number from 0 to 100\n");
    assert_text(steps(R"([{"weight": 101}])"), "/rollout/steps/0/weight: must be a whole number from 0 to 100\n");
    assert_text(steps(R"([{"weight": 5, "hold_s": -1}])"),
                "/rollout/steps/0/hold_s: must be a whole number from 0 to 31622400\n");
    assert_text(steps(R"([{"weight": 25}, {"weight": 25}])"),
                "/rollout/steps/1/weight: must be more than the weight before it\n");
}

void a_shift_without_steps_is_one_to_all_of_the_traffic(void **)
{
    const auto last = [](const char *list) {
        return read_good(with(smallest, "/rollout/steps", list)).rollout.steps.back();
    };
    assert_int_equal(last("[]").weight, 100);
    assert_int_equal(last(R"([{"weight": 5, "hold_s": 30}])").weight, 5);
    assert_int_equal(last(R"([{"weight": 100, "hold_s": 9}])").hold_s, 9);
}

void a_word_that_is_none_is_a_fault(void **)
{
    refuse_each({{"/rollout/old", "\"forget\"", "must be one of \"delete\", \"archive\", \"keep\""},
                 {"/rollout/old", "null", "must be one of"},
                 {"/backends/default/type", "7", "must be one of \"triton\", \"command\""}});
    for (const char *word : {"\"delete\"", "\"archive\"", "\"keep\""}) {
        assert_text(faults_of(with(smallest, "/rollout/old", word)), "");
    }
}

void a_smoke_test_that_no_deployment_could_pass_is_a_fault(void **)
{
    const char *smoke = R"({"request": {"inputs": []}})";
    const std::string both = with(smallest, "/backends/program",
                                  R"({"type": "command", "command": ["/bin/serve"], "upstream": "inference",
                                      "staging": "/srv/staging"})");
    const std::string alone = with(both, "/backends/default", nullptr);
    const auto pointers = [](const std::string &text) {
        std::vector<rollout::json_fault> faults;
        read(text, faults);
        return faults.empty() ? "" : faults.front().pointer + (faults.size() > 1 ? " and more" : "");
    };
    for (const auto &text : {both, alone}) {
        assert_text(pointers(text), "");
        assert_text(pointers(with(text, "/rollout/smoke", smoke)), "/rollout/smoke");
    }
    assert_text(pointers(with(both, "/models/m/rollout/smoke", smoke)), "");
    assert_text(pointers(with(alone, "/models/m/rollout/smoke", smoke)), "/models/m/rollout/smoke");
    const std::string here = with(both, "/models/m/backend", "\"program\"");
    assert_text(pointers(with(here, "/models/m/rollout/smoke", smoke)), "/models/m/rollout/smoke");
    assert_text(pointers(with(smallest, "/rollout/smoke", smoke)), "");
}

void a_path_is_absolute_and_a_socket_fits_its_address(void **)
{
    refuse_each({{"/listen/path", "\"rolloutd.sock\"", "must be an absolute path of at most 107 bytes"},
                 {"/journal/path", "\"journal.db\"", "must be an absolute path"},
                 {"/backends/default/repository", "\"repository\"", "must be an absolute path"},
                 {"/backends/default/staging", "\"staging\"", "must be an absolute path"}});
    const auto socket = [](std::size_t bytes) { return "\"/" + std::string(bytes - 1, 's') + '"'; };
    assert_text(faults_of(with(smallest, "/listen/path", socket(107).c_str())), "");
    refuse_each({{"/listen/path", socket(108).c_str(), "at most 107 bytes"}});
}

void a_mode_is_octal(void **)
{
    assert_int_equal(read_good(with(smallest, "/listen/mode", "\"0777\"")).listen.mode, 0777);
    assert_int_equal(read_good(with(smallest, "/listen/mode", "\"600\"")).listen.mode, 0600);
    for (const char *mode : {"\"0668\"", "\"rw\"", "\"-1\"", "\"01000\"", "\"0660 \"", "\"0x1\""}) {
        refuse_each({{"/listen/mode", mode, "must be a file mode in octal"}});
    }
}

void a_url_is_http_and_its_last_slash_goes(void **)
{
    refuse_each({{"/backends/default/url", "\"127.0.0.1:8000\"", "must begin with http:// or https:// and a host"},
                 {"/backends/default/url", "\"ftp://h\"", "must begin with http:// or https:// and a host"},
                 {"/backends/default/url", "\"http:///models\"", "must begin with http:// or https:// and a host"},
                 {"/backends/default/url", "\"https://:8000\"", "must begin with http:// or https:// and a host"}});
    const auto backend =
        read_good(with(smallest, "/backends/default/url", "\"https://h:1//\"")).backends.at("default");
    assert_text(backend.url, "https://h:1");
    assert_text(backend.upstream, "h:1");
}

void a_source_that_the_operator_wrote_is_allowed_without_an_allow(void **)
{
    const auto allowed = [](const char *source) {
        return read_good(with(smallest, "/artifacts/source", source)).artifacts.allow.at(0);
    };
    assert_text(allowed("\"file:///srv/models/{model_id}\""), "file:///srv/models/");
    assert_text(allowed("\"file:///srv/models/m-{model_id}/x\""), "file:///srv/models/");
    assert_text(allowed("\"file:///srv/{config.team}/{model_id}\""), "file:///srv/");
}

void a_source_on_the_web_is_allowed_from_its_host_on(void **)
{
    const auto made =
        read_good(with(smallest, "/artifacts/source", "\"https://models.example.com/{model_id}.tar.gz\""));
    assert_text(made.artifacts.allow.at(0), "https://models.example.com/");
    assert_true(made.artifacts.require_sha256);
    assert_false(made.artifacts.allow_local);
    assert_text(made.artifacts.ca_file, "");
    refuse_each({{"/artifacts/source", "\"https://{config.host}/x\"", "names no folder in its fixed part"},
                 {"/artifacts/source", "\"s3://bucket/{model_id}\"", "has an unknown scheme"}});
}

void a_prefix_that_no_source_could_be_under_is_a_fault(void **)
{
    assert_holds(faults_of(with(smallest, "/artifacts/allow", R"(["file:///a/", "/srv/models", "https://h/?x"])")),
                 "/artifacts/allow/1: is not a prefix of sources: the source \"/srv/models\" is not a URL");
    assert_holds(faults_of(with(smallest, "/artifacts/allow", R"(["file:///a/", "/srv/models", "https://h/?x"])")),
                 "/artifacts/allow/2: is not a prefix of sources: a prefix has no query");
}

void a_file_of_certificates_must_be_there(void **)
{
    refuse_each({{"/artifacts/ca_file", "\"ca.pem\"", "must be an absolute path"},
                 {"/artifacts/ca_file", "\"/nowhere/ca.pem\"", "cannot be read: No such file"},
                 {"/artifacts/require_sha256", "1", "must be true or false"},
                 {"/artifacts/allow_local", "\"yes\"", "must be true or false"}});
}

void a_template_with_a_wrong_placeholder_is_a_fault(void **)
{
    refuse_each({{"/artifacts/source", "\"file:///srv/{model}\"", "{model}"},
                 {"/backends/default/model_name", "\"{model_id\"", "has a brace without its counterpart"},
                 {"/backends/default/model_name", "\"{config.}\"", "{config.}"}});
}

void a_repository_that_is_missing_or_wrong_is_one_fault(void **)
{
    assert_text(faults_of(with(smallest, "/backends/default/repository", nullptr)),
                "/backends/default/repository: is missing\n");
    assert_text(faults_of(with(smallest, "/backends/default/repository", "\"x\"")),
                "/backends/default/repository: must be an absolute path\n");
    assert_text(faults_of(with(smallest, "/backends/default", "[]")), "/backends/default: must be an object\n");
}

void a_model_name_or_an_upstream_that_no_gateway_takes_is_a_fault(void **)
{
    refuse_each({{"/backends/default/model_name", "\"a/{model_id}__r{revision}\"", ""},
                 {"/backends/default/model_name", "\".{model_id}__r{revision}\"", ""},
                 {"/backends/default/model_name", "\"{model_id} r{revision}\"", ""},
                 {"/backends/default/upstream", "\"a/b\"", ""},
                 {"/backends/default/upstream", "\"a b\"", ""}});
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_member_of_a_wrong_type_is_a_fault_at_its_pointer),
        cmocka_unit_test(an_element_of_a_wrong_type_is_a_fault_at_its_index),
        cmocka_unit_test(a_number_is_good_up_to_its_bounds_and_a_fault_past_them),
        cmocka_unit_test(a_whole_number_is_whole_however_it_is_written),
        cmocka_unit_test(the_bounds_of_a_smoke_test_and_of_a_step_are_kept),
        cmocka_unit_test(a_shift_without_steps_is_one_to_all_of_the_traffic),
        cmocka_unit_test(a_word_that_is_none_is_a_fault),
        cmocka_unit_test(a_smoke_test_that_no_deployment_could_pass_is_a_fault),
        cmocka_unit_test(a_path_is_absolute_and_a_socket_fits_its_address),
        cmocka_unit_test(a_mode_is_octal),
        cmocka_unit_test(a_url_is_http_and_its_last_slash_goes),
        cmocka_unit_test(a_source_that_the_operator_wrote_is_allowed_without_an_allow),
        cmocka_unit_test(a_source_on_the_web_is_allowed_from_its_host_on),
        cmocka_unit_test(a_prefix_that_no_source_could_be_under_is_a_fault),
        cmocka_unit_test(a_file_of_certificates_must_be_there),
        cmocka_unit_test(a_template_with_a_wrong_placeholder_is_a_fault),
        cmocka_unit_test(a_repository_that_is_missing_or_wrong_is_one_fault),
        cmocka_unit_test(a_model_name_or_an_upstream_that_no_gateway_takes_is_a_fault),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
