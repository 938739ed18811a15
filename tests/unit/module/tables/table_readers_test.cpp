// Readers that take no lock beside a writer: they may find a bucket busy, but never half of a record.
#include "module/tables/route_table.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/tables/sample_task.hpp"
#include "tests/unit/module/tables/table_memory.hpp"

#include <atomic>
#include <functional>
#include <set>
#include <thread>
#include <vector>

namespace {

using rollout::age_list;
using rollout::record_map;
using rollout::record_store;
using rollout::route;
using rollout::route_table;
using rollout::route_target;
using rollout::task_status;
using rollout::task_table;

constexpr auto tasks = record_map::tasks;
constexpr int readers = 3;

struct tally {
    std::atomic<int> whole = 0;
    std::atomic<int> missing = 0;
    std::atomic<int> busy = 0;
    std::atomic<int> torn = 0;
};

/// Lets each reader read so many times, and the writer write for as long as one of them does.
void read_and_write(int reads, const std::function<void(int)> &read, const std::function<void(std::uint64_t)> &write)
{
    std::atomic<int> left = readers;
    std::vector<std::thread> threads;
    for (int i = 0; i < readers; ++i) {
        threads.emplace_back([&, i] {
            for (int n = 0; n < reads; ++n) {
                read(n * readers + i);
            }
            --left;
        });
    }
    for (std::uint64_t n = 1; left.load() != 0; ++n) {
        write(n);
    }
    for (auto &thread : threads) {
        thread.join();
    }
}

/// A sequence lock's reader copies what a writer may be changing and looks at the number again: ThreadSanitizer would
/// call that a race, which it is, by design.
bool races_are_errors()
{
#ifdef __SANITIZE_THREAD__
    return true;
#else
    return false;
#endif
}

std::string value_number(std::uint64_t n)
{
    const std::size_t size = n % 5 == 0 ? 10 : n % 5 == 1 ? 3000 : 200 + n % 400;
    return std::string(size, static_cast<char>('a' + n % 26));
}

bool is_uniform(const std::string &value)
{
    return value.find_first_not_of(value[0]) == std::string::npos;
}

void a_record_that_is_replaced_all_the_time_is_never_torn(void **)
{
    if (races_are_errors()) {
        _skip(__FILE__, __LINE__);
    }
    // One bucket's neighbours come and go as well, so that cells change hands and chains change under the readers.
    const table_memory memory;
    record_store store(memory.get());
    assert_true(store.put(tasks, "key", {value_number(0)}, age_list::final_tasks));
    tally seen;
    read_and_write(
        20000,
        [&](int) {
            const std::string value = value_of(record_store(memory.get()), tasks, "key");
            ++(value == no_record     ? seen.missing
               : value == busy_bucket ? seen.busy
               : is_uniform(value)    ? seen.whole
                                      : seen.torn);
        },
        [&](std::uint64_t n) {
            store.put(tasks, "key", {value_number(n)}, age_list::final_tasks);
            const std::string other = "other-" + std::to_string(n % 300);
            if (!store.erase(tasks, other)) {
                store.put(tasks, other, {std::string(n % 150, '#')}, age_list::final_tasks);
            }
        });
    assert_int_equal(seen.torn.load(), 0);
    assert_int_equal(seen.missing.load(), 0);
    assert_true(seen.whole.load() > readers * 20000 / 2);
}

void records_that_come_and_go_are_whole_or_missing(void **)
{
    if (races_are_errors()) {
        _skip(__FILE__, __LINE__);
    }
    const table_memory memory;
    record_store store(memory.get());
    tally seen;
    read_and_write(
        20000,
        [&](int n) {
            const std::string value = value_of(record_store(memory.get()), tasks, "key-" + std::to_string(n % 50));
            ++(value == no_record     ? seen.missing
               : value == busy_bucket ? seen.busy
               : is_uniform(value)    ? seen.whole
                                      : seen.torn);
        },
        [&](std::uint64_t n) {
            const std::string key = "key-" + std::to_string(n * 7 % 50);
            if (n / 50 % 3 == 0) {
                store.erase(tasks, key);
            } else {
                store.put(tasks, key, {value_number(n)}, age_list::active_tasks);
            }
        });
    assert_int_equal(seen.torn.load(), 0);
    assert_true(seen.whole.load() > 0);
    assert_true(seen.missing.load() > 0);
}

void a_task_that_is_updated_all_the_time_reads_as_one_of_its_versions(void **)
{
    if (races_are_errors()) {
        _skip(__FILE__, __LINE__);
    }
    const table_memory memory(256 * 1024);
    record_store store(memory.get());
    task_table table(store);
    const auto version = [](std::uint64_t n) {
        sample_task task;
        task.revision = n;
        task.status = n % 2 ? task_status::in_progress : task_status::completed;
        task.document_bytes = n % 3 ? 700 : 64 * 1024;
        return task;
    };
    assert_true(put(table, version(1)) == task_table::stored::yes);
    tally seen;
    read_and_write(
        3000,
        [&](int n) {
            record_store mine(memory.get());
            const task_table reader(mine);
            read_back got;
            got.found = n % 2 ? reader.by_id(rollout::task_kind::deploy, "t", got.into(), got.task)
                              : reader.latest(rollout::task_kind::deploy, "m", got.into(), got.task);
            if (got.found == record_store::found::yes) {
                ++(got.document() == version(got.task.revision).document() ? seen.whole : seen.torn);
            } else {
                ++(got.found == record_store::found::no ? seen.missing : seen.busy);
            }
        },
        [&](std::uint64_t n) { put(table, version(n + 1)); });
    assert_int_equal(seen.torn.load(), 0);
    assert_int_equal(seen.missing.load(), 0);
    assert_true(seen.whole.load() > 0);
}

void a_choice_is_never_of_two_routes(void **)
{
    if (races_are_errors()) {
        _skip(__FILE__, __LINE__);
    }
    const table_memory memory;
    record_store store(memory.get());
    const auto target = [](std::uint64_t revision) {
        return route_target{revision, "upstream-" + std::to_string(revision), "m__r" + std::to_string(revision)};
    };
    const auto version = [&](std::uint64_t n) {
        return route{"m", "", target(2 * n), target(2 * n + 1), static_cast<unsigned>(n % 101)};
    };
    assert_true(route_table(store).put(version(1)));
    tally seen;
    read_and_write(
        20000,
        [&](int n) {
            record_store mine(memory.get());
            std::string bytes;
            rollout::route_choice choice;
            const auto found = route_table(mine).choose(
                {"m", "", "", false, static_cast<unsigned>(n) % rollout::routing_buckets},
                [&bytes](std::size_t size) {
                    bytes.assign(size, '?');
                    return reinterpret_cast<unsigned char *>(bytes.data());
                },
                choice);
            if (found == record_store::found::yes) {
                const auto expected = target(choice.revision);
                ++(choice.upstream == expected.upstream && choice.model == expected.model &&
                           (choice.which == rollout::slot::green) == (choice.revision % 2 == 1)
                       ? seen.whole
                       : seen.torn);
            } else {
                ++(found == record_store::found::no ? seen.missing : seen.busy);
            }
        },
        [&](std::uint64_t n) { route_table(store).put(version(n + 1)); });
    assert_int_equal(seen.torn.load(), 0);
    assert_int_equal(seen.missing.load(), 0);
    assert_true(seen.whole.load() > 0);
}

void who_reads_all_routes_finds_each_that_stays_whole_and_no_other(void **)
{
    if (races_are_errors()) {
        _skip(__FILE__, __LINE__);
    }
    // More routes than buckets; of each third that changes all the time, one is replaced, one comes and goes, one stays.
    constexpr int count = 240;
    const table_memory memory(2 * record_store::min_bytes);
    record_store store(memory.get());
    const auto version = [](int i, std::uint64_t n) {
        const std::string name = "m" + std::to_string(i);
        return route{
            name, "", route_target{n, std::string(1 + n % 200, 'u'), name + std::string(n % 200, 'x')}, {}, 0};
    };
    for (int i = 0; i < count; ++i) {
        assert_true(route_table(store).put(version(i, 1)));
    }
    tally seen;
    read_and_write(
        100,
        [&](int) {
            record_store mine(memory.get());
            std::set<std::string> found;
            const bool all = route_table(mine).each([&](const route &one) {
                const int i = std::stoi(one.model_id.substr(1));
                const bool is_new = found.insert(one.model_id).second;
                ++(is_new && i < count && one == version(i, one.blue->revision) ? seen.whole : seen.torn);
            });
            if (!all) {
                ++seen.busy;
                return;
            }
            for (int i = 0; i < count; ++i) {
                seen.missing += i % 3 != 1 && !found.contains("m" + std::to_string(i));
            }
        },
        [&](std::uint64_t n) {
            const int i = static_cast<int>(n * 3 % count);
            route_table(store).put(version(i, n));
            if (n % 2 == 0) {
                route_table(store).put({"m" + std::to_string(i + 1), "", {}, {}, 0}); // it has no target: it goes
            } else {
                route_table(store).put(version(i + 1, n));
            }
        });
    assert_int_equal(seen.torn.load(), 0);
    assert_int_equal(seen.missing.load(), 0);
    assert_true(seen.whole.load() > 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_record_that_is_replaced_all_the_time_is_never_torn),
        cmocka_unit_test(records_that_come_and_go_are_whole_or_missing),
        cmocka_unit_test(a_task_that_is_updated_all_the_time_reads_as_one_of_its_versions),
        cmocka_unit_test(a_choice_is_never_of_two_routes),
        cmocka_unit_test(who_reads_all_routes_finds_each_that_stays_whole_and_no_other),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
