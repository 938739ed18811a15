#include "tests/unit/cmocka.hpp"
#include "worker/fs/shared_sync.hpp"

#include <atomic>
#include <cstring>
#include <future>
#include <new>
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

void a_failure_is_told_to_those_who_wait_for_the_next_sync(void **)
{
    std::promise<void> is_running;
    std::promise<void> may_end;
    std::atomic<int> syncs = 0;
    shared_sync sync("f", [&](const std::filesystem::path &) {
        if (++syncs == 1) {
            is_running.set_value();
            may_end.get_future().wait();
            return outcome::permanent("the disk is gone");
        }
        return outcome::permanent("a later sync");
    });
    auto first = std::async(std::launch::async, [&] { return sync.run(); });
    is_running.get_future().wait();
    auto second = std::async(std::launch::async, [&] { return sync.run(); });
    while (sync.waiting() == 0) {
        std::this_thread::yield();
    }
    may_end.set_value();
    assert_text(first.get().detail, "the disk is gone");
    assert_text(second.get().detail, "the disk is gone");
    assert_int_equal(syncs, 1);
}

void a_sync_that_throws_holds_nobody_up(void **)
{
    int syncs = 0;
    shared_sync sync("f", [&](const std::filesystem::path &) {
        if (++syncs == 1) {
            throw std::bad_alloc();
        }
        return outcome::ok();
    });
    const auto first = sync.run();
    assert_true(first.is == outcome::kind::transient);
    assert_non_null(std::strstr(first.detail.c_str(), "f could not be synced"));
    assert_true(static_cast<bool>(sync.run()));
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
        cmocka_unit_test(a_failure_is_told_to_those_who_wait_for_the_next_sync),
        cmocka_unit_test(a_sync_that_throws_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
