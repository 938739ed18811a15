#include "tests/unit/cmocka.hpp"
#include "worker/os/peer_processes.hpp"

#include <thread>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using rollout::peer_processes;

int ended_process()
{
    const int pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    assert_int_equal(waitpid(pid, nullptr, 0), pid);
    return pid;
}

void a_process_that_ended_before_it_was_looked_at_is_gone(void **)
{
    peer_processes known;
    assert_false(known.are_gone()); // none is known
    known.add(ended_process());
    assert_true(known.are_gone());
    known = peer_processes::from_text(known.text());
    assert_true(known.are_gone());
}

void a_process_may_end_while_it_is_looked_at(void **)
{
    for (int i = 0; i < 500; ++i) {
        const int pid = fork();
        if (pid == 0) {
            _exit(0);
        }
        std::thread ending([pid] { assert_int_equal(waitpid(pid, nullptr, 0), pid); });
        peer_processes known;
        known.add(pid);
        known.add(pid);
        ending.join();
        assert_false(known.text().empty());
    }
}

void a_process_that_lives_is_not_gone(void **)
{
    peer_processes known;
    known.add(ended_process());
    known.add(getpid());
    assert_false(known.are_gone());
    known.add(ended_process());
    assert_false(known.are_gone());
}

void a_process_out_of_sight_may_live(void **)
{
    peer_processes known;
    known.add(ended_process());
    known.add(0);
    assert_false(known.are_gone());
}

void processes_of_another_machine_are_not_known_to_be_gone(void **)
{
    assert_true(peer_processes::from_text("another-boot 1:1").are_gone());
    assert_false(peer_processes::from_text("another-boot 1:1 @another-machine").are_gone());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_ended_before_it_was_looked_at_is_gone),
        cmocka_unit_test(a_process_may_end_while_it_is_looked_at),
        cmocka_unit_test(a_process_that_lives_is_not_gone),
        cmocka_unit_test(a_process_out_of_sight_may_live),
        cmocka_unit_test(processes_of_another_machine_are_not_known_to_be_gone),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
