#include "worker/backend/group/group_backend.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_clock.hpp"
#include "tests/unit/fakes/fake_server.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

using rollout::group_backend;
using rollout::group_settings;
using rollout::outcome;
using rollout::server_model;
using kind = outcome::kind;
using namespace std::chrono_literals;

const server_model model = {"m__r1", "m", 1, {}};

/// Three servers "a:1", "b:1" and "c:1" that share a repository.
struct world {
    explicit world(std::size_t min_servers = 3, std::size_t max_parallel_loads = 3)
    {
        group_settings settings;
        for (std::size_t i = 0; i < memories.size(); ++i) {
            memories[i].repository.insert("m__r1");
            settings.members.push_back({std::string(1, static_cast<char>('a' + i)) + ":1", "/repository",
                                        std::make_shared<fake_server>(memories[i], gateway, time, stories[i])});
        }
        settings.min_servers = min_servers;
        settings.max_parallel_loads = max_parallel_loads;
        group.emplace(std::move(settings), time, [this](rollout::blocking_fn work, rollout::done_fn done) {
            return std::make_unique<fake_work>(
                time, false, [work = std::move(work)] { return work(rollout::stop_flag(false)); }, std::move(done));
        });
    }

    template <typename Begin>
    outcome run(const Begin &begin)
    {
        std::optional<outcome> result;
        const auto work = begin([&result](outcome how) { result = std::move(how); });
        assert_true(time.run_until([&] { return result.has_value(); }));
        return *result;
    }

    outcome load()
    {
        return run([this](rollout::done_fn done) { return group->load(model, nullptr, 60s, std::move(done)); });
    }
    outcome ready()
    {
        return run([this](rollout::done_fn done) { return group->ready(model, std::move(done)); });
    }
    outcome infer()
    {
        return run([this](rollout::done_fn done) { return group->infer(model, nullptr, 60s, std::move(done)); });
    }
    outcome unload()
    {
        return run([this](rollout::done_fn done) { return group->unload(model, 60s, std::move(done)); });
    }
    std::vector<std::string> serving() { return group->standing_of("m__r1").value().serving; }

    gateway_memory gateway;
    fake_clock time;
    std::array<server_memory, 3> memories;
    std::array<std::vector<std::string>, 3> stories;
    std::optional<group_backend> group;
};

using peers = std::vector<std::string>;

void all_servers_load_it(void **)
{
    world it;
    const auto result = it.load();
    assert_int_equal(result.is, kind::ok);
    assert_text(result.detail, "3 of 3 servers");
    for (const auto &memory : it.memories) {
        assert_true(memory.loaded.contains("m__r1"));
    }
    assert_true(it.serving() == (peers{"a:1", "b:1", "c:1"}));
    assert_int_equal(it.ready().is, kind::ok);
}

void what_fails_is_named_and_only_that_is_tried_again(void **)
{
    world it;
    it.memories[1].fail("load", outcome::transient("the server is starting"));
    const auto result = it.load();
    assert_int_equal(result.is, kind::transient);
    assert_text(result.detail, "2 of 3 servers, 3 required (server b:1: the server is starting)");
    assert_int_equal(it.load().is, kind::ok);
    assert_int_equal(std::count(it.stories[0].begin(), it.stories[0].end(), "load m__r1"), 1);
    assert_int_equal(std::count(it.stories[1].begin(), it.stories[1].end(), "load m__r1"), 2);
}

void what_is_required_of_fewer_is_enough(void **)
{
    world it(2);
    it.memories[2].fail("load", outcome::permanent("out of memory"));
    const auto result = it.load();
    assert_int_equal(result.is, kind::ok);
    assert_text(result.detail, "2 of 3 servers; server c:1: out of memory");
    assert_int_equal(it.ready().is, kind::ok);
    assert_true(it.serving() == (peers{"a:1", "b:1"}));
}

void too_few_that_failed_for_good_are_a_failure_for_good(void **)
{
    world it(2);
    it.memories[1].fail("load", outcome::permanent("no such operator"));
    it.memories[2].fail("load", outcome::permanent("no such operator"));
    assert_int_equal(it.load().is, kind::permanent);
}

void a_server_that_does_not_end_is_not_waited_for_once_others_are_enough(void **)
{
    world it(2);
    it.memories[0].held.insert("load");
    const auto before = it.time.now();
    const auto result = it.load();
    assert_int_equal(result.is, kind::ok);
    assert_true(result.detail.find("a:1: it is loading still") != std::string::npos);
    assert_true(it.time.now() - before < 60s);
}

void a_server_that_is_down_is_asked_a_short_question_only(void **)
{
    world it(2);
    it.memories[1].silent = true;
    assert_int_equal(it.load().is, kind::ok);
    assert_int_equal(std::count(it.stories[1].begin(), it.stories[1].end(), "load m__r1"), 0);
}

void loads_beside_each_other_are_bounded(void **)
{
    world it(3, 1);
    it.memories[0].held.insert("load");
    std::optional<outcome> result;
    const auto work = it.group->load(model, nullptr, 60s, [&](outcome how) { result = std::move(how); });
    it.time.run_for(1s);
    assert_text(it.group->progress_of("m__r1"),
                "load: 0 of 3 servers; a:1 is loading since 1 s; b:1 waits for its turn; c:1 waits for its turn");
    assert_true(it.stories[1].empty());
    work->cancel();
    assert_true(it.time.run_until([&] { return result.has_value(); }));
    assert_int_equal(result->is, kind::canceled);
}

void a_server_that_fails_the_smoke_test_is_barred(void **)
{
    world it(2);
    it.load();
    it.ready();
    it.memories[0].fail("infer", outcome::permanent("cannot infer"));
    const auto result = it.infer();
    assert_int_equal(result.is, kind::ok);
    assert_text(result.detail, "2 of 3 servers; server a:1: cannot infer");
    const auto standing = it.group->standing_of("m__r1").value();
    assert_true(standing.barred == peers{"a:1"});
    assert_true(standing.serving == (peers{"b:1", "c:1"}));
}

void a_model_is_gone_when_all_say_so_or_are_down(void **)
{
    world it(3);
    it.load();
    it.memories[2].silent = true;
    const auto result = it.unload();
    assert_int_equal(result.is, kind::ok);
    assert_true(it.group->owing("m__r1") == peers{"c:1"});
    it.memories[2].silent = false;
    assert_int_equal(it.unload().is, kind::ok);
    assert_true(it.group->owing("m__r1").empty());
    assert_true(it.memories[2].loaded.empty());
}

void a_model_is_not_gone_if_no_server_answers(void **)
{
    world it(1);
    for (auto &memory : it.memories) {
        memory.silent = true;
    }
    assert_int_equal(it.unload().is, kind::transient);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(all_servers_load_it),
        cmocka_unit_test(what_fails_is_named_and_only_that_is_tried_again),
        cmocka_unit_test(what_is_required_of_fewer_is_enough),
        cmocka_unit_test(too_few_that_failed_for_good_are_a_failure_for_good),
        cmocka_unit_test(a_server_that_does_not_end_is_not_waited_for_once_others_are_enough),
        cmocka_unit_test(a_server_that_is_down_is_asked_a_short_question_only),
        cmocka_unit_test(loads_beside_each_other_are_bounded),
        cmocka_unit_test(a_server_that_fails_the_smoke_test_is_barred),
        cmocka_unit_test(a_model_is_gone_when_all_say_so_or_are_down),
        cmocka_unit_test(a_model_is_not_gone_if_no_server_answers),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
