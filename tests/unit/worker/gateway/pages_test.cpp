// Lists and metrics for gateways: whose turn it is, and what a link gets that does not read, or has ended.
#include "common/domain/limits.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/logged.hpp"
#include "tests/unit/test_loop.hpp"
#include "tests/unit/worker/gateway/linked_session.hpp"
#include "tests/unit/worker/gateway/paged_journal.hpp"
#include "worker/gateway/pages.hpp"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using rollout::outcome;

struct listing_gateway {
    test_loop loop;
    fake_clock time;
    paged_journal journal{7};
    int described = 0; ///< models
    using series_fn = std::function<void(const outcome &, std::optional<std::string>)>;
    std::vector<std::pair<std::string, series_fn>> series; ///< that were asked for
    rollout::pages pages{{journal, time,
                          [this](const std::string &) {
                              ++described;
                              return std::vector<rollout::lost_revision>();
                          },
                          [](const std::string &model_id, std::size_t) { return std::vector{"task-of-" + model_id}; },
                          [this](const std::string &task_id, auto done) { series.emplace_back(task_id, done); },
                          [] { return "up 1\n"; }}};
    linked_session nginx{loop};

    void list(int id) { list(nginx, id); }
    void list(const linked_session &from, int id)
    {
        pages.on_list(from.link, json_of("{\"kind\": \"deploy\", \"limit\": 10, \"in_lines\": true, \"id\": " +
                                         std::to_string(id) + "}")
                                     .get());
    }
    void models(int id)
    {
        pages.on_models(nginx.link,
                        json_of("{\"limit\": 1000, \"in_lines\": true, \"id\": " + std::to_string(id) + "}").get());
    }

    void read(std::vector<rollout::task_row> rows, bool more)
    {
        const auto answer = std::move(journal.lists.front());
        journal.lists.pop_front();
        answer(outcome::ok(), std::move(rows), more);
    }

    /// So much is unsent that a link gets no page on top.
    void fill()
    {
        for (int frames = 0; frames < 9; ++frames) {
            nginx.link->send("{\"type\":\"update\",\"text\":\"" + std::string(1000000, 'x') + "\"}");
        }
    }

    /// The frames behind those.
    std::string heard_last()
    {
        std::string last;
        nginx.link->flush();
        do {
            nginx.turn();
            for (auto frame = nginx.next_frame(); !frame.empty(); frame = nginx.next_frame()) {
                last = frame;
            }
        } while (nginx.link->unsent() != 0);
        return last;
    }
};

void a_list_is_as_the_journal_has_it_and_says_where_the_next_begins(void **)
{
    listing_gateway gateway;
    gateway.list(1);
    gateway.read({row(7), row(6)}, true);
    gateway.list(2);
    gateway.read({row(5)}, false);
    assert_text(gateway.nginx.heard(), "{\"type\":\"listed\",\"id\":1,\"next\":6}\n" + line(7) + line(6) +
                                           "{\"type\":\"listed\",\"id\":2,\"next\":null}\n" + line(5));
}

void a_series_is_passed_on_and_a_task_that_has_none_is_told_from_a_failure(void **)
{
    listing_gateway gateway;
    for (const char *question :
         {R"({"id": 1, "task_id": "t1"})", R"({"id": 2, "task_id": "t2"})", R"({"id": 3, "task_id": "t3"})"}) {
        gateway.pages.on_series(gateway.nginx.link, json_of(question).get());
    }
    assert_int_equal(gateway.series.size(), 3);
    assert_text(gateway.series[0].first, "t1");
    gateway.series[0].second(outcome::ok(), R"({"task_id":"t1"})");
    gateway.series[1].second(outcome::ok(), std::nullopt);
    const auto said =
        logged([&] { gateway.series[2].second(outcome::transient("the disk does not answer"), std::nullopt); });
    assert_holds(said, "the disk does not answer");
    assert_text(gateway.nginx.heard(), "{\"type\":\"series_found\",\"id\":1,\"failed\":false}\n{\"task_id\":\"t1\"}\n"
                                       "{\"type\":\"series_found\",\"id\":2,\"failed\":false}\n"
                                       "{\"type\":\"series_found\",\"id\":3,\"failed\":true}\n");
}

void a_malformed_question_for_a_series_ends_the_link(void **)
{
    listing_gateway gateway;
    const auto said = logged(
        [&] { gateway.pages.on_series(gateway.nginx.link, json_of(R"({"id": 1, "task_id": "../x"})").get()); });
    assert_true(gateway.nginx.link->closed());
    assert_holds(said, "a malformed request for a series");
}

void the_turn_of_a_link_that_has_ended_passes_to_the_next(void **)
{
    listing_gateway gateway;
    for (int id = 1; id <= 4; ++id) {
        gateway.list(id);
    }
    {
        linked_session gone(gateway.loop);
        gateway.list(gone, 5);
        gone.link->end("");
    }
    gateway.list(6);
    gateway.journal.asked();
    gateway.read({}, false);
    assert_text(gateway.journal.asked(), "list"); // of the sixth: the fifth is asked of nobody
    assert_int_equal(gateway.journal.lists.size(), 4);
}

void a_link_that_does_not_read_gets_no_page(void **)
{
    listing_gateway gateway;
    gateway.list(1);
    gateway.fill();
    gateway.read({row(7)}, false);
    assert_text(gateway.heard_last(), R"({"type":"listed","id":1,"tasks":null,"next":null})");
}

void a_list_that_cannot_be_read_is_none_and_may_be_asked_for_again(void **)
{
    listing_gateway gateway;
    gateway.list(1);
    const auto log =
        logged([&] { gateway.journal.lists.front()(outcome::transient("the disk does not answer"), {}, false); });
    assert_holds(log, "A list could not be read: the disk does not answer");
    assert_text(gateway.nginx.heard(), "{\"type\":\"listed\",\"id\":1,\"tasks\":null,\"next\":null}\n");
}

void of_a_page_of_models_some_are_written_in_a_turn(void **)
{
    listing_gateway gateway;
    gateway.models(1);
    std::vector<rollout::model> models(100);
    for (std::size_t number = 0; number < models.size(); ++number) {
        models[number].model_id = "m" + std::to_string(number);
    }
    gateway.journal.model_lists.front()(outcome::ok(), models, false);
    assert_int_equal(gateway.described, 32);
    gateway.time.next();
    assert_int_equal(gateway.described, 64);
    gateway.time.settle(); // what is asked meanwhile does not wait for the rest
    assert_int_equal(gateway.described, 64);
    while (gateway.time.next()) {
    }
    assert_int_equal(gateway.described, 100);
    const auto heard = gateway.nginx.heard();
    assert_holds(heard, "{\"type\":\"listed_models\",\"id\":1,\"more\":true}\n{\"model_id\":\"m0\"");
    assert_holds(heard, "\"task_ids\":[\"task-of-m99\"]");
    assert_holds(heard, "{\"type\":\"listed_models\",\"id\":1,\"next\":null}");
}

void what_rolloutd_says_of_itself_is_left_out_for_a_link_that_does_not_read(void **)
{
    listing_gateway gateway;
    gateway.pages.on_metrics(gateway.nginx.link, json_of(R"({"id": 1})").get());
    assert_text(gateway.nginx.heard(), "{\"type\":\"metered\",\"id\":1,\"text\":\"up 1\\n\"}\n");
    gateway.fill();
    gateway.pages.on_metrics(gateway.nginx.link, json_of(R"({"id": 2})").get());
    assert_text(gateway.heard_last(), R"({"type":"metered","id":2,"text":""})");
}

void a_list_that_is_none_ends_the_link(void **)
{
    for (const char *text :
         {R"({"kind": "deploy", "limit": 0, "id": 1})", R"({"kind": "deploy", "limit": 1001, "id": 1})",
          R"({"limit": 1, "id": 1})", R"({"kind": "deploy", "limit": 1, "status": "odd", "id": 1})",
          R"({"kind": "deploy", "limit": 1, "model_id": "a b", "id": 1})"}) {
        listing_gateway gateway;
        const auto log = logged([&] { gateway.pages.on_list(gateway.nginx.link, json_of(text).get()); });
        assert_holds(log, "a malformed request for a list");
        assert_true(gateway.nginx.link->closed());
    }
    listing_gateway gateway;
    const auto log = logged([&] {
        gateway.pages.on_models(gateway.nginx.link, json_of(R"({"limit": 1, "after": "a b", "id": 1})").get());
    });
    assert_holds(log, "a malformed request for the models");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_as_the_journal_has_it_and_says_where_the_next_begins),
        cmocka_unit_test(a_series_is_passed_on_and_a_task_that_has_none_is_told_from_a_failure),
        cmocka_unit_test(a_malformed_question_for_a_series_ends_the_link),
        cmocka_unit_test(the_turn_of_a_link_that_has_ended_passes_to_the_next),
        cmocka_unit_test(a_link_that_does_not_read_gets_no_page),
        cmocka_unit_test(a_list_that_cannot_be_read_is_none_and_may_be_asked_for_again),
        cmocka_unit_test(of_a_page_of_models_some_are_written_in_a_turn),
        cmocka_unit_test(what_rolloutd_says_of_itself_is_left_out_for_a_link_that_does_not_read),
        cmocka_unit_test(a_list_that_is_none_ends_the_link),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
