// The routes in force, and the frames that tell of them.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/worker/gateway/routed_model.hpp"
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

/// The routes, in their order, and their servers.
std::string words_of(const std::vector<route> &routes)
{
    std::string words;
    for (const auto &of : routes) {
        words += (words.empty() ? "" : " ") + of.model_id + '/' + of.part + '=';
        for (const auto *slot : {&of.blue, &of.green}) {
            if (*slot) {
                words += std::to_string((*slot)->revision);
                for (const auto &peer : (*slot)->peers.value_or(std::vector<std::string>())) {
                    words += '@' + peer;
                }
            }
        }
    }
    return words;
}

route route_on(std::uint64_t revision, std::vector<std::string> peers)
{
    auto made = route_of("m", revision);
    made.blue->peers = std::move(peers);
    return made;
}

void a_route_takes_the_place_of_the_one_before_and_one_without_a_target_of_none(void **)
{
    published_routes routes;
    assert_text(words_of(routes.follow(model_with("m", 10, {route_of("m", 1), route_of("m", 1, "part")}))),
                "m/=1 m/part=1");
    assert_text(words_of(routes.follow(model_with("n", 11, {route_of("n", 1)}))), "n/=1");
    assert_text(words_of(routes.follow(model_with("m", 12, {route_of("m", 2), route_of("m", 2, "part")}))),
                "m/=2 m/part=2");
    assert_text(words_of(routes.follow(model_with("n", 13))), "n/=");
    assert_text(words_of(routes.follow(model_with("n", 14))), ""); // it is gone already
    assert_int_equal(routes.full_set().size(), 1);
    assert_text(words_of(routes.full_set().front()), "13 begin end m/=2 m/part=2");
}

void what_has_no_other_route_than_before_is_no_change(void **)
{
    published_routes routes;
    routes.follow(model_with("m", 10, {route_of("m", 1), route_of("m", 1, "part")}));
    assert_text(words_of(routes.follow(model_with("m", 11, {route_of("m", 1), route_of("m", 1, "part")}))), "");
    assert_int_equal(routes.revision(), 10);
    assert_text(words_of(routes.follow(model_with("m", 12, {route_of("m", 1)}))), "m/part=");
    assert_int_equal(routes.revision(), 12);
}

void after_a_start_the_revision_is_that_of_the_newest_model(void **)
{
    published_routes routes;
    routes.load(model_with("m", 10, {route_of("m", 1)}));
    routes.load(model_with("gone", 20));
    assert_text(words_of(routes.full_set().front()), "20 begin end m/=1");
}

void servers_that_are_set_are_in_force_until_the_journal_says_the_same(void **)
{
    published_routes routes;
    const published_routes::target which{"m", 1, "m__r1"};
    routes.follow(model_with("m", 10, {route_on(1, {"a", "b"})}));
    assert_text(words_of(routes.set_peers(which, {{"a"}})), "m/=1@a");
    assert_text(words_of(routes.set_peers(which, {{"a"}})), "");
    assert_text(words_of(routes.set_peers({"m", 7, "m__r7"}, {{"a"}})), ""); // nothing leads there
    assert_text(words_of(routes.of("m")), "m/=1@a");

    // What was written before that comes later, and changes nothing.
    assert_text(words_of(routes.follow(model_with("m", 11, {route_on(1, {"a", "b"})}))), "");
    assert_text(words_of(routes.of("m")), "m/=1@a");
    assert_text(words_of(routes.follow(model_with("m", 12, {route_on(1, {"b"})}))), "m/=1@a");
    assert_text(words_of(routes.follow(model_with("m", 13, {route_on(1, {"a"})}))), "m/=1@a");
    assert_text(words_of(routes.follow(model_with("m", 14, {route_on(1, {"a", "b"})}))), "m/=1@a@b");
}

void servers_may_be_set_before_a_route_leads_there(void **)
{
    published_routes routes;
    assert_text(words_of(routes.set_peers({"m", 1, "m__r1"}, {{"a"}})), "");
    assert_text(words_of(routes.follow(model_with("m", 10, {route_on(1, {"a", "b"})}))), "m/=1@a");
    routes.set_peers({"m", 2, "m__r2"}, {{"a"}});
    routes.follow(model_with("m", 11, {route_on(1, {"a", "b"})})); // leads elsewhere
    assert_text(words_of(routes.follow(model_with("m", 12, {route_on(2, {"a", "b"})}))), "m/=2@a@b");
}

void servers_that_are_set_go_with_their_revision_or_when_they_are_reset(void **)
{
    published_routes routes;
    const published_routes::target which{"m", 1, "m__r1"};
    routes.follow(model_with("m", 10, {route_on(1, {"a", "b"})}));
    routes.set_peers(which, {{"a"}});
    routes.follow(model_with("m", 11, {route_on(2, {"a", "b"})}));
    assert_text(words_of(routes.follow(model_with("m", 12, {route_on(1, {"a", "b"})}))), "m/=1@a@b");
    routes.set_peers(which, {{"a"}});
    assert_text(words_of(routes.reset_peers()), "m/=1@a@b");
    assert_text(words_of(routes.reset_peers()), "");
    assert_text(words_of(routes.of("m")), "m/=1@a@b");
}

void the_revision_is_the_newest_routes(void **)
{
    published_routes routes;
    routes.follow(model_with("m", 10, {route_of("m", 1)}));
    routes.follow(model_with("n", 9, {route_of("n", 1)}));
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
        const std::string model_id = "m" + std::to_string(number);
        routes.follow(model_with(model_id, static_cast<std::uint64_t>(number), {route_of(model_id, 1)}));
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
    routes.follow(model_with("m", 10, {both}));
    routes.follow(model_with("n", 11, {route_of("n", 1)}));
    assert_true(routes.upstreams() == std::set<std::string>({"inference", "other"}));
}

/// Only while it may be loaded, and not once it has drained.
void what_is_out_of_the_traffic_is_known_with_the_change_that_took_it_out(void **)
{
    published_routes routes;
    auto changed = model_with("m", 10, {route_of("m", 2)});
    rollout::served_revision left;
    left.revision = 1;
    left.copies.push_back({"m__r1", {"a", "b"}, nullptr});
    changed.retired.push_back(left);
    routes.load(changed);
    assert_true(routes.unrouted().empty());
    changed.retired[0].load_begun = true;
    changed.route_revision = 12; // of a write that changes no route
    routes.follow(changed);
    assert_int_equal(routes.unrouted().size(), 1);
    assert_int_equal(routes.unrouted()[0].revision, 1);
    assert_int_equal(routes.unrouted()[0].routed_at, 10);
    assert_true(routes.unrouted()[0].parts == std::vector<std::string>({"a", "b"}));
    assert_int_equal(routes.models_revision(), 12);
    assert_int_equal(routes.revision(), 10);
    changed.kept = std::exchange(changed.retired, {});
    changed.route_revision = 13;
    routes.follow(changed);
    assert_int_equal(routes.unrouted().size(), 1);
    changed.kept[0].drained = true;
    routes.follow(changed);
    assert_true(routes.unrouted().empty());
}


void the_newest_change_up_to_a_revision(void **)
{
    published_routes routes;
    assert_int_equal(routes.change_up_to(100), 0);
    routes.follow(model_with("m", 10, {route_of("m", 1)}));
    routes.follow(model_with("n", 20, {route_of("n", 1)}));
    assert_int_equal(routes.change_up_to(9), 0);
    assert_int_equal(routes.change_up_to(10), 10);
    assert_int_equal(routes.change_up_to(19), 10);
    assert_int_equal(routes.change_up_to(100), 20);
    routes.follow(model_with("n", 30, {route_of("n", 1)})); // the same
    assert_int_equal(routes.change_up_to(100), 20);
    routes.follow(model_with("n", 31));
    assert_int_equal(routes.change_up_to(100), 31);
    assert_int_equal(routes.change_up_to(30), 10);
    assert_int_equal(routes.changed_at("n"), 31);
    assert_int_equal(routes.changed_at("nobody"), 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_route_takes_the_place_of_the_one_before_and_one_without_a_target_of_none),
        cmocka_unit_test(what_has_no_other_route_than_before_is_no_change),
        cmocka_unit_test(after_a_start_the_revision_is_that_of_the_newest_model),
        cmocka_unit_test(servers_that_are_set_are_in_force_until_the_journal_says_the_same),
        cmocka_unit_test(servers_may_be_set_before_a_route_leads_there),
        cmocka_unit_test(servers_that_are_set_go_with_their_revision_or_when_they_are_reset),
        cmocka_unit_test(the_revision_is_the_newest_routes),
        cmocka_unit_test(a_change_is_a_frame_of_its_own_that_frames_no_full_set),
        cmocka_unit_test(no_routes_are_a_full_set_too),
        cmocka_unit_test(a_large_set_comes_in_parts_of_which_the_first_and_the_last_say_so),
        cmocka_unit_test(upstreams_are_those_of_blue_and_of_green),
        cmocka_unit_test(what_is_out_of_the_traffic_is_known_with_the_change_that_took_it_out),
        cmocka_unit_test(the_newest_change_up_to_a_revision),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
