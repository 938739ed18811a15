#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/backend/triton/asked_server.hpp"
#include "worker/backend/triton/request_sequence.hpp"

namespace {

using namespace std::chrono_literals;
using rollout::outcome;

/// Asks, waits a second, works on a thread, and ends.
class three_steps final : public rollout::request_sequence {
  public:
    three_steps(asked_server &of, std::function<outcome()> work, rollout::done_fn done)
        : request_sequence(of.access, std::move(done)), work_(std::move(work))
    {
        rollout::http_request request;
        request.url = of.server.url() + "/first";
        ask(std::move(request), [this](const rollout::http_answer &answer) {
            if (answer.status != 200) {
                finish(outcome::permanent("HTTP " + std::to_string(answer.status)));
                return;
            }
            pause_for(1s, [this] {
                on_thread([this](const rollout::stop_flag &) { return work_(); },
                          [this](outcome how) { finish(std::move(how)); });
            });
        });
    }

  private:
    std::function<outcome()> work_;
};

std::function<rollout::operation_ptr(rollout::done_fn)> begin(asked_server &of, std::function<outcome()> work)
{
    return [&of, work](rollout::done_fn done) { return std::make_unique<three_steps>(of, work, std::move(done)); };
}

void each_step_begins_the_next_and_the_last_ends_the_whole(void **)
{
    asked_server of;
    of.says("GET /first", 200, "");
    const auto before = of.time.now();
    const auto ended = of.run(begin(of, [] { return outcome::ok("worked"); }));
    assert_true(static_cast<bool>(ended));
    assert_text(ended.detail, "worked");
    assert_true(of.time.now() - before == 1s);
}

void a_step_may_end_the_whole_early(void **)
{
    asked_server of;
    of.says("GET /first", 500, "");
    bool worked = false;
    assert_text(of.run(begin(of,
                             [&] {
                                 worked = true;
                                 return outcome::ok();
                             }))
                    .detail,
                "HTTP 500");
    assert_false(worked);
}

void a_cancel_ends_a_question_that_is_under_way(void **)
{
    asked_server of;
    of.hangs("GET /first");
    std::optional<outcome> ended;
    const auto operation = begin(of, [] { return outcome::ok(); })([&](const outcome &how) { ended = how; });
    of.run_until([&] { return !of.server.asked.empty(); });
    operation->cancel();
    operation->cancel();
    assert_false(ended.has_value()); // never from inside the call
    of.run_until([&] { return ended.has_value(); });
    assert_true(ended->is == outcome::kind::canceled);
}

void a_cancel_ends_a_pause_without_its_time(void **)
{
    asked_server of;
    of.says("GET /first", 200, "");
    bool worked = false;
    std::optional<outcome> ended;
    const auto before = of.time.now();
    const auto operation = begin(of, [&] {
        worked = true;
        return outcome::ok();
    })([&](const outcome &how) { ended = how; });
    of.loop.run_until([&] { return of.time.waits(); });
    operation->cancel();
    assert_false(ended.has_value());
    of.run_until([&] { return ended.has_value(); });
    assert_true(ended->is == outcome::kind::canceled);
    assert_true(of.time.now() == before);
    assert_false(worked);
}

void what_nobody_holds_any_more_does_not_call_back(void **)
{
    asked_server of;
    of.hangs("GET /first");
    bool called = false;
    auto operation = begin(of, [] { return outcome::ok(); })([&](const outcome &) { called = true; });
    of.run_until([&] { return !of.server.asked.empty(); });
    operation.reset();
    uv_run(of.loop.get(), UV_RUN_NOWAIT);
    assert_false(called);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(each_step_begins_the_next_and_the_last_ends_the_whole),
        cmocka_unit_test(a_step_may_end_the_whole_early),
        cmocka_unit_test(a_cancel_ends_a_question_that_is_under_way),
        cmocka_unit_test(a_cancel_ends_a_pause_without_its_time),
        cmocka_unit_test(what_nobody_holds_any_more_does_not_call_back),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
