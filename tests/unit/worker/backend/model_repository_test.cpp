#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "worker/backend/model_repository.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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
    assert_true(is_permanent(two.stage(), "is not a folder"));
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
            assert_true(is_permanent(ended, "the model's name is not a valid folder name"));
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

/// A folder on another file system than the temporary ones are on, where this machine has one.
struct other_system {
    other_system()
    {
        std::string pattern = "/dev/shm/rollout-test-XXXXXX";
        if (::mkdtemp(pattern.data()) != nullptr) {
            folder = pattern;
        }
    }
    ~other_system() { std::filesystem::remove_all(folder); }

    bool is_other(const std::filesystem::path &than) const
    {
        struct stat one {};
        struct stat two {};
        return !folder.empty() && ::stat(folder.c_str(), &one) == 0 && ::stat(than.c_str(), &two) == 0 &&
               one.st_dev != two.st_dev;
    }

    std::filesystem::path folder;
};

void a_staging_folder_on_another_file_system_is_found_before_anything_is_fetched(void **)
{
    const two_folders two;
    const other_system other;
    if (!other.is_other(two.folder.path())) {
        print_message("This machine has one file system only.\n");
        return;
    }
    for (const auto &staging : {other.folder, other.folder / "still/to/be/made"}) {
        const model_repository apart(two.folder / "repository", staging);
        assert_true(
            is_permanent(apart.check_vacant("123__r1"), "are on different file systems, or different mounts"));
        assert_true(is_permanent(apart.check_vacant("123__r1"), "set the backend's member \"staging\""));
        rollout::way_trouble trouble{true, ""};
        assert_false(static_cast<bool>(apart.check_way(&trouble)));
        assert_false(trouble.is_refused);
        assert_text(trouble.member, "staging");
    }
    assert_true(std::filesystem::is_empty(other.folder));
    assert_true(std::filesystem::is_empty(two.folder / "repository"));
}

void a_way_that_is_there_leaves_no_trace_of_the_look(void **)
{
    const two_folders two;
    assert_true(static_cast<bool>(two.repository.check_way()));
    assert_false(two.folder.has("staging"));
    assert_true(std::filesystem::is_empty(two.folder / "repository"));
    const model_repository missing(two.folder / "none", two.folder / "staging");
    assert_true(static_cast<bool>(missing.check_way()));
}

void the_way_is_not_tested_for_each_of_many_models(void **)
{
    const two_folders two;
    const auto repository = two.folder / "repository";
    const auto long_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
    const auto is_tested = [&](auto check) {
        std::filesystem::last_write_time(repository, long_ago);
        assert_true(static_cast<bool>(check()));
        return std::filesystem::last_write_time(repository) != long_ago;
    };
    assert_true(is_tested([&] { return two.repository.check_vacant("1__r1"); }));
    const model_repository copy = two.repository;
    assert_false(is_tested([&] { return copy.check_vacant("2__r1"); }));
    assert_true(is_tested([&] { return copy.check_way(); }));
}

/// In a child, which has mounts of its own.
void a_repository_that_is_mounted_read_only_is_called_that(void **)
{
    const two_folders two;
    const std::string place = (two.folder / "repository").native();
    const pid_t child = ::fork();
    if (child == 0) {
        if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount(place.c_str(), place.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
            ::mount(nullptr, place.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) {
            ::_exit(77); // this process may not
        }
        rollout::way_trouble trouble;
        const auto ended = two.repository.check_vacant("123__r1");
        const bool is_told = !two.repository.check_way(&trouble) && trouble.member == std::string("repository");
        ::_exit(
            is_told && ended.is == outcome::kind::permanent &&
                    ended.detail.find("repository (the backend's member \"repository\") is on a file system that is "
                                      "mounted read-only") != std::string::npos
                ? 0
                : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("This process may not mount anything.\n");
        return;
    }
    assert_int_equal(status, 0);
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
        cmocka_unit_test(a_staging_folder_on_another_file_system_is_found_before_anything_is_fetched),
        cmocka_unit_test(a_way_that_is_there_leaves_no_trace_of_the_look),
        cmocka_unit_test(the_way_is_not_tested_for_each_of_many_models),
        cmocka_unit_test(a_repository_that_is_mounted_read_only_is_called_that),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
