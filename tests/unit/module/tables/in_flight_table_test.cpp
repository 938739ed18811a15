#include "module/tables/in_flight_table.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/tables/line_memory.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using rollout::in_flight_key;
using rollout::in_flight_table;

const std::uint64_t blue = in_flight_key("m", "", 7);
const std::uint64_t green = in_flight_key("m", "", 8);

bool all_live(pid_t)
{
    return true;
}

/// The memory of a gateway and a view of it for each process that a test plays.
class gateway {
  public:
    gateway(std::size_t processes, std::size_t revisions) : memory_(in_flight_table::bytes_for(processes, revisions))
    {
        in_flight_table::format(memory_.get(), processes, revisions);
    }

    in_flight_table view() const { return in_flight_table(memory_.get()); }

    std::set<std::size_t> lines_written(const rollout::function_ref<void()> &call) const
    {
        return memory_.lines_written(call);
    }

    std::uint64_t count(std::uint64_t key, const in_flight_table::alive_fn &alive = all_live) const
    {
        return view().count(key, alive);
    }

  private:
    line_memory memory_;
};

/// Requests on each rung.
std::map<int, int> rungs(const in_flight_table &table, std::uint64_t key,
                         const in_flight_table::alive_fn &alive = all_live)
{
    std::map<int, int> found;
    const auto all = table.waiting(key, alive);
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (all[i] != 0) {
            found[static_cast<int>(i)] = static_cast<int>(all[i]);
        }
    }
    return found;
}

using found_rungs = std::map<int, int>;

void who_waits_climbs_the_ladder_of_its_revision(void **)
{
    const gateway zone(4, 16);
    in_flight_table one = zone.view();
    in_flight_table other = zone.view();
    assert_true(one.join(100, all_live) && other.join(101, all_live));
    const auto first = one.get_on(green);
    const auto second = one.get_on(green);
    const auto third = other.get_on(green);
    const auto of_blue = one.get_on(blue);
    assert_true(rungs(zone.view(), green) == found_rungs());
    one.move(first, in_flight_table::not_on_it, 5);
    one.move(second, in_flight_table::not_on_it, 6);
    other.move(third, in_flight_table::not_on_it, 6);
    one.move(of_blue, in_flight_table::not_on_it, 0);
    assert_true(rungs(zone.view(), green) == (found_rungs{{5, 1}, {6, 2}}));
    assert_true(rungs(zone.view(), blue) == (found_rungs{{0, 1}}));
    one.move(first, 5, 16);
    one.move(second, 6, in_flight_table::not_on_it);
    assert_true(rungs(zone.view(), green) == (found_rungs{{6, 1}, {16, 1}}));
    one.get_off(first, 16);
    one.get_off(second, in_flight_table::not_on_it);
    other.get_off(third, 6);
    assert_true(rungs(zone.view(), green) == found_rungs());
}

void a_dead_process_leaves_nobody_on_a_ladder(void **)
{
    const gateway zone(1, 16);
    in_flight_table process = zone.view();
    assert_true(process.join(100, all_live));
    process.move(process.get_on(green), in_flight_table::not_on_it, 9);
    const auto only_others_live = [](pid_t pid) { return pid != 100; };
    assert_true(rungs(zone.view(), green) == (found_rungs{{9, 1}}));
    assert_true(rungs(zone.view(), green, only_others_live) == found_rungs());
    in_flight_table heir = zone.view();
    assert_true(heir.join(101, only_others_live));
    assert_true(rungs(zone.view(), green) == found_rungs());
}

void without_a_ladder_a_request_waits_unseen(void **)
{
    const gateway zone(1, 16);
    in_flight_table process = zone.view();
    assert_true(process.join(100, all_live));
    std::set<std::uint32_t> ladders;
    std::uint64_t key = 1;
    for (std::uint32_t ladder = process.get_on(key); ladder != in_flight_table::no_ladder;
         ladder = process.get_on(++key)) {
        assert_true(ladders.insert(ladder).second);
    }
    assert_true(ladders.size() >= 2);
    process.move(in_flight_table::no_ladder, in_flight_table::not_on_it, 3);
    process.get_off(in_flight_table::no_ladder, 3);
    assert_true(rungs(zone.view(), key) == found_rungs());
    process.get_off(*ladders.begin(), in_flight_table::not_on_it);
    assert_true(process.get_on(key) == *ladders.begin());

    in_flight_table one_too_many = zone.view();
    assert_false(one_too_many.join(101, all_live));
    assert_true(one_too_many.get_on(green) == in_flight_table::no_ladder);
}

void requests_are_counted_in_and_out(void **)
{
    const gateway zone(4, 16);
    in_flight_table process = zone.view();
    assert_true(process.join(100, all_live));
    assert_int_equal(zone.count(blue), 0);
    const auto one = process.enter(blue);
    const auto two = process.enter(blue);
    assert_int_equal(zone.count(blue), 2);
    process.exit(one);
    assert_int_equal(zone.count(blue), 1);
    process.exit(two);
    assert_int_equal(zone.count(blue), 0);
}

void each_revision_counts_for_itself(void **)
{
    const gateway zone(4, 16);
    in_flight_table process = zone.view();
    assert_true(process.join(100, all_live));
    const auto to_blue = process.enter(blue);
    const auto to_green = process.enter(green);
    process.enter(green);
    assert_int_equal(zone.count(blue), 1);
    assert_int_equal(zone.count(green), 2);
    assert_int_equal(zone.count(in_flight_key("m", "", 9)), 0);
    process.exit(to_blue);
    process.exit(to_green);
    assert_int_equal(zone.count(blue), 0);
    assert_int_equal(zone.count(green), 1);
}

void a_key_tells_models_parts_and_revisions_apart(void **)
{
    std::set<std::uint64_t> keys;
    for (const auto &[model, part] : {std::pair{"ab", "c"}, std::pair{"a", "bc"}, std::pair{"abc", ""},
                                      std::pair{"", "abc"}, std::pair{"ab", ""}}) {
        for (const std::uint64_t revision : {0ULL, 1ULL, 256ULL, 1ULL << 40}) {
            keys.insert(in_flight_key(model, part, revision));
        }
    }
    assert_int_equal(keys.size(), 20);
    assert_true(in_flight_key("m", "", 7) == blue);
}

void all_living_processes_count_together(void **)
{
    const gateway zone(4, 16);
    std::vector<in_flight_table> processes;
    for (pid_t pid = 100; pid < 104; ++pid) {
        processes.push_back(zone.view());
        assert_true(processes.back().join(pid, all_live));
        for (pid_t i = 99; i < pid; ++i) {
            processes.back().enter(blue);
        }
    }
    assert_int_equal(zone.count(blue), 1 + 2 + 3 + 4);
    assert_int_equal(zone.view().processes(), 4);
}

void a_dead_process_is_not_counted_and_its_sheet_goes_to_the_next(void **)
{
    const gateway zone(2, 16);
    in_flight_table killed = zone.view();
    in_flight_table living = zone.view();
    assert_true(killed.join(100, all_live));
    assert_true(living.join(101, all_live));
    killed.enter(blue);
    killed.enter(blue);
    living.enter(blue);
    assert_int_equal(zone.count(blue), 3);

    const auto without_100 = [](pid_t pid) { return pid != 100; };
    assert_int_equal(zone.count(blue, without_100), 1);

    // It begins at nothing: what the dead process had in flight does not come back with the sheet.
    in_flight_table next = zone.view();
    assert_true(next.join(102, without_100));
    assert_int_equal(zone.count(blue), 1);
    next.enter(green);
    assert_int_equal(zone.count(green), 1);
}

void a_process_that_leaves_takes_its_count_with_it(void **)
{
    const gateway zone(1, 16);
    in_flight_table process = zone.view();
    assert_true(process.join(100, all_live));
    const auto place = process.enter(blue);
    process.leave();
    assert_int_equal(zone.count(blue), 0);
    process.exit(place);
    process.leave();
    assert_int_equal(zone.count(blue), 0);

    in_flight_table next = zone.view();
    assert_true(next.join(101, all_live));
    assert_int_equal(zone.count(blue), 0);
}

void a_process_with_the_number_of_a_dead_one_takes_its_sheet(void **)
{
    const gateway zone(1, 16);
    in_flight_table killed = zone.view();
    assert_true(killed.join(100, all_live));
    killed.enter(blue);
    in_flight_table next = zone.view();
    assert_true(next.join(100, all_live));
    assert_int_equal(zone.count(blue), 0);
}

void who_finds_no_sheet_counts_for_every_revision(void **)
{
    const gateway zone(1, 16);
    in_flight_table first = zone.view();
    in_flight_table second = zone.view();
    assert_true(first.join(100, all_live));
    assert_false(second.join(101, all_live));
    first.enter(blue);
    const auto place = second.enter(blue);
    assert_true(zone.count(blue) >= 2);
    assert_true(zone.count(green) >= 1); // never less than the true number, may be more

    // A sheet that comes free later does not lose what was counted before.
    first.leave();
    assert_true(second.join(101, all_live));
    const auto more = second.enter(blue);
    assert_int_equal(zone.count(blue), 2);
    second.exit(place);
    assert_int_equal(zone.count(blue), 1);
    second.exit(more);
    assert_int_equal(zone.count(blue), 0);
    assert_int_equal(zone.count(green), 0);
}

void a_dead_process_without_a_sheet_is_not_counted(void **)
{
    const gateway zone(1, 16);
    in_flight_table first = zone.view();
    in_flight_table killed = zone.view();
    assert_true(first.join(100, all_live));
    assert_false(killed.join(101, all_live));
    killed.enter(blue);
    killed.enter(green);
    assert_int_equal(zone.count(blue), 2);

    const auto without_101 = [](pid_t pid) { return pid != 101; };
    assert_int_equal(zone.count(blue, without_101), 0);

    // Who has its line next begins at nothing, and takes what it counts with it.
    in_flight_table next = zone.view();
    assert_false(next.join(102, without_101));
    const auto place = next.enter(blue);
    assert_int_equal(zone.count(blue, without_101), 1);
    next.leave();
    next.exit(place);
    assert_int_equal(zone.count(blue), 0);
}

void more_processes_than_there_are_lines_are_never_counted_short(void **)
{
    const gateway zone(1, 16);
    std::vector<in_flight_table> processes;
    std::vector<std::uint32_t> places;
    for (pid_t pid = 100; pid < 120; ++pid) {
        processes.push_back(zone.view());
        processes.back().join(pid, all_live);
        places.push_back(processes.back().enter(blue));
    }
    assert_int_equal(zone.count(blue), 20);
    for (std::size_t i = 0; i < processes.size(); ++i) {
        processes[i].exit(places[i]);
    }
    assert_int_equal(zone.count(blue), 0);
}

void more_revisions_than_a_sheet_holds_are_never_counted_short(void **)
{
    const gateway zone(1, 8);
    in_flight_table process = zone.view();
    assert_true(process.join(100, all_live));
    std::vector<std::uint32_t> places;
    for (std::uint64_t revision = 0; revision < 20; ++revision) {
        places.push_back(process.enter(in_flight_key("m", "", revision)));
    }
    for (std::uint64_t revision = 0; revision < 20; ++revision) {
        assert_true(zone.count(in_flight_key("m", "", revision)) >= 1);
    }
    for (const auto place : places) {
        process.exit(place);
    }
    for (std::uint64_t revision = 0; revision < 20; ++revision) {
        assert_int_equal(zone.count(in_flight_key("m", "", revision)), 0);
    }
}

void a_place_is_used_again_once_it_counts_nothing(void **)
{
    const gateway zone(1, 8);
    in_flight_table process = zone.view();
    assert_true(process.join(100, all_live));
    for (std::uint64_t revision = 0; revision < 10000; ++revision) {
        const std::uint64_t key = in_flight_key("m", "", revision);
        const std::uint64_t next = in_flight_key("m", "", revision + 1);
        const auto place = process.enter(key);
        const auto beside = process.enter(next);
        assert_int_equal(zone.count(key), 1);
        assert_int_equal(zone.count(next), 1);
        process.exit(place);
        process.exit(beside);
        assert_int_equal(zone.count(key), 0);
    }
}

void a_request_that_stays_is_found_whatever_comes_and_goes_before_it(void **)
{
    // Keys that want the same place: the one that stays is pushed on, then the place before it comes free.
    const gateway zone(1, 8);
    in_flight_table process = zone.view();
    assert_true(process.join(100, all_live));
    const auto first = process.enter(8);
    process.enter(16);
    process.exit(first);
    process.enter(16);
    assert_int_equal(zone.count(16), 2);
    assert_int_equal(zone.count(8), 0);
}

void a_killed_process_leaves_no_ghost(void **)
{
    const std::size_t bytes = in_flight_table::bytes_for(2, 8);
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    in_flight_table::format(memory, 2, 8);
    const auto alive = [](pid_t pid) { return kill(pid, 0) == 0; };

    const pid_t child = fork();
    if (child == 0) {
        in_flight_table worker(memory);
        worker.join(getpid(), alive);
        worker.enter(blue);
        raise(SIGSTOP);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    const in_flight_table reader(memory);
    assert_int_equal(reader.count(blue, alive), 1);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(reader.count(blue, alive), 0);
    munmap(memory, bytes);
}

void a_count_meanwhile_is_never_below_what_stays(void **)
{
    constexpr int workers = 3;
    const gateway zone(workers, 8);
    std::vector<in_flight_table> processes;
    for (int i = 0; i < workers; ++i) {
        processes.push_back(zone.view());
        assert_true(processes.back().join(100 + i, all_live));
        processes.back().enter(blue);
    }
    std::atomic<int> left = workers;
    std::vector<std::thread> threads;
    for (auto &process : processes) {
        threads.emplace_back([&process, &left] {
            for (std::uint64_t i = 0; i < 20000; ++i) {
                const auto one = process.enter(blue);
                const auto two = process.enter(in_flight_key("m", "", 100 + i));
                process.exit(one);
                process.exit(two);
            }
            --left;
        });
    }
    std::uint64_t least = UINT64_MAX;
    std::uint64_t most = 0;
    do {
        const std::uint64_t counted = zone.count(blue);
        least = std::min(least, counted);
        most = std::max(most, counted);
    } while (left.load() != 0);
    for (auto &thread : threads) {
        thread.join();
    }
    assert_true(least >= workers);
    // One entry may be read while it changes hands, so a request for another revision may be counted as well.
    assert_true(most <= 3 * workers);
    assert_int_equal(zone.count(blue), workers);
}

void processes_write_no_cache_line_of_another(void **)
{
    const gateway nginx(3, 7);
    std::set<std::size_t> all;
    std::size_t lines = 0;
    for (pid_t pid = 1; pid <= 3; ++pid) {
        in_flight_table process = nginx.view();
        assert_true(process.join(pid, all_live));
        const auto written = nginx.lines_written([&] {
            for (std::uint64_t key = 1; key <= 7; ++key) {
                process.enter(key);
                process.move(process.get_on(key), in_flight_table::not_on_it, 3);
            }
        });
        assert_true(written.size() > 1);
        lines += written.size();
        all.insert(written.begin(), written.end());
    }
    assert_int_equal(all.size(), lines);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(processes_write_no_cache_line_of_another),
        cmocka_unit_test(who_waits_climbs_the_ladder_of_its_revision),
        cmocka_unit_test(a_dead_process_leaves_nobody_on_a_ladder),
        cmocka_unit_test(without_a_ladder_a_request_waits_unseen),
        cmocka_unit_test(requests_are_counted_in_and_out),
        cmocka_unit_test(each_revision_counts_for_itself),
        cmocka_unit_test(a_key_tells_models_parts_and_revisions_apart),
        cmocka_unit_test(all_living_processes_count_together),
        cmocka_unit_test(a_dead_process_is_not_counted_and_its_sheet_goes_to_the_next),
        cmocka_unit_test(a_process_that_leaves_takes_its_count_with_it),
        cmocka_unit_test(a_process_with_the_number_of_a_dead_one_takes_its_sheet),
        cmocka_unit_test(who_finds_no_sheet_counts_for_every_revision),
        cmocka_unit_test(a_dead_process_without_a_sheet_is_not_counted),
        cmocka_unit_test(more_processes_than_there_are_lines_are_never_counted_short),
        cmocka_unit_test(more_revisions_than_a_sheet_holds_are_never_counted_short),
        cmocka_unit_test(a_place_is_used_again_once_it_counts_nothing),
        cmocka_unit_test(a_request_that_stays_is_found_whatever_comes_and_goes_before_it),
        cmocka_unit_test(a_killed_process_leaves_no_ghost),
        cmocka_unit_test(a_count_meanwhile_is_never_below_what_stays),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
