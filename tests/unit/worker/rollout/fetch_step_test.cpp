// The step `fetch`: what is asked for, and how far it is. The fetch itself is in fetch_test.cpp.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_run.hpp"
#include "worker/rollout/fetch_step.hpp"
#include "worker/rollout/task_plan.hpp"

#include <optional>

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

struct fetching_run : fake_run {
    fetching_run()
    {
        environment.fetch = [this](rollout::fetch_request request, rollout::done_fn done) {
            requests.push_back(std::move(request));
            fetched = std::move(done);
            return time.after(1000s, [] {});
        };
        rollout::task_plan(*run).make();
        revision.revision = 2;
        revision.backend = "default";
        for (const auto &copy : run->plan.copies) {
            revision.copies.push_back(copy.placed);
        }
    }

    void start()
    {
        step = rollout::fetch_source(*run, revision, [this](const outcome &how) { result = how; });
        time.settle();
    }

    rollout::served_revision revision;
    std::vector<rollout::fetch_request> requests;
    rollout::done_fn fetched;
    std::optional<outcome> result;
    rollout::operation_ptr step;
};

void it_asks_for_the_models_files_in_the_staging_folder_of_its_server(void **)
{
    fetching_run world;
    world.config.artifacts.max_files = 7;
    world.start();
    assert_int_equal(world.requests.size(), 1);
    const auto &request = world.requests.front();
    assert_text(request.source, "file:///srv/models/123");
    assert_text(request.destination.string(), "/staging/123__r2");
    assert_int_equal(request.max_files, 7);
    world.fetched(outcome::ok("1 file, 3 bytes"));
    assert_text(world.result.value().detail, "1 file, 3 bytes");
}

void nothing_is_fetched_if_its_name_is_taken(void **)
{
    fetching_run world;
    world.memory.repository.insert("123__r2");
    world.start();
    assert_true(world.requests.empty());
    assert_text(world.result.value().detail, "123__r2 exists already");
}

void the_document_follows_a_download_about_once_a_second(void **)
{
    fetching_run world;
    world.start();
    auto &progress = *world.requests.front().progress;
    progress.total_bytes = 4 << 20;
    progress.done_bytes = 1 << 20;
    world.time.run_for(999ms);
    assert_true(world.run->task.progress == 0);
    world.time.run_for(1ms);
    assert_true(world.run->task.progress == 0.0625); // a quarter of the first step of four
    assert_text(world.in_journal().detail, "Step fetch of revision 2 is running. 1.0 MiB of 4.0 MiB.");
    const auto writes = world.story.size();
    world.time.run_for(10s); // it stands still
    assert_int_equal(world.story.size(), writes);
}

void once_it_is_over_nothing_is_said_of_it_any_more(void **)
{
    fetching_run world;
    world.start();
    world.requests.front().progress->done_bytes = 1;
    world.fetched(outcome::ok());
    const auto writes = world.story.size();
    world.time.run_for(10s);
    assert_int_equal(world.story.size(), writes);
}

void parts_that_are_shared_out_otherwise_than_when_the_task_began_end_it(void **)
{
    fetching_run world;
    world.revision.copies.front().parts = {"head"};
    world.start();
    assert_true(world.requests.empty());
    assert_true(world.result.value().is == outcome::kind::permanent);
    assert_holds(world.result.value().detail, "post it again");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(it_asks_for_the_models_files_in_the_staging_folder_of_its_server),
        cmocka_unit_test(nothing_is_fetched_if_its_name_is_taken),
        cmocka_unit_test(the_document_follows_a_download_about_once_a_second),
        cmocka_unit_test(once_it_is_over_nothing_is_said_of_it_any_more),
        cmocka_unit_test(parts_that_are_shared_out_otherwise_than_when_the_task_began_end_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
