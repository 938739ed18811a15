#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "worker/backend/triton/kserve.hpp"
#include "worker/model_files/config_check.hpp"

namespace {

using rollout::json_fault;

std::string faults_of(std::string_view config)
{
    std::vector<json_fault> faults;
    rollout::check_server_config(json_of(config).get(), "/config/triton", faults);
    std::string all;
    for (const auto &one : faults) {
        all += (all.empty() ? "" : " ") + one.pointer;
    }
    return all;
}

void how_a_model_runs_is_the_clients_to_say(void **)
{
    for (
        const char *config : {
            R"({})",
            R"({"name": "m", "backend": "onnxruntime", "max_batch_size": 8, "instance_group": [{"kind": "KIND_GPU", "count": 2}]})",
            R"({"input": [{"name": "/encoder/ids", "dims": [-1]}], "output": [{"name": "/encoder/last..hidden"}]})",
            R"({"default_model_filename": "model.v2.onnx", "cc_model_filenames": {"7.5": "sub/model.plan"}})",
            R"({"parameters": {"threads": {"string_value": "4"}, "note": {"string_value": "a..b ... c"}}})",
            R"({"input": [{"name": "input/ids:0", "dataType": "TYPE_INT64", "labelFilename": "labels.txt"}]})",
            R"({"batch_input": [{"targetName": ["/a", "b:/0"], "sourceInput": "/x"}], "backend": "python"})",
            R"({"ensemble_scheduling": {"step": [{"model_name": "other-model.v2", "input_map": {"/in:0": "/a/b"}, "outputMap": {"y": "/y"}}]}})",
            R"({"sequence_batching": {"state": [{"input_name": "/s/in", "output_name": "/s/out", "initial_state": [{"name": "/i", "data_file": "zero.bin"}]}], "control_input": [{"name": "/START"}]}})",
            R"({"model_warmup": [{"name": "first", "inputs": {"/encoder/ids": {"input_data_file": "raw/ids"}}}]})",
            R"({"parameters": {"EXECUTION_ENV_PATH": {"string_value": "$$TRITON_MODEL_DIRECTORY/env.tar.gz"}, "dir": {"stringValue": "$$TRITON_MODEL_DIRECTORY"}}})",
            R"({"parameters": {"accept": {"string_value": "text/plain, */*;q=0.8"}, "model": {"string_value": "meta-llama/Llama-3.1-8B"}}})",
            R"({"parameters": {"stop": {"string_value": "</s>"}, "ratio": {"string_value": "1/2"}, "or": {"string_value": "a / b"}}})",
            R"({"parameters": {"price": {"string_value": "5$ or $5"}, "share": {"string_value": "99%, 50% off"}, "about": {"string_value": "a~b ~ 3"}}})",
            R"({"optimization": {"execution_accelerators": {"gpu_execution_accelerator": [{"name": "tensorrt", "parameters": {"precision_mode": "FP16", "max_workspace_size_bytes": "1073741824"}}]}}})",
            R"({"metric_tags": {"team/owner": "search/ranking"}, "instance_group": [{"kind": "KIND_CPU", "profile": ["p:1"]}]})",
            R"({"dynamic_batching": {"max_queue_delay_microseconds": 100}, "version_policy": {"latest": {"num_versions": 1}}})",
        }) {
        assert_text(faults_of(config), "");
    }
}

/// The server resolves these beside the model's folder, and opens, loads or runs what it finds.
void files_outside_of_the_model_are_not(void **)
{
    const struct {
        const char *config;
        const char *pointer;
    } cases[] = {
        {R"({"default_model_filename": "../../other/1/model.onnx"})", "/default_model_filename"},
        {R"({"default_model_filename": "/etc/passwd"})", "/default_model_filename"},
        {R"({"default_model_filename": "..\\..\\x"})", "/default_model_filename"},
        {R"({"default_model_filename": "a/../../x"})", "/default_model_filename"},
        {R"({"default_model_filename": ".."})", "/default_model_filename"},
        {R"({"cc_model_filenames": {"7.5": "/x.plan"}})", "/cc_model_filenames/7.5"},
        {R"({"model_operations": {"op_library_filename": ["ok.so", "/tmp/evil.so"]}})",
         "/model_operations/op_library_filename/1"},
        {R"({"backend": "../../../tmp/evil"})", "/backend"},
        {R"({"runtime": "/tmp/libevil.so"})", "/runtime"},
        {R"({"model_warmup": [{"inputs": {"x": {"input_data_file": "/etc/shadow"}}}]})",
         "/model_warmup/0/inputs/x/input_data_file"},
        {R"({"parameters": {"EXECUTION_ENV_PATH": {"string_value": "/tmp/env.tar.gz"}}})",
         "/parameters/EXECUTION_ENV_PATH/string_value"},
        {R"({"parameters": {"EXECUTION_ENV_PATH": {"string_value": "$$TRITON_MODEL_DIRECTORY/../x"}}})",
         "/parameters/EXECUTION_ENV_PATH/string_value"},
        {R"({"parameters": {"weights": {"string_value": "http://169.254.169.254/"}}})",
         "/parameters/weights/string_value"},
        {R"({"ensemble_scheduling": {"step": [{"model_name": "../x"}]}})", "/ensemble_scheduling/step/0/model_name"},
        {R"({"optimization": {"execution_accelerators": {"gpu_execution_accelerator": [{"name": "tensorrt", "parameters": {"trt_engine_cache_path": "/var/lib/other"}}]}}})",
         "/optimization/execution_accelerators/gpu_execution_accelerator/0/parameters/trt_engine_cache_path"},
        {R"({"optimization": {"executionAccelerators": {"cpuExecutionAccelerator": [{"name": "/tmp/x"}]}}})",
         "/optimization/executionAccelerators/cpuExecutionAccelerator/0/name"},
        {R"({"defaultModelFilename": "/etc/passwd"})", "/defaultModelFilename"},
        {R"({"modelRepositoryAgents": {"agents": [{"name": "checksum"}]}})", "/modelRepositoryAgents"},
        {R"({"output": [{"name": "o", "label_filename": "/etc/passwd"}]})", "/output/0/label_filename"},
        {R"({"output": [{"name": "o", "labelFilename": "../x/labels.txt"}]})", "/output/0/labelFilename"},
        {R"({"input": [{"name": {"deep": "/etc/passwd"}}]})", "/input/0/name/deep"},
        {R"({"sequence_batching": {"state": [{"initial_state": [{"name": "i", "data_file": "/etc/shadow"}]}]}})",
         "/sequence_batching/state/0/initial_state/0/data_file"},
        {R"({"backend": "sub/dir"})", "/backend"},
        {R"({"platform": "/x"})", "/platform"},
        {R"({"runtime": "a/libx.so"})", "/runtime"},
        {R"({"metric_tags": {"a": "/etc/passwd"}})", "/metric_tags/a"},
        {R"({"metric_tags": {"/etc/passwd": "a"}})", "/metric_tags/~1etc~1passwd"},
        {R"({"cc_model_filenames": {"../7.5": "x"}})", "/cc_model_filenames/..~17.5"},
        {R"({"anything": {"at": ["all", {"new": "/x"}]}})", "/anything/at/1/new"},
        {R"({"parameters": {"a": {"string_value": "~/x"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "~root"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "$HOME/x"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "x/${HOME}"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "%USERPROFILE%/x"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "FILE:/etc/passwd"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "file:etc/passwd"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "s3://bucket/x"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "C:/Windows"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "\\\\server\\share"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": " /etc/passwd"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "/"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "ok.so;/tmp/evil.so"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "--plugin=/tmp/evil.so"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "--plugin=../evil.so"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "{\"path\": \"/x\"}"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "x\u0000y"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "$$TRITON_MODEL_DIRECTORY//etc"}}})", "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "$$TRITON_MODEL_DIRECTORY_OTHER/x"}}})",
         "/parameters/a/string_value"},
        {R"({"parameters": {"a": {"string_value": "x/$$TRITON_MODEL_DIRECTORY"}}})", "/parameters/a/string_value"},
        {R"({"model_repository_agents": {"agents": [{"name": "checksum"}]}})", "/model_repository_agents"},
        {R"({"file:1/model.onnx": "aGk="})", "/file:1~1model.onnx"},
        {R"({"parameters": {"file:../../etc/cron.d/x": "aGk="}})", "/parameters/file:..~1..~1etc~1cron.d~1x"},
    };
    for (const auto &[config, pointer] : cases) {
        assert_text(faults_of(config), std::string("/config/triton") + pointer);
    }
}

/// CVE-2023-31036: files come as parameters of the load call itself. What a client sends is one parameter, a string.
void a_configuration_is_never_more_than_one_parameter_of_the_load_call(void **)
{
    const auto config =
        json_of(R"({"parameters": {"file:1/x": "aGk="}, "file:../x": "aGk=", "name": "other", "a\"}": 1})");
    const auto request = rollout::kserve::load("http://s", "m", config.get(), std::chrono::milliseconds(1000));
    assert_text(request.url, "http://s/v2/repository/models/m/load");
    const auto body = json_of(request.body);
    assert_int_equal(json_object_size(body.get()), 1);
    const json_t *parameters = json_object_get(body.get(), "parameters");
    assert_int_equal(json_object_size(parameters), 1);
    const auto text = json_of(rollout::json_text(parameters, "config"));
    assert_text(rollout::json_text(text.get(), "name"), "m");
    assert_text(rollout::json_text(text.get(), "file:../x"), "aGk=");
}

/// And a name is one component of the path, whatever is in it.
void a_models_name_never_leaves_its_place_in_the_url(void **)
{
    const auto path_of = [](std::string_view model) {
        return rollout::kserve::unload("http://s", model, std::chrono::milliseconds(1000)).url;
    };
    assert_text(path_of("../../logging"), "http://s/v2/repository/models/..%2F..%2Flogging/unload");
    assert_text(path_of("m?x#y%2f z\r\n"), "http://s/v2/repository/models/m%3Fx%23y%252f%20z%0D%0A/unload");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(how_a_model_runs_is_the_clients_to_say),
        cmocka_unit_test(files_outside_of_the_model_are_not),
        cmocka_unit_test(a_configuration_is_never_more_than_one_parameter_of_the_load_call),
        cmocka_unit_test(a_models_name_never_leaves_its_place_in_the_url),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
