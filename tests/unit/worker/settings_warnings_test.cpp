// What of a configuration may not work on this machine.
#include "worker/settings_warnings.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

using rollout::backend_settings;
using rollout::settings;
using rollout::warnings_about;

namespace fs = std::filesystem;

/// A configuration that works: all its folders are there.
struct good_settings {
    good_settings()
    {
        for (const char *name : {"run", "journal", "repository", "models"}) {
            fs::create_directory(of(name));
        }
        config.listen.path = of("run/rolloutd.sock");
        config.journal.path = of("journal/journal.db");
        config.artifacts.source = "file://" + of("models") + "/{model_id}";
        config.artifacts.allow = {"file://" + of("models") + "/"};
        backend_settings &server = config.backends["default"];
        server.url = "http://127.0.0.1:8000";
        server.repository = of("repository");
        server.staging = of("repository.staging");
    }

    std::string of(const std::string &name) const { return (folder.path() / name).native(); }

    /// The warnings that begin with that pointer.
    std::vector<std::string> at(const std::string &pointer) const
    {
        std::vector<std::string> found = warnings_about(config);
        std::erase_if(found, [&](const std::string &one) { return !one.starts_with(pointer); });
        return found;
    }

    temporary_folder folder;
    settings config;
};

void one_that_works_has_none(void **)
{
    assert_int_equal(warnings_about(good_settings().config).size(), 0);
}

void a_folder_that_is_missing_is_named(void **)
{
    good_settings with;
    with.config.listen.path = with.of("nowhere/rolloutd.sock");
    with.config.journal.path = with.of("models/123");
    std::ofstream(with.of("a file")) << "x";
    with.config.backends["default"].repository = with.of("a file");
    const auto listen = with.at("/listen/path: ");
    assert_int_equal(listen.size(), 1);
    assert_text(listen[0], "/listen/path: the folder " + with.of("nowhere") +
                               " cannot be written to: No such file or directory");
    assert_int_equal(with.at("/journal/path").size(), 0);
    assert_int_equal(with.at("/backends/default/repository: ").size(), 1);
}

void a_staging_folder_is_made_if_its_parent_is_there(void **)
{
    good_settings with;
    assert_int_equal(with.at("/backends/default/staging").size(), 0);
    with.config.backends["default"].staging = with.of("nowhere/staging");
    assert_int_equal(with.at("/backends/default/staging: ").size(), 1);
}

void a_source_that_nothing_allows_is_said(void **)
{
    good_settings with;
    with.config.artifacts.allow = {"https://models.example.com/"};
    assert_int_equal(with.at("/artifacts/source: ").size(), 1);
    with.config.models["m-*"].source = "file://" + with.of("gone") + "/{model_id}";
    const auto model = with.at("/models/m-*/source: ");
    assert_int_equal(model.size(), 2);
    assert_true(model[0].ends_with("is refused"));
    assert_true(model[1].find("cannot be read") != std::string::npos);
}

void a_command_that_cannot_be_run_is_said(void **)
{
    good_settings with;
    backend_settings &program = with.config.backends["program"];
    program.type = "command";
    program.command = {with.of("load-model"), "--fast"};
    program.staging = with.of("program.staging");
    assert_int_equal(with.at("/backends/program/command: ").size(), 1);
    program.command = {"/bin/sh"};
    assert_int_equal(with.at("/backends/program").size(), 0);
}

void two_backends_with_one_repository_are_said(void **)
{
    good_settings with;
    with.config.backends["second"] = with.config.backends["default"];
    const auto found = with.at("/backends/second/repository: is that of backend default too");
    assert_int_equal(found.size(), 1);
    assert_int_equal(with.at("/backends/default").size(), 0);
}

void a_gate_that_cannot_see_is_said_once(void **)
{
    good_settings with;
    with.config.rollout.gate.emplace().max_error_rate = 0.01; // of a step that is not held
    const auto of_all = with.at("/rollout: ");
    assert_true(!of_all.empty());
    with.config.models["m"].rollout = with.config.rollout;
    assert_int_equal(with.at("/models/m/rollout: ").size(), 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(one_that_works_has_none),
        cmocka_unit_test(a_folder_that_is_missing_is_named),
        cmocka_unit_test(a_staging_folder_is_made_if_its_parent_is_there),
        cmocka_unit_test(a_source_that_nothing_allows_is_said),
        cmocka_unit_test(a_command_that_cannot_be_run_is_said),
        cmocka_unit_test(two_backends_with_one_repository_are_said),
        cmocka_unit_test(a_gate_that_cannot_see_is_said_once),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
