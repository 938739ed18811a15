// The ring of changes: what is read is what was written, or it is said that it is gone.
#include "module/tables/event_ring.hpp"
#include "module/tables/route_table.hpp"
#include "module/tables/task_table.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/tables/sample_task.hpp"
#include "tests/unit/module/tables/stepped_writer.hpp"
#include "tests/unit/module/tables/table_memory.hpp"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace {

using rollout::change;
using rollout::change_kind;
using rollout::event_ring;
using rollout::record_store;
using rollout::route_table;
using rollout::task_kind;
using rollout::task_table;

constexpr std::size_t entries = 8;

class ring_memory {
  public:
    ring_memory() : block_(static_cast<unsigned char *>(std::aligned_alloc(64, bytes())), &std::free)
    {
        std::memset(block_.get(), 0xA5, bytes());
        event_ring::format(block_.get(), entries);
    }

    event_ring ring() const noexcept { return event_ring(block_.get()); }

  private:
    static std::size_t bytes() noexcept { return (event_ring::bytes_for(entries) + 63) / 64 * 64; }

    std::unique_ptr<unsigned char, decltype(&std::free)> block_;
};

/// The event of that number as a line, or "gone".
std::string line_of(const event_ring &ring, std::uint64_t sequence)
{
    change event;
    if (!ring.read(sequence, event)) {
        return "gone";
    }
    assert_true(event.sequence == sequence);
    return (event.kind == change_kind::all    ? "all "
            : event.kind == change_kind::task ? std::string(kind_name(event.of_task)) + " "
                                              : "route ") +
           std::string(event.model_id()) + "/" + std::string(event.name());
}

/// All that the ring still has, in its order.
std::string lines_of(const event_ring &ring)
{
    std::string all;
    for (std::uint64_t i = ring.head() >= entries ? ring.head() - entries + 1 : 1; i <= ring.head(); ++i) {
        all += (all.empty() ? "" : ", ") + line_of(ring, i);
    }
    return all;
}

void an_empty_ring_has_no_event(void **)
{
    const ring_memory memory;
    assert_int_equal(memory.ring().head(), 0);
    assert_int_equal(memory.ring().entries(), entries);
    for (const std::uint64_t sequence : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{entries}, UINT64_MAX}) {
        assert_text(line_of(memory.ring(), sequence), "gone");
    }
}

void events_are_read_as_they_were_written(void **)
{
    const ring_memory memory;
    auto ring = memory.ring();
    ring.add_task(task_kind::remove, "m", "t");
    ring.add_route("m", "");
    ring.add_all();
    const std::string long_name(128, 'n');
    ring.add_route(long_name, long_name);
    assert_int_equal(ring.head(), 4);
    assert_text(lines_of(ring), "delete m/t, route m/, all /, route " + long_name + "/" + long_name);
}

void the_oldest_are_overwritten(void **)
{
    const ring_memory memory;
    auto ring = memory.ring();
    for (std::uint64_t i = 1; i <= 3 * entries; ++i) {
        ring.add_task(task_kind::deploy, "m", std::to_string(i));
        assert_text(line_of(ring, i), "deploy m/" + std::to_string(i));
        assert_text(line_of(ring, i + 1), "gone");
        if (i >= entries) {
            assert_text(line_of(ring, i - entries + 1), "deploy m/" + std::to_string(i - entries + 1));
            assert_text(line_of(ring, i - entries), "gone");
        }
    }
}

void readers_beside_a_writer_read_no_torn_event(void **)
{
#ifdef __SANITIZE_THREAD__
    _skip(__FILE__, __LINE__); // a sequence lock is a race, by design
#endif
    constexpr int events_read = 2000; // by each of them; however long the writer takes to begin
    const ring_memory memory;
    std::atomic<int> torn{0};
    std::atomic<int> reading{3};
    std::vector<std::thread> readers;
    for (int i = reading; i > 0; --i) {
        readers.emplace_back([&] {
            for (int read = 0; read < events_read;) {
                const auto ring = memory.ring();
                change event;
                const auto sequence = ring.head();
                if (ring.read(sequence >= 4 ? sequence - 4 : sequence, event)) {
                    ++read;
                    const bool is_whole = event.model_id() == std::string(event.sequence % 100, 'm') &&
                                          event.name() == std::to_string(event.sequence);
                    torn += is_whole ? 0 : 1;
                }
            }
            --reading;
        });
    }
    auto ring = memory.ring();
    for (std::uint64_t i = 1; reading > 0; ++i) {
        ring.add_task(task_kind::deploy, std::string(i % 100, 'm'), std::to_string(i));
    }
    for (auto &reader : readers) {
        reader.join();
    }
    assert_int_equal(torn.load(), 0);
}

void a_writer_that_is_killed_leaves_an_event_or_none(void **)
{
    const shared_block block;
    event_ring::format(block.get(), entries);
    event_ring writer(block.get());
    for (std::uint64_t i = 1; i <= entries; ++i) {
        writer.add_task(task_kind::deploy, "m", std::to_string(i));
    }
    bool without = false;
    bool with = false;
    const auto look = [&](void *memory) {
        event_ring left(memory);
        const bool added = left.head() == entries + 1;
        (added ? with : without) = true;
        assert_true(added || left.head() == entries);
        // The event that is being overwritten is itself or gone, all others are there.
        const auto first = line_of(left, 1);
        assert_true(first == "gone" || (!added && first == "deploy m/1"));
        assert_text(line_of(left, 2), "deploy m/2");
        assert_text(line_of(left, entries + 1), added ? "route new/part" : "gone");
        left.add_all(); // the next writer
        assert_text(line_of(left, left.head()), "all /");
        assert_text(line_of(left, entries), "deploy m/8");
    };
    const auto ended = step_through(
        block, [&] { writer.add_route("new", "part"); }, look);
    if (ended == stepped::not_allowed) {
        _skip(__FILE__, __LINE__);
    }
    assert_true(ended == stepped::to_the_end);
    assert_true(with && without);
}


// What the tables note in it.

void a_task_is_noted_when_it_changes_and_not_when_it_is_sent_again(void **)
{
    const ring_memory memory;
    auto ring = memory.ring();
    const table_memory records;
    record_store store(records.get());
    task_table table(store, nullptr, &ring);
    put(table, {.task_id = "one", .revision = 1});
    put(table, {.task_id = "one", .revision = 2});
    put(table, {.task_id = "one", .revision = 2});
    put(table, {.task_id = "one", .revision = 1});
    put(table, {.task_id = "two", .revision = 3, .kind = task_kind::remove});
    assert_text(lines_of(ring), "deploy m/one, deploy m/one, delete m/two");
}

void a_task_for_which_there_is_no_room_has_changed_all_the_same(void **)
{
    const ring_memory memory;
    auto ring = memory.ring();
    const table_memory records;
    record_store store(records.get());
    task_table table(store, nullptr, &ring);
    while (store.put(rollout::record_map::routes, "r" + std::to_string(store.free_cells()), {std::string(3000, 'r')},
                     rollout::age_list::none)) {
    }
    assert_true(put(table, {.task_id = "large", .document_bytes = 20000}) == task_table::stored::no_room);
    assert_text(lines_of(ring), "deploy m/large");
}

void a_route_is_noted_when_it_changes_or_goes(void **)
{
    const ring_memory memory;
    auto ring = memory.ring();
    const table_memory records;
    record_store store(records.get());
    route_table table(store, nullptr, &ring);
    const rollout::route first = {"m", "", rollout::route_target{1, "inference", "m__r1"}, {}, 0};
    auto second = first;
    second.weight = 5;
    second.green = rollout::route_target{2, "inference", "m__r2"};
    for (const auto &one : {first, first, second, second, first}) {
        assert_true(table.put(one));
    }
    assert_text(lines_of(ring), "route m/, route m/, route m/");
    auto peers = first;
    peers.blue->peers.emplace();
    assert_true(table.put(peers));
    assert_true(table.put({"m", "part", first.blue, {}, 0}));
    table.retain([](std::string_view, std::string_view part) { return part.empty(); });
    assert_true(table.put({"m", "", {}, {}, 0}));
    assert_true(table.put({"m", "", {}, {}, 0})); // it is gone already
    assert_text(lines_of(ring), "route m/, route m/, route m/, route m/, route m/part, route m/part, route m/");
    rollout::route none;
    assert_true(table.read("m", "", none) == record_store::found::no);
}

void a_route_is_read_as_it_was_put(void **)
{
    const table_memory records;
    record_store store(records.get());
    route_table table(store);
    const rollout::route put = {"m",
                                "query",
                                rollout::route_target{1, "a", "m__r1", std::vector<std::string>{"10.0.0.1:80"}},
                                rollout::route_target{2, "b", "m__r2"},
                                25,
                                true};
    assert_true(table.put(put));
    rollout::route read;
    assert_true(table.read("m", "query", read) == record_store::found::yes);
    assert_true(read == put);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_ring_has_no_event),
        cmocka_unit_test(events_are_read_as_they_were_written),
        cmocka_unit_test(the_oldest_are_overwritten),
        cmocka_unit_test(readers_beside_a_writer_read_no_torn_event),
        cmocka_unit_test(a_writer_that_is_killed_leaves_an_event_or_none),
        cmocka_unit_test(a_task_is_noted_when_it_changes_and_not_when_it_is_sent_again),
        cmocka_unit_test(a_task_for_which_there_is_no_room_has_changed_all_the_same),
        cmocka_unit_test(a_route_is_noted_when_it_changes_or_goes),
        cmocka_unit_test(a_route_is_read_as_it_was_put),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
