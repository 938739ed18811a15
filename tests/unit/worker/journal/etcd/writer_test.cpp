#include "worker/journal/etcd/writer.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_etcd_store.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "worker/journal/etcd/records.hpp"
#include "worker/journal/etcd/revision.hpp"
#include "worker/journal/sqlite/packed_text.hpp"

#include <memory>
#include <string>
#include <vector>

namespace {

using namespace rollout::cluster;
using namespace std::chrono_literals;
using fate = fake_etcd_store::fate;
using rollout::journal;
using rollout::model;
using rollout::outcome;
using rollout::task;
using rollout::task_row;

const std::string meta = write_meta({std::string(32, 'a')});

struct created {
    outcome result;
    journal::creation how = journal::creation::absent;
    task_row row;
};

struct saved {
    outcome result;
    std::uint64_t revision = 0;
};

/// A writer before etcd, with what came of its writes, in order.
struct writing {
    fake_clock time;
    fake_etcd_store etcd{time};
    keys names{"/r/"};
    own_writes own{"w"};
    unsigned attempts = 0;
    unsigned failures = 0;
    unsigned other_metas = 0;
    std::vector<created> creations;
    std::vector<saved> saves;
    writer to{{etcd.store(), time, names, own,
               [this](std::chrono::nanoseconds, bool ok) { (ok ? attempts : failures) += 1; },
               [this] { ++other_metas; }}};

    writing()
    {
        etcd.put(names.meta(), meta);
        to.open(meta);
    }

    void create(const task &wanted)
    {
        to.add(writes::create(names, own, wanted,
                              [this](const outcome &result, journal::creation how, const task_row &row) {
                                  creations.push_back({result, how, row});
                              }));
    }

    void save(const task &changed, const model *with = nullptr)
    {
        to.add(writes::save(names, own, changed, with, [this](const outcome &result, std::uint64_t revision) {
            saves.push_back({result, revision});
        }));
    }

    void settle() { time.run_for(60s); }

    task created_task(const std::string &id)
    {
        create(task_of_model(id, "m"));
        settle();
        assert_true(creations.back().how == journal::creation::created);
        return *rollout::task_of(creations.back().row);
    }

    task_record stored(const std::string &id) { return *read_task(etcd.entries.at(names.task(id)), id); }
};


void writes_that_come_together_are_one_transaction(void **)
{
    writing w;
    for (int i = 0; i < 5; ++i) {
        w.create(task_of_model("t" + std::to_string(i), "m"));
    }
    w.settle();
    assert_int_equal(w.etcd.sizes.size(), 1);
    assert_int_equal(w.etcd.sizes[0], 6); // and the position
    assert_int_equal(w.creations.size(), 5);
    for (unsigned i = 0; i < 5; ++i) {
        const auto &made = w.creations[i];
        assert_true(made.result && made.how == journal::creation::created);
        assert_int_equal(made.row.sequence, revision_of(w.etcd.revision, i));
        assert_int_equal(made.row.revision, made.row.sequence);
        const auto stored = w.stored(made.row.task_id);
        assert_int_equal(stored.row.revision, made.row.revision);
        assert_int_equal(stored.row.sequence, made.row.sequence);
        assert_text(stored.row.document, made.row.document);
    }
    assert_holds(w.etcd.value(w.names.position()), "w " + std::to_string(fake_clock::start_us / 10000000));
    assert_int_equal(w.attempts, 1);
    assert_false(w.to.busy());
}


void after_a_large_batch_the_next_one_is_gathered(void **)
{
    writing w;
    int last = 0;
    const auto create = [&w, &last](int count) {
        for (int i = 0; i < count; ++i) {
            w.create(task_of_model("t" + std::to_string(last++), "m"));
        }
    };
    const auto creations = [&w] { return w.creations.size(); };
    w.etcd.takes = 4ms; // the next batch waits for half of it

    create(1);
    w.time.run_for(1ms);
    assert_int_equal(w.etcd.sizes.size(), 1); // alone, a write waits for nobody
    create(20);
    w.time.run_for(4ms);
    assert_int_equal(w.etcd.sizes.size(), 2);
    assert_int_equal(creations(), 21);

    create(5);
    w.time.run_for(1ms);
    assert_int_equal(w.etcd.sizes.size(), 2); // the five wait
    create(15);
    w.time.run_for(4ms);
    assert_int_equal(creations(), 41); // as many as before wait no longer
    assert_int_equal(w.etcd.sizes.size(), 3);

    create(3);
    w.time.run_for(2ms);
    assert_int_equal(w.etcd.sizes.size(), 4); // nor do a few, after half of the time
    w.time.run_for(4ms);
    assert_int_equal(creations(), 44);
    create(1);
    w.time.run_for(4ms);
    assert_int_equal(creations(), 45); // after a small batch there is no wait
}


void after_a_large_batch_a_second_one_is_sent_only_if_it_is_full(void **)
{
    writing w;
    int last = 0;
    const auto create = [&w, &last](int count, std::size_t characters = 1) {
        auto wanted = task_of_model("", "m");
        wanted.config = rollout::share(rollout::json_make(std::string(characters, 'x')));
        for (int i = 0; i < count; ++i) {
            wanted.task_id = "t" + std::to_string(last++);
            w.create(wanted);
        }
        w.time.run_for(1ms);
    };
    w.etcd.takes = 20ms;
    create(1);
    create(1); // few come: both are under way
    assert_int_equal(w.etcd.sizes.size(), 2);
    w.settle();
    create(100);
    w.settle();
    assert_int_equal(w.etcd.sizes.size(), 4);

    create(100);
    assert_int_equal(w.etcd.sizes.size(), 5);
    assert_int_equal(w.etcd.sizes.back(), 84 + 1); // as many as before, and the position
    create(60);
    create(30);
    assert_int_equal(w.etcd.sizes.size(), 5); // more than in the batch before, and not full
    create(15);
    assert_int_equal(w.etcd.sizes.size(), 6);
    assert_int_equal(w.etcd.sizes.back(), writer::most_writes + 1);
    create(80);
    w.time.run_for(17ms); // the first one has ended, the second one is under way
    assert_int_equal(w.creations.size(), 186);
    assert_int_equal(w.etcd.sizes.size(), 6);
    w.settle();
    assert_int_equal(w.etcd.sizes.size(), 7);
    assert_int_equal(w.etcd.sizes.back(), 81 + 1);
    assert_int_equal(w.creations.size(), 387);

    create(100);
    assert_int_equal(w.etcd.sizes.size(), 8);
    create(40, 30000); // full by its bytes
    assert_int_equal(w.etcd.sizes.size(), 9);
    w.settle();
    assert_int_equal(w.etcd.most_under_way, 2);
}


void a_batch_is_bounded_by_writes_and_by_bytes_and_two_are_under_way(void **)
{
    writing w;
    for (int i = 0; i < 500; ++i) {
        w.create(task_of_model("t" + std::to_string(i), "m"));
    }
    w.settle();
    assert_int_equal(w.creations.size(), 500);
    assert_int_equal(w.etcd.most_under_way, 2);
    for (const auto size : w.etcd.sizes) {
        assert_true(size <= writer::most_writes + 1);
    }

    writing large;
    auto wanted = task_of_model("", "m");
    wanted.config = rollout::share(rollout::json_make(std::string(30000, 'x')));
    for (int i = 0; i < 100; ++i) {
        wanted.task_id = "t" + std::to_string(i);
        large.create(wanted);
    }
    large.settle();
    assert_int_equal(large.creations.size(), 100);
    assert_true(large.etcd.sizes.size() >= 3);
    for (const auto &made : large.creations) {
        assert_true(static_cast<bool>(made.result));
    }
}


void a_taken_id_is_the_same_request_or_a_conflict(void **)
{
    writing w;
    w.created_task("t1");
    const auto before = w.etcd.entries.at(w.names.task("t1"));
    auto again = task_of_model("t1", "m");
    again.created_us = 5;
    w.create(again);
    w.create(task_of_model("t1", "other"));
    w.create(task_of_model("t2", "m")); // is not harmed by the others
    w.settle();
    assert_int_equal(w.creations.size(), 4);
    for (const auto &made : w.creations) {
        assert_true(static_cast<bool>(made.result));
        if (made.row.task_id == "t2") {
            assert_true(made.how == journal::creation::created);
        }
    }
    assert_true(w.creations[1].how == journal::creation::existed || w.creations[2].how == journal::creation::existed);
    assert_true(w.creations[3].how == journal::creation::conflict ||
                w.creations[2].how == journal::creation::conflict);
    assert_true(w.etcd.entries.at(w.names.task("t1")).mod_revision == before.mod_revision);
}


void writes_of_one_key_are_sent_in_order_each_after_the_other(void **)
{
    writing w;
    auto changed = w.created_task("t1");
    w.etcd.sizes.clear();
    for (int i = 0; i < 5; ++i) {
        changed.detail = "change " + std::to_string(i);
        w.save(changed); // the caller has not been told of the one before
    }
    w.create(task_of_model("t2", "m"));
    w.settle();
    assert_int_equal(w.saves.size(), 5);
    std::uint64_t last = changed.revision;
    for (const auto &of : w.saves) {
        assert_true(static_cast<bool>(of.result));
        assert_true(of.revision > last);
        last = of.revision;
    }
    assert_int_equal(w.etcd.sizes.size(), 5);
    assert_int_equal(w.etcd.sizes[0], 3); // the first save, and what does not wait for it
    assert_holds(w.stored("t1").row.document, "change 4");
    assert_int_equal(w.stored("t1").row.sequence, changed.sequence);
    assert_int_equal(w.stored("t1").row.revision, last);
}


void a_task_and_its_model_are_written_both_or_neither(void **)
{
    writing w;
    auto changed = w.created_task("t1");
    auto of = placed_model("m");
    w.save(changed, &of);
    w.settle();
    assert_true(static_cast<bool>(w.saves[0].result));
    const auto stored = read_model(w.etcd.entries.at(w.names.model("m")), "m");
    assert_int_equal(stored->revision, w.saves[0].revision);
    assert_int_equal(w.stored("t1").row.revision, w.saves[0].revision);
    // What the caller knows of the model's revision is that of its route, which does not change with each save.
    changed.revision = w.saves[0].revision;
    w.save(changed, &of);
    w.settle();
    assert_true(static_cast<bool>(w.saves[1].result));

    // Somebody else writes the model.
    w.etcd.put(w.names.model("m"), write_model("{}", "theirs", 0));
    const auto before = w.etcd.entries.at(w.names.task("t1")).mod_revision;
    w.save(changed, &of);
    w.settle();
    assert_true(w.saves[2].result.is_lost());
    assert_holds(w.saves[2].result.detail, "task t1");
    assert_int_equal(w.etcd.entries.at(w.names.task("t1")).mod_revision, before);
}


void a_save_over_anothers_write_is_lost(void **)
{
    writing w;
    const auto changed = w.created_task("t1");
    auto row = w.stored("t1").row;
    w.etcd.put(w.names.task("t1"), write_task(row, 1, "theirs", 0));
    w.save(changed);
    w.settle();
    assert_true(w.saves[0].result.is_lost());
    assert_text(w.stored("t1").write_id, "theirs");
    // One of a task that is gone, too.
    w.etcd.entries.erase(w.names.task("t1"));
    w.save(changed);
    w.settle();
    assert_true(w.saves[1].result.is_lost());
}


void a_save_under_a_token_that_is_over_is_lost(void **)
{
    writing w;
    auto changed = w.created_task("t1");
    w.etcd.put(w.names.leader(), "here");
    w.own.lead(w.etcd.entries.at(w.names.leader()).create_revision);
    w.save(changed);
    w.settle();
    assert_true(static_cast<bool>(w.saves[0].result));
    changed.revision = w.saves[0].revision;
    w.save(changed); // queued while we lead
    w.etcd.entries.erase(w.names.leader());
    w.etcd.put(w.names.leader(), "elsewhere");
    w.settle();
    assert_true(w.saves[1].result.is_lost());
    // Also if we lead anew before it is sent: it was decided in a term that is over.
    w.save(changed);
    w.own.lead(w.etcd.entries.at(w.names.leader()).create_revision);
    w.etcd.entries.erase(w.names.leader());
    w.settle();
    assert_true(w.saves[2].result.is_lost());
}


void an_answer_that_is_lost_is_found_by_its_write_id(void **)
{
    for (const fate what : {fate::answer_lost, fate::lost, fate::late}) {
        writing w;
        w.etcd.fates = {what};
        w.create(task_of_model("t1", "m"));
        w.settle();
        assert_int_equal(w.creations.size(), 1);
        assert_true(static_cast<bool>(w.creations[0].result));
        assert_true(w.creations[0].how == journal::creation::created);
        assert_int_equal(w.creations[0].row.revision, w.stored("t1").row.revision);
        assert_int_equal(w.etcd.entries.at(w.names.task("t1")).version, 1);

        auto changed = *rollout::task_of(w.creations[0].row);
        const auto of = placed_model("m");
        w.etcd.fates = {what, what};
        w.save(changed, &of);
        w.settle();
        assert_int_equal(w.saves.size(), 1);
        assert_true(static_cast<bool>(w.saves[0].result));
        assert_int_equal(w.saves[0].revision, w.stored("t1").row.revision);
        assert_int_equal(w.etcd.entries.at(w.names.task("t1")).version, 2);
        assert_int_equal(w.etcd.entries.at(w.names.model("m")).version, 1);
        assert_true(w.failures > 0);
    }
}


void what_stays_unknown_is_given_up_in_time_and_the_next_save_builds_on_it(void **)
{
    writing w;
    auto changed = w.created_task("t1");
    w.etcd.fates.assign(100, fate::lost);
    w.etcd.fates.front() = fate::answer_lost; // it was made
    changed.detail = "in doubt";
    w.save(changed);
    w.create(task_of_model("t2", "m"));
    w.time.run_for(writer::settle_time + 2s);
    assert_int_equal(w.saves.size(), 1);
    assert_true(w.saves[0].result.is == outcome::kind::transient);
    assert_int_equal(w.creations.size(), 2);
    assert_true(w.creations[1].result.is == outcome::kind::transient);
    assert_holds(w.creations[1].result.detail, "may have been created all the same");

    w.etcd.fates.clear();
    assert_holds(w.stored("t1").row.document, "in doubt");
    changed.detail = "after it";
    w.save(changed); // with the revision from before
    w.create(task_of_model("t2", "m"));
    w.settle();
    assert_true(static_cast<bool>(w.saves[1].result));
    assert_holds(w.stored("t1").row.document, "after it");
    assert_int_equal(w.etcd.entries.at(w.names.task("t1")).version, 3);
    assert_true(w.creations[2].how == journal::creation::existed);
}


void a_write_in_doubt_is_not_taken_for_ones_own_if_others_wrote_as_well(void **)
{
    writing w;
    auto changed = w.created_task("t1");
    const auto of = placed_model("m");
    w.etcd.fates.assign(100, fate::lost);
    w.etcd.fates.front() = fate::answer_lost;
    w.save(changed, &of);
    w.time.run_for(writer::settle_time + 2s);
    w.etcd.fates.clear();
    w.etcd.put(w.names.model("m"), write_model("{}", "theirs", 0));
    w.save(changed, &of);
    w.settle();
    assert_int_equal(w.saves.size(), 2);
    assert_true(w.saves[1].result.is_lost());
}


void a_refusal_fails_the_batch_and_nothing_else(void **)
{
    using rollout::etcd::failure;
    writing w;
    w.etcd.refuses = failure{failure::kind::refused, failure::cause::no_space, "database space exceeded"};
    w.create(task_of_model("t1", "m"));
    w.settle();
    assert_true(w.creations[0].result.is == outcome::kind::transient);
    assert_text(w.creations[0].result.detail, "database space exceeded");
    assert_int_equal(w.failures, 1);
    w.etcd.refuses.reset();
    w.create(task_of_model("t1", "m"));
    w.settle();
    assert_true(w.creations[1].how == journal::creation::created);
}


void a_batch_that_is_too_much_is_halved(void **)
{
    writing w;
    w.etcd.most_steps = 20; // as with --max-txn-ops
    for (int i = 0; i < 200; ++i) {
        w.create(task_of_model("t" + std::to_string(i), "m"));
    }
    w.settle();
    assert_int_equal(w.creations.size(), 200);
    for (const auto &made : w.creations) {
        assert_true(made.result && made.how == journal::creation::created);
    }
    const auto refused = std::ranges::count_if(w.etcd.sizes, [](std::size_t size) { return size >= 20; });
    assert_true(refused <= 6); // it is remembered

    writing large;
    large.etcd.most_bytes = 100 * 1024;
    auto wanted = task_of_model("", "m");
    wanted.config = rollout::share(rollout::json_make(std::string(30000, 'x')));
    for (int i = 0; i < 10; ++i) {
        wanted.task_id = "t" + std::to_string(i);
        large.create(wanted);
    }
    large.settle();
    for (const auto &made : large.creations) {
        assert_true(made.result && made.how == journal::creation::created);
    }
    // One alone that is too large is refused for good.
    large.etcd.most_bytes = 1000;
    wanted.task_id = "alone";
    large.create(wanted);
    large.create(task_of_model("small", "m"));
    large.settle();
    assert_true(large.creations[10].result.is == outcome::kind::permanent ||
                large.creations[11].result.is == outcome::kind::permanent);
    assert_true(large.etcd.entries.contains(large.names.task("small")));
    assert_false(large.etcd.entries.contains(large.names.task("alone")));
}


/// etcd may just be back, and be followed again in a moment.
void while_it_is_closed_writes_wait_a_while(void **)
{
    writing w;
    w.to.close("etcd is away");
    w.create(task_of_model("t1", "m"));
    w.time.run_for(writer::longest_wait - 100ms);
    assert_int_equal(w.creations.size(), 0);
    w.to.open(meta);
    w.settle();
    assert_true(static_cast<bool>(w.creations.at(0).result));

    w.to.close("etcd is away");
    w.create(task_of_model("t2", "m"));
    w.time.run_for(writer::longest_wait);
    assert_text(w.creations.at(1).result.detail, "etcd is away");

    w.create(task_of_model("t3", "m"));
    w.to.end("rolloutd stops");
    w.settle();
    assert_text(w.creations.at(2).result.detail, "rolloutd stops");
    w.to.open(meta);
    w.create(task_of_model("t4", "m"));
    w.settle();
    assert_text(w.creations.at(3).result.detail, "rolloutd stops");
    assert_false(w.to.busy());
}


void another_meta_closes_the_writer_until_it_is_opened(void **)
{
    writing w;
    const auto other = write_meta({std::string(32, 'b')});
    w.etcd.put(w.names.meta(), other);
    w.create(task_of_model("t1", "m"));
    w.settle();
    assert_int_equal(w.other_metas, 1);
    assert_true(w.creations[0].result.is == outcome::kind::transient);
    assert_false(w.to.is_open());
    w.create(task_of_model("t1", "m"));
    w.settle();
    assert_true(w.creations[1].result.is == outcome::kind::transient);
    assert_int_equal(w.other_metas, 1);
    assert_false(w.etcd.entries.contains(w.names.task("t1")));
    w.to.open(other);
    w.create(task_of_model("t1", "m"));
    w.settle();
    assert_true(w.creations[2].how == journal::creation::created);
}


void a_removal_spares_what_has_changed(void **)
{
    writing w;
    const auto first = w.created_task("t1");
    const auto second = w.created_task("t2");
    w.save(second);
    w.settle();
    std::vector<bool> removed;
    const auto done = [&removed](const outcome &result, bool was_removed) {
        assert_true(static_cast<bool>(result));
        removed.push_back(was_removed);
    };
    w.to.add(writes::remove(w.names, w.own, "t1", first.revision, done));
    w.to.add(writes::remove(w.names, w.own, "t2", second.revision, done));
    w.settle();
    assert_true((removed == std::vector<bool>{true, false}));
    assert_false(w.etcd.entries.contains(w.names.task("t1")));
    assert_true(w.etcd.entries.contains(w.names.task("t2")));
}


void a_series_is_kept_for_as_long_as_its_task_and_written_by_the_leader_alone(void **)
{
    writing w;
    const auto of = w.created_task("t1");
    std::vector<outcome> results;
    const auto save = [&](const std::string &task_id, const std::string &document) {
        w.to.add(writes::save_series(w.names, w.own, task_id, document,
                                     [&results](const outcome &result) { results.push_back(result); }));
        w.settle();
    };
    const auto stored = [&w](const std::string &task_id) {
        const auto value = w.etcd.value(w.names.series(task_id));
        return value.empty() ? value : rollout::unpack_text(value, 1000).value_or("damaged");
    };
    save("t1", "first");
    w.etcd.fates = {fate::answer_lost, fate::lost};
    save("t1", "second");
    assert_true(results[0] && results[1]);
    assert_text(stored("t1"), "second");
    save("gone", "of no task");
    assert_true(static_cast<bool>(results[2]));
    assert_text(stored("gone"), "");

    w.etcd.put(w.names.leader(), "h1");
    w.own.lead(w.etcd.revision + 100); // which is over
    save("t1", "of another");
    assert_true(results[3].is_lost());
    assert_text(stored("t1"), "second");
    w.to.add(writes::remove_series(w.names, w.own, "t1"));
    w.settle();
    assert_text(stored("t1"), "second");

    w.own.lead(w.etcd.entries.at(w.names.leader()).create_revision);
    save("t1", "third");
    assert_text(stored("t1"), "third");
    w.to.add(writes::remove_series(w.names, w.own, "t1"));
    w.settle();
    assert_text(stored("t1"), "");
    save("t1", "fourth");
    w.to.add(writes::remove(w.names, w.own, "t1", of.revision, [](const outcome &, bool) {}));
    w.settle();
    assert_text(stored("t1"), "");
    assert_false(w.etcd.entries.contains(w.names.task("t1")));
}


void any_mix_of_lost_answers_leaves_each_write_made_once(void **)
{
    for (unsigned seed = 0; seed < 64; ++seed) {
        writing w;
        for (unsigned i = 0; i < 6; ++i) {
            w.etcd.fates.push_back(static_cast<fate>(seed >> i & 1 ? 1 + (seed + i) % 3 : 0));
        }
        for (int i = 0; i < 3; ++i) {
            w.create(task_of_model("t" + std::to_string(i), "m"));
            w.time.run_for(1ms);
        }
        w.settle();
        assert_int_equal(w.creations.size(), 3);
        std::vector<task> tasks;
        for (const auto &made : w.creations) {
            assert_true(made.result && made.how == journal::creation::created);
            tasks.push_back(*rollout::task_of(made.row));
        }
        for (unsigned i = 0; i < 4; ++i) {
            w.etcd.fates.push_back(static_cast<fate>((seed + i * 7) % 4));
        }
        for (int round = 0; round < 3; ++round) {
            for (auto &changed : tasks) {
                changed.detail = "round " + std::to_string(round);
                w.save(changed);
            }
            w.time.run_for(2ms);
        }
        w.settle();
        assert_int_equal(w.saves.size(), 9);
        for (const auto &of : w.saves) {
            assert_true(static_cast<bool>(of.result));
        }
        for (const auto &changed : tasks) {
            const auto &entry = w.etcd.entries.at(w.names.task(changed.task_id));
            assert_int_equal(entry.version, 4);
            assert_holds(entry.value, "round 2");
        }
    }
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(writes_that_come_together_are_one_transaction),
        cmocka_unit_test(a_batch_is_bounded_by_writes_and_by_bytes_and_two_are_under_way),
        cmocka_unit_test(after_a_large_batch_the_next_one_is_gathered),
        cmocka_unit_test(after_a_large_batch_a_second_one_is_sent_only_if_it_is_full),
        cmocka_unit_test(a_taken_id_is_the_same_request_or_a_conflict),
        cmocka_unit_test(writes_of_one_key_are_sent_in_order_each_after_the_other),
        cmocka_unit_test(a_task_and_its_model_are_written_both_or_neither),
        cmocka_unit_test(a_save_over_anothers_write_is_lost),
        cmocka_unit_test(a_save_under_a_token_that_is_over_is_lost),
        cmocka_unit_test(an_answer_that_is_lost_is_found_by_its_write_id),
        cmocka_unit_test(what_stays_unknown_is_given_up_in_time_and_the_next_save_builds_on_it),
        cmocka_unit_test(a_write_in_doubt_is_not_taken_for_ones_own_if_others_wrote_as_well),
        cmocka_unit_test(a_refusal_fails_the_batch_and_nothing_else),
        cmocka_unit_test(a_batch_that_is_too_much_is_halved),
        cmocka_unit_test(while_it_is_closed_writes_wait_a_while),
        cmocka_unit_test(another_meta_closes_the_writer_until_it_is_opened),
        cmocka_unit_test(a_removal_spares_what_has_changed),
        cmocka_unit_test(a_series_is_kept_for_as_long_as_its_task_and_written_by_the_leader_alone),
        cmocka_unit_test(any_mix_of_lost_answers_leaves_each_write_made_once),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
