#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_gateways.hpp"
#include "worker/rollout/route_publisher.hpp"

namespace {

rollout::served_revision revision_of(std::uint64_t number, const std::vector<std::string> &parts = {""})
{
    rollout::served_revision placed;
    placed.revision = number;
    placed.upstream = "inference";
    for (const auto &part : parts) {
        placed.copies.push_back({"123" + part + "__r" + std::to_string(number), {part}, nullptr});
    }
    return placed;
}

struct publishing {
    explicit publishing(std::optional<rollout::served_revision> blue)
    {
        model.model_id = "123";
        model.blue = std::move(blue);
        routes.emplace(gateways, model);
    }

    /// What the gateways are told of a write with that revision, one a line.
    std::string publish(std::uint64_t revision)
    {
        told.clear();
        routes->publish(revision);
        std::string lines;
        for (const auto &line : told) {
            lines += line + '\n';
        }
        return lines;
    }

    fake_clock time;
    std::vector<std::string> told;
    gateway_memory memory;
    fake_gateways gateways{memory, time, told};
    rollout::model model;
    std::optional<rollout::route_publisher> routes;
};

void a_write_that_changes_no_route_tells_nobody(void **)
{
    publishing of(revision_of(1));
    assert_text(of.publish(5), "");
    of.model.incoming = revision_of(2); // it has no traffic yet
    assert_text(of.publish(6), "");
    assert_int_equal(of.model.route_revision, 0);
}

void a_route_that_changes_is_told_once_with_the_revision_of_its_write(void **)
{
    publishing of(revision_of(1));
    of.model.green = revision_of(2);
    of.model.weight = 5;
    assert_text(of.publish(7), "route of 123: 123__r1, 123__r2 5 %\n");
    assert_int_equal(of.model.route_revision, 7);
    assert_text(of.publish(8), "");
    assert_int_equal(of.model.route_revision, 7);
}

void a_part_that_is_not_served_any_more_has_a_route_without_a_target(void **)
{
    publishing of(revision_of(1, {"a", "b"}));
    of.model.blue = revision_of(2, {"a"});
    assert_text(of.publish(7), "route of 123/a: 123a__r2\nroute of 123/b: none\n");
    assert_text(of.publish(8), "");
}

void a_model_that_never_had_a_route_has_none_to_take_back(void **)
{
    publishing of(std::nullopt);
    assert_text(of.publish(7), "");
    of.model.green = revision_of(1);
    of.model.weight = 100;
    assert_text(of.publish(8), "route of 123: 123__r1 100 %\n");
    of.model.green.reset();
    of.model.weight = 0;
    assert_text(of.publish(9), "route of 123: none\n");
    assert_text(of.publish(10), "");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_write_that_changes_no_route_tells_nobody),
        cmocka_unit_test(a_route_that_changes_is_told_once_with_the_revision_of_its_write),
        cmocka_unit_test(a_part_that_is_not_served_any_more_has_a_route_without_a_target),
        cmocka_unit_test(a_model_that_never_had_a_route_has_none_to_take_back),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
