// The questions under way: each ends once, by an answer or without one.
#include "module/link/pending_calls.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/failing_memory.hpp"
#include "tests/unit/fakes/fake_nginx.hpp"

#include <functional>
#include <initializer_list>
#include <memory>

namespace {

using rollout::link_call;
using rollout::link_result;
using rollout::pending_calls;
namespace limits = rollout::limits;

/// What happened, in its order.
std::string told;

void tell(const std::string &what)
{
    told += (told.empty() ? "" : ", ") + what;
}

std::string heard()
{
    return std::exchange(told, {});
}

const char *word_of(link_result result)
{
    switch (result) {
    case link_result::task:
        return "task";
    case link_result::none:
        return "none";
    case link_result::page:
        return "page";
    case link_result::rejected:
        return "rejected";
    case link_result::lost:
        return "lost";
    case link_result::late:
        return "late";
    case link_result::full:
        return "full";
    }
    return "?";
}

/// Who asks.
struct client {
    std::string name;
    std::function<void()> next; ///< what it does once it has its answer
    link_call call;

    explicit client(std::string its_name) : name(std::move(its_name))
    {
        call.asker = this;
        call.done = [](link_call &of, link_result result, const rollout::task_record *, const json_t *) {
            auto &self = *static_cast<client *>(of.asker);
            tell(self.name + " " + word_of(result));
            if (self.next) {
                self.next();
            }
        };
    }
};

pending_calls::events tells()
{
    return {[] { tell("doubt"); },
            [](std::uint64_t question) { tell("nobody waits for " + std::to_string(question)); }};
}

link_result ask(pending_calls &calls, client &who, bool submits = false)
{
    who.call.survives = false;
    who.call.submits = submits;
    return calls.begin(who.call, 5000, [&] { tell("asks " + std::to_string(who.call.id)); });
}

link_result watch(pending_calls &calls, client &who, std::string_view task_id = "t", std::uint64_t after = 7)
{
    who.call.after = after;
    who.call.name_bytes = static_cast<std::uint8_t>(task_id.copy(who.call.name, task_id.size()));
    return calls.begin_watch(who.call, 5000, [&] { tell("asks " + std::to_string(who.call.id)); });
}

void an_answer_ends_its_question_and_no_other(void **)
{
    client a("a");
    client b("b");
    pending_calls calls(8, &fake_nginx::log, tells());
    assert_true(ask(calls, a) == link_result::task);
    assert_true(ask(calls, b) == link_result::task);
    assert_text(heard(), "asks 1, asks 2");
    calls.answer(1, link_result::rejected, nullptr, nullptr);
    calls.answer(1, link_result::rejected, nullptr, nullptr);
    calls.answer(99, link_result::rejected, nullptr, nullptr);
    assert_text(heard(), "a rejected");
    assert_null(calls.find(1));
    assert_ptr_equal(calls.find(2), &b.call);
    assert_int_equal(fake_nginx::timers.size(), 1);
    calls.forget(b.call);
}

void a_question_without_an_answer_is_late(void **)
{
    client reads("reads");
    client submits("submits");
    pending_calls calls(8, &fake_nginx::log, tells());
    ask(calls, reads);
    ask(calls, submits, true);
    heard();
    fake_nginx::fire(reads.call.timer);
    assert_text(heard(), "reads late");
    // It may have been taken: the table may lack what it has created.
    fake_nginx::fire(submits.call.timer);
    assert_text(heard(), "doubt, submits late");
    assert_true(fake_nginx::timers.empty());
}

void what_a_client_has_asked_for_is_in_doubt_until_it_is_answered_also_without_the_client(void **)
{
    client reads("reads");
    client submits("submits");
    pending_calls calls(8, &fake_nginx::log, tells());
    ask(calls, reads);
    assert_false(calls.in_doubt());
    ask(calls, submits, true);
    assert_true(calls.in_doubt());
    calls.forget(reads.call);
    calls.forget(submits.call);
    calls.forget(submits.call);
    assert_true(calls.in_doubt());
    calls.note_answer(2);
    assert_false(calls.in_doubt());
    assert_text(heard(), "asks 1, asks 2");
    assert_true(fake_nginx::timers.empty());
}

void so_many_questions_are_under_way_and_no_more(void **)
{
    std::vector<std::unique_ptr<client>> all;
    client next("next");
    pending_calls calls(8, &fake_nginx::log, tells());
    for (std::size_t i = 0; i < limits::requests_in_flight; ++i) {
        all.push_back(std::make_unique<client>("c"));
        assert_true(ask(calls, *all.back()) == link_result::task);
    }
    assert_true(ask(calls, next) == link_result::full);
    // rolloutd has a question before it also when its client has gone.
    calls.forget(all.front()->call);
    assert_true(ask(calls, next) == link_result::full);
    assert_int_equal(next.call.id, 0);
    assert_true(watch(calls, next) == link_result::task);
    calls.forget(next.call);
    calls.note_answer(1);
    assert_true(ask(calls, next) == link_result::task);
    calls.forget_unanswered();
    calls.end_questions(link_result::lost);
    heard();
}

void so_many_clients_wait_and_no_more(void **)
{
    client a("a");
    client b("b");
    client c("c");
    pending_calls calls(2, &fake_nginx::log, tells());
    assert_true(watch(calls, a) == link_result::task);
    assert_true(watch(calls, b) == link_result::task);
    assert_true(watch(calls, c) == link_result::full);
    assert_true(ask(calls, c) == link_result::task);
    heard();
}

void clients_that_follow_events_wait_too(void **)
{
    client a("a");
    client b("b");
    pending_calls calls(2, &fake_nginx::log, tells());
    assert_true(calls.begin_stream());
    assert_true(watch(calls, a) == link_result::task);
    assert_true(watch(calls, b) == link_result::full);
    assert_false(calls.begin_stream());
    calls.end_stream();
    assert_true(watch(calls, b) == link_result::task);
    assert_false(calls.begin_stream());
    calls.forget(a.call);
    assert_true(calls.begin_stream());
    heard();
}

void who_waits_for_the_same_asks_once_and_all_get_the_answer(void **)
{
    client a("a");
    client b("b");
    client later("later");
    pending_calls calls(8, &fake_nginx::log, tells());
    watch(calls, a);
    watch(calls, b);
    watch(calls, later, "t", 8);
    assert_text(heard(), "asks 1, asks 3");
    calls.answer(1, link_result::task, nullptr, nullptr);
    const auto answered = heard();
    assert_holds(answered, "a task");
    assert_holds(answered, "b task");
    assert_ptr_equal(calls.find(3), &later.call);
    calls.forget(later.call);
    assert_text(heard(), "nobody waits for 3");
}

void a_watch_that_nobody_waits_for_any_more_is_told_once(void **)
{
    client a("a");
    client b("b");
    pending_calls calls(8, &fake_nginx::log, tells());
    watch(calls, a);
    watch(calls, b);
    heard();
    fake_nginx::fire(a.call.timer);
    assert_text(heard(), "a late");
    calls.forget(b.call);
    assert_text(heard(), "nobody waits for 1");
}

void watches_outlive_the_connection_and_questions_do_not(void **)
{
    client a("a");
    client waits("waits");
    client waits_too("waits too");
    client b("b");
    pending_calls calls(8, &fake_nginx::log, tells());
    ask(calls, a);
    watch(calls, waits);
    watch(calls, waits_too);
    ask(calls, b);
    heard();
    calls.forget_unanswered();
    calls.end_questions(link_result::lost);
    assert_text(heard(), "a lost, b lost");

    std::size_t asked = 0;
    calls.ask_again([&](const link_call &call) {
        ++asked;
        assert_true(call.survives);
        calls.answer(call.id, link_result::task, nullptr, nullptr);
    });
    assert_int_equal(asked, 1);
    const auto answered = heard();
    assert_holds(answered, "waits task");
    assert_holds(answered, "waits too task");
}

void an_exiting_process_ends_its_watches_alone(void **)
{
    client a("a");
    client waits("waits");
    pending_calls calls(8, &fake_nginx::log, tells());
    ask(calls, a);
    watch(calls, waits);
    heard();
    calls.end_watches(link_result::late);
    assert_text(heard(), "waits late");
    assert_ptr_equal(calls.find(1), &a.call);
}

void an_end_may_forget_other_calls_and_begin_new_ones(void **)
{
    client a("a");
    client b("b");
    client c("c");
    client new_one("new");
    pending_calls calls(8, &fake_nginx::log, tells());
    ask(calls, a);
    ask(calls, b);
    ask(calls, c);
    heard();
    a.next = [&] {
        calls.forget(b.call);
        ask(calls, new_one);
    };
    calls.end_questions(link_result::lost);
    assert_text(heard(), "a lost, asks 4, c lost");
    assert_ptr_equal(calls.find(4), &new_one.call);
}

void calls_end_without_a_word_with_the_process(void **)
{
    client a("a");
    client waits("waits");
    {
        pending_calls calls(8, &fake_nginx::log, tells());
        ask(calls, a, true);
        watch(calls, waits);
        heard();
    }
    assert_text(heard(), "");
    assert_int_equal(a.call.id, 0);
    assert_int_equal(waits.call.id, 0);
    assert_true(fake_nginx::timers.empty());
}

/// Begins with one allocation more each time until it works; each attempt before must leave nothing behind.
template <class Begin>
void begin_at_last(pending_calls &calls, client &who, Begin begin)
{
    const bool in_doubt = calls.in_doubt();
    for (int left = 0;; ++left) {
        allocations_left = left;
        try {
            const auto result = begin();
            allocations_left = unlimited;
            assert_true(result == link_result::task);
            assert_true(left > 0);
            return;
        } catch (const std::bad_alloc &) {
            allocations_left = unlimited;
            assert_int_equal(who.call.id, 0);
            assert_true(calls.in_doubt() == in_doubt);
            assert_false(who.call.timer.timer_set);
        }
    }
}

void what_finds_no_memory_leaves_nothing_behind(void **)
{
    client submits("submits");
    client waits("waits");
    pending_calls calls(1, &fake_nginx::log, {[] {}, [](std::uint64_t) {}});
    const auto send = [] { const std::string frame(100, 'f'); };
    submits.call.submits = true;
    begin_at_last(calls, submits, [&] { return calls.begin(submits.call, 5000, send); });
    begin_at_last(calls, waits, [&] { return calls.begin_watch(waits.call, 5000, send); });
    heard();
    calls.end_questions(link_result::lost);
    calls.end_watches(link_result::late);
    assert_text(heard(), "submits lost, waits late");
    assert_true(fake_nginx::timers.empty());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_ends_its_question_and_no_other),
        cmocka_unit_test(a_question_without_an_answer_is_late),
        cmocka_unit_test(what_a_client_has_asked_for_is_in_doubt_until_it_is_answered_also_without_the_client),
        cmocka_unit_test(so_many_questions_are_under_way_and_no_more),
        cmocka_unit_test(so_many_clients_wait_and_no_more),
        cmocka_unit_test(clients_that_follow_events_wait_too),
        cmocka_unit_test(who_waits_for_the_same_asks_once_and_all_get_the_answer),
        cmocka_unit_test(a_watch_that_nobody_waits_for_any_more_is_told_once),
        cmocka_unit_test(watches_outlive_the_connection_and_questions_do_not),
        cmocka_unit_test(an_exiting_process_ends_its_watches_alone),
        cmocka_unit_test(an_end_may_forget_other_calls_and_begin_new_ones),
        cmocka_unit_test(calls_end_without_a_word_with_the_process),
        cmocka_unit_test(what_finds_no_memory_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
