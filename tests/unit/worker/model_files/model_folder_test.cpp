#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/worker/artifact/fetching.hpp"
#include "tests/unit/worker/artifact/made_archive.hpp"
#include "worker/model_files/model_folder.hpp"

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

struct file {
    std::string path; ///< with a slash at its end: a folder
    std::string text = {};
};


std::string fetched_from(fetching &from, const std::string &name)
{
    const auto ended = from.fetch(name);
    return ended ? from.fetched() : "failed: " + ended.detail;
}

/// What becomes of these files as a folder, as a tar archive and as a zip archive, packed in each of the ways that people pack
/// them: one and the same.
void all_end_as(const std::vector<file> &all, const std::string &wanted)
{
    fetching from;
    for (const auto &[path, text] : all) {
        if (path.ends_with('/')) {
            std::filesystem::create_directories(from.folder / "models/m" / path);
        } else {
            from.write("m/" + path, text);
        }
    }
    assert_text(fetched_from(from, "m"), wanted);
    for (const char *archive : {"m.tar", "m.zip"}) {
        for (const std::string before : {"", "./", "a-folder/", "two/folders.v1/"}) {
            if (before.size() > 2 && wanted.starts_with("1/data")) {
                continue; // is no model that a folder could be around
            }
            {
                made_archive made(from.folder / "models" / archive);
                if (before == "./") {
                    made.folder("./");
                }
                for (const auto &[path, text] : all) {
                    path.ends_with('/') ? made.folder(before + path) : made.file(before + path, text);
                }
            }
            assert_text(fetched_from(from, archive), wanted);
        }
    }
}

/// Triton's model repository documentation, its backends' READMEs and MLServer's, each as it is written there.
void a_models_folder_is_taken_as_it_stands(void **)
{
    all_end_as({{"config.pbtxt", "c"}, {"1/model.plan", "x"}}, "1/model.plan=x config.pbtxt=c");
    all_end_as({{"1/model.onnx", "x"}, {"2/model.onnx", "y"}}, "1/model.onnx=x 2/model.onnx=y");
    all_end_as({{"config.pbtxt", "c"}, {"1/model.onnx/model.onnx", "x"}, {"1/model.onnx/w.bin", "w"}},
               "1/model.onnx/model.onnx=x 1/model.onnx/w.bin=w config.pbtxt=c");
    all_end_as({{"config.pbtxt", "c"}, {"1/model.xml", "x"}, {"1/model.bin", "b"}},
               "1/model.bin=b 1/model.xml=x config.pbtxt=c");
    all_end_as({{"config.pbtxt", "c"},
                {"labels.txt", "l"},
                {"configs/h100.pbtxt", "h"},
                {"warmup/raw", "r"},
                {"initial_state/zero", "z"},
                {"env.tar.gz", "e"},
                {"1/model.py", "p"},
                {"1/encoder.onnx", "o"}},
               "1/encoder.onnx=o 1/model.py=p config.pbtxt=c configs/h100.pbtxt=h env.tar.gz=e initial_state/zero=z "
               "labels.txt=l warmup/raw=r");
    all_end_as({{"config.pbtxt", "platform: \"ensemble\""}, {"1/"}}, "1/ config.pbtxt=platform: \"ensemble\"");
    all_end_as({{"1/model.savedmodel/saved_model.pb", "s"}, {"1/model.savedmodel/variables/v", "v"}},
               "1/model.savedmodel/saved_model.pb=s 1/model.savedmodel/variables/v=v");
    all_end_as({{"1/model.json", "{}"}, {"config.pbtxt", "backend: \"vllm\""}},
               "1/model.json={} config.pbtxt=backend: \"vllm\"");
    all_end_as({{"1/xgboost.json", "{}"}, {"config.pbtxt", "c"}}, "1/xgboost.json={} config.pbtxt=c");
    all_end_as({{"model-settings.json", "{}"}, {"settings.json", "{}"}, {"mnist-svm.joblib", "j"}},
               "mnist-svm.joblib=j model-settings.json={} settings.json={}");
    all_end_as({{"model-settings.json", "{}"}, {"data/mnist/x.onnx", "x"}},
               "data/mnist/x.onnx=x model-settings.json={}");
    const std::string settings = R"({"name":"m"})";
    all_end_as({{"v1/model-settings.json", settings},
                {"v1/m.joblib", "1"},
                {"v2/model-settings.json", settings},
                {"README", "r"}},
               "README=r v1/m.joblib=1 v1/model-settings.json=" + settings + " v2/model-settings.json=" + settings);
    all_end_as({{"m/v1/model-settings.json", settings}, {"m/v2/model-settings.json", settings}},
               "v1/model-settings.json=" + settings + " v2/model-settings.json=" + settings);
}

void several_models_of_mlserver_are_no_model(void **)
{
    for (const std::string around : {"", "models/"}) {
        const temporary_folder folder;
        folder.write(around + "svm/model-settings.json", R"({"name": "mnist-svm"})");
        folder.write(around + "xgboost/model-settings.json", R"({"name": "mushroom"})");
        const auto laid = rollout::lay_out(folder.path(), nullptr);
        assert_holds(laid.detail, "several models (mnist-svm, mushroom), each with a model-settings.json");
        assert_true(laid.is == rollout::outcome::kind::permanent);
    }
}

void loose_files_are_those_of_version_1(void **)
{
    all_end_as({{"model.plan", "x"}}, "1/model.plan=x");
    all_end_as({{"model.py", "p"}, {"encoder.onnx", "o"}}, "1/encoder.onnx=o 1/model.py=p");
    all_end_as({{"model.pt", "p"}, {"vocab.txt", "v"}}, "1/model.pt=p 1/vocab.txt=v");
    all_end_as({{"model.xml", "x"}, {"model.bin", "b"}}, "1/model.bin=b 1/model.xml=x");
    all_end_as({{"model.dali", "d"}}, "1/model.dali=d");
    all_end_as({{"net.onnx", "x"}, {"net.onnx.data", "d"}}, "1/model.onnx=x 1/net.onnx.data=d");
    all_end_as({{"net.onnx", "x"}, {"model.onnx_data", "d"}}, "1/model.onnx=x 1/model.onnx_data=d");
    all_end_as({{"model.savedmodel/saved_model.pb", "s"}}, "1/model.savedmodel/saved_model.pb=s");
    all_end_as({{"model.onnx/model.onnx", "x"}, {"model.onnx/w.bin", "w"}},
               "1/model.onnx/model.onnx=x 1/model.onnx/w.bin=w");
    all_end_as({{"config.json", "{}"}, {"model.safetensors", "s"}, {"tokenizer.json", "t"}},
               "1/config.json={} 1/model.safetensors=s 1/tokenizer.json=t");
    all_end_as({{"model.json", "{}"}, {"config.pbtxt", "backend: 'vllm'"}},
               "1/model.json={} config.pbtxt=backend: 'vllm'");
    all_end_as({{"data/w.bin", "w"}}, "1/data/w.bin=w");
}

void what_the_server_reads_at_a_models_top_stays_there(void **)
{
    const std::string labels = "output [ { name: \"o\" label_filename: \"classes.txt\" } ]";
    all_end_as({{"config.pbtxt", labels}, {"classes.txt", "l"}, {"vocab.txt", "v"}, {"net.onnx", "x"}},
               "1/model.onnx=x 1/vocab.txt=v classes.txt=l config.pbtxt=" + labels);
    const std::string environment = "backend: \"python\" parameters: { key: \"EXECUTION_ENV_PATH\", "
                                    "value: {string_value: \"$$TRITON_MODEL_DIRECTORY/env.tar.gz\"} }";
    all_end_as(
        {{"config.pbtxt", environment}, {"env.tar.gz", "e"}, {"triton_python_backend_stub", "s"}, {"model.py", "p"}},
        "1/model.py=p config.pbtxt=" + environment + " env.tar.gz=e triton_python_backend_stub=s");
    all_end_as({{"config.pbtxt", "c"}, {"warmup/raw", "r"}, {"initial_state/zero", "z"}, {"model.plan", "x"}},
               "1/model.plan=x config.pbtxt=c initial_state/zero=z warmup/raw=r");
    all_end_as(
        {{"config.pbtxt", "c"}, {"configs/a.pbtxt", "output {label_filename: 'l'}"}, {"l", "l"}, {"m.plan", "x"}},
        "1/m.plan=x config.pbtxt=c configs/a.pbtxt=output {label_filename: 'l'} l=l");
    all_end_as({{"configs/train.yaml", "y"}, {"model.py", "p"}}, "1/configs/train.yaml=y 1/model.py=p");
    all_end_as({{"config.pbtxt", "platform: 'ensemble'"}}, "1/ config.pbtxt=platform: 'ensemble'");
}

void what_a_clients_configuration_names_at_the_top_stays_there(void **)
{
    fetching from;
    from.write("m/classes.txt", "l");
    from.write("m/env.tar.gz", "e");
    from.write("m/model.py", "p");
    from.request.server_config = rollout::share(json_of(R"({"output": [{"name": "o", "labelFilename": "classes.txt"}],
        "parameters": {"EXECUTION_ENV_PATH": {"string_value": "$$TRITON_MODEL_DIRECTORY/env.tar.gz"}}})"));
    assert_text(fetched_from(from, "m"), "1/model.py=p classes.txt=l env.tar.gz=e");
}

void an_onnx_file_of_another_backends_is_not_renamed(void **)
{
    for (const std::string config :
         {"backend: \"python\"", "backend: 'openvino'", "platform: \"pytorch_libtorch\""}) {
        all_end_as({{"config.pbtxt", config}, {"net.onnx", "x"}}, "1/net.onnx=x config.pbtxt=" + config);
    }
    for (const std::string other : {"model.py", "model.pt", "model.dali", "model.xml", "libtriton_mine.so"}) {
        all_end_as({{"encoder.onnx", "x"}, {other, "y"}}, "1/encoder.onnx=x 1/" + other + "=y");
    }
    all_end_as({{"config.pbtxt", "platform: 'onnxruntime_onnx'"}, {"net.onnx", "x"}, {"model.json", "{}"}},
               "1/model.json={} 1/model.onnx=x config.pbtxt=platform: 'onnxruntime_onnx'");
}

void one_folder_around_the_model_is_stripped_whatever_its_name(void **)
{
    for (const std::string around : {"bert/", "123/", "7/", "1/", "v1.2/", "01/", "models/", ".hidden/"}) {
        all_end_as({{around + "config.pbtxt", "c"}, {around + "1/model.onnx", "x"}}, "1/model.onnx=x config.pbtxt=c");
        all_end_as({{around + "1/model.onnx", "x"}}, "1/model.onnx=x");
        all_end_as({{around + "config.pbtxt", "c"}, {around + "model.onnx", "x"}}, "1/model.onnx=x config.pbtxt=c");
        all_end_as({{around + "model-settings.json", "{}"}, {around + "m.joblib", "x"}},
                   "m.joblib=x model-settings.json={}");
        all_end_as({{around + "7/model.onnx", "x"}}, "7/model.onnx=x");
    }
    all_end_as({{"bert/model.pt", "x"}}, "1/model.pt=x");
    all_end_as({{"123/7/config.pbtxt", "c"}, {"123/7/1/model.py", "x"}}, "1/model.py=x config.pbtxt=c");
    all_end_as({{"repository/bert/model.savedmodel/saved_model.pb", "x"}}, "1/model.savedmodel/saved_model.pb=x");
}

void a_folder_that_is_a_version_stays_one(void **)
{
    all_end_as({{"1/model.onnx", "x"}}, "1/model.onnx=x");
    all_end_as({{"7/model.onnx", "x"}}, "7/model.onnx=x");
    all_end_as({{"1/model.py", "x"}, {"1/2/data", "d"}}, "1/2/data=d 1/model.py=x");
    all_end_as({{"7/config.json", "{}"}, {"7/model.safetensors", "s"}}, "7/config.json={} 7/model.safetensors=s");
}

void what_an_operating_system_left_behind_is_no_part_of_a_model(void **)
{
    all_end_as({{"bert/config.pbtxt", "c"},
                {"__MACOSX/bert/._config.pbtxt", "j"},
                {"__MACOSX/._bert", "j"},
                {"bert/1/model.onnx", "x"},
                {"bert/1/._model.onnx", "j"},
                {"._bert", "j"},
                {".DS_Store", "j"},
                {"bert/.DS_Store", "j"}},
               "1/model.onnx=x config.pbtxt=c");
    for (const std::string left :
         {".Spotlight-V100/store", ".fseventsd/a", ".Trashes/501/x", "Thumbs.db", "desktop.ini", "DESKTOP.INI",
          "$RECYCLE.BIN/x", "System Volume Information/x", "lost+found/x", ".nfs0000000000a1b2c300000001",
          "PaxHeader/model.onnx", "PaxHeaders.1234/x", "pax_global_header", "@eaDir/x", ".Trash-1000/x", "..data",
          "..2026_11_24/a.onnx"}) {
        all_end_as({{"net.onnx", "x"}, {left, "j"}}, "1/model.onnx=x");
        all_end_as({{"1/net.onnx", "x"}, {left, "j"}, {"1/" + left, "j"}}, "1/net.onnx=x");
    }
    // An ensemble's version that holds nothing else.
    all_end_as({{"config.pbtxt", "c"}, {"1/.DS_Store", "j"}}, "1/ config.pbtxt=c");
    // What may be the model's own.
    all_end_as({{"model.py", "p"}, {".cache/x", "c"}, {"__pycache__/x", "y"}, {"model.py~", "b"}, {"_x", "u"}},
               "1/.cache/x=c 1/__pycache__/x=y 1/_x=u 1/model.py=p 1/model.py~=b");
}

void a_source_of_nothing_but_what_was_left_behind_is_refused(void **)
{
    fetching from;
    from.write("m/.DS_Store", "j");
    from.write("m/__MACOSX/._x", "j");
    assert_holds(fetched_from(from, "m"), "holds no file");
    made_archive(from.folder / "models/m.zip").file(".DS_Store", "j");
    assert_holds(fetched_from(from, "m.zip"), "holds no file");
}

void an_archive_alone_in_its_folder_or_archive_is_no_model(void **)
{
    fetching from;
    from.write("m/bert.tar.gz", "x");
    made_archive(from.folder / "models/m.zip").file("bert.tar.gz", "x");
    for (const char *name : {"m", "m.zip"}) {
        assert_holds(fetched_from(from, name), "contains only bert.tar.gz, an archive");
        assert_true(from.left_nothing());
    }
}

/// Old .NET wrote the separators of its own system, and DOS the characters of its code page.
void a_zip_made_on_windows_is_a_folder_of_files(void **)
{
    fetching from;
    const auto zip = from.folder / "models/m.zip";
    made_archive(zip)
        .file("bert\\config.pbtxt", "c")
        .file("bert\\1\\model.onnx", "x")
        .file("bert\\1\\stra\xe1"
              "e",
              "s");
    assert_text(fetched_from(from, "m.zip"), "1/model.onnx=x 1/straße=s config.pbtxt=c");
    for (const char *evil : {"..\\..\\escaped", "C:\\escaped", "\\escaped", "a\\..\\..\\escaped"}) {
        made_archive(zip).file("1/model.onnx", "x").file(evil, "e");
        assert_holds(fetched_from(from, "m.zip"), "failed: ");
        assert_true(from.left_nothing());
    }
}

void every_compression_of_a_tar_is_unpacked_by_a_name_in_any_case_of_letters(void **)
{
    for (const std::string name : {"m.tar", "m.tar.gz", "m.tar.bz2", "m.tar.xz", "m.tar.zst", "m.tar.lz4", "m.zip"}) {
        fetching from;
        made_archive(from.folder / "models" / name).file("1/model.onnx", "x");
        assert_text(fetched_from(from, name), "1/model.onnx=x");
        std::string loud = name;
        std::transform(loud.begin(), loud.end(), loud.begin(), [](unsigned char c) { return std::toupper(c); });
        std::filesystem::rename(from.folder / "models" / name, from.folder / "models" / loud);
        assert_text(fetched_from(from, loud), "1/model.onnx=x");
    }
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
        cmocka_unit_test(several_models_of_mlserver_are_no_model),
        cmocka_unit_test(the_only_onnx_file_gets_the_name_that_servers_look_for),
        cmocka_unit_test(of_several_onnx_files_none_is_renamed),
        cmocka_unit_test(a_large_model_that_is_a_folder_keeps_the_name),
        cmocka_unit_test(a_configuration_that_names_its_files_keeps_their_names),
        cmocka_unit_test(what_is_in_a_models_folder_is_not_renamed),
        cmocka_unit_test(a_folder_called_as_the_configuration_goes_into_the_version),
        cmocka_unit_test(hidden_files_come_along),
        cmocka_unit_test(a_models_folder_is_taken_as_it_stands),
        cmocka_unit_test(loose_files_are_those_of_version_1),
        cmocka_unit_test(what_the_server_reads_at_a_models_top_stays_there),
        cmocka_unit_test(what_a_clients_configuration_names_at_the_top_stays_there),
        cmocka_unit_test(an_onnx_file_of_another_backends_is_not_renamed),
        cmocka_unit_test(one_folder_around_the_model_is_stripped_whatever_its_name),
        cmocka_unit_test(a_folder_that_is_a_version_stays_one),
        cmocka_unit_test(what_an_operating_system_left_behind_is_no_part_of_a_model),
        cmocka_unit_test(a_source_of_nothing_but_what_was_left_behind_is_refused),
        cmocka_unit_test(an_archive_alone_in_its_folder_or_archive_is_no_model),
        cmocka_unit_test(a_zip_made_on_windows_is_a_folder_of_files),
        cmocka_unit_test(every_compression_of_a_tar_is_unpacked_by_a_name_in_any_case_of_letters),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
