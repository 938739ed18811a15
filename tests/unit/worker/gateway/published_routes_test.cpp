// The routes in force, and the frames that tell of them.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "worker/gateway/published_routes.hpp"

#include <string>

namespace {

using rollout::published_routes;
using rollout::route;
using rollout::route_target;

route route_of(const std::string &model_id, std::uint64_t revision, const std::string &part = {})
{
    route made;
    made.model_id = model_id;
    made.part = part;
    made.blue = route_target{revision, "inference", model_id + "__r" + std::to_string(revision)};
    return made;
}

/// The models of a frame, in their order, and what it says of itself.
std::string words_of(const std::string &frame)
{
    const auto message = json_of(frame);
    std::string words = std::to_string(rollout::json_number(message.get(), "revision"));
    for (const char *mark : {"begin", "end"}) {
        words += json_is_true(json_object_get(message.get(), mark)) ? std::string(" ") + mark : "";
    }
    const json_t *routes = json_object_get(message.get(), "routes");
    for (std::size_t i = 0; i < json_array_size(routes); ++i) {
        const json_t *entry = json_array_get(routes, i);
        words += ' ' + std::string(rollout::json_text(entry, "model_id")) + '/' +
                 std::string(rollout::json_text(entry, "part")) + '=' +
                 std::to_string(rollout::json_number(json_object_get(entry, "blue"), "revision"));
    }
    return words;
}

void a_route_takes_the_place_of_the_one_before_and_one_without_a_target_of_none(void **)
{
    published_routes routes;
    routes.put(route_of("m", 1), 10);
    routes.put(route_of("m", 1, "part"), 10);
    routes.put(route_of("n", 1), 11);
    routes.put(route_of("m", 2), 12);
    route none;
    none.model_id = "n";
    routes.put(none, 13);
    routes.put(none, 13); // it is gone already
    assert_int_equal(routes.full_set().size(), 1);
    assert_text(words_of(routes.full_set().front()), "13 begin end m/=2 m/part=1");
}

void the_revision_is_the_newest_routes(void **)
{
    published_routes routes;
    routes.put(route_of("m", 1), 10);
    routes.put(route_of("n", 1), 9);
    assert_int_equal(routes.revision(), 10);
}

void a_change_is_a_frame_of_its_own_that_frames_no_full_set(void **)
{
    assert_text(words_of(published_routes::change(route_of("m", 2), 12)), "12 m/=2");
}

void no_routes_are_a_full_set_too(void **)
{
    assert_text(words_of(published_routes().full_set().at(0)), "0 begin end");
}

void a_large_set_comes_in_parts_of_which_the_first_and_the_last_say_so(void **)
{
    published_routes routes;
    for (int number = 100; number < 1000; ++number) {
        routes.put(route_of("m" + std::to_string(number), 1), static_cast<std::uint64_t>(number));
    }
    const auto frames = routes.full_set();
    assert_in_range(frames.size(), 4, 20);
    std::string models;
    for (const auto &frame : frames) {
        assert_true(frame.size() < 17 * 1024);
        auto words = words_of(frame);
        const bool begins = words.starts_with("999 begin");
        const bool ends = words.find(" end") != std::string::npos;
        assert_int_equal(begins, &frame == &frames.front());
        assert_int_equal(ends, &frame == &frames.back());
        const auto first = words.find(" m");
        models += first == std::string::npos ? "" : words.substr(first);
    }
    std::string all;
    for (int number = 100; number < 1000; ++number) {
        all += " m" + std::to_string(number) + "/=1";
    }
    assert_text(models, all);
}

void upstreams_are_those_of_blue_and_of_green(void **)
{
    published_routes routes;
    auto both = route_of("m", 1);
    both.green = route_target{2, "other", "m__r2"};
    routes.put(both, 10);
    routes.put(route_of("n", 1), 11);
    assert_true(routes.upstreams() == std::set<std::string>({"inference", "other"}));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_route_takes_the_place_of_the_one_before_and_one_without_a_target_of_none),
        cmocka_unit_test(the_revision_is_the_newest_routes),
        cmocka_unit_test(a_change_is_a_frame_of_its_own_that_frames_no_full_set),
        cmocka_unit_test(no_routes_are_a_full_set_too),
        cmocka_unit_test(a_large_set_comes_in_parts_of_which_the_first_and_the_last_say_so),
        cmocka_unit_test(upstreams_are_those_of_blue_and_of_green),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
