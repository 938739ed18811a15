#include "tests/unit/cmocka.hpp"
#include "tests/unit/failing_json_memory.hpp"
#include "worker/backend/triton/repository_index.hpp"

namespace {

using rollout::find_in_index;
using rollout::index_state;
using rollout::read_index;

void the_index_tells_where_a_model_stands(void **)
{
    const std::string index = R"([
        {"name":"never"},
        {"name":"gone","version":"1","state":"UNAVAILABLE","reason":"unloaded"},
        {"name":"bad","version":"1","state":"UNAVAILABLE","reason":"Traceback (most recent call last):\n x\nKeyError: 'k'"},
        {"name":"odd","state":"UNAVAILABLE"},
        {"name":"in","version":"1","state":"LOADING"},
        {"name":"out","version":"1","state":"UNLOADING"},
        {"name":"good","version":"1","state":"READY"},
        {"name":"two","version":"1","state":"UNAVAILABLE","reason":"unloaded"},
        {"name":"two","version":"2","state":"UNLOADING"},
        {"name":"half","version":"1","state":"UNAVAILABLE","reason":"broken"},
        {"name":"half","version":"2","state":"READY"},
        {"name":"unknown","version":"1","state":"UNKNOWN"},
        null, 7, {"name":8}])";
    const auto at = [&](std::string_view model) { return find_in_index(index, model)->is; };
    assert_true(at("missing") == index_state::absent);
    assert_true(at("never") == index_state::unloaded);
    assert_true(at("gone") == index_state::unloaded);
    assert_true(at("odd") == index_state::unloaded);
    assert_true(at("unknown") == index_state::unloaded);
    assert_true(at("in") == index_state::loading);
    assert_true(at("out") == index_state::unloading);
    assert_true(at("good") == index_state::ready);
    assert_true(at("two") == index_state::unloading);
    assert_true(at("half") == index_state::ready);
    assert_true(at("bad") == index_state::failed);
    assert_text(find_in_index(index, "bad")->reason, "KeyError: 'k'");
    for (const char *gone : {"missing", "never", "gone", "odd", "bad"}) {
        assert_true(find_in_index(index, gone)->is_gone());
    }
    for (const char *there : {"in", "out", "good", "two", "half"}) {
        assert_false(find_in_index(index, there)->is_gone());
    }
}

void the_versions_that_are_ready_are_told(void **)
{
    const std::string index = R"([
        {"name":"one","version":"1","state":"READY"},
        {"name":"two","version":"1","state":"READY"},
        {"name":"two","version":"3","state":"READY"},
        {"name":"next","version":"1","state":"READY"},
        {"name":"next","version":"2","state":"LOADING"},
        {"name":"next","version":"3","state":"UNAVAILABLE","reason":"unloaded"},
        {"name":"bare","state":"READY"},
        {"name":"gone","version":"1","state":"UNAVAILABLE","reason":"unloaded"}])";
    const auto at = [&](std::string_view model) { return find_in_index(index, model)->versions; };
    assert_text(at("one"), "1");
    assert_text(at("two"), "1, 3");
    assert_text(at("next"), "1");
    assert_text(at("bare"), "");
    assert_text(at("gone"), "");
}

void what_is_no_index_is_not_read_as_an_empty_one(void **)
{
    assert_false(find_in_index("", "m").has_value());
    assert_false(find_in_index("{\"error\":\"x\"}", "m").has_value());
    assert_false(find_in_index("<html></html>", "m").has_value());
    assert_true(find_in_index("{\"models\":[]}", "m").has_value());
}

void an_index_that_cannot_be_read_for_want_of_memory_is_not_taken_for_none(void **)
{
    assert_true(tells_of_no_json_memory([] { find_in_index(R"([{"name":"m","state":"READY"}])", "m"); }));
}

void all_models_are_read_at_once_as_one_is(void **)
{
    const auto index = read_index(R"({"models":[{"name":"a","state":"READY"},{"name":"b","state":"LOADING"}]})");
    assert_int_equal(index->size(), 2);
    assert_true(index->at("a").is == index_state::ready);
    assert_true(index->at("b").is == index_state::loading);
}

void a_state_has_the_name_that_the_protocol_has_for_it(void **)
{
    assert_text(rollout::index_state_name(index_state::ready), "READY");
    assert_text(rollout::index_state_name(index_state::loading), "LOADING");
    assert_text(rollout::index_state_name(index_state::unloading), "UNLOADING");
    assert_text(rollout::index_state_name(index_state::failed), "UNAVAILABLE");
    assert_text(rollout::index_state_name(index_state::unloaded), "UNAVAILABLE");
    assert_text(rollout::index_state_name(index_state::absent), "absent");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_index_tells_where_a_model_stands),
        cmocka_unit_test(the_versions_that_are_ready_are_told),
        cmocka_unit_test(what_is_no_index_is_not_read_as_an_empty_one),
        cmocka_unit_test(an_index_that_cannot_be_read_for_want_of_memory_is_not_taken_for_none),
        cmocka_unit_test(all_models_are_read_at_once_as_one_is),
        cmocka_unit_test(a_state_has_the_name_that_the_protocol_has_for_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
