#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "worker/domain/model.hpp"

namespace {

using rollout::model;
using rollout::served_revision;

served_revision revision(std::uint64_t number)
{
    served_revision made;
    made.revision = number;
    made.backend = "default";
    made.upstream = "inference";
    made.copies = {{"123__r" + std::to_string(number), {""}, nullptr}};
    made.load_begun = true;
    return made;
}

model named()
{
    model made;
    made.model_id = "123";
    return made;
}

std::string revisions_of(const std::vector<served_revision> &all)
{
    std::string words;
    for (const auto &one : all) {
        words += (words.empty() ? "" : " ") + std::to_string(one.revision) + (one.keep_files ? " archived" : "");
    }
    return words;
}

served_revision archived(std::uint64_t number)
{
    auto made = revision(number);
    made.keep_files = true;
    return made;
}

void the_oldest_of_what_is_kept_goes_beyond_the_bound(void **)
{
    model of = named();
    of.kept = {archived(4), revision(2), archived(3)};
    of.retired = {revision(1), archived(5)};
    rollout::bound_kept(of, 4);
    assert_text(revisions_of(of.kept), "4 archived 2 3 archived");
    rollout::bound_kept(of, 2);
    assert_text(revisions_of(of.kept), "4 archived");
    assert_text(revisions_of(of.retired), "1 5 archived 2 3");
    rollout::bound_kept(of, 0);
    assert_text(revisions_of(of.kept), "");
    assert_text(revisions_of(of.retired), "1 5 2 3 4");
}

void who_left_the_traffic_last_is_gone_back_to_and_kept_longest(void **)
{
    model of = named();
    of.blue = revision(3);
    of.kept = {archived(1), archived(2)};
    assert_int_equal(rollout::former_revision(of)->revision, 2); // from a journal of before
    of.kept[1].left = 1;
    of.kept[0].left = 2;
    assert_int_equal(rollout::former_revision(of)->revision, 1);
    rollout::note_leaving(of);
    assert_int_equal(of.blue->left, 3);
    rollout::bound_kept(of, 1);
    assert_text(revisions_of(of.kept), "1 archived");
    const auto again = rollout::model_from_json(rollout::model_to_json(of).get());
    assert_int_equal(again->kept[0].left, 2);

    of.kept = {archived(4)};
    assert_null(rollout::former_revision(of)); // nobody knows that it served before 3
}

void a_model_without_anything_has_no_route(void **)
{
    const auto to = rollout::routes_of(named()).front();
    assert_text(to.model_id, "123");
    assert_text(to.part, "");
    assert_true(to.removed());
}

void blue_alone_has_all_of_the_traffic(void **)
{
    model of = named();
    of.blue = revision(7);
    const auto to = rollout::routes_of(of).front();
    assert_true(to.blue == (rollout::route_target{7, "inference", "123__r7"}));
    assert_false(to.green.has_value());
    assert_int_equal(to.weight, 0);
}

void green_is_in_the_route_with_its_weight(void **)
{
    model of = named();
    of.blue = revision(7);
    of.green = revision(8);
    of.weight = 25;
    const auto to = rollout::routes_of(of).front();
    assert_int_equal(to.blue->revision, 7);
    assert_int_equal(to.green->revision, 8);
    assert_int_equal(to.weight, 25);

    of.weight = 0;
    assert_int_equal(rollout::routes_of(of).front().green->revision, 8); // for a preview
}

void a_first_green_has_a_route_only_with_its_traffic(void **)
{
    model of = named();
    of.green = revision(1);
    assert_true(rollout::routes_of(of).front().removed());
    of.weight = 100;
    assert_false(rollout::routes_of(of).front().blue.has_value());
    assert_int_equal(rollout::routes_of(of).front().green->revision, 1);
    assert_int_equal(rollout::routes_of(of).front().weight, 100);
}

void what_comes_and_what_went_is_in_no_route(void **)
{
    model of = named();
    of.incoming = revision(9);
    of.retired = {revision(7)};
    of.kept = {revision(6)};
    assert_true(rollout::routes_of(of).front().removed());
}

void a_model_is_placed_wherever_something_of_it_stands(void **)
{
    assert_false(rollout::is_placed(named()));
    model remembered = named();
    remembered.last_revision = 7;
    assert_false(rollout::is_placed(remembered));
    for (auto place : {&model::blue, &model::green, &model::incoming}) {
        model of = named();
        of.*place = revision(7);
        assert_true(rollout::is_placed(of));
    }
    for (auto list : {&model::retired, &model::kept}) {
        model of = named();
        (of.*list).push_back(revision(7));
        assert_true(rollout::is_placed(of));
    }
}

void a_model_is_read_back_whole(void **)
{
    model of = named();
    of.last_revision = 9;
    of.blue = revision(7);
    of.green = revision(8);
    of.incoming = revision(9);
    of.incoming->load_begun = false;
    of.weight = 25;
    of.retired = {revision(6), revision(5)};
    of.retired[0].drained = true;
    of.kept = {revision(4)};

    const auto state = rollout::model_to_json(of);
    auto read = rollout::model_from_json(state.get());
    assert_true(read.has_value());
    read->model_id = "123";
    assert_text(rollout::json_compact(rollout::model_to_json(*read).get()), rollout::json_compact(state.get()));
    assert_true(rollout::routes_of(*read).front() == rollout::routes_of(of).front());
    assert_int_equal(read->last_revision, 9);
    assert_text(read->blue->backend, "default");
    assert_true(read->green->load_begun);
    assert_false(read->incoming->load_begun);
    assert_int_equal(read->retired.size(), 2);
    assert_int_equal(read->retired[1].revision, 5);
    assert_true(read->retired[0].drained);
    assert_false(read->retired[1].drained);
    assert_int_equal(read->kept[0].revision, 4);
}

void an_empty_model_is_read_back_empty(void **)
{
    const auto read = rollout::model_from_json(rollout::model_to_json(named()).get());
    assert_true(read.has_value());
    assert_false(rollout::is_placed(*read));
    assert_int_equal(read->last_revision, 0);
}

void what_is_no_object_is_no_model(void **)
{
    assert_false(rollout::model_from_json(nullptr).has_value());
    assert_false(rollout::model_from_json(json_of("[]").get()).has_value());
}

void a_model_that_no_gateway_could_follow_is_not_read_back(void **)
{
    const auto reads = [](const char *state) { return rollout::model_from_json(json_of(state).get()).has_value(); };
    assert_true(
        reads(R"({"weight": 100, "blue": {"upstream": "i", "copies": [{"model": "a", "parts": ["query"]}]}})"));
    assert_true(reads(R"({"blue": {"upstream": "i", "model": "a"}})"));
    for (const char *state : {
             R"({"weight": 101})",
             R"({"weight": 4294967297})",
             R"({"blue": {}})",
             R"({"green": {"upstream": "a b", "model": "a"}})",
             R"({"green": {"upstream": "i", "model": ""}})",
             R"({"incoming": {"upstream": "i", "model": "../a"}})",
             R"({"retired": [{"upstream": "i", "copies": [{"model": ".."}]}]})",
             R"({"kept": [{"upstream": "i", "copies": [{"model": "a", "parts": ["a/b"]}]}]})",
             R"({"kept": [7]})",
         }) {
        if (reads(state)) {
            fail_msg("%s was read as a model", state);
        }
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_of_what_is_kept_goes_beyond_the_bound),
        cmocka_unit_test(who_left_the_traffic_last_is_gone_back_to_and_kept_longest),
        cmocka_unit_test(a_model_without_anything_has_no_route),
        cmocka_unit_test(blue_alone_has_all_of_the_traffic),
        cmocka_unit_test(green_is_in_the_route_with_its_weight),
        cmocka_unit_test(a_first_green_has_a_route_only_with_its_traffic),
        cmocka_unit_test(what_comes_and_what_went_is_in_no_route),
        cmocka_unit_test(a_model_is_placed_wherever_something_of_it_stands),
        cmocka_unit_test(a_model_is_read_back_whole),
        cmocka_unit_test(an_empty_model_is_read_back_empty),
        cmocka_unit_test(what_is_no_object_is_no_model),
        cmocka_unit_test(a_model_that_no_gateway_could_follow_is_not_read_back),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
