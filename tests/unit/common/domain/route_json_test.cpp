#include "common/domain/limits.hpp"
#include "common/domain/route.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::json_compact;
using rollout::json_ptr;
using rollout::route;
using rollout::route_from_json;
using rollout::route_target;
using rollout::route_to_json;
namespace limits = rollout::limits;

/// The route read from a text, written again; or why it was refused.
std::string read_back(std::string_view text)
{
    const json_ptr from(json_loadb(text.data(), text.size(), JSON_ALLOW_NUL, nullptr));
    assert_non_null(from.get());
    std::string reason;
    const auto read = route_from_json(from.get(), reason);
    return read ? json_compact(route_to_json(*read).get()) : "refused: " + reason;
}

std::string with_target(std::string_view target)
{
    return R"({"model_id":"m","part":"","blue":)" + std::string(target) + R"(,"weight":0})";
}

std::string target_of(std::string_view upstream, std::string_view model)
{
    json_ptr target(json_object());
    rollout::json_put(target.get(), "revision", rollout::json_make_number(1));
    rollout::json_put(target.get(), "upstream", upstream);
    rollout::json_put(target.get(), "model", model);
    return json_compact(target.get());
}

const route_target blue = {7, "inference", "123__r7"};
const route_target green = {8, "[::1]:8001", "123__r8"};

constexpr char no_names[] = "refused: a route without a usable model_id and part";
constexpr char no_revision[] = "refused: a route's target has no revision";
constexpr char no_target[] = "refused: a route's target has no usable upstream or model";
constexpr char no_weight[] = "refused: the route of model m has no weight from 0 to 100";
constexpr char neither[] = "refused: the route of model m has neither blue nor green";

void a_route_is_written_as_the_frames_say(void **)
{
    const auto written = [](const route &of) { return json_compact(route_to_json(of).get()); };
    assert_text(written({"123", "", blue, green, 25}),
                R"({"model_id":"123","part":"","blue":{"revision":7,"upstream":"inference","model":"123__r7"},)"
                R"("green":{"revision":8,"upstream":"[::1]:8001","model":"123__r8"},"weight":25})");
    assert_text(written({"123", "query", blue, {}, 0}),
                R"({"model_id":"123","part":"query","blue":{"revision":7,"upstream":"inference","model":"123__r7"},)"
                R"("weight":0})");
    assert_text(written({"123", "", {}, {}, 50}), R"({"model_id":"123","part":"","removed":true})");
}

void a_route_comes_back_as_it_went(void **)
{
    const route_target longest = {INT64_MAX, std::string(limits::upstream_bytes, 'u'),
                                  std::string(limits::backend_model_bytes, 'm')};
    for (const route &one : {
             route{"123", "", blue, green, 0},
             route{"123", "query", blue, green, 100},
             route{"123", "", blue, {}, 0},
             route{"123", "", {}, green, 100},
             route{std::string(limits::model_id_bytes, 'a'), std::string(limits::model_id_bytes, 'p'), longest,
                   longest, 1},
             route{"123", "items", {}, {}, 0},
             route{"123", "", route_target{7, "inference", "123__r7", {{"10.0.0.1:8000", "[fd00::2]:80", "unix:/s"}}},
                   route_target{8, "inference", "123__r8", std::vector<std::string>()}, 5},
         }) {
        std::string reason;
        const auto back = route_from_json(route_to_json(one).get(), reason);
        assert_text(reason, "");
        assert_true(back.has_value());
        assert_true(*back == one);
        assert_int_equal(back->removed(), !one.blue && !one.green);
    }
}

void a_list_of_peers_names_addresses(void **)
{
    const auto with_peers = [](const std::string &peers) {
        return read_back(with_target(R"({"revision":1,"upstream":"u","model":"m","peers":)" + peers + "}"));
    };
    assert_holds(with_peers(R"(["a:1"])"), R"("peers":["a:1"])");
    assert_holds(with_peers("[]"), R"("peers":[])");
    for (const char *peers : {R"(["a"])", R"(["a:0"])", R"([""])", R"([7])", R"(["a:1\nb:2"])", R"(["unix:s"])"}) {
        assert_text(with_peers(peers), "refused: a route's target names a peer that is no address");
    }
    std::string many = "[";
    for (std::size_t i = 0; i <= limits::backend_servers; ++i) {
        many += (i == 0 ? "\"a:" : ",\"a:") + std::to_string(i + 1) + '"';
    }
    for (const std::string &peers : {std::string("{}"), std::string("\"a:1\""), std::string("null"), many + "]"}) {
        assert_text(with_peers(peers), "refused: a route's target has no usable list of peers");
    }
}

void a_removed_route_needs_its_names_only(void **)
{
    assert_text(read_back(R"({"model_id":"m","removed":true})"), R"({"model_id":"m","part":"","removed":true})");
    assert_text(read_back(R"({"model_id":"m","removed":true,"weight":"x","blue":7})"),
                R"({"model_id":"m","part":"","removed":true})");
    assert_text(read_back(R"({"model_id":"","removed":true})"), no_names);
    for (const char *removed : {"false", "\"true\"", "1", "null"}) {
        assert_text(read_back(R"({"model_id":"m","weight":0,"removed":)" + std::string(removed) + "}"), neither);
    }
}

void a_route_without_usable_names_is_refused(void **)
{
    const std::string rest = R"(,"blue":)" + target_of("u", "m") + R"(,"weight":0})";
    for (const char *names :
         {R"({"part":"")", R"({"model_id":7,"part":"")", R"({"model_id":"","part":"")",
          R"({"model_id":"../m","part":"")", R"({"model_id":"a..b","part":"")", R"({"model_id":"a/b","part":"")",
          R"({"model_id":"a\u0000","part":"")", R"({"model_id":"m","part":"../p")", R"({"model_id":"m","part":"_p")",
          R"({"model_id":"m","part":"p q")"}) {
        assert_text(read_back(names + rest), no_names);
    }
    const std::string long_name(limits::model_id_bytes + 1, 'a');
    assert_text(read_back(R"({"model_id":")" + long_name + "\"" + rest), no_names);
    assert_text(read_back(R"({"model_id":"m","part":")" + long_name + "\"" + rest), no_names);

    std::string reason;
    assert_false(route_from_json(nullptr, reason).has_value());
    const json_ptr list(json_array());
    assert_false(route_from_json(list.get(), reason).has_value());
}

void a_weight_is_an_integer_from_0_to_100(void **)
{
    const std::string before = R"({"model_id":"m","blue":)" + target_of("u", "m");
    for (const char *weight : {"0", "1", "99", "100"}) {
        assert_holds(read_back(before + ",\"weight\":" + weight + "}"), std::string("\"weight\":") + weight + "}");
    }
    for (const char *weight : {"-1", "101", "5.0", "\"5\"", "null", "true", "9223372036854775807", "4294967296"}) {
        assert_text(read_back(before + ",\"weight\":" + weight + "}"), no_weight);
    }
    assert_text(read_back(before + "}"), no_weight);
}

void a_route_leads_somewhere(void **)
{
    assert_text(read_back(R"({"model_id":"m","part":"","weight":0})"), neither);
}

void a_target_has_a_revision(void **)
{
    assert_text(read_back(with_target(R"({"upstream":"u","model":"m"})")), no_revision);
    for (const char *revision : {"-1", "\"7\"", "7.0", "null", "-9223372036854775808"}) {
        assert_text(
            read_back(with_target(R"({"upstream":"u","model":"m","revision":)" + std::string(revision) + "}")),
            no_revision);
    }
    for (const char *target : {"null", "7", "\"inference\"", "[]", "{}", "true"}) {
        assert_text(read_back(with_target(target)), no_revision);
    }
    assert_holds(read_back(with_target(R"({"upstream":"u","model":"m","revision":0})")), "\"revision\":0");
}

void a_target_has_an_upstream_and_a_model_within_their_bounds(void **)
{
    for (const char *target :
         {R"({"revision":1,"model":"m"})", R"({"revision":1,"upstream":"u"})",
          R"({"revision":1,"upstream":7,"model":"m"})", R"({"revision":1,"upstream":"u","model":[]})",
          R"({"revision":1,"upstream":"","model":"m"})", R"({"revision":1,"upstream":"u","model":""})"}) {
        assert_text(read_back(with_target(target)), no_target);
    }
    const std::string longest_upstream(limits::upstream_bytes, 'u');
    const std::string longest_model(limits::backend_model_bytes, 'm');
    assert_holds(read_back(with_target(target_of(longest_upstream, longest_model))), longest_model);
    assert_text(read_back(with_target(target_of(longest_upstream + "u", "m"))), no_target);
    assert_text(read_back(with_target(target_of("u", longest_model + "m"))), no_target);
}

void no_byte_that_could_end_a_host_or_a_path_reaches_a_request(void **)
{
    constexpr std::string_view hostile = "/?#%\"\\ \x7f";
    for (int byte = 0; byte < 0x80; ++byte) {
        const char c = static_cast<char>(byte);
        const std::string text = std::string("a") + c + "b";
        const bool refused = byte < ' ' || hostile.find(c) != std::string_view::npos;
        for (const std::string &target : {target_of(text, "m"), target_of("u", text)}) {
            const std::string answer = read_back(with_target(target));
            if (refused) {
                assert_text(answer, no_target);
            } else {
                assert_holds(answer, text);
            }
        }
    }
    assert_text(read_back(with_target(target_of("caf\xC3\xA9", "m"))), no_target);
    assert_text(read_back(with_target(target_of("u", "\xE2\x80\xAE"))), no_target);
}

void a_bad_green_beside_a_good_blue_is_refused(void **)
{
    const std::string good = R"({"model_id":"m","blue":)" + target_of("u", "m") + R"(,"weight":5,"green":)";
    assert_text(read_back(good + "null}"), no_revision);
    assert_text(read_back(good + target_of("u/", "m") + "}"), no_target);
    assert_holds(read_back(good + target_of("u", "m2") + "}"), "\"green\":");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_route_is_written_as_the_frames_say),
        cmocka_unit_test(a_route_comes_back_as_it_went),
        cmocka_unit_test(a_list_of_peers_names_addresses),
        cmocka_unit_test(a_removed_route_needs_its_names_only),
        cmocka_unit_test(a_route_without_usable_names_is_refused),
        cmocka_unit_test(a_weight_is_an_integer_from_0_to_100),
        cmocka_unit_test(a_route_leads_somewhere),
        cmocka_unit_test(a_target_has_a_revision),
        cmocka_unit_test(a_target_has_an_upstream_and_a_model_within_their_bounds),
        cmocka_unit_test(no_byte_that_could_end_a_host_or_a_path_reaches_a_request),
        cmocka_unit_test(a_bad_green_beside_a_good_blue_is_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
