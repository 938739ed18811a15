// Failed requests by server, as the gateways report them.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/worker/gateway/routed_model.hpp"
#include "worker/gateway/failures_by_server.hpp"

#include <string>

namespace {

using rollout::failures_by_server;
using rollout::published_routes;
using rollout::route;
using rollout::route_target;

published_routes routes_to(std::uint64_t blue, std::uint64_t green)
{
    route made;
    made.model_id = "m";
    made.blue = route_target{blue, "inference", "m__r" + std::to_string(blue)};
    made.green = route_target{green, "inference", "m__r" + std::to_string(green)};
    published_routes routes;
    routes.follow(model_with("m", 1, {made}));
    return routes;
}

void add(failures_by_server &to, const published_routes &routes, const std::string &servers)
{
    to.add(json_of(R"({"type": "failures", "servers": [)" + servers + "]}").get(), routes);
}

std::string one(const std::string &peer, int revision, int failures, const std::string &model_id = "m")
{
    return R"({"model_id": ")" + model_id + R"(", "revision": )" + std::to_string(revision) + R"(, "peer": ")" +
           peer + R"(", "failures": )" + std::to_string(failures) + "}";
}

std::string words_of(const failures_by_server &from, std::uint64_t revision)
{
    std::string words;
    for (const auto &[peer, failures] : from.of("m", revision)) {
        words += (words.empty() ? "" : " ") + peer + '=' + std::to_string(failures);
    }
    return words;
}

void reports_of_all_gateways_are_added_up(void **)
{
    const auto routes = routes_to(1, 2);
    failures_by_server failures;
    add(failures, routes, one("a:1", 2, 3) + ", " + one("b:1", 2, 1));
    add(failures, routes, one("a:1", 2, 4) + ", " + one("a:1", 1, 5));
    assert_text(words_of(failures, 2), "a:1=7 b:1=1");
    assert_text(words_of(failures, 1), "a:1=5");
    assert_text(words_of(failures, 3), "");
}

void what_is_no_revision_of_a_route_or_no_server_is_left_out(void **)
{
    const auto routes = routes_to(1, 2);
    failures_by_server failures;
    add(failures, routes,
        one("a:1", 3, 1) + ", " + one("a:1", 2, 1, "n") + ", " + one("a", 2, 1) + ", 7, " + one("a:1", 2, -1));
    assert_text(words_of(failures, 3), "");
    assert_int_equal(failures.of("n", 2).size(), 0);
    failures.add(json_of(R"({"servers": 7})").get(), routes);
    for (int i = 0; i < 100; ++i) {
        add(failures, routes, one("a:" + std::to_string(i + 1), 2, 1));
    }
    assert_int_equal(failures.of("m", 2).size(), 64);
}

void earlier_revisions_and_models_without_a_route_are_forgotten(void **)
{
    failures_by_server failures;
    add(failures, routes_to(1, 2), one("a:1", 1, 1) + ", " + one("a:1", 2, 1));
    add(failures, routes_to(2, 3), one("a:1", 3, 1));
    assert_text(words_of(failures, 1), "");
    assert_text(words_of(failures, 2), "a:1=1");
    failures.forget("m");
    assert_text(words_of(failures, 2), "");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(reports_of_all_gateways_are_added_up),
        cmocka_unit_test(what_is_no_revision_of_a_route_or_no_server_is_left_out),
        cmocka_unit_test(earlier_revisions_and_models_without_a_route_are_forgotten),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
