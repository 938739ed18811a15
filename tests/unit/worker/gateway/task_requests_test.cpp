// What clients want to change: what reaches the scheduler, and what is answered, over a link that may be gone by then.
#include "common/domain/client_identity.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/logged.hpp"
#include "tests/unit/test_loop.hpp"
#include "tests/unit/worker/gateway/linked_session.hpp"
#include "tests/unit/worker/gateway/paged_journal.hpp"
#include "worker/gateway/task_requests.hpp"

#include <string>
#include <utility>
#include <vector>

namespace {

struct posting_gateway {
    test_loop loop;
    std::vector<std::string> asked; ///< of the scheduler
    std::vector<rollout::client_identity> by;
    std::vector<rollout::answer_fn> answers;
    std::string told; ///< of new tasks, by revision
    rollout::task_requests requests{
        {[this](rollout::submission wanted, rollout::answer_fn answer) {
             asked.push_back(std::string(rollout::kind_name(wanted.kind)) + ' ' + wanted.task_id + ' ' +
                             wanted.model_id + ' ' + (wanted.parent_id.empty() ? "-" : wanted.parent_id) + ' ' +
                             rollout::json_compact(wanted.config.get()));
             by.push_back(wanted.by);
             answers.push_back(std::move(answer));
         },
         [this](const rollout::steer_request &wanted, rollout::answer_fn answer) {
             asked.push_back(std::string(rollout::verb_name(wanted.verb)) + ' ' + wanted.task_id + ' ' +
                             wanted.new_task_id);
             by.push_back(wanted.by);
             answers.push_back(std::move(answer));
         },
         [this](const rollout::session &, std::uint64_t revision) { told += std::to_string(revision) + ' '; }}};
    linked_session nginx{loop,
                         {[this](const rollout::session_ptr &from, const json_t *message, std::string_view type) {
                              if (type == "submit") {
                                  requests.on_submissions(from);
                              } else {
                                  requests.on_steer(from, message);
                              }
                          },
                          {},
                          {}}};

    void submit(const std::string &lines) { nginx.say("{\"type\":\"submit\"}\n" + lines); }

    std::string steer(const std::string &members)
    {
        return logged([&] { nginx.say("{\"type\":\"steer\"," + members + "}\n127.0.0.1\toperator\t"); });
    }

    /// What becomes of a request; the log of it.
    std::string answer(std::size_t number, const rollout::request_answer &with)
    {
        return logged([&] { answers.at(number)(with); });
    }
};

std::string submission(int id, const std::string &rest)
{
    return std::to_string(id) + " deploy " + rest;
}

void submissions_reach_the_scheduler_in_their_order_and_their_answers_share_a_frame(void **)
{
    posting_gateway gateway;
    gateway.submit(submission(1, "t8 m . {\"a\":1}\t127.0.0.1\tann\tCN=ci") + '\n' +
                   submission(2, "t9 m t8 {}\t127.0.0.1\t\t"));
    assert_int_equal(gateway.asked.size(), 2);
    assert_text(gateway.asked[0], "deploy t8 m - {\"a\":1}");
    assert_text(gateway.asked[1], "deploy t9 m t8 {}");
    assert_true((gateway.by[0] == rollout::client_identity{"127.0.0.1", "ann", "CN=ci"}));
    const auto created = row(8);
    const auto existing = row(9);
    gateway.answer(0, {&created, true, {}});
    gateway.answer(1, {&existing, false, {}});
    assert_text(gateway.nginx.heard(), "{\"type\":\"accepted\"}\n1 new " + line(8) + "2 existed " + line(9));
    assert_text(gateway.told, "8 ");
}

void a_refusal_says_what_is_wrong_and_where(void **)
{
    posting_gateway gateway;
    gateway.submit(submission(1, "t8 m . {}\t127.0.0.1\t\t"));
    const auto log = gateway.answer(0, {nullptr, false, {422, "No.", {{"/config", "is not liked"}}, 3}});
    assert_text(
        gateway.nginx.heard(),
        "{\"type\":\"rejected\",\"id\":1,\"status\":422,\"detail\":\"No.\",\"task_id\":\"t8\",\"retry_after_s\":3,"
        "\"errors\":[{\"pointer\":\"/config\",\"detail\":\"is not liked\"}]}\n");
    assert_holds(log, "refused");
}

void a_submission_that_is_none_ends_the_link_and_what_came_before_it_counts(void **)
{
    posting_gateway gateway;
    const auto log = logged([&] {
        gateway.submit(submission(1, "t8 m . {}\t\t\t") + '\n' + submission(2, "t9 m . [1]\t\t\t") + '\n' +
                       submission(3, "t10 m . {}\t\t\t"));
    });
    assert_holds(log, "a malformed submission");
    assert_int_equal(gateway.asked.size(), 1);
    assert_true(gateway.nginx.link->closed());
}

void a_request_whose_link_has_ended_stands_in_the_audit(void **)
{
    posting_gateway gateway;
    gateway.submit(submission(1, "t8 m . {}\t127.0.0.1\t\t"));
    gateway.nginx.link->end("");
    gateway.nginx.link.reset();
    const auto created = row(8);
    assert_holds(gateway.answer(0, {&created, true, {}}), "A task is accepted");
    assert_text(gateway.told, "");
}

void a_word_to_a_task_is_answered_with_the_task(void **)
{
    posting_gateway gateway;
    gateway.steer(R"("id":1,"kind":"deploy","verb":"pause","task_id":"t8")");
    gateway.steer(R"("id":2,"kind":"deploy","verb":"retry","task_id":"t8","new_task_id":"t9")");
    assert_text(gateway.asked.at(0), "pause t8 ");
    assert_text(gateway.asked.at(1), "retry t8 t9");
    assert_text(gateway.by.at(1).user, "operator");
    const auto steered = row(8);
    const auto created = row(9);
    assert_holds(gateway.answer(0, {&steered, false, {}}), "A task is steered");
    gateway.answer(1, {&created, true, {}});
    assert_text(gateway.nginx.heard(), "{\"type\":\"accepted\"}\n1 steered " + line(8) + "2 new " + line(9));
    assert_text(gateway.told, "9 ");
}

void a_word_that_is_none_ends_the_link(void **)
{
    for (const char *members :
         {R"("id":1,"kind":"deploy","verb":"dance","task_id":"t8")",
          R"("id":1,"kind":"deploy","verb":"pause","task_id":"t 8")",
          R"("id":1,"kind":"deploy","verb":"pause","task_id":"t8","new_task_id":"t9")",
          R"("id":1,"kind":"deploy","verb":"retry","task_id":"t8","new_task_id":"t 9")",
          R"("id":1,"kind":"delete","verb":"pause","task_id":"t8")", R"("id":1,"verb":"pause","task_id":"t8")"}) {
        posting_gateway gateway;
        assert_holds(gateway.steer(members), "a malformed task verb");
        assert_int_equal(gateway.asked.size(), 0);
        assert_true(gateway.nginx.link->closed());
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(submissions_reach_the_scheduler_in_their_order_and_their_answers_share_a_frame),
        cmocka_unit_test(a_refusal_says_what_is_wrong_and_where),
        cmocka_unit_test(a_submission_that_is_none_ends_the_link_and_what_came_before_it_counts),
        cmocka_unit_test(a_request_whose_link_has_ended_stands_in_the_audit),
        cmocka_unit_test(a_word_to_a_task_is_answered_with_the_task),
        cmocka_unit_test(a_word_that_is_none_ends_the_link),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
