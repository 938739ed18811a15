#include "tests/unit/cmocka.hpp"
#include "tests/unit/fetching.hpp"
#include "worker/artifact/layout.hpp"

namespace {

using rollout::folder_shape;

bool is_model_folder(std::initializer_list<std::pair<std::string_view, bool>> entries)
{
    folder_shape shape;
    for (const auto &[name, is_folder] : entries) {
        shape.note(name, is_folder);
    }
    return shape.is_model_folder();
}

void a_folder_with_a_version_is_a_models(void **)
{
    for (const char *version : {"1", "7", "10", "20261124"}) {
        assert_true(is_model_folder({{version, true}}));
    }
    assert_true(is_model_folder({{"readme.txt", false}, {"labels", true}, {"2", true}}));
}

void a_folder_whose_numbers_are_no_versions_is_not(void **)
{
    for (const char *name : {"0", "01", "1a", "v1", "-1", "1.0", ""}) {
        assert_false(is_model_folder({{name, true}}));
    }
    assert_false(is_model_folder({{"1", false}}));
    assert_false(is_model_folder({{"config.pbtxt", false}, {"model.onnx", false}}));
}

void a_folder_with_mlservers_settings_is_a_models(void **)
{
    assert_true(is_model_folder({{"model-settings.json", false}, {"model.onnx", false}}));
    assert_false(is_model_folder({{"model-settings.json", true}}));
}

/// What becomes of a folder of these files.
std::string fetched(std::initializer_list<std::pair<const char *, const char *>> files)
{
    fetching from;
    for (const auto &[name, text] : files) {
        from.write(std::string("m/") + name, text);
    }
    const auto ended = from.fetch("m");
    return ended ? from.fetched() : "failed: " + ended.detail;
}

void the_only_onnx_file_gets_the_name_that_servers_look_for(void **)
{
    assert_text(fetched({{"net.onnx", "x"}, {"vocab.txt", "v"}}), "1/model.onnx=x 1/vocab.txt=v");
    assert_text(fetched({{"model.onnx", "x"}}), "1/model.onnx=x");
}

void of_several_onnx_files_none_is_renamed(void **)
{
    assert_text(fetched({{"a.onnx", "x"}, {"b.onnx", "y"}}), "1/a.onnx=x 1/b.onnx=y");
}

void a_large_model_that_is_a_folder_keeps_the_name(void **)
{
    assert_text(fetched({{"model.onnx/part.bin", "x"}, {"net.onnx", "y"}}), "1/model.onnx/part.bin=x 1/net.onnx=y");
}

void a_configuration_that_names_its_files_keeps_their_names(void **)
{
    assert_text(fetched({{"net.onnx", "x"}, {"config.pbtxt", "default_model_filename: \"net.onnx\""}}),
                "1/net.onnx=x config.pbtxt=default_model_filename: \"net.onnx\"");
    assert_text(fetched({{"net.onnx", "x"}, {"config.pbtxt", "platform: \"onnxruntime_onnx\""}}),
                "1/model.onnx=x config.pbtxt=platform: \"onnxruntime_onnx\"");
    assert_text(fetched({{"net.onnx", "x"}, {"config.pbtxt", "broken: \""}}),
                "1/model.onnx=x config.pbtxt=broken: \"");
}

void what_is_in_a_models_folder_is_not_renamed(void **)
{
    assert_text(fetched({{"1/net.onnx", "x"}, {"loose.onnx", "y"}}), "1/net.onnx=x loose.onnx=y");
    assert_text(fetched({{"net.onnx", "x"}, {"model-settings.json", "{}"}}), "model-settings.json={} net.onnx=x");
}

void a_folder_called_as_the_configuration_goes_into_the_version(void **)
{
    assert_text(fetched({{"config.pbtxt/a", "x"}}), "1/config.pbtxt/a=x");
}

void hidden_files_come_along(void **)
{
    assert_text(fetched({{".cache/x", "c"}, {"model.onnx", "x"}}), "1/.cache/x=c 1/model.onnx=x");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_with_a_version_is_a_models),
        cmocka_unit_test(a_folder_whose_numbers_are_no_versions_is_not),
        cmocka_unit_test(a_folder_with_mlservers_settings_is_a_models),
        cmocka_unit_test(the_only_onnx_file_gets_the_name_that_servers_look_for),
        cmocka_unit_test(of_several_onnx_files_none_is_renamed),
        cmocka_unit_test(a_large_model_that_is_a_folder_keeps_the_name),
        cmocka_unit_test(a_configuration_that_names_its_files_keeps_their_names),
        cmocka_unit_test(what_is_in_a_models_folder_is_not_renamed),
        cmocka_unit_test(a_folder_called_as_the_configuration_goes_into_the_version),
        cmocka_unit_test(hidden_files_come_along),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
