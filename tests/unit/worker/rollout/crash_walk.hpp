// rolloutd is killed between any two calls of a task and started again: the task must end as if nothing had happened.
#pragma once

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_world.hpp"
#include "tests/unit/quiet.hpp"

#include <functional>
#include <initializer_list>

using world_fn = std::function<void(fake_world &)>;

struct trial {
    world_fn before;         ///< what is deployed, and what will fail
    world_fn submit;         ///< posts the task `t`
    std::string status;      ///< at the end
    std::string server;      ///< what stands on it then
    std::string route;       ///< what the gateway follows then
    unsigned kept_files = 0; ///< of the model, in the journal
    world_fn meanwhile = {}; ///< what goes on outside, seen between any two calls
    std::function<void(const fake_world &, trial &)> depends = {}; ///< changes what is awaited at the end
};

/// The next call, after what goes on outside; false where the task has ended.
inline bool next_call(fake_world &world, const trial &of)
{
    if (of.meanwhile) {
        of.meanwhile(world);
    }
    return !world.is_over("t") && world.time.next();
}

/// Runs so many calls, or fewer where the task has ended; says which.
inline bool run_calls(fake_world &world, const trial &of, unsigned calls)
{
    for (unsigned i = 0; i < calls; ++i) {
        if (!next_call(world, of)) {
            return false;
        }
    }
    return true;
}

/// A client that got no answer posts again, with the same id.
inline void crash(fake_world &world, const trial &of)
{
    world.crash();
    if (!world.answers.contains("t")) {
        of.submit(world);
    }
}

/// What is not as it should be at the end; empty where all is.
inline std::string faults_at_the_end(fake_world &world, trial of)
{
    std::string words;
    const auto compare = [&](const char *what, const std::string &is, const std::string &should_be) {
        if (is != should_be) {
            words += std::string(what) + ": \"" + is + "\" and not \"" + should_be + "\"\n";
        }
    };
    run_calls(world, of, 100000);
    world.time.settle();
    if (of.depends) {
        of.depends(world, of);
    }
    compare("status", world.status("t"), of.status);
    compare("server", world.server_holds(), of.server);
    compare("route", world.route("123"), of.route);
    compare("violations", world.violations(), "");
    const auto model = world.model("123");
    compare("left", std::to_string(model.retired.size()), "0");
    compare("kept", std::to_string(model.kept.size()), std::to_string(of.kept_files));
    compare("green", model.green || model.incoming ? "there" : "none", "none");
    return words;
}

/// Dies after each number of calls in turn, and once more after so many further ones; 0: not once more.
inline void survive_every_crash(const trial &of, std::initializer_list<unsigned> pauses = {3})
{
    for (const unsigned again : pauses) {
        for (unsigned calls = 0;; ++calls) {
            std::string faults;
            bool died = false;
            {
                const quiet log;
                fake_world world;
                of.before(world);
                of.submit(world);
                died = run_calls(world, of, calls);
                crash(world, of);
                if (again != 0) {
                    run_calls(world, of, again);
                    crash(world, of);
                }
                faults = faults_at_the_end(world, of);
            }
            if (!faults.empty()) {
                fail_msg("killed after %u calls and again after %u: %s", calls, again, faults.c_str());
            }
            if (!died) {
                assert_true(calls > 10);
                break;
            }
        }
    }
}

inline void deploy(fake_world &world)
{
    world.deploy("t", "123", R"({"rollout": {"smoke": {"request": {"inputs": []}}}})");
}

inline void delete_model(fake_world &world)
{
    world.remove("t", "123");
}

inline void revision_1(fake_world &world)
{
    world.deployed("123");
}
