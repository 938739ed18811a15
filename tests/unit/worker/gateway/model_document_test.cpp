// A model as a client reads it in a list: what state it is in, by what stands where and what is lost of it.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "worker/gateway/model_document.hpp"

#include <string>
#include <vector>

namespace {

using rollout::lost_revision;

rollout::served_revision revision(std::uint64_t number)
{
    rollout::served_revision made;
    made.revision = number;
    made.backend = "triton";
    made.upstream = "inference";
    made.copies.push_back({"m__r" + std::to_string(number), {""}, nullptr});
    made.load_begun = true;
    return made;
}

std::string state_of(const rollout::model &from, const std::vector<lost_revision> &losses = {})
{
    return std::string(rollout::json_text(rollout::model_document(from, losses, {}).get(), "state"));
}

void a_model_says_where_its_traffic_goes(void **)
{
    rollout::model from;
    from.model_id = "m";
    from.last_revision = 8;
    from.blue = revision(7);
    from.green = revision(8);
    from.weight = 20;
    from.kept.push_back(revision(5));
    assert_text(
        rollout::json_compact(rollout::model_document(from, {}, {"t9"}).get()),
        "{\"model_id\":\"m\",\"embedding_model_id\":\"m\",\"state\":\"rolling_out\","
        "\"blue\":{\"revision\":7,\"upstream\":\"inference\",\"model\":\"m__r7\",\"backend\":\"triton\"},"
        "\"green\":{\"revision\":8,\"upstream\":\"inference\",\"model\":\"m__r8\",\"backend\":\"triton\"},"
        "\"weight\":20,\"last_revision\":8,\"kept\":[{\"revision\":5,\"loaded\":true}],\"task_ids\":[\"t9\"]}");
}

void its_state_is_that_of_what_stands(void **)
{
    rollout::model from;
    assert_text(state_of(from), "retiring");
    from.blue = revision(7);
    assert_text(state_of(from), "deployed");
    from.incoming = revision(8);
    assert_text(state_of(from), "rolling_out");
}

void what_is_lost_of_its_traffic_is_its_state(void **)
{
    rollout::model from;
    from.blue = revision(7);
    from.green = revision(8);
    assert_text(state_of(from, {{7, false, false, false, "It is gone."}}), "lost");
    assert_text(state_of(from, {{7, true, false, false, ""}}), "unreachable");
    assert_text(state_of(from, {{7, true, false, false, ""}, {8, false, false, false, ""}}), "lost");
    assert_text(state_of(from, {{7, false, false, false, ""}, {8, false, false, true, ""}}), "reloading");
}

void a_server_that_no_request_reaches_is_said_beside_the_losses(void **)
{
    rollout::model from;
    from.blue = revision(7);
    const auto detail = [&](const std::vector<lost_revision> &losses, const char *unreached) {
        const auto document = rollout::model_document(from, losses, {}, unreached);
        assert_text(rollout::json_text(document.get(), "state"), losses.empty() ? "deployed" : "lost");
        return std::string(rollout::json_text(document.get(), "detail"));
    };
    assert_text(detail({}, ""), "");
    assert_text(detail({}, "No request reaches b:1."), "No request reaches b:1.");
    assert_text(detail({{7, false, false, false, "It is gone."}}, "No request reaches b:1."),
                "It is gone. No request reaches b:1.");
}

void what_is_lost_of_a_kept_revision_changes_nothing_for_clients(void **)
{
    rollout::model from;
    from.blue = revision(7);
    from.kept.push_back(revision(5));
    const std::vector<lost_revision> losses = {{5, false, false, false, "Revision 5 is gone."}};
    assert_text(state_of(from, losses), "deployed");
    const auto document = rollout::model_document(from, losses, {});
    assert_text(rollout::json_text(document.get(), "detail"), "Revision 5 is gone.");
    assert_false(json_is_true(json_object_get(json_array_get(json_object_get(document.get(), "kept"), 0), "loaded")));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_model_says_where_its_traffic_goes),
        cmocka_unit_test(its_state_is_that_of_what_stands),
        cmocka_unit_test(what_is_lost_of_its_traffic_is_its_state),
        cmocka_unit_test(a_server_that_no_request_reaches_is_said_beside_the_losses),
        cmocka_unit_test(what_is_lost_of_a_kept_revision_changes_nothing_for_clients),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
