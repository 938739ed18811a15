// What rolloutd's frames do to the zone. Two replicas of one zone are two worker processes.
#include "common/link/task_line.hpp"
#include "module/link/replica.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_nginx.hpp"
#include "tests/unit/module/tables/sample_task.hpp"

#include <initializer_list>

namespace {

using fake_nginx::times_logged;
using rollout::link_fault;
using rollout::replica;
using rollout::shared_zone;

const std::string one_journal(32, 'a');
const std::string another_journal(32, 'b');

rollout::json_ptr json_of(const std::string &text)
{
    json_error_t error;
    auto value = rollout::json_read(text, 0, error);
    assert_non_null(value.get());
    return value;
}

std::string text_of(const link_fault &fault)
{
    return fault.value_or("(none)");
}

link_fault welcome(replica &of, const std::string &journal, std::uint64_t revision, bool streams = true)
{
    return of.on_welcome(json_of(R"({"type":"welcome","protocol":3,"journal":")" + journal + R"(","revision":)" +
                                 std::to_string(revision) + R"(,"stream":)" + (streams ? "true" : "false") + "}")
                             .get());
}

/// As a worker process does that is given the stream by a rolloutd of that journal.
void begin_stream(replica &of, std::uint64_t revision, const std::string &journal = one_journal)
{
    of.greet();
    assert_text(text_of(welcome(of, journal, revision)), "(none)");
}

std::string line_of(const sample_task &task)
{
    const auto document = task.document();
    std::string line;
    rollout::append_task_line(
        line, {task.kind, task.sequence, task.revision, task.status, task.task_id, task.model_id, document});
    return line;
}

replica::update_result update(replica &of, std::uint64_t revision, std::initializer_list<sample_task> tasks,
                              const std::string &how = "")
{
    std::string lines;
    for (const auto &task : tasks) {
        lines += (lines.empty() ? "" : "\n") + line_of(task);
    }
    return of.on_update(json_of(R"({"type":"update","revision":)" + std::to_string(revision) + how + "}").get(),
                        lines);
}

constexpr char complete[] = R"(,"filled":true,"complete":true)";

std::string route_text(const std::string &model, unsigned revision)
{
    const auto number = std::to_string(revision);
    return R"({"model_id":")" + model + R"(","part":"","blue":{"revision":)" + number +
           R"(,"upstream":"inference","model":")" + model + "__r" + number + R"("},"weight":0})";
}

replica::routes_result routes(replica &of, std::uint64_t revision, std::initializer_list<std::string> all,
                              const std::string &how = "")
{
    std::string texts;
    for (const auto &text : all) {
        texts += (texts.empty() ? "" : ",") + text;
    }
    return of.on_routes(json_of(R"({"type":"routes","revision":)" + std::to_string(revision) + R"(,"routes":[)" +
                                texts + "]" + how + "}")
                            .get());
}

constexpr char begins[] = R"(,"begin":true)";
constexpr char ends[] = R"(,"end":true)";
constexpr char is_whole[] = R"(,"begin":true,"end":true)";

/// The task's document, or "(none)".
std::string held(const shared_zone &zone, std::string_view task_id)
{
    rollout::record_store records(zone.records);
    return document_of(rollout::task_table(records), task_id);
}

/// The revision that the model's requests go to, 0: none.
std::uint64_t routed(const shared_zone &zone, std::string_view model_id)
{
    rollout::record_store records(zone.records);
    std::string memory;
    const auto allocate = [&memory](std::size_t size) {
        memory.assign(size, '?');
        return reinterpret_cast<unsigned char *>(memory.data());
    };
    rollout::route_choice choice;
    const rollout::route_table::question asked = {model_id, "", "", false, 0};
    return rollout::route_table(records).choose(asked, allocate, choice) == rollout::record_store::found::yes
               ? choice.revision
               : 0;
}

const sample_task first = {.task_id = "first", .sequence = 1, .revision = 1};
const sample_task second = {.task_id = "second", .sequence = 2, .revision = 2};


// Tasks.

void a_fresh_zone_has_nothing_of_any_journal(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    const auto held_by_zone = process.greet();
    assert_text(held_by_zone.journal, "");
    assert_int_equal(held_by_zone.revision, 0);
}

void a_stream_fills_the_table_up_to_its_revision(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 2);
    assert_false(update(process, 1, {first}).is_to_greet);
    assert_false(memory.zone.tasks_known());
    assert_false(update(process, 2, {second}, complete).is_to_greet);
    assert_true(memory.zone.tasks_known());
    assert_text(held(memory.zone, "first"), first.document());
    assert_text(held(memory.zone, "second"), second.document());
    assert_int_equal(times_logged("holds all tasks"), 1);

    replica next(memory.zone, &fake_nginx::log);
    const auto held_by_zone = next.greet();
    assert_text(held_by_zone.journal, one_journal);
    assert_int_equal(held_by_zone.revision, 2);
}

/// What the zone's ring has, a letter for each event: all, task, route.
std::string noted(const shared_zone &zone)
{
    const rollout::event_ring ring(zone.events);
    std::string letters;
    for (std::uint64_t i = 1; i <= ring.head(); ++i) {
        rollout::change event;
        letters += !ring.read(i, event) ? '?' : "atr"[static_cast<int>(event.kind)];
    }
    return letters;
}

void tasks_that_fill_the_table_are_one_event_and_later_ones_are_each_one(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 1);
    const auto begun = noted(memory.zone); // of a journal that the zone has not had
    update(process, 1, {first});
    assert_text(noted(memory.zone), begun);
    update(process, 1, {}, complete);
    assert_text(noted(memory.zone), begun + "a");
    update(process, 2, {second}, complete);
    update(process, 2, {second}, complete);
    routes(process, 2, {route_text("m", 1)}, is_whole);
    routes(process, 3, {route_text("m", 1)}, is_whole); // the same again
    routes(process, 4, {}, is_whole);
    assert_text(noted(memory.zone), begun + "atrr");

    // The same journal again: nothing has changed.
    begin_stream(process, 2);
    update(process, 2, {first, second}, complete);
    assert_text(noted(memory.zone), begun + "atrr");
    begin_stream(process, 2, another_journal);
    assert_text(noted(memory.zone), begun + "atrra");
}

void what_was_sent_before_the_welcome_does_not_count_as_filling(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 1);
    process.greet();
    assert_false(update(process, 9, {first}, complete).is_to_greet);
    assert_text(held(memory.zone, "first"), first.document());
    assert_int_equal(memory.zone.tasks_revision(), 0);
    assert_false(memory.zone.tasks_known());
}

void a_link_without_the_stream_fills_nothing_up(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    process.greet();
    welcome(process, one_journal, 9, false);
    update(process, 9, {first}, complete);
    assert_int_equal(memory.zone.tasks_revision(), 0);
    assert_false(memory.zone.tasks_known());
}

void all_there_was_is_not_all_there_is_with_another_gateway(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 1);
    update(process, 1, {first}, R"(,"filled":true)");
    assert_true(memory.zone.tasks_brought());
    assert_false(memory.zone.tasks_known());
}

void a_doubt_since_the_hello_needs_another_stream(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 1);
    memory.zone.mark_incomplete();
    assert_true(update(process, 1, {first}, complete).is_to_greet);
    assert_false(memory.zone.tasks_known());
    begin_stream(process, 1);
    assert_false(update(process, 1, {}, complete).is_to_greet);
    assert_true(memory.zone.tasks_known());
}

void a_repair_since_the_hello_needs_another_stream(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 1);
    ++memory.zone.header->repairs;
    assert_true(update(process, 1, {first}, complete).is_to_greet);
    assert_int_equal(memory.zone.tasks_revision(), 0);
}

void another_journal_takes_the_tasks_away_and_leaves_the_routes(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 5);
    update(process, 5, {first}, complete);
    routes(process, 5, {route_text("m", 5)}, is_whole);

    begin_stream(process, 3, another_journal);
    assert_text(held(memory.zone, "first"), "(none)");
    assert_false(memory.zone.tasks_brought());
    assert_int_equal(memory.zone.tasks_revision(), 0);
    assert_int_equal(memory.zone.routes_revision(), 0);
    assert_int_equal(routed(memory.zone, "m"), 5);
    assert_text(memory.zone.journal(), another_journal);
    assert_int_equal(times_logged("looks restored from a backup"), 0);
}

void an_earlier_copy_of_the_journal_is_another_one(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    replica another(memory.zone, &fake_nginx::log);
    begin_stream(process, 5);
    update(process, 5, {first}, complete);
    another.greet();
    begin_stream(process, 3);
    assert_text(held(memory.zone, "first"), "(none)");
    assert_int_equal(times_logged("looks restored from a backup"), 1);

    // The other process's hello was before that: it hears of what has been dealt with.
    update(process, 3, {second}, complete);
    assert_text(text_of(welcome(another, one_journal, 3, false)), "(none)");
    assert_text(held(memory.zone, "second"), second.document());
    assert_int_equal(times_logged("looks restored from a backup"), 0);
}

void what_another_process_has_emptied_is_asked_for_again(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    replica another(memory.zone, &fake_nginx::log);
    begin_stream(process, 5);
    update(process, 5, {first}, complete);
    another.greet();
    welcome(another, another_journal, 1, false);
    assert_true(update(process, 6, {second}, complete).is_to_greet);
}

void a_welcome_names_its_journal(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    process.greet();
    assert_text(text_of(welcome(process, "short", 1)), "a welcome without a journal");
}

void an_update_that_cannot_be_read_ends_the_link(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 1);
    const auto message = json_of(R"({"type":"update","revision":1})");
    for (const std::string line : {"-", "deploy 1 1 pending first m", "deploy 1 1 pending first m []",
                                   R"(deploy 1 1 pending first m {"status":"failed"})"}) {
        const auto result = process.on_update(message.get(), line);
        assert_text(text_of(result.fault), "an update without a readable task");
    }
    assert_text(held(memory.zone, "first"), "(none)");
    assert_int_equal(memory.zone.tasks_revision(), 0);
}

void an_accepted_task_is_there_at_once(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    const auto document = first.document();
    assert_text(text_of(process.on_accepted(record_of(first, document))), "(none)");
    assert_text(held(memory.zone, "first"), document);
}

void a_task_that_was_looked_up_goes_in_only_over_its_older_state(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    sample_task task = first;
    const auto before = task.document();
    process.on_found(record_of(task, before));
    assert_text(held(memory.zone, "first"), "(none)");

    process.on_accepted(record_of(task, before));
    task.revision = 7;
    const auto after = task.document();
    process.on_found(record_of(task, after));
    assert_text(held(memory.zone, "first"), after);
}

void a_task_that_was_there_and_is_newer_than_the_table_is_in_doubt(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 1);
    update(process, 1, {first}, complete);
    process.on_existing(record_of(first, "{}"));
    assert_true(memory.zone.tasks_known());
    process.on_existing(record_of(second, "{}"));
    assert_false(memory.zone.tasks_known());
}

void a_zone_that_is_locked_ends_the_link_and_lacks_the_task(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 1);
    update(process, 1, {}, complete);
    fake_nginx::held_by_another = true;
    const auto document = second.document();
    const auto accepted = process.on_accepted(record_of(second, document));
    const auto updated = update(process, 2, {}, complete);
    const auto in_force = routes(process, 2, {route_text("m", 2)});
    const auto welcomed = welcome(process, one_journal, 2);
    fake_nginx::held_by_another = false;
    for (const auto &fault : {accepted, updated.fault, in_force.fault, welcomed}) {
        assert_text(text_of(fault), "the zone is locked");
    }
    assert_false(in_force.in_force.has_value());
    assert_false(memory.zone.tasks_known());
    assert_text(held(memory.zone, "second"), "(none)");
}

void a_full_zone_lets_its_oldest_tasks_go_and_says_so_once(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 1000);
    for (unsigned i = 1; i <= 1000; ++i) {
        update(process, i, {{.task_id = "t" + std::to_string(i), .sequence = i, .revision = i}});
    }
    assert_int_equal(times_logged("is full"), 1);
    update(process, 1000, {}, complete);
    assert_false(memory.zone.tasks_known());
    assert_text(held(memory.zone, "t1"), "(none)");
    assert_int_equal(times_logged("holds all tasks"), 0);
}


// Routes.

void a_full_set_is_in_force_once_it_has_ended(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 9);
    assert_false(routes(process, 7, {route_text("a", 1)}, begins).in_force.has_value());
    assert_int_equal(routed(memory.zone, "a"), 1);
    assert_false(memory.zone.routes_known());
    assert_false(routes(process, 7, {route_text("b", 2)}).in_force.has_value());
    assert_int_equal(memory.zone.routes_revision(), 0);
    const auto last = routes(process, 7, {route_text("c", 3)}, ends);
    assert_int_equal(last.in_force.value(), 7);
    assert_int_equal(last.routes.size(), 1);
    assert_true(memory.zone.routes_known());
    assert_int_equal(memory.zone.routes_revision(), 7);
}

void what_is_not_in_a_full_set_goes(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 9);
    routes(process, 7, {route_text("a", 1), route_text("b", 1), route_text("c", 1)}, is_whole);
    routes(process, 9, {route_text("a", 2)}, begins);
    assert_int_equal(routed(memory.zone, "b"), 1);
    routes(process, 9, {route_text("c", 2)}, ends);
    assert_int_equal(routed(memory.zone, "a"), 2);
    assert_int_equal(routed(memory.zone, "b"), 0);
    assert_int_equal(routed(memory.zone, "c"), 2);
}

void a_change_is_in_force_by_itself(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 7);
    routes(process, 7, {route_text("a", 1), route_text("b", 1)}, is_whole);
    assert_int_equal(routes(process, 8, {route_text("a", 2)}).in_force.value(), 8);
    assert_int_equal(routes(process, 9, {R"({"model_id":"b","part":"","removed":true})"}).in_force.value(), 9);
    assert_int_equal(routed(memory.zone, "a"), 2);
    assert_int_equal(routed(memory.zone, "b"), 0);
    assert_int_equal(memory.zone.routes_revision(), 9);
}

void a_faulty_route_changes_nothing(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 7);
    const auto result = routes(process, 7, {route_text("a", 1), R"({"model_id":"b"})"});
    assert_true(result.fault.has_value());
    assert_false(result.in_force.has_value());
    assert_int_equal(routed(memory.zone, "a"), 0);
    assert_int_equal(memory.zone.routes_revision(), 0);
}

void older_routes_than_those_of_another_process_are_left_aside(void **)
{
    fake_nginx::zone_memory memory;
    replica slow(memory.zone, &fake_nginx::log);
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(slow, 5);
    begin_stream(process, 8);
    routes(process, 8, {route_text("a", 8)}, is_whole);

    const auto result = routes(slow, 6, {route_text("a", 6)});
    assert_false(result.fault.has_value());
    assert_false(result.in_force.has_value());
    assert_int_equal(result.routes.size(), 0);
    assert_int_equal(routed(memory.zone, "a"), 8);
    assert_int_equal(times_logged("are ignored"), 1);
}

void a_full_set_is_left_aside_whole(void **)
{
    fake_nginx::zone_memory memory;
    replica slow(memory.zone, &fake_nginx::log);
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(slow, 5);
    begin_stream(process, 8);
    routes(process, 8, {route_text("a", 8)}, is_whole);

    routes(slow, 5, {route_text("a", 5)}, begins);
    assert_false(routes(slow, 9, {route_text("b", 9)}).in_force.has_value());
    assert_false(routes(slow, 9, {}, ends).in_force.has_value());
    assert_int_equal(routed(memory.zone, "a"), 8);
    assert_int_equal(routed(memory.zone, "b"), 0);
    assert_int_equal(memory.zone.routes_revision(), 8);

    // What comes behind it is a change again, and counts if it is new.
    assert_int_equal(routes(slow, 10, {route_text("b", 10)}).in_force.value(), 10);
    assert_int_equal(routed(memory.zone, "a"), 8);
    assert_int_equal(routed(memory.zone, "b"), 10);
}

void a_full_set_is_as_new_as_its_welcome(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 8);
    routes(process, 8, {route_text("a", 7), route_text("b", 8)}, is_whole);
    // The route that changed last has gone since: the newest of those that are left is older.
    begin_stream(process, 9);
    assert_int_equal(routes(process, 7, {route_text("a", 7)}, is_whole).in_force.value(), 7);
    assert_int_equal(routed(memory.zone, "b"), 0);
    assert_int_equal(memory.zone.routes_revision(), 8);
}

void a_set_ends_with_its_connection(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 7);
    routes(process, 7, {route_text("a", 1), route_text("b", 1)}, is_whole);
    routes(process, 8, {route_text("a", 2)}, begins);
    process.end_stream();
    begin_stream(process, 9);
    assert_int_equal(routes(process, 9, {route_text("a", 3)}).in_force.value(), 9);
    assert_int_equal(routed(memory.zone, "b"), 1);
}

void routes_take_the_place_of_tasks_and_then_there_is_no_room(void **)
{
    fake_nginx::zone_memory memory;
    replica process(memory.zone, &fake_nginx::log);
    begin_stream(process, 9);
    update(process, 1, {first, second}, complete);
    bool is_full = false;
    for (unsigned i = 0; i < 5000 && !is_full; ++i) {
        const auto result = routes(process, 1, {route_text("m" + std::to_string(i), 1)});
        is_full = result.fault.has_value();
        assert_true(result.in_force.has_value());
        if (is_full) {
            assert_text(text_of(result.fault), "zone is too small for the routes: give rollout_zone more memory");
        }
    }
    assert_true(is_full);
    assert_text(held(memory.zone, "first"), "(none)");
    assert_false(memory.zone.tasks_known());
    assert_int_equal(routed(memory.zone, "m0"), 1);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_zone_has_nothing_of_any_journal),
        cmocka_unit_test(a_stream_fills_the_table_up_to_its_revision),
        cmocka_unit_test(tasks_that_fill_the_table_are_one_event_and_later_ones_are_each_one),
        cmocka_unit_test(what_was_sent_before_the_welcome_does_not_count_as_filling),
        cmocka_unit_test(a_link_without_the_stream_fills_nothing_up),
        cmocka_unit_test(all_there_was_is_not_all_there_is_with_another_gateway),
        cmocka_unit_test(a_doubt_since_the_hello_needs_another_stream),
        cmocka_unit_test(a_repair_since_the_hello_needs_another_stream),
        cmocka_unit_test(another_journal_takes_the_tasks_away_and_leaves_the_routes),
        cmocka_unit_test(an_earlier_copy_of_the_journal_is_another_one),
        cmocka_unit_test(what_another_process_has_emptied_is_asked_for_again),
        cmocka_unit_test(a_welcome_names_its_journal),
        cmocka_unit_test(an_update_that_cannot_be_read_ends_the_link),
        cmocka_unit_test(an_accepted_task_is_there_at_once),
        cmocka_unit_test(a_task_that_was_looked_up_goes_in_only_over_its_older_state),
        cmocka_unit_test(a_task_that_was_there_and_is_newer_than_the_table_is_in_doubt),
        cmocka_unit_test(a_zone_that_is_locked_ends_the_link_and_lacks_the_task),
        cmocka_unit_test(a_full_zone_lets_its_oldest_tasks_go_and_says_so_once),
        cmocka_unit_test(a_full_set_is_in_force_once_it_has_ended),
        cmocka_unit_test(what_is_not_in_a_full_set_goes),
        cmocka_unit_test(a_change_is_in_force_by_itself),
        cmocka_unit_test(a_faulty_route_changes_nothing),
        cmocka_unit_test(older_routes_than_those_of_another_process_are_left_aside),
        cmocka_unit_test(a_full_set_is_left_aside_whole),
        cmocka_unit_test(a_full_set_is_as_new_as_its_welcome),
        cmocka_unit_test(a_set_ends_with_its_connection),
        cmocka_unit_test(routes_take_the_place_of_tasks_and_then_there_is_no_room),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
