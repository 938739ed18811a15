// What the engine asks the gateways and they ask of it, over a real socket: each question has one answer, whenever the others
// come.
#include "common/domain/limits.hpp"
#include "common/link/frame.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_journal.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "tests/unit/test_loop.hpp"
#include "worker/async/timer.hpp"
#include "worker/gateway/gateway_server.hpp"

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

using rollout::gateway_server;
using rollout::json_ptr;

/// A worker process of nginx that answers what it is told to.
class worker_process {
  public:
    explicit worker_process(const std::string &path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0))
    {
        sockaddr_un address = {};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof(address.sun_path) - 1);
        assert_int_equal(connect(fd_, reinterpret_cast<sockaddr *>(&address), sizeof(address)), 0);
    }
    ~worker_process() { ::close(fd_); }
    worker_process(const worker_process &) = delete;
    worker_process &operator=(const worker_process &) = delete;

    void say(const std::string &text)
    {
        std::string frame;
        assert_true(rollout::append_frame(frame, json_of(text).get()));
        assert_int_equal(send(fd_, frame.data(), frame.size(), 0), frame.size());
    }

    /// The next message of that type, once it is there.
    json_ptr hear(test_loop &loop, const char *type)
    {
        json_ptr message;
        loop.run_until([&] {
            std::array<char, 4096> bytes{};
            for (ssize_t n = 0; (n = recv(fd_, bytes.data(), bytes.size(), 0)) > 0;) {
                reader_.feed({bytes.data(), static_cast<std::size_t>(n)});
            }
            std::string reason;
            while (reader_.next(message, reason) == rollout::frame_reader::state::message) {
                if (rollout::json_text(message.get(), "type") == type) {
                    return true;
                }
            }
            return false;
        });
        return message;
    }

    /// Behind the message that was heard last.
    std::string_view lines() const { return reader_.lines(); }

  private:
    int fd_;
    rollout::frame_reader reader_;
};

/// A server with one gateway that is linked.
struct linked_gateway {
    temporary_folder folder;
    test_loop loop;
    fake_clock time;
    journal_file file;
    std::vector<std::string> story;
    fake_journal journal{file, time, story};
    std::unique_ptr<gateway_server> server;
    std::unique_ptr<worker_process> nginx;

    explicit linked_gateway(std::vector<rollout::known_gateway> known = {})
    {
        journal.known_gateways = std::move(known);
        server = std::make_unique<gateway_server>(loop.get(), journal);
        server->load([](const rollout::outcome &result) { assert_true(static_cast<bool>(result)); });
        time.settle();
        rollout::settings config;
        config.listen.path = path();
        server->listen(config);
        nginx = std::make_unique<worker_process>(path());
        greet();
    }

    ~linked_gateway()
    {
        server->close();
        server.reset();
    }

    std::string path() const { return (folder.path() / "rolloutd.sock").native(); }

    /// Until rolloutd has taken all that was said before, too.
    void greet()
    {
        nginx->say(R"({"type": "hello", "protocol": 3, "pid": 7, "gateway": "first"})");
        nginx->hear(loop, "welcome");
    }
};

std::string answer_to(const json_ptr &question, const char *rest)
{
    return "{\"id\": " + std::to_string(rollout::json_number(question.get(), "id")) + ", " + rest + "}";
}

void a_count_that_comes_when_the_question_has_ended_is_dropped(void **)
{
    // Of two gateways the second is gone: nobody knows, whatever the first will say.
    linked_gateway world(std::vector<rollout::known_gateway>{{"second", ""}});
    int answers = 0;
    const auto question = world.server->in_flight("123", {""}, 7, [&](std::optional<std::uint64_t> requests) {
        ++answers;
        assert_false(requests.has_value());
    });
    const auto asked = world.nginx->hear(world.loop, "sample");
    world.loop.run_until([&] { return answers == 1; });
    world.nginx->say(answer_to(asked, R"("type": "counters", "in_flight": 3)"));
    world.greet();
    uv_run(world.loop.get(), UV_RUN_NOWAIT);
    assert_int_equal(answers, 1);
}

void a_measure_that_comes_when_the_question_has_ended_is_dropped(void **)
{
    linked_gateway world;
    int answers = 0;
    const auto question = world.server->measure("123", {""}, {7}, [&](const gateway_server::measured &all) {
        ++answers;
        assert_true(all.empty());
    });
    const auto asked = world.nginx->hear(world.loop, "measure");
    question->cancel();
    world.loop.run_until([&] { return answers == 1; });
    world.nginx->say(answer_to(asked, R"("type": "measured", "counters": [])"));
    world.greet();
    uv_run(world.loop.get(), UV_RUN_NOWAIT);
    assert_int_equal(answers, 1);
}

void four_lists_are_read_at_a_time_and_the_fifth_waits_its_turn(void **)
{
    linked_gateway world;
    const auto answer = [&](std::size_t number) {
        world.journal.lists[number](rollout::outcome::ok(), {}, false);
        const auto listed = world.nginx->hear(world.loop, "listed");
        assert_int_equal(rollout::json_number(listed.get(), "id"), number + 1);
    };
    for (int id = 1; id <= 6; ++id) {
        world.nginx->say(R"({"type": "list", "kind": "deploy", "limit": 1, "id": )" + std::to_string(id) + "}");
    }
    world.greet();
    assert_int_equal(world.journal.lists.size(), 4);
    answer(0);
    assert_int_equal(world.journal.lists.size(), 5);
    for (std::size_t number = 1; number < 6; ++number) {
        answer(number);
    }
    assert_int_equal(world.journal.lists.size(), 6);
}

rollout::task_row task_number(std::uint64_t number, std::size_t bytes)
{
    rollout::task_row row;
    row.task_id = "t" + std::to_string(number);
    row.model_id = "m";
    row.sequence = number;
    row.document = R"({"status":"pending","text":")" + std::string(bytes, 'x') + "\"}";
    return row;
}

void a_page_of_tasks_comes_in_frames_of_bounded_size(void **)
{
    linked_gateway world;
    std::vector<rollout::task_row> rows;
    for (std::uint64_t number = 1000; number > 0; --number) {
        rows.push_back(task_number(number, 200 + number % 900));
    }
    rows.push_back(task_number(0, rollout::limits::document_bytes - 100));
    world.nginx->say(R"({"type": "list", "kind": "deploy", "limit": 1000, "id": 1, "in_lines": true})");
    world.greet();
    world.journal.lists.at(0)(rollout::outcome::ok(), rows, true);
    std::size_t next = 0;
    int frames = 0;
    for (bool more = true; more; ++frames) {
        const auto listed = world.nginx->hear(world.loop, "listed");
        assert_int_equal(rollout::json_number(listed.get(), "id"), 1);
        more = json_is_true(json_object_get(listed.get(), "more"));
        auto lines = world.nginx->lines();
        assert_true(lines.size() <= 2 * rollout::limits::batch_bytes + 1024);
        while (!lines.empty()) {
            const auto line = rollout::next_line(lines);
            assert_true(line.ends_with(" " + rows.at(next).task_id + " m " + rows.at(next).document));
            ++next;
        }
        assert_int_equal(rollout::json_number(listed.get(), "next", -1), more ? -1 : 0);
    }
    assert_int_equal(next, rows.size());
    assert_true(frames > 5);
}

std::vector<rollout::model> some_models(int count)
{
    std::vector<rollout::model> models(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        models[static_cast<std::size_t>(i)].model_id = "m" + std::to_string(i);
    }
    return models;
}

void a_page_of_models_is_written_some_in_a_turn_and_others_are_answered_between(void **)
{
    constexpr int count = 500;
    linked_gateway world;
    int written = 0;
    world.server->losses_of = [&](const std::string &) {
        ++written;
        return std::vector<rollout::lost_revision>();
    };
    world.nginx->say(R"({"type": "models", "limit": 1000, "id": 1, "in_lines": true})");
    world.nginx->say(R"({"type": "models", "limit": 1000, "id": 2})"); // as an nginx of before asks
    world.greet();
    world.journal.model_lists.at(0)(rollout::outcome::ok(), some_models(count), false);
    world.journal.model_lists.at(1)(rollout::outcome::ok(), some_models(count), true);
    world.nginx->say(R"({"type": "metrics", "id": 3})");
    world.nginx->hear(world.loop, "metered");
    assert_true(written < 2 * count / 3);
    for (int before = written; before < 2 * count; before = written) {
        uv_run(world.loop.get(), UV_RUN_NOWAIT); // a turn: UV_RUN_ONCE looks at timers a second time
        assert_true(written - before <= 32);
    }
}

void a_page_of_models_is_the_same_in_lines_and_in_one_frame(void **)
{
    linked_gateway world;
    world.nginx->say(R"({"type": "models", "limit": 1000, "id": 1, "in_lines": true})");
    world.greet();
    world.journal.model_lists.at(0)(rollout::outcome::ok(), some_models(300), true);
    std::string in_lines;
    for (bool more = true; more;) {
        const auto listed = world.nginx->hear(world.loop, "listed_models");
        more = json_is_true(json_object_get(listed.get(), "more"));
        auto lines = world.nginx->lines();
        while (!lines.empty()) {
            in_lines += (in_lines.empty() ? "" : ",") + std::string(rollout::next_line(lines));
        }
        assert_text(rollout::json_text(listed.get(), "next"), more ? "" : "m299");
    }
    world.nginx->say(R"({"type": "models", "limit": 1000, "id": 2})");
    world.greet();
    world.journal.model_lists.at(1)(rollout::outcome::ok(), some_models(300), true);
    const auto listed = world.nginx->hear(world.loop, "listed_models");
    assert_text(rollout::json_text(listed.get(), "next"), "m299");
    assert_text(rollout::json_compact(json_object_get(listed.get(), "models")), "[" + in_lines + "]");
}

void a_gateway_that_is_gone_is_dropped_while_another_comes_and_goes(void **)
{
    linked_gateway world(std::vector<rollout::known_gateway>{{"second", ""}});
    world.nginx->say(R"({"type": "applied", "revision": 1})");
    bool followed = false;
    const auto wait = world.server->when_followed(1, rollout::gateway_control::awaited::known,
                                                  [&](const rollout::outcome &how) { followed = bool(how); });
    int links = 0;
    rollout::timer pause(world.loop.get());
    const std::function<void()> link_anew = [&] {
        world.nginx = std::make_unique<worker_process>(world.path());
        world.nginx->say(R"({"type": "hello", "protocol": 3, "pid": 7, "gateway": "first"})");
        ++links;
        pause.start(std::chrono::milliseconds(500), link_anew);
    };
    link_anew();
    world.loop.run_until([&] { return followed || links > 60; });
    assert_true(followed);
}

void a_gateway_gets_routes_when_it_may(void **)
{
    linked_gateway world;
    std::vector<std::function<void()>> waiting;
    world.server->before_first_routes = [&waiting](const std::string &gateway, std::function<void()> go_on) {
        assert_text(gateway, "second");
        waiting.push_back(std::move(go_on));
    };
    worker_process first(world.path());
    auto second = std::make_unique<worker_process>(world.path());
    for (auto *process : {&first, second.get()}) {
        process->say(R"({"type": "hello", "protocol": 3, "pid": 8, "gateway": "second"})");
    }
    world.loop.run_until([&] { return waiting.size() == 2; });
    assert_true(world.server->knows("second")); // and is waited for from now on
    assert_int_equal(world.server->followers_of(1, rollout::gateway_control::awaited::known).known, 2);
    second.reset();
    world.loop.run_until([&] { return world.server->links() == 2; });
    for (const auto &go_on : waiting) {
        go_on();
    }
    const auto welcome = first.hear(world.loop, "welcome");
    assert_true(json_is_true(json_object_get(welcome.get(), "stream")));
    first.hear(world.loop, "routes");
    world.server->before_first_routes = nullptr;
}

void a_journal_whose_content_was_replaced_has_another_id_for_gateways(void **)
{
    linked_gateway world;
    const auto id_in_welcome = [&world] {
        world.nginx = std::make_unique<worker_process>(world.path());
        world.nginx->say(R"({"type": "hello", "protocol": 3, "pid": 7, "gateway": "first"})");
        const auto welcome = world.nginx->hear(world.loop, "welcome");
        return std::string(rollout::json_text(welcome.get(), "journal"));
    };
    const auto reload = [&world](bool is_other) {
        world.server->reload(is_other);
        world.time.settle();
    };
    const auto before = id_in_welcome();
    assert_text(before, world.journal.id());
    reload(false);
    assert_text(id_in_welcome(), before);
    reload(true);
    const auto after = id_in_welcome();
    assert_true(after != before && after.size() == 32);
    reload(false);
    assert_text(id_in_welcome(), after);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_count_that_comes_when_the_question_has_ended_is_dropped),
        cmocka_unit_test(a_measure_that_comes_when_the_question_has_ended_is_dropped),
        cmocka_unit_test(four_lists_are_read_at_a_time_and_the_fifth_waits_its_turn),
        cmocka_unit_test(a_page_of_tasks_comes_in_frames_of_bounded_size),
        cmocka_unit_test(a_page_of_models_is_written_some_in_a_turn_and_others_are_answered_between),
        cmocka_unit_test(a_page_of_models_is_the_same_in_lines_and_in_one_frame),
        cmocka_unit_test(a_gateway_that_is_gone_is_dropped_while_another_comes_and_goes),
        cmocka_unit_test(a_gateway_gets_routes_when_it_may),
        cmocka_unit_test(a_journal_whose_content_was_replaced_has_another_id_for_gateways),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
