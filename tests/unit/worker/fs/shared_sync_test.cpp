#include "tests/unit/cmocka.hpp"
#include "worker/fs/shared_sync.hpp"

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

namespace {

using rollout::outcome;
using rollout::shared_sync;

void one_caller_syncs_each_time(void **)
{
    std::vector<std::string> synced;
    shared_sync sync("some/folder", [&](const std::filesystem::path &folder) {
        synced.push_back(folder.native());
        return outcome::ok();
    });
    assert_true(static_cast<bool>(sync.run()));
    assert_true(static_cast<bool>(sync.run()));
    assert_int_equal(synced.size(), 2);
    assert_text(synced.back(), "some/folder");
}

void who_comes_while_a_sync_runs_gets_one_that_begins_later(void **)
{
    std::promise<void> is_running;
    std::promise<void> may_end;
    std::atomic<int> syncs = 0;
    shared_sync sync("f", [&](const std::filesystem::path &) {
        if (++syncs == 1) {
            is_running.set_value();
            may_end.get_future().wait();
        }
        return outcome::ok();
    });
    auto first = std::async(std::launch::async, [&] { return sync.run(); });
    is_running.get_future().wait();
    auto second = std::async(std::launch::async, [&] { return sync.run(); });
    auto third = std::async(std::launch::async, [&] { return sync.run(); });
    may_end.set_value();
    assert_true(first.get() && second.get() && third.get());
    assert_true(syncs >= 2 && syncs <= 3);
}

void what_a_caller_has_done_is_synced_when_it_returns(void **)
{
    std::atomic<int> moments = 0;
    std::atomic<int> last_begun = 0; // of the syncs that are over
    shared_sync sync("f", [&](const std::filesystem::path &) {
        const int begun = ++moments;
        std::this_thread::yield();
        last_begun = begun;
        return outcome::ok();
    });
    std::atomic<int> too_early = 0;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < 300; ++round) {
                const int changed = ++moments;
                too_early += !sync.run() || last_begun < changed;
            }
        });
    }
    threads.clear();
    assert_int_equal(too_early, 0);
}

void a_failure_is_told_to_those_who_waited_for_that_sync(void **)
{
    int syncs = 0;
    shared_sync sync("f", [&](const std::filesystem::path &) {
        return ++syncs == 1 ? outcome::permanent("the disk is gone") : outcome::ok();
    });
    assert_text(sync.run().detail, "the disk is gone");
    assert_true(static_cast<bool>(sync.run()));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(one_caller_syncs_each_time),
        cmocka_unit_test(who_comes_while_a_sync_runs_gets_one_that_begins_later),
        cmocka_unit_test(what_a_caller_has_done_is_synced_when_it_returns),
        cmocka_unit_test(a_failure_is_told_to_those_who_waited_for_that_sync),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
