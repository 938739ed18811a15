// Tasks that gateways ask for: answered as they are, or once they change, each question once.
#include "common/domain/limits.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/logged.hpp"
#include "tests/unit/test_loop.hpp"
#include "tests/unit/worker/gateway/linked_session.hpp"
#include "tests/unit/worker/gateway/paged_journal.hpp"
#include "worker/gateway/task_lookups.hpp"

#include <optional>
#include <string>

namespace {

using rollout::outcome;

struct asking_gateway {
    test_loop loop;
    fake_clock time;
    paged_journal journal{7};
    rollout::task_lookups lookups{journal, time};
    linked_session nginx{loop, {{}, {}, [this](const rollout::session_ptr &which) { lookups.on_end(*which); }}};

    void ask(const std::string &rest, const char *kind = "deploy")
    {
        lookups.on_lookup(nginx.link, json_of("{\"kind\": \"" + std::string(kind) + "\", " + rest + "}").get());
    }

    /// What the journal finds for the oldest question that it has not answered.
    void find(std::optional<rollout::task_row> found)
    {
        const auto answer = std::move(journal.finds.front());
        journal.finds.pop_front();
        answer(outcome::ok(), std::move(found));
    }

    void change(const std::vector<rollout::task_row> &rows)
    {
        lookups.on_changed(rows);
        time.settle();
    }
};

std::string found(int id, const std::string &behind = {})
{
    return "{\"type\":\"found\",\"id\":" + std::to_string(id) + "}\n" + behind;
}

void a_task_is_answered_as_it_is(void **)
{
    asking_gateway gateway;
    gateway.ask(R"("id": 1, "task_id": "t5")");
    gateway.ask(R"("id": 2, "model_id": "m")");
    gateway.ask(R"("id": 3, "task_id": "t6")");
    assert_text(gateway.journal.asked(), "task t5, latest of m, task t6");
    gateway.find(row(5));
    gateway.find(row(7));
    gateway.find(std::nullopt);
    assert_text(gateway.nginx.heard(), found(1, line(5)) + found(2, line(7)) + found(3));
}

void a_task_of_another_kind_is_not_there(void **)
{
    asking_gateway gateway;
    gateway.ask(R"("id": 1, "task_id": "t5")", "delete");
    gateway.find(row(5));
    assert_text(gateway.nginx.heard(), found(1));
}

void who_waits_is_answered_once_the_task_is_past_the_revision(void **)
{
    asking_gateway gateway;
    gateway.ask(R"("id": 1, "task_id": "t5", "after": 5)");
    gateway.find(row(5));
    assert_text(gateway.nginx.heard(), "");
    auto changed = row(5);
    changed.revision = 8;
    gateway.lookups.on_changed({row(6), changed});
    assert_text(gateway.nginx.heard(), ""); // the one who changed it comes first
    gateway.time.settle();
    assert_text(gateway.nginx.heard(), found(1, "deploy 5 8 pending t5 m {}\n"));
    changed.revision = 9;
    gateway.change({changed});
    assert_text(gateway.nginx.heard(), "");
}

void who_waits_for_what_has_changed_already_or_is_not_there_is_answered_at_once(void **)
{
    asking_gateway gateway;
    gateway.ask(R"("id": 1, "task_id": "t5", "after": 4)");
    gateway.ask(R"("id": 2, "task_id": "t6", "after": 4)");
    gateway.find(row(5));
    gateway.find(std::nullopt);
    assert_text(gateway.nginx.heard(), found(1, line(5)) + found(2));
}

void a_change_that_comes_before_the_journals_answer_is_the_only_answer(void **)
{
    asking_gateway gateway;
    gateway.ask(R"("id": 1, "task_id": "t5", "after": 4)");
    gateway.change({row(5)});
    gateway.find(row(5));
    assert_text(gateway.nginx.heard(), found(1, line(5)));
}

void who_is_forgotten_is_not_answered(void **)
{
    asking_gateway gateway;
    gateway.ask(R"("id": 1, "task_id": "t5", "after": 4)");
    gateway.ask(R"("id": 2, "task_id": "t5", "after": 4)");
    gateway.lookups.on_forget(*gateway.nginx.link, json_of(R"({"id": 1})").get());
    gateway.lookups.on_forget(*gateway.nginx.link, json_of(R"({"id": 7})").get());
    gateway.change({row(5)});
    assert_text(gateway.nginx.heard(), found(2, line(5)));
    gateway.ask(R"("id": 1, "task_id": "t5", "after": 6)"); // the number is free again
    assert_false(gateway.nginx.link->closed());
}

void a_link_that_has_ended_is_not_answered(void **)
{
    asking_gateway gateway;
    linked_session other(gateway.loop);
    gateway.lookups.on_lookup(other.link,
                              json_of(R"({"kind": "deploy", "id": 1, "task_id": "t5", "after": 4})").get());
    gateway.ask(R"("id": 1, "task_id": "t5", "after": 4)");
    gateway.ask(R"("id": 2, "task_id": "t5")");
    gateway.nginx.link->end("");
    gateway.find(std::nullopt); // of the other: it is not there
    gateway.find(row(5));
    gateway.find(row(5));
    gateway.change({row(5)});
    assert_text(gateway.nginx.next_frame(), "");
    assert_text(other.heard(), found(1));
}

void a_task_that_cannot_be_read_is_a_failure_to_who_does_not_wait(void **)
{
    asking_gateway gateway;
    gateway.ask(R"("id": 1, "task_id": "t5")");
    gateway.ask(R"("id": 2, "task_id": "t5", "after": 4)");
    const auto log = logged([&] {
        for (auto &answer : gateway.journal.finds) {
            answer(outcome::transient("the disk does not answer"), std::nullopt);
        }
    });
    assert_holds(log, "A task could not be read for a gateway: the disk does not answer");
    assert_text(gateway.nginx.heard(), "{\"type\":\"found\",\"failed\":true,\"id\":1}\n");
    gateway.change({row(5)}); // who waits hears of the next change
    assert_text(gateway.nginx.heard(), found(2, line(5)));
}

void a_question_that_is_none_ends_the_link(void **)
{
    for (const char *rest :
         {R"("id": 1)", R"("id": 1, "task_id": "a b")", R"("id": 1, "task_id": "t", "model_id": "m")"}) {
        asking_gateway gateway;
        const auto log = logged([&] { gateway.ask(rest); });
        assert_holds(log, "a malformed lookup");
        assert_true(gateway.nginx.link->closed());
    }
}

void two_questions_with_one_number_end_the_link(void **)
{
    asking_gateway gateway;
    gateway.ask(R"("id": 1, "task_id": "t5", "after": 4)");
    const auto log = logged([&] { gateway.ask(R"("id": 1, "task_id": "t6", "after": 4)"); });
    assert_holds(log, "a question with the number of another one that is open");
    assert_true(gateway.nginx.link->closed());
    gateway.change({row(5), row(6)}); // nobody waits any more
}

void no_more_clients_wait_than_may_be(void **)
{
    asking_gateway gateway;
    const auto ask = [&](std::size_t id) {
        gateway.ask("\"id\": " + std::to_string(id) + ", \"task_id\": \"t5\", \"after\": 4");
    };
    for (std::size_t id = 0; id < rollout::limits::waiting_clients_most; ++id) {
        ask(id);
    }
    assert_false(gateway.nginx.link->closed());
    const auto log = logged([&] { ask(rollout::limits::waiting_clients_most); });
    assert_holds(log, "more than 65536 clients that wait");
    assert_true(gateway.nginx.link->closed());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_answered_as_it_is),
        cmocka_unit_test(a_task_of_another_kind_is_not_there),
        cmocka_unit_test(who_waits_is_answered_once_the_task_is_past_the_revision),
        cmocka_unit_test(who_waits_for_what_has_changed_already_or_is_not_there_is_answered_at_once),
        cmocka_unit_test(a_change_that_comes_before_the_journals_answer_is_the_only_answer),
        cmocka_unit_test(who_is_forgotten_is_not_answered),
        cmocka_unit_test(a_link_that_has_ended_is_not_answered),
        cmocka_unit_test(a_task_that_cannot_be_read_is_a_failure_to_who_does_not_wait),
        cmocka_unit_test(a_question_that_is_none_ends_the_link),
        cmocka_unit_test(two_questions_with_one_number_end_the_link),
        cmocka_unit_test(no_more_clients_wait_than_may_be),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
