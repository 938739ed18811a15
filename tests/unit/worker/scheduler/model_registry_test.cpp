#include "tests/unit/cmocka.hpp"
#include "worker/scheduler/model_registry.hpp"

#include <string>

namespace {

using rollout::model_registry;

rollout::served_revision placed(std::uint64_t revision, const std::string &backend, const std::string &name)
{
    rollout::served_revision made;
    made.revision = revision;
    made.backend = backend;
    made.copies = {{name, {""}, nullptr}};
    return made;
}

rollout::model with_number(const std::string &model_id, std::uint64_t last_revision)
{
    rollout::model known;
    known.model_id = model_id;
    known.last_revision = last_revision;
    return known;
}

std::size_t known(const model_registry &models, const std::string &at_work = "")
{
    return models.known([&](const std::string &model_id) { return model_id == at_work; });
}

void of_a_model_that_stands_nowhere_the_last_number_is_remembered(void **)
{
    model_registry models;
    models.add(with_number("a", 7));
    assert_null(models.find("a"));
    assert_int_equal(known(models), 1);
    assert_int_equal(models.find_or_create("a").last_revision, 7);
    assert_text(models.find_or_create("a").model_id, "a");
    models.find_or_create("a").last_revision = 8;
    models.put_aside("a");
    assert_null(models.find("a"));
    assert_int_equal(models.find_or_create("a").last_revision, 8);
}

/// In etcd a write of the model that builds on another revision than that of its entry is lost.
void the_revision_of_its_entry_is_remembered_with_the_number(void **)
{
    model_registry models;
    auto known = with_number("a", 7);
    known.route_revision = 1234;
    models.add(known);
    assert_int_equal(models.find_or_create("a").route_revision, 1234);
    models.find_or_create("a").route_revision = 5678;
    models.put_aside("a");
    assert_int_equal(models.find_or_create("a").route_revision, 5678);
}

void of_a_model_that_never_had_a_revision_nothing_is_left(void **)
{
    model_registry models;
    models.find_or_create("a");
    models.put_aside("a");
    assert_int_equal(known(models), 0);
    models.put_aside("unknown");
    assert_int_equal(known(models), 0);
}

void a_model_that_stands_keeps_its_entry_where_it_is(void **)
{
    model_registry models;
    auto *const entry = &models.find_or_create("a");
    entry->retired.push_back(placed(1, "gpu", "a__r1"));
    models.put_aside("a");
    models.find_or_create("b");
    assert_ptr_equal(models.find("a"), entry);
    assert_ptr_equal(&models.find_or_create("a"), entry);
}

void a_model_is_known_once_its_first_task_has_given_it_a_number(void **)
{
    model_registry models;
    models.add(with_number("old", 3));
    auto &entry = models.find_or_create("new");
    assert_int_equal(known(models, "new"), 1);
    entry.last_revision = 1;
    assert_int_equal(known(models, "new"), 2);
}

void what_a_gateway_routes_to_or_is_about_to_is_deployed(void **)
{
    model_registry models;
    models.find_or_create("blue").blue = placed(1, "gpu", "blue");
    models.find_or_create("green").green = placed(1, "gpu", "green");
    models.find_or_create("incoming").incoming = placed(1, "gpu", "incoming");
    models.find_or_create("retired").retired = {placed(1, "gpu", "retired")};
    models.find_or_create("kept").kept = {placed(1, "gpu", "kept")};
    assert_int_equal(models.deployed(), 3);
}

void a_backend_has_the_models_of_which_anything_stands_there(void **)
{
    model_registry models;
    models.find_or_create("a").blue = placed(1, "gpu", "a__r1");
    models.find_or_create("b").blue = placed(1, "cpu", "b__r1");
    models.find_or_create("b").kept = {placed(2, "gpu", "b__r2")};
    models.find_or_create("c").retired = {placed(1, "cpu", "c__r1")};
    assert_true(models.models_on("gpu") == (std::vector<std::string>{"a", "b"}));
    assert_true(models.models_on("cpu") == (std::vector<std::string>{"b", "c"}));
    assert_true(models.models_on("other").empty());
}

void a_name_on_a_backend_is_held_by_another_model_alone(void **)
{
    model_registry models;
    models.find_or_create("a").incoming = placed(1, "gpu", "shared");
    assert_text(models.holder_of("b", "gpu", "shared"), "a");
    assert_text(models.holder_of("a", "gpu", "shared"), "");
    assert_text(models.holder_of("b", "cpu", "shared"), "");
    assert_text(models.holder_of("b", "gpu", "other"), "");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(of_a_model_that_stands_nowhere_the_last_number_is_remembered),
        cmocka_unit_test(the_revision_of_its_entry_is_remembered_with_the_number),
        cmocka_unit_test(of_a_model_that_never_had_a_revision_nothing_is_left),
        cmocka_unit_test(a_model_that_stands_keeps_its_entry_where_it_is),
        cmocka_unit_test(a_model_is_known_once_its_first_task_has_given_it_a_number),
        cmocka_unit_test(what_a_gateway_routes_to_or_is_about_to_is_deployed),
        cmocka_unit_test(a_backend_has_the_models_of_which_anything_stands_there),
        cmocka_unit_test(a_name_on_a_backend_is_held_by_another_model_alone),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
