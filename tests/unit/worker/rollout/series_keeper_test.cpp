#include "worker/rollout/series_keeper.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_run.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/quiet.hpp"

#include <optional>
#include <string>

namespace {

using namespace std::chrono_literals;
using rollout::json_text;
using rollout::mark_kind;
using rollout::outcome;
using rollout::series_point;

/// A deployment with the id t, between fakes.
struct kept : fake_run {
    const rollout::task &task() const { return run->task; }

    void begin()
    {
        series.begin(task());
        time.settle();
    }

    void look(unsigned weight = 5, std::uint64_t requests = 1)
    {
        series_point point;
        point.weight = weight;
        point.green.requests = requests;
        series.add("t", point);
        time.settle();
        time.run_for(1s);
    }

    /// What the API would say; nothing if there is no such deployment.
    std::optional<std::string> found(const std::string &task_id = "t")
    {
        std::optional<std::string> document;
        series.find(task_id, [&](const outcome &, const std::optional<std::string> &found) { document = found; });
        time.settle();
        return document;
    }

    static std::size_t points(const std::optional<std::string> &document)
    {
        return json_array_size(json_object_get(json_of(document.value()).get(), "second"));
    }
};


void a_deployment_without_a_series_has_empty_columns(void **)
{
    kept run;
    assert_int_equal(kept::points(run.found()), 0);
    assert_false(run.found("nobody").has_value());
}


void what_is_added_is_found_at_once_and_written_when_it_is_saved(void **)
{
    kept run;
    run.begin();
    run.look();
    run.look();
    assert_int_equal(kept::points(run.found()), 2);
    assert_int_equal(run.file.series.size(), 0);
    run.series.save("t");
    run.time.settle();
    assert_int_equal(kept::points(run.file.series.at("t")), 2);
}


void a_long_hold_is_written_once_a_minute(void **)
{
    kept run;
    run.begin();
    for (int i = 0; i < 59; ++i) {
        run.look();
    }
    assert_int_equal(run.file.series.size(), 0);
    run.look();
    run.time.settle();
    assert_int_equal(kept::points(run.file.series.at("t")), 60);
}


/// Others show what is written; a long series has a new point only now and then.
void what_others_read_is_written_more_often(void **)
{
    kept run;
    run.journal.shared = true;
    run.begin();
    for (int i = 0; i < 9; ++i) {
        run.look();
    }
    assert_int_equal(run.file.series.size(), 0);
    run.look();
    run.time.settle();
    assert_int_equal(kept::points(run.file.series.at("t")), 10);
    for (int i = 10; i < 20000; ++i) {
        run.look();
    }
    const auto period = rollout::json_count(json_of(run.file.series.at("t")).get(), "period_s");
    assert_true(period > 20);
    run.series.save("t");
    run.time.settle();
    run.file.series.erase("t");
    for (std::uint64_t i = 1; i < period; ++i) {
        run.look();
    }
    assert_false(run.file.series.contains("t"));
    run.look();
    run.time.settle();
    assert_true(run.file.series.contains("t"));
}


void the_end_is_found_after_it_is_forgotten(void **)
{
    kept run;
    run.begin();
    run.look();
    run.series.mark("t", mark_kind::end, "It is over.");
    run.series.end("t");
    run.time.settle();
    run.series.mark("t", mark_kind::pause, "nobody keeps this");
    const auto document = run.found();
    assert_int_equal(kept::points(document), 1);
    assert_holds(*document, "It is over.");
    assert_text(*document, run.file.series.at("t"));
}


void a_reader_that_asks_just_before_the_end_is_written_gets_it(void **)
{
    kept run;
    run.begin();
    run.look();
    run.journal.held = true;
    run.series.end("t");
    std::optional<std::string> document;
    run.series.find("t", [&](const outcome &, const std::optional<std::string> &found) { document = found; });
    run.journal.held = false;
    run.journal.release();
    run.time.settle();
    assert_int_equal(kept::points(document), 1);
}


void the_next_rolloutd_continues_it(void **)
{
    kept run;
    run.begin();
    run.look(5);
    run.series.save("t");
    run.look(5); // a crash loses this
    run.time.settle();
    rollout::series_keeper next(run.journal, run.time);
    next.resume(run.task());
    series_point point;
    point.weight = 25;
    next.begin(run.task());
    next.add("t", point); // before the journal has answered
    run.time.settle();
    next.end("t");
    run.time.settle();
    const auto stored = json_of(run.file.series.at("t"));
    const json_t *weights = json_object_get(stored.get(), "weight");
    assert_int_equal(json_array_size(weights), 2);
    assert_int_equal(json_integer_value(json_array_get(weights, 0)), 5);
    assert_int_equal(json_integer_value(json_array_get(weights, 1)), 25);
}


void a_task_that_had_no_series_and_gets_none_is_not_kept(void **)
{
    kept run;
    run.series.resume(run.task());
    run.time.settle();
    run.series.mark("t", mark_kind::end, "");
    run.series.end("t");
    run.time.settle();
    assert_int_equal(run.file.series.size(), 0);
}


void what_the_journal_has_is_not_overwritten_before_it_is_read(void **)
{
    const quiet nothing;
    kept run;
    run.begin();
    run.look();
    run.series.save("t");
    run.time.settle();
    rollout::series_keeper next(run.journal, run.time);
    run.journal.failing_reads = 2;
    next.begin(run.task());
    run.time.settle();
    next.add("t", {});
    next.end("t");
    run.time.settle();
    assert_int_equal(kept::points(run.file.series.at("t")), 1);
    for (int i = 0; i < 3; ++i) {
        run.time.run_for(1s);
        run.time.settle();
    }
    assert_int_equal(kept::points(run.file.series.at("t")), 2);
}


void the_end_is_written_when_the_journal_works_again(void **)
{
    const quiet nothing;
    kept run;
    run.begin();
    run.look();
    run.journal.failing_writes = 3;
    run.series.end("t");
    run.time.settle();
    assert_int_equal(run.file.series.size(), 0);
    assert_int_equal(kept::points(run.found()), 1);
    for (int i = 0; i < 4; ++i) {
        run.time.run_for(1s);
        run.time.settle();
    }
    assert_int_equal(kept::points(run.file.series.at("t")), 1);
}


void a_damaged_series_reads_as_none(void **)
{
    kept run;
    run.file.series["t"] = R"({"period_s":1,"second":[0]})";
    run.begin();
    run.look();
    run.series.save("t");
    run.time.settle();
    assert_int_equal(kept::points(run.file.series.at("t")), 1);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_deployment_without_a_series_has_empty_columns),
        cmocka_unit_test(what_is_added_is_found_at_once_and_written_when_it_is_saved),
        cmocka_unit_test(a_long_hold_is_written_once_a_minute),
        cmocka_unit_test(what_others_read_is_written_more_often),
        cmocka_unit_test(the_end_is_found_after_it_is_forgotten),
        cmocka_unit_test(a_reader_that_asks_just_before_the_end_is_written_gets_it),
        cmocka_unit_test(the_next_rolloutd_continues_it),
        cmocka_unit_test(a_task_that_had_no_series_and_gets_none_is_not_kept),
        cmocka_unit_test(what_the_journal_has_is_not_overwritten_before_it_is_read),
        cmocka_unit_test(the_end_is_written_when_the_journal_works_again),
        cmocka_unit_test(a_damaged_series_reads_as_none),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
