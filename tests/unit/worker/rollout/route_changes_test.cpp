#include "tests/unit/cmocka.hpp"
#include "worker/rollout/route_changes.hpp"

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

struct written_model {
    explicit written_model(std::optional<rollout::served_revision> blue)
    {
        model.model_id = "123";
        model.blue = std::move(blue);
        routes.emplace(model);
    }

    /// Writes the model with that revision; returns the one that the gateways must follow then.
    std::uint64_t write(std::uint64_t revision)
    {
        routes->note_write();
        routes->on_durable(revision);
        return model.route_revision;
    }

    rollout::model model;
    std::optional<rollout::route_changes> routes;
};

void a_write_that_changes_no_route_needs_not_be_followed(void **)
{
    written_model of(revision_of(1));
    assert_int_equal(of.write(5), 0);
    of.model.incoming = revision_of(2); // it has no traffic yet
    assert_int_equal(of.write(6), 0);
}

void a_route_that_changes_is_to_be_followed_since_its_write(void **)
{
    written_model of(revision_of(1));
    of.model.green = revision_of(2);
    of.model.weight = 5;
    assert_int_equal(of.write(7), 7);
    assert_int_equal(of.write(8), 7);
}

void a_part_that_is_not_served_any_more_is_a_change(void **)
{
    written_model of(revision_of(1, {"a", "b"}));
    of.model.blue = revision_of(1, {"a"});
    assert_int_equal(of.write(7), 7);
    assert_int_equal(of.write(8), 7);
}

void a_model_that_never_had_a_route_has_none_to_take_back(void **)
{
    written_model of(std::nullopt);
    assert_int_equal(of.write(7), 0);
    of.model.green = revision_of(1);
    of.model.weight = 100;
    assert_int_equal(of.write(8), 8);
    of.model.green.reset();
    of.model.weight = 0;
    assert_int_equal(of.write(9), 9);
    assert_int_equal(of.write(10), 9);
}

/// Or a step would wait for gateways to follow a write that has brought them nothing.
void what_changes_while_a_write_is_on_its_way_belongs_to_the_next(void **)
{
    written_model of(revision_of(1));
    of.routes->note_write();
    of.model.blue->copies[0].peers = {{"a:8000"}};
    of.routes->on_durable(7);
    assert_int_equal(of.model.route_revision, 0);
    assert_int_equal(of.write(8), 8);
}

void of_a_write_that_fails_the_next_attempt_counts(void **)
{
    written_model of(revision_of(1));
    of.model.green = revision_of(2);
    of.routes->note_write();
    assert_int_equal(of.write(9), 9);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_write_that_changes_no_route_needs_not_be_followed),
        cmocka_unit_test(a_route_that_changes_is_to_be_followed_since_its_write),
        cmocka_unit_test(a_part_that_is_not_served_any_more_is_a_change),
        cmocka_unit_test(a_model_that_never_had_a_route_has_none_to_take_back),
        cmocka_unit_test(what_changes_while_a_write_is_on_its_way_belongs_to_the_next),
        cmocka_unit_test(of_a_write_that_fails_the_next_attempt_counts),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
