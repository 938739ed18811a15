#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "worker/model_files/model_name.hpp"

#include <jansson.h>

namespace {

using rollout::with_name;
using rollout::with_settings_name;

std::string renamed(std::string_view text)
{
    const auto fitted = with_name(text, "m__r7");
    return fitted ? *fitted : "failed: " + fitted.sentence();
}

void the_top_level_name_is_replaced(void **)
{
    assert_text(renamed("name: \"old\"\nplatform: \"onnxruntime_onnx\"\n"),
                "name: \"m__r7\"\nplatform: \"onnxruntime_onnx\"\n");
    assert_text(renamed("platform: 'x', name : 'old';max_batch_size: 8"),
                "platform: 'x', name : \"m__r7\";max_batch_size: 8");
    assert_text(renamed("name:\"old\""), "name:\"m__r7\"");
}

void names_of_inputs_and_outputs_stay(void **)
{
    const std::string text =
        "input [ { name: \"input\" data_type: TYPE_FP32 dims: [ -1, 512 ] },\n"
        "        { name: \"state\" } ]\n"
        "output < name: 'output' dims: 1 >\n"
        "ensemble_scheduling { step [ { model_name: \"name\" input_map { key: \"name\" value: \"a\" } } ] }\n";
    assert_text(renamed(text), text);
    assert_text(renamed(text + "name: \"old\""), text + "name: \"m__r7\"");
    assert_text(renamed("name: \"old\"\n" + text), "name: \"m__r7\"\n" + text);
}

void comments_and_strings_that_speak_of_name_stay(void **)
{
    const std::string text = "# name: \"comment\" {\n"
                             "platform: \"name: \\\"x\\\" # { \" # name: \"y\"\n"
                             "parameters { key: 'it\\'s name: \"z\"' }\n";
    assert_text(renamed(text), text);
    assert_text(renamed(text + "name: \"old\" # the name: \"old\"\n"),
                text + "name: \"m__r7\" # the name: \"old\"\n");
}

void adjacent_literals_are_one_value(void **)
{
    assert_text(renamed("name: \"a\" 'b'\n  \"c\" # why\nplatform: 'p'"),
                "name: \"m__r7\" \n   # why\nplatform: 'p'");
}

void every_name_at_the_top_is_replaced(void **)
{
    assert_text(renamed("name: 'a' name: 'b'"), "name: \"m__r7\" name: \"m__r7\"");
}

void a_text_without_a_name_stays(void **)
{
    assert_text(renamed(""), "");
    assert_text(renamed("\n# nothing\n"), "\n# nothing\n");
    assert_text(renamed("platform: 'p' max_batch_size: 0x10 version_policy: { all {} }"),
                "platform: 'p' max_batch_size: 0x10 version_policy: { all {} }");
}

void all_that_the_format_allows_is_read(void **)
{
    const std::string text =
        "\xEF\xBB\xBF[com.example.ext] { a: 1 } [type.googleapis.com/a.b-c.D]: < >\r\n"
        "a: - 5; b: -inf, c: 1.5e-3f d: .5 e: [] f: ['x' \"y\", 'z'] g: [{}, <a: 1>] h { }, i: TYPE_X\n"
        "j: 'caf\xC3\xA9\t\\n\\x41\\\\'\v\f";
    assert_text(renamed(text), text);
}

void what_is_malformed_is_refused_with_its_line(void **)
{
    assert_holds(renamed("name: 'a'\nplatform: \"x\n"), "failed: line 2: an unterminated string");
    assert_holds(renamed("a: 'x"), "line 1: an unterminated string");
    assert_holds(renamed("a: 'x\\"), "line 1: an unterminated string");
    assert_holds(renamed("a: 1\ninput [ {\n name: 'x'\n"), "line 2: an unclosed bracket");
    assert_holds(renamed("\n\na { b: [ 1, 2"), "line 3: an unclosed bracket");
    assert_holds(renamed("a { b: 1 >"), "line 1");
    assert_holds(renamed("a: 1 }"), "line 1: \"}\" does not belong there");
    assert_holds(renamed("name 'x'"), "line 1");
    assert_holds(renamed("name:"), "line 1: the text ends in the middle of a field");
    assert_holds(renamed("name: ]"), "line 1: \"]\"");
    assert_holds(renamed("a: 1\n\x01"), "line 2: a control character");
    assert_holds(renamed(std::string_view("# x\0y", 5)), "line 1: a control character");
    assert_holds(renamed(std::string_view("a: 'x\0y'", 8)), "line 1: a control character");
    assert_holds(renamed("{\"name\": \"json\"}"), "line 1");
    assert_holds(renamed("a: 1 $"), "line 1");
    assert_holds(renamed("name: unquoted"), "line 1: the value of name is not a string");
    assert_holds(renamed("name { }"), "line 1: the value of name is not a string");
    assert_holds(renamed("[a.b"), "line 1");
}

void deep_nesting_is_refused_and_does_no_harm(void **)
{
    std::string text;
    for (int i = 0; i < 200000; ++i) {
        text += "a{";
    }
    assert_holds(renamed(text), "messages in each other");
}

void a_name_is_written_as_a_literal(void **)
{
    const auto fitted = with_name("name: 'x'", "a\"b\\c");
    assert_true(static_cast<bool>(fitted));
    assert_text(*fitted, "name: \"a\\\"b\\\\c\"");
}

void the_settings_name_is_set_and_the_rest_stays(void **)
{
    const auto fitted = with_settings_name(
        R"({"name": "old", "implementation": "m.M", "parameters": {"uri": "./model.onnx", "name": "inner"}})",
        "m__r7");
    assert_true(static_cast<bool>(fitted));
    json_t *is = json_loads(fitted->c_str(), 0, nullptr);
    json_t *should_be = json_loads(
        R"({"name": "m__r7", "implementation": "m.M", "parameters": {"uri": "./model.onnx", "name": "inner"}})", 0,
        nullptr);
    const bool same = json_equal(is, should_be) != 0;
    json_decref(is);
    json_decref(should_be);
    assert_true(same);
}

void settings_that_are_no_object_are_refused(void **)
{
    assert_text(with_settings_name("[]", "m").sentence(), "it is not a JSON object");
    assert_holds(with_settings_name("{\n\"name\": ", "m").sentence(), "line 2");
}

void both_files_at_the_top_are_fitted(void **)
{
    const temporary_folder folder;
    folder.write("config.pbtxt", "name: \"old\"\n");
    folder.write("model-settings.json", R"({"name": "old"})");
    folder.write("1/model-settings.json", R"({"name": "inner"})");
    assert_true(static_cast<bool>(rollout::fit_model_name(folder.path(), "new")));
    assert_true(static_cast<bool>(rollout::fit_model_name(folder.path(), "new")));
    assert_text(folder.read("config.pbtxt"), "name: \"new\"\n");
    assert_holds(folder.read("model-settings.json"), "\"name\":\"new\"");
    assert_text(folder.read("1/model-settings.json"), R"({"name": "inner"})");
    assert_false(folder.has(".rollout-new"));
}

void the_settings_of_each_version_are_fitted(void **)
{
    const temporary_folder folder;
    folder.write("v1/model-settings.json", R"({"name": "old", "parameters": {"version": "v1"}})");
    folder.write("2/model-settings.json", R"({"name": "old"})");
    folder.write("other/x.json", R"({"name": "old"})");
    assert_true(static_cast<bool>(rollout::fit_model_name(folder.path(), "new")));
    assert_holds(folder.read("v1/model-settings.json"), "\"name\":\"new\"");
    assert_holds(folder.read("2/model-settings.json"), "\"name\":\"new\"");
    assert_text(folder.read("other/x.json"), R"({"name": "old"})");
}

void settings_below_are_fitted_where_they_have_the_name_of_those_at_the_top(void **)
{
    const temporary_folder folder;
    folder.write("model-settings.json", R"({"name": "old"})");
    folder.write("v1/model-settings.json", R"({"name": "old"})");
    folder.write("tokenizer/model-settings.json", R"({"name": "tokenizer"})");
    assert_true(static_cast<bool>(rollout::fit_model_name(folder.path(), "new")));
    assert_holds(folder.read("model-settings.json"), "\"name\":\"new\"");
    assert_holds(folder.read("v1/model-settings.json"), "\"name\":\"new\"");
    assert_text(folder.read("tokenizer/model-settings.json"), R"({"name": "tokenizer"})");
}

void a_folder_without_them_is_fine(void **)
{
    const temporary_folder folder;
    assert_true(static_cast<bool>(rollout::fit_model_name(folder.path(), "new")));
}

void a_file_that_cannot_be_fitted_fails_with_its_name(void **)
{
    const temporary_folder folder;
    folder.write("config.pbtxt", "name: \"old");
    auto ended = rollout::fit_model_name(folder.path(), "new");
    assert_true(ended.is == rollout::outcome::kind::permanent);
    assert_text(ended.detail, "the model's config.pbtxt cannot be read: line 1: an unterminated string");

    folder.write("config.pbtxt", std::string(1024 * 1024 + 1, '#'));
    ended = rollout::fit_model_name(folder.path(), "new");
    assert_true(ended.is == rollout::outcome::kind::permanent);
    assert_holds(ended.detail, "config.pbtxt is larger than 1.0 MiB");
}

void a_link_in_their_place_is_not_followed(void **)
{
    const temporary_folder folder;
    folder.write("elsewhere", "name: \"old\"");
    folder.write("model/x", "");
    std::filesystem::create_symlink(folder / "elsewhere", folder / "model/config.pbtxt");
    assert_false(static_cast<bool>(rollout::fit_model_name(folder / "model", "new")));
    assert_text(folder.read("elsewhere"), "name: \"old\"");
}

/// A server that is started with --model-config-name reads them in config.pbtxt's place.
void custom_configurations_get_the_name_too(void **)
{
    temporary_folder folder;
    folder.write("configs/h100.pbtxt", "name: \"old\"");
    folder.write("configs/notes.txt", "name: \"old\"");
    folder.write("configs/sub.pbtxt/x", "name: \"old\"");
    assert_true(static_cast<bool>(rollout::fit_model_name(folder.path(), "new")));
    assert_text(folder.read("configs/h100.pbtxt"), "name: \"new\"");
    assert_text(folder.read("configs/notes.txt"), "name: \"old\"");
    assert_text(folder.read("configs/sub.pbtxt/x"), "name: \"old\"");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_top_level_name_is_replaced),
        cmocka_unit_test(names_of_inputs_and_outputs_stay),
        cmocka_unit_test(comments_and_strings_that_speak_of_name_stay),
        cmocka_unit_test(adjacent_literals_are_one_value),
        cmocka_unit_test(every_name_at_the_top_is_replaced),
        cmocka_unit_test(a_text_without_a_name_stays),
        cmocka_unit_test(all_that_the_format_allows_is_read),
        cmocka_unit_test(what_is_malformed_is_refused_with_its_line),
        cmocka_unit_test(deep_nesting_is_refused_and_does_no_harm),
        cmocka_unit_test(a_name_is_written_as_a_literal),
        cmocka_unit_test(the_settings_name_is_set_and_the_rest_stays),
        cmocka_unit_test(settings_that_are_no_object_are_refused),
        cmocka_unit_test(both_files_at_the_top_are_fitted),
        cmocka_unit_test(the_settings_of_each_version_are_fitted),
        cmocka_unit_test(settings_below_are_fitted_where_they_have_the_name_of_those_at_the_top),
        cmocka_unit_test(a_folder_without_them_is_fine),
        cmocka_unit_test(a_file_that_cannot_be_fitted_fails_with_its_name),
        cmocka_unit_test(a_link_in_their_place_is_not_followed),
        cmocka_unit_test(custom_configurations_get_the_name_too),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
