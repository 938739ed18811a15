#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "tests/unit/worker/backend/triton/asked_server.hpp"
#include "worker/backend/triton/triton_backend.hpp"

#include <algorithm>
#include <filesystem>

namespace {

using namespace std::chrono_literals;
using rollout::done_fn;
using rollout::outcome;

constexpr const char *load = "POST /v2/repository/models/m/load";
constexpr const char *ready = "GET /v2/models/m/ready";
constexpr const char *infer = "POST /v2/models/m/infer";

struct fixture {
    explicit fixture(bool polls = false)
    {
        rollout::triton_settings settings;
        settings.name = "s";
        settings.url = of.server.url() + "/";
        settings.repository = folder / "repository/";
        settings.polls = polls;
        settings.log = [this](const std::string &line) { logged += line + "\n"; };
        std::filesystem::create_directory(folder / "repository");
        made = std::make_unique<rollout::triton_backend>(std::move(settings), of.access);
    }

    outcome run_load(const json_t *config = nullptr)
    {
        return of.run([&](done_fn done) { return made->load(model, config, 60s, std::move(done)); });
    }
    outcome run_ready()
    {
        return of.run([&](done_fn done) { return made->ready(model, std::move(done)); });
    }
    outcome run_infer()
    {
        return of.run([&](done_fn done) { return made->infer(model, question.get(), 60s, std::move(done)); });
    }
    outcome run_unload()
    {
        return of.run([&](done_fn done) { return made->unload(model, 60s, std::move(done)); });
    }
    outcome run_remove()
    {
        return of.run([&](done_fn done) { return made->remove(model, std::move(done)); });
    }

    temporary_folder folder;
    asked_server of;
    std::string logged;
    std::unique_ptr<rollout::triton_backend> made;
    rollout::server_model model{"m", "m", 1, {}};
    rollout::json_ptr question = json_of(R"({"inputs": []})");
};

void models_are_staged_beside_the_repository(void **)
{
    fixture s;
    assert_text(s.made->staging_path("m").native(), (s.folder / "repository.staging/m").native());
}

void a_load_is_one_call_and_its_refusal_is_told(void **)
{
    fixture s;
    s.of.says(load, 200, "").says(load, 400, R"({"error":"no such file"})").says(load, 404, "");
    assert_true(static_cast<bool>(s.run_load()));
    const auto refused = s.run_load();
    assert_true(refused.is == outcome::kind::permanent);
    assert_text(refused.detail, "server s refused to load m: HTTP 400, no such file");
    assert_holds(s.run_load().detail, "no model repository extension");
}

void a_model_that_is_not_ready_is_looked_for_in_the_index(void **)
{
    struct {
        const char *state;
        const char *reason;
        outcome::kind is;
        const char *words;
    } const all[] = {
        {"LOADING", "", outcome::kind::transient, "m is LOADING on server s, and not ready yet"},
        {"UNAVAILABLE", "unloaded", outcome::kind::transient, "m is not loaded on server s (has it been restarted"},
        {"UNAVAILABLE", "no such file", outcome::kind::permanent, "server s could not load m: no such file"},
    };
    for (const auto &one : all) {
        fixture s;
        s.of.says(ready, 400, "").has(one.state, one.reason);
        const auto ended = s.run_ready();
        assert_true(ended.is == one.is);
        assert_holds(ended.detail, one.words);
    }
    fixture without_index;
    without_index.of.says(ready, 400, R"({"error":"warming up"})");
    assert_text(without_index.run_ready().detail, "m is not ready on server s (HTTP 400, warming up)");
    fixture good;
    good.of.says(ready, 200, "");
    assert_true(static_cast<bool>(good.run_ready()));
    assert_text(good.of.story(), "ready");
}

void only_outputs_are_an_inference_however_large(void **)
{
    for (const std::size_t size : {std::size_t{1}, std::size_t{100'000}}) {
        fixture s;
        const std::string filling = "\"" + std::string(size, 'x') + "\"";
        s.of.says(infer, 200, R"({"outputs":[)" + filling + "]}");
        s.of.says(infer, 200, R"({"error":)" + filling + "}");
        assert_true(static_cast<bool>(s.run_infer()));
        const auto without = s.run_infer();
        assert_true(without.is == outcome::kind::permanent);
        assert_holds(without.detail, "server s answered an inference with m with 200 and without outputs: x");
    }
    fixture refused;
    refused.of.says(infer, 500, R"({"error":"broken"})");
    assert_text(refused.run_infer().detail, "server s refused to infer with m: HTTP 500, broken");
}

void that_there_is_no_index_is_said_once(void **)
{
    fixture s;
    s.of.says("POST /v2/repository/models/m/unload", 200, "").says(ready, 404, "");
    assert_true(static_cast<bool>(s.run_unload()));
    assert_true(static_cast<bool>(s.run_unload()));
    assert_holds(s.logged, "server s (" + s.of.server.url() + ") has no repository index");
    assert_int_equal(std::ranges::count(s.logged, '\n'), 1);
}

void a_server_that_polls_finds_the_files_by_itself(void **)
{
    fixture s(true);
    s.folder.write("repository/m/config.pbtxt", "");
    s.of.says(asked_server::index, 200, "[]").has("READY");
    assert_true(static_cast<bool>(s.run_load()));
    assert_text(s.of.story(), "index index");
}

void files_are_removed_from_a_server_that_polls_once_it_has_let_go_of_them(void **)
{
    fixture s(true);
    s.folder.write("repository/m/config.pbtxt", "");
    s.of.has("READY").says(asked_server::index, 200, "[]").says(ready, 200, "").says(ready, 404, "");
    assert_true(static_cast<bool>(s.run_remove()));
    assert_false(s.folder.has("repository/m"));
    assert_text(s.of.story(), "index index ready index ready");

    fixture told;
    told.folder.write("repository/m/config.pbtxt", "");
    assert_true(static_cast<bool>(told.run_remove()));
    assert_false(told.folder.has("repository/m"));
    assert_text(told.of.story(), ""); // it was unloaded before
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(models_are_staged_beside_the_repository),
        cmocka_unit_test(a_load_is_one_call_and_its_refusal_is_told),
        cmocka_unit_test(a_model_that_is_not_ready_is_looked_for_in_the_index),
        cmocka_unit_test(only_outputs_are_an_inference_however_large),
        cmocka_unit_test(that_there_is_no_index_is_said_once),
        cmocka_unit_test(a_server_that_polls_finds_the_files_by_itself),
        cmocka_unit_test(files_are_removed_from_a_server_that_polls_once_it_has_let_go_of_them),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
