#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "worker/backend/repository.hpp"

namespace {

using rollout::model_repository;
using rollout::outcome;
using rollout::stop_flag;

struct two_folders {
    two_folders() { std::filesystem::create_directory(folder / "repository"); }

    outcome stage(const std::string &model = "123__r1") const { return repository.stage(model, stop); }

    temporary_folder folder;
    model_repository repository{folder / "repository", folder / "staging"};
    stop_flag stop{false};
};

bool is_permanent(const outcome &ended, const std::string &words)
{
    if (ended.detail.find(words) == std::string::npos) {
        fail_msg("\"%s\" does not hold \"%s\"", ended.detail.c_str(), words.c_str());
    }
    return ended.is == outcome::kind::permanent;
}

void what_is_staged_comes_into_the_repository_whole_and_fitted(void **)
{
    const two_folders two;
    two.folder.write("staging/123__r1/1/model.onnx", "x");
    two.folder.write("staging/123__r1/config.pbtxt", "name: \"old\"");
    assert_true(static_cast<bool>(two.stage()));
    assert_text(two.folder.read("repository/123__r1/1/model.onnx"), "x");
    assert_text(two.folder.read("repository/123__r1/config.pbtxt"), "name: \"123__r1\"");
    assert_false(two.folder.has("staging/123__r1"));
    assert_int_equal(std::distance(std::filesystem::directory_iterator(two.folder / "repository"), {}), 1);
}

void staging_again_after_a_crash_finds_its_work_done(void **)
{
    const two_folders two;
    two.folder.write("staging/123__r1/1/model.onnx", "x");
    assert_true(static_cast<bool>(two.stage()));
    assert_true(static_cast<bool>(two.stage()));
    assert_text(two.folder.read("repository/123__r1/1/model.onnx"), "x");
}

void a_model_whose_configuration_cannot_be_fitted_stays_out(void **)
{
    const two_folders two;
    two.folder.write("staging/123__r1/config.pbtxt", "name: \"old");
    assert_true(is_permanent(two.stage(), "config.pbtxt cannot be read: line 1"));
    assert_false(two.folder.has("repository/123__r1"));
}

void staging_nothing_is_a_failure(void **)
{
    const two_folders two;
    assert_true(is_permanent(two.stage(), "staging/123__r1 is gone"));
    two.folder.write("staging/123__r1", "a file");
    assert_true(is_permanent(two.stage(), "is no folder"));
}

void a_stop_before_the_rename_leaves_the_repository_as_it_is(void **)
{
    two_folders two;
    two.folder.write("staging/123__r1/1/model.onnx", "x");
    two.stop = true;
    assert_true(two.stage().is == outcome::kind::canceled);
    assert_false(two.folder.has("repository/123__r1"));
    assert_true(two.folder.has("staging/123__r1/1/model.onnx"));
}

void a_repository_that_is_missing_is_named(void **)
{
    const two_folders two;
    std::filesystem::remove(two.folder / "repository");
    two.folder.write("staging/123__r1/1/model.onnx", "x");
    assert_true(is_permanent(two.stage(), "repository is not there (the backend's member \"repository\")"));
    assert_true(is_permanent(two.repository.check_vacant("123__r1"), "is not there"));
}

void a_name_that_is_taken_is_not_vacant(void **)
{
    const two_folders two;
    assert_true(static_cast<bool>(two.repository.check_vacant("123__r1")));
    two.folder.write("repository/123__r1/1/model.onnx", "x");
    assert_true(is_permanent(two.repository.check_vacant("123__r1"), "which no deployment put there"));
    std::filesystem::create_symlink("nowhere", two.folder / "repository/dangling");
    assert_true(is_permanent(two.repository.check_vacant("dangling"), "which no deployment put there"));
}

void a_model_that_is_removed_leaves_nothing(void **)
{
    const two_folders two;
    two.folder.write("repository/123__r1/1/model.onnx", "x");
    two.folder.write("repository/123__r2/1/model.onnx", "y");
    assert_true(static_cast<bool>(two.repository.remove("123__r1")));
    assert_true(static_cast<bool>(two.repository.remove("123__r1")));
    assert_false(two.folder.has("repository/123__r1"));
    assert_true(two.folder.has("repository/123__r2/1/model.onnx"));
    assert_true(!two.folder.has("staging") || std::filesystem::is_empty(two.folder / "staging"));
}

void what_a_crash_left_on_its_way_out_is_no_obstacle(void **)
{
    const two_folders two;
    two.folder.write("staging/.removed/123__r1/1/model.onnx", "old");
    two.folder.write("repository/123__r1/1/model.onnx", "x");
    assert_true(static_cast<bool>(two.repository.remove("123__r1")));
    assert_false(two.folder.has("repository/123__r1"));
    assert_false(two.folder.has("staging/.removed/123__r1"));
}

void a_link_in_a_models_place_is_taken_away_and_what_it_leads_to_stays(void **)
{
    const two_folders two;
    two.folder.write("precious/file", "p");
    std::filesystem::create_directory_symlink(two.folder / "precious", two.folder / "repository/123__r1");
    two.folder.write("repository/123__r2/1/x", "");
    std::filesystem::create_directory_symlink(two.folder / "precious", two.folder / "repository/123__r2/1/link");
    assert_true(static_cast<bool>(two.repository.remove("123__r1")));
    assert_true(static_cast<bool>(two.repository.remove("123__r2")));
    assert_false(two.folder.has("repository/123__r1"));
    assert_text(two.folder.read("precious/file"), "p");
}

void a_name_that_is_no_folders_is_refused_by_every_call(void **)
{
    const two_folders two;
    two.folder.write("repository/keep/file", "k");
    for (const std::string &name :
         {std::string(), std::string("."), std::string(".."), std::string("../repository"), std::string("a/b"),
          std::string("/etc"), std::string(".staging"), std::string("a\0b", 3)}) {
        for (const outcome &ended :
             {two.repository.check_vacant(name), two.stage(name), two.repository.remove(name),
              two.repository.discard(name), two.repository.withdraw(name), two.repository.put_back(name)}) {
            assert_true(is_permanent(ended, "the model's name is no folder's name"));
        }
    }
    assert_text(two.folder.read("repository/keep/file"), "k");
}

void a_run_that_was_killed_after_it_moved_a_model_out_leaves_nothing(void **)
{
    const two_folders two;
    two.folder.write("staging/.removed/123__r1/1/model.onnx", "x");
    assert_true(static_cast<bool>(two.repository.remove("123__r1")));
    assert_true(std::filesystem::is_empty(two.folder / "staging"));
}

void what_was_fetched_can_be_thrown_away_alone(void **)
{
    const two_folders two;
    two.folder.write("staging/123__r1/1/model.onnx", "x");
    two.folder.write("repository/123__r1/somebody", "else");
    assert_true(static_cast<bool>(two.repository.discard("123__r1")));
    assert_true(static_cast<bool>(two.repository.discard("123__r1")));
    assert_false(two.folder.has("staging/123__r1"));
    assert_text(two.folder.read("repository/123__r1/somebody"), "else");
}

void a_model_can_be_withdrawn_and_put_back_whole(void **)
{
    const two_folders two;
    two.folder.write("repository/123__r1/1/model.onnx", "x");
    two.folder.write("repository/123__r2/1/model.onnx", "y");
    for (int again = 0; again < 2; ++again) {
        assert_true(static_cast<bool>(two.repository.withdraw("123__r1")));
        assert_false(two.folder.has("repository/123__r1"));
    }
    assert_true(two.folder.has("repository/123__r2/1/model.onnx"));
    assert_true(is_permanent(two.repository.check_vacant("123__r1"), "the files of an earlier model by that name"));
    for (int again = 0; again < 2; ++again) {
        assert_true(static_cast<bool>(two.repository.put_back("123__r1")));
        assert_text(two.folder.read("repository/123__r1/1/model.onnx"), "x");
    }
    assert_true(std::filesystem::is_empty(two.folder / "staging"));
}

void what_is_withdrawn_is_removed_too(void **)
{
    const two_folders two;
    two.folder.write("repository/123__r1/1/model.onnx", "x");
    assert_true(static_cast<bool>(two.repository.withdraw("123__r1")));
    assert_true(static_cast<bool>(two.repository.remove("123__r1")));
    assert_true(static_cast<bool>(two.repository.put_back("123__r1")));
    assert_false(two.folder.has("repository/123__r1"));
    assert_true(std::filesystem::is_empty(two.folder / "staging"));
}

void neither_way_takes_or_covers_what_is_not_ours(void **)
{
    const two_folders two;
    two.folder.write("staging/123__r1/1/model.onnx", "x");
    two.folder.write("repository/123__r1/somebody", "else");
    assert_true(static_cast<bool>(two.repository.withdraw("123__r1")));
    assert_text(two.folder.read("repository/123__r1/somebody"), "else");

    two.folder.write("repository/123__r2/1/model.onnx", "x");
    assert_true(static_cast<bool>(two.repository.withdraw("123__r2")));
    two.folder.write("repository/123__r2/somebody", "else");
    assert_true(is_permanent(two.repository.put_back("123__r2"), "which no deployment put there"));
    assert_true(is_permanent(two.repository.withdraw("123__r2"), "which no deployment put there"));
    assert_text(two.folder.read("repository/123__r2/somebody"), "else");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_is_staged_comes_into_the_repository_whole_and_fitted),
        cmocka_unit_test(staging_again_after_a_crash_finds_its_work_done),
        cmocka_unit_test(a_model_whose_configuration_cannot_be_fitted_stays_out),
        cmocka_unit_test(staging_nothing_is_a_failure),
        cmocka_unit_test(a_stop_before_the_rename_leaves_the_repository_as_it_is),
        cmocka_unit_test(a_repository_that_is_missing_is_named),
        cmocka_unit_test(a_name_that_is_taken_is_not_vacant),
        cmocka_unit_test(a_model_that_is_removed_leaves_nothing),
        cmocka_unit_test(what_a_crash_left_on_its_way_out_is_no_obstacle),
        cmocka_unit_test(a_link_in_a_models_place_is_taken_away_and_what_it_leads_to_stays),
        cmocka_unit_test(a_name_that_is_no_folders_is_refused_by_every_call),
        cmocka_unit_test(a_run_that_was_killed_after_it_moved_a_model_out_leaves_nothing),
        cmocka_unit_test(what_was_fetched_can_be_thrown_away_alone),
        cmocka_unit_test(a_model_can_be_withdrawn_and_put_back_whole),
        cmocka_unit_test(what_is_withdrawn_is_removed_too),
        cmocka_unit_test(neither_way_takes_or_covers_what_is_not_ours),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
