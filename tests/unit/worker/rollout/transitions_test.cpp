// Every way out of every state of a task, as a table: what happens in a step, and where the task and the model end.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"
#include "tests/unit/quiet.hpp"

#include <string>
#include <string_view>

namespace {

using namespace std::chrono_literals;
using rollout::outcome;
using rollout::task_kind;
using rollout::task_verb;

constexpr const char *blue = "123__r1";
constexpr const char *green = "123__r2";
constexpr const char *both = "123__r1 123__r2";
constexpr const char *none = "";

struct transition {
    task_kind kind;
    const char *step;
    const char *call; ///< of the step, to the server or to a hook; "drain": requests in flight
    const char *event;
    const char *status; ///< at the end
    const char *serves; ///< what has the traffic then
    const char *server; ///< what stands on the server then
};

constexpr auto deploy = task_kind::deploy;
constexpr auto remove_it = task_kind::remove;

constexpr transition table[] = {
    {deploy, "fetch", "fetch 123__r2", "goes well", "completed", green, green},
    {deploy, "fetch", "fetch 123__r2", "fails", "failed", blue, blue},
    {deploy, "fetch", "fetch 123__r2", "stays busy", "failed", blue, blue},
    {deploy, "fetch", "fetch 123__r2", "is canceled", "canceled", blue, blue},
    {deploy, "fetch", "fetch 123__r2", "takes too long", "failed", blue, blue},
    {deploy, "stage", "stage 123__r2", "goes well", "completed", green, green},
    {deploy, "stage", "stage 123__r2", "fails", "failed", blue, blue},
    {deploy, "stage", "stage 123__r2", "stays busy", "failed", blue, blue},
    {deploy, "stage", "stage 123__r2", "is canceled", "canceled", blue, blue},
    {deploy, "stage", "stage 123__r2", "takes too long", "failed", blue, blue},
    {deploy, "load", "load 123__r2", "goes well", "completed", green, green},
    {deploy, "load", "load 123__r2", "fails", "failed", blue, blue},
    {deploy, "load", "load 123__r2", "stays busy", "failed", blue, blue},
    {deploy, "load", "load 123__r2", "is canceled", "canceled", blue, blue},
    {deploy, "load", "load 123__r2", "takes too long", "failed", blue, blue},
    {deploy, "ready", "ready 123__r2", "goes well", "completed", green, green},
    {deploy, "ready", "ready 123__r2", "fails", "failed", blue, blue},
    {deploy, "ready", "ready 123__r2", "is canceled", "canceled", blue, blue},
    {deploy, "ready", "ready 123__r2", "takes too long", "failed", blue, blue},
    {deploy, "smoke", "infer 123__r2", "goes well", "completed", green, green},
    {deploy, "smoke", "infer 123__r2", "fails", "failed", blue, blue},
    {deploy, "smoke", "infer 123__r2", "stays busy", "failed", blue, blue},
    {deploy, "smoke", "infer 123__r2", "is canceled", "canceled", blue, blue},
    {deploy, "smoke", "infer 123__r2", "takes too long", "failed", blue, blue},
    {deploy, "shift", "hook before_promote", "goes well", "completed", green, green},
    {deploy, "shift", "hook before_promote", "fails", "failed", blue, blue},
    {deploy, "shift", "hook before_promote", "stays busy", "failed", blue, blue},
    {deploy, "shift", "hook before_promote", "is canceled", "canceled", blue, blue},
    {deploy, "shift", "hook before_promote", "takes too long", "failed", blue, blue},
    {deploy, "retire", "unload 123__r1", "goes well", "completed", green, green},
    {deploy, "retire", "unload 123__r1", "fails", "completed", green, both},
    {deploy, "retire", "unload 123__r1", "stays busy", "completed", green, both},
    {deploy, "retire", "unload 123__r1", "refuses a cancel", "completed", green, both},
    {deploy, "retire", "unload 123__r1", "takes too long", "completed", green, both},
    {remove_it, "drain", "drain", "goes well", "completed", none, none},
    {remove_it, "drain", "drain", "is canceled", "canceled", blue, blue},
    {remove_it, "drain", "drain", "takes too long", "failed", blue, blue},
    {remove_it, "unload", "unload 123__r1", "goes well", "completed", none, none},
    {remove_it, "unload", "unload 123__r1", "fails", "failed", blue, blue},
    {remove_it, "unload", "unload 123__r1", "stays busy", "failed", blue, blue},
    {remove_it, "unload", "unload 123__r1", "is canceled", "canceled", blue, blue},
    {remove_it, "unload", "unload 123__r1", "takes too long", "failed", blue, blue},
    {remove_it, "remove", "remove 123__r1", "goes well", "completed", none, none},
    {remove_it, "remove", "remove 123__r1", "fails", "failed", none, "; files of 123__r1"},
    {remove_it, "remove", "remove 123__r1", "stays busy", "failed", none, "; files of 123__r1"},
    {remove_it, "remove", "remove 123__r1", "refuses a cancel", "failed", none, "; files of 123__r1"},
    {remove_it, "remove", "remove 123__r1", "takes too long", "failed", none, "; files of 123__r1"},
};


/// Puts the obstacle in the step's way; true where the task comes to rest at it.
bool obstruct(fake_world &world, const transition &of)
{
    const std::string_view event = of.event;
    const std::string call = of.call;
    if (event == "goes well") {
        return false;
    }
    if (event == "fails") {
        world.server.fail(call, outcome::permanent("no"));
        return false;
    }
    if (event == "stays busy") {
        world.server.fail(call, outcome::transient("busy"), 10);
        return false;
    }
    if (call == "drain") {
        world.gateway.requests[1] = 1;
    } else {
        world.server.held.insert(call);
    }
    return true;
}


/// What became of it, as a row of the table would say it; with what was not as it must be.
std::string walk(const transition &of)
{
    const quiet log;
    fake_world world;
    world.config.limits.time_limit_s = 10000;
    world.config.rollout.drain_s = 100000;
    world.config.rollout.ready_timeout_s = 100000;
    world.deployed("123");
    world.config.rollout.hooks["before_promote"].push_back({"http://127.0.0.1:9/", {}, 10});
    const bool rests = obstruct(world, of);
    world.submit(of.kind, "t", "123", R"({"rollout": {"smoke": {"request": {"inputs": []}}}})");
    std::string wrong;
    if (rests) {
        world.time.run_until([&] { return world.task("t").step == of.step; });
        world.time.run_for(10s);
        if (world.task("t").step != of.step || world.is_over("t")) {
            wrong += " (it is in step " + world.task("t").step + ")";
        }
        world.server.mend(of.call); // for the way back
    }
    const std::string_view event = of.event;
    if (event == "is canceled" || event == "refuses a cancel") {
        std::string said;
        world.process->tasks.steer({of.kind, "t", task_verb::cancel, {}},
                                   [&said](const rollout::request_answer &how) {
                                       said = how.task != nullptr ? "is canceled" : "refuses a cancel";
                                   });
        world.time.run_until([&said] { return !said.empty(); });
        if (said != event) {
            wrong += " (it " + said + ")";
        }
    }
    const std::string status = world.finish("t");
    const std::string route = world.route("123");
    if (!world.violations().empty()) {
        wrong += " (" + world.violations() + ")";
    }
    return status + ", " + route.substr(route.find(':') + 1) + ", server: " + world.server_holds() + wrong;
}


void every_event_in_every_step_has_its_end(void **)
{
    std::string faults;
    for (const auto &one : table) {
        const std::string serves = *one.serves == '\0' ? "none" : one.serves;
        const std::string expected = std::string(one.status) + ",  " + serves + ", server: " + one.server;
        if (const auto is = walk(one); is != expected) {
            faults += std::string(one.step) + " " + one.event + ": \"" + is + "\" and not \"" + expected + "\"\n";
        }
    }
    assert_text(faults, "");
}


/// Before the first step.
void a_task_that_waits_is_canceled_or_refused_or_begins(void **)
{
    const quiet log;
    fake_world world;
    world.config.limits.max_concurrent_rollouts = 0;
    world.deploy("t", "123");
    world.time.settle();
    assert_text(world.status("t"), "pending");
    world.steer("t", task_verb::cancel);
    assert_text(world.finish("t"), "canceled");
    world.config.limits.max_concurrent_rollouts = 1;

    world.remove("u", "123");
    assert_text(world.finish("u"), "refused");
    world.deploy("v", "123");
    assert_text(world.finish("v"), "completed");
    assert_text(world.server_holds(), blue);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(every_event_in_every_step_has_its_end),
        cmocka_unit_test(a_task_that_waits_is_canceled_or_refused_or_begins),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
