#include "worker/os/signals.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/test_loop.hpp"
#include "worker/os/subprocess.hpp"

#include <csignal>
#include <latch>
#include <optional>
#include <thread>
#include <vector>

namespace {

using namespace rollout;


void signals_come_to_the_loop_and_to_no_thread(void **)
{
    test_loop loop;
    signal_catcher signals(loop.get());
    std::vector<int> caught;
    signals.start([&](int number) { caught.push_back(number); });
    assert_true(are_signals_blocked());
    std::latch ends(1);
    bool is_blocked = false;
    std::jthread library([&] { // created by somebody who knows nothing of signals
        is_blocked = are_signals_blocked();
        ends.wait();
    });
    for (const int number : {SIGTERM, SIGHUP, SIGINT}) {
        kill(getpid(), number);
        const auto before = caught.size();
        loop.run_until([&] { return caught.size() > before; });
        assert_int_equal(caught.back(), number);
    }
    ends.count_down();
    library.join();
    assert_true(is_blocked);
    signals.ignore();
}


void after_the_end_they_have_no_effect(void **)
{
    test_loop loop;
    signal_catcher signals(loop.get());
    int caught = 0;
    signals.start([&](int) {
        ++caught;
        signals.ignore(); // as it may
    });
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGHUP);
    loop.run_until([&] { return caught > 0; });
    kill(getpid(), SIGTERM);
    assert_int_equal(caught, 1);
}


void programs_that_are_started_receive_them(void **)
{
    test_loop loop;
    signal_catcher signals(loop.get());
    signals.start([](int) {});
    command_request request;
    request.command = {"/bin/sh", "-c", "grep SigBlk /proc/self/status >&2"};
    std::optional<command_end> ended;
    const auto run = run_command(loop.get(), request, [&](const command_end &end) { ended = end; });
    loop.run_until([&] { return ended.has_value(); });
    assert_holds(ended->words, "0000000000000000");
    signals.ignore();
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(signals_come_to_the_loop_and_to_no_thread),
        cmocka_unit_test(after_the_end_they_have_no_effect),
        cmocka_unit_test(programs_that_are_started_receive_them),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
