#include "tests/unit/cmocka.hpp"
#include "worker/fs/folder_syncs.hpp"

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using rollout::folder_syncs;
using rollout::outcome;

/// A disk whose syncs end when the test says so.
struct slow_disk {
    outcome sync(const std::filesystem::path &folder)
    {
        std::unique_lock lock(mutex);
        begun.push_back(folder.native());
        changed.notify_all();
        changed.wait(lock, [this] { return allowed != 0; });
        --allowed;
        return failing ? outcome::transient("sync " + std::to_string(begun.size()) + " failed") : outcome::ok();
    }

    void await_begun(std::size_t count)
    {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return begun.size() == count; });
    }

    void allow(unsigned count)
    {
        const std::scoped_lock lock(mutex);
        allowed += count;
        changed.notify_all();
    }

    std::future<outcome> ask(const std::string &folder)
    {
        return std::async(std::launch::async, [this, folder] { return syncs.sync(folder); });
    }

    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> begun;
    unsigned allowed = 0;
    bool failing = false;
    folder_syncs syncs{[this](const std::filesystem::path &folder) { return sync(folder); }};
};

void calls_during_a_sync_share_the_next_one_or_two(void **)
{
    slow_disk disk;
    auto first = disk.ask("/repository");
    disk.await_begun(1);
    std::vector<std::future<outcome>> later;
    for (int i = 0; i < 16; ++i) {
        later.push_back(disk.ask("/repository"));
    }
    disk.allow(1);
    assert_true(static_cast<bool>(first.get()));
    disk.await_begun(2); // for those that came during the first one, all of which may have
    disk.allow(16);
    for (auto &one : later) {
        assert_true(static_cast<bool>(one.get()));
    }
    assert_true(disk.begun.size() <= 17);
}

void a_call_is_not_content_with_a_sync_that_has_begun_before_it(void **)
{
    slow_disk disk;
    auto first = disk.ask("/repository");
    disk.await_begun(1);
    auto second = disk.ask("/repository");
    disk.allow(1);
    assert_true(static_cast<bool>(first.get()));
    disk.await_begun(2);
    disk.allow(1);
    assert_true(static_cast<bool>(second.get()));
}

void folders_do_not_wait_for_each_other(void **)
{
    slow_disk disk;
    auto one = disk.ask("/repository");
    auto other = disk.ask("/staging");
    disk.await_begun(2);
    disk.allow(2);
    assert_true(static_cast<bool>(one.get()));
    assert_true(static_cast<bool>(other.get()));
}

void a_failure_is_of_those_that_waited_for_it(void **)
{
    slow_disk disk;
    disk.failing = true;
    disk.allow(1);
    assert_text(disk.ask("/repository").get().detail, "sync 1 failed");
    disk.failing = false;
    disk.allow(1);
    assert_true(static_cast<bool>(disk.ask("/repository").get()));

    bool throws = true;
    folder_syncs throwing([&throws](const std::filesystem::path &) -> outcome {
        return throws ? throw std::runtime_error("no memory") : outcome::ok();
    });
    assert_text(throwing.sync("/repository").detail, "no memory");
    throws = false;
    assert_true(static_cast<bool>(throwing.sync("/repository")));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(calls_during_a_sync_share_the_next_one_or_two),
        cmocka_unit_test(a_call_is_not_content_with_a_sync_that_has_begun_before_it),
        cmocka_unit_test(folders_do_not_wait_for_each_other),
        cmocka_unit_test(a_failure_is_of_those_that_waited_for_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
