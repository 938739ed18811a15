#include "worker/journal/etcd/journal_import.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_etcd_store.hpp"
#include "tests/unit/worker/journal/sqlite/opened_journal.hpp"
#include "worker/journal/etcd/changes.hpp"
#include "worker/journal/etcd/records.hpp"
#include "worker/journal/etcd/revision.hpp"
#include "worker/journal/sqlite/packed_text.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace rollout::cluster;
using namespace std::chrono_literals;
using fate = fake_etcd_store::fate;
using rollout::journal_source;
using rollout::outcome;
using rollout::task_row;
using rollout::etcd::failure;

const keys names("/r/");

/// The rows by a number of theirs, with a word for whether it is that of the acceptance.
std::vector<std::string> in_order(std::vector<task_row> rows, std::uint64_t task_row::*by)
{
    std::ranges::sort(rows, {}, by);
    std::vector<std::string> order;
    for (const auto &row : rows) {
        order.push_back(row.task_id + (rollout::is_new(row) ? " new " : " ") + row.document);
    }
    return order;
}


/// Tasks that were accepted and changed in no order, each change with its model or not.
struct past {
    temporary_folder folder;
    std::filesystem::path path = folder / "journal.db";
    std::vector<task_row> rows;
    std::vector<rollout::model> models;
    std::map<std::string, std::string> series; ///< by task
    std::string id;

    explicit past(unsigned writes)
    {
        opened_journal journal(path);
        std::mt19937 random(writes);
        std::vector<rollout::task> tasks;
        for (unsigned i = 0; i < writes; ++i) {
            if (tasks.empty() || random() % 2 == 0) {
                const auto number = std::to_string(i);
                tasks.push_back(*rollout::task_of(journal.create(task_of_model("t" + number, "m" + number)).row));
            } else {
                auto &task = tasks[random() % tasks.size()];
                task.detail = "change " + std::to_string(i);
                task.status = random() % 3 == 0 ? rollout::task_status::completed : rollout::task_status::in_progress;
                auto model = placed_model(task.model_id);
                if (random() % 3 == 0) {
                    model.blue.reset(); // only the number of its last revision is left
                }
                journal.save(task, random() % 2 == 0 ? &model : nullptr);
            }
        }
        for (const auto &task : tasks) {
            if (random() % 3 == 0) {
                std::optional<outcome> saved;
                journal->save_series(task.task_id, task.model_id, "series of " + task.task_id,
                                     [&](const outcome &ended) { saved = ended; });
                journal.loop.run_until([&] { return saved.has_value(); });
                series[task.task_id] = "series of " + task.task_id;
            }
        }
        journal->remember_gateway("gateway", "processes");
        rows = journal.read_after(0, std::size_t{1} << 30);
        models = journal.models();
        id = journal->id();
    }
};


struct importing {
    explicit importing(const past &of, std::vector<rollout::etcd::put_request> beside = {})
        : from(of.path.native()), also(std::move(beside))
    {
        work.start();
    }

    const outcome &end(std::chrono::milliseconds time = 120s)
    {
        clock.run_for(time);
        assert_true(ended.has_value());
        return *ended;
    }

    static void same_as(const past &of, const fake_etcd_store &etcd)
    {
        std::vector<rollout::etcd::key_value> entries;
        for (const auto &[key, entry] : etcd.entries) {
            entries.push_back(entry);
        }
        const auto read = read_entries(names, entries);
        assert_int_equal(read.faults.size(), 0);
        std::vector<task_row> rows;
        std::map<std::string, std::uint64_t> revisions;
        for (const auto &task : read.changes.tasks) {
            rows.push_back(task.row);
            revisions[task.row.task_id] = task.row.revision;
        }
        assert_int_equal(rows.size(), of.rows.size());
        assert_true(in_order(rows, &task_row::sequence) == in_order(of.rows, &task_row::sequence));
        assert_true(in_order(rows, &task_row::revision) == in_order(of.rows, &task_row::revision));
        // Each model is as far as before among the tasks.
        assert_int_equal(read.changes.models.size(), of.models.size());
        for (const auto &model : read.changes.models) {
            const auto before = std::ranges::find(of.models, model.model_id, &rollout::model::model_id);
            assert_true(before != of.models.end());
            assert_text(model.state, rollout::json_compact(rollout::model_to_json(*before).get()));
            for (const auto &row : of.rows) {
                assert_true((model.revision <=> revisions.at(row.task_id)) ==
                            (before->route_revision <=> row.revision));
            }
        }
        assert_int_equal(read.changes.series.size(), of.series.size());
        for (const auto &[task_id, content] : read.changes.series) {
            assert_text(rollout::unpack_text(content, 1000).value(), of.series.at(task_id));
        }
        const auto meta = read_meta(etcd.entries.at(names.meta()));
        assert_true(meta && meta->id != of.id);
        assert_true(static_cast<bool>(read_position(etcd.entries.at(names.position()))));
    }

    fake_clock clock;
    fake_etcd_store etcd{clock};
    journal_source from;
    std::vector<rollout::etcd::put_request> also;
    std::optional<outcome> ended;
    std::uint64_t told = 0;
    journal_import work{{.etcd = etcd.store(),
                         .time = clock,
                         .names = names,
                         .from = from,
                         .also = also,
                         .on_progress = [this](std::uint64_t tasks) { told = tasks; }},
                        [this](const outcome &result) { ended = result; }};
};


void all_is_there_in_the_same_order(void **)
{
    const past of(700);
    importing to(of);
    assert_true(static_cast<bool>(to.end()));
    importing::same_as(of, to.etcd);
    assert_int_equal(to.told, of.rows.size());
    assert_text(read_meta(to.etcd.entries.at(names.meta()))->id, to.work.id());
    assert_int_equal(to.from.gateways().size(), 1);
    assert_text(to.from.gateways().front().id, "gateway");
    assert_text(to.from.gateways().front().processes, "processes");
    assert_int_equal(to.etcd.most_under_way, 1);
    assert_true(to.etcd.sizes.size() < 700 / 40);
}


void an_empty_journal_makes_a_cluster(void **)
{
    const past of(0);
    importing to(of);
    assert_true(static_cast<bool>(to.end()));
    assert_int_equal(to.etcd.entries.size(), 2);
    importing::same_as(of, to.etcd);
}


void answers_that_are_lost_change_nothing(void **)
{
    const past of(80);
    for (unsigned seed = 0; seed < 20; ++seed) {
        importing to(of);
        to.etcd.most_steps = 20;
        std::mt19937 random(seed);
        for (unsigned i = 0; i < 30; ++i) {
            to.etcd.fates.push_back(static_cast<fate>(random() % 4));
        }
        assert_true(static_cast<bool>(to.end(600s)));
        importing::same_as(of, to.etcd);
    }
}


void etcd_may_allow_less(void **)
{
    const past of(100);
    {
        importing to(of);
        to.etcd.most_steps = 4;
        assert_true(static_cast<bool>(to.end()));
        importing::same_as(of, to.etcd);
    }
    {
        importing to(of);
        to.etcd.most_bytes = 1500;
        assert_true(static_cast<bool>(to.end()));
        importing::same_as(of, to.etcd);
    }
    importing to(of);
    to.etcd.most_bytes = 100;
    assert_true(to.end().is == outcome::kind::permanent);
}


void only_an_empty_prefix_is_imported_into(void **)
{
    const past of(20);
    for (const auto &key : {names.meta(), names.task("t"), names.host("h"), names.prefix() + "z"}) {
        importing to(of);
        to.etcd.put("/q/", "another's");
        to.etcd.put("/r0", "another's");
        to.etcd.put(key, key == names.meta() ? write_meta({std::string(32, 'a')}) : "x");
        assert_true(to.end().is == outcome::kind::permanent);
        assert_holds(to.ended->detail, "below /r/ it has 1 key");
        assert_holds(to.ended->detail, "etcdctl del --prefix /r/");
        assert_holds(to.ended->detail, "Nothing was written");
        assert_int_equal(to.etcd.entries.size(), 3);
    }
}


/// After any number of transactions: nobody can use what is there, and the next import makes it whole.
void an_import_that_ended_early_begins_anew(void **)
{
    const past of(100);
    for (std::size_t transactions = 1;; ++transactions) {
        fake_etcd_store::content left;
        std::int64_t revision = 0;
        {
            importing to(of);
            to.etcd.most_steps = 20;
            while (!to.ended && to.etcd.sizes.size() < transactions) {
                to.clock.next();
            }
            if (to.ended) {
                assert_true(transactions > 6);
                return;
            }
            left = to.etcd.entries;
            revision = to.etcd.revision;
        }
        if (!left.empty()) {
            const auto meta = read_meta(left.at(names.meta()));
            assert_false(static_cast<bool>(meta));
            assert_holds(meta.sentence(), "is being imported");
        }
        importing again(of);
        again.etcd.entries = left;
        again.etcd.revision = revision;
        assert_true(static_cast<bool>(again.end()));
        importing::same_as(of, again.etcd);
    }
}


/// In as many transactions as it takes, and before anybody may use any of it.
void what_is_known_beside_the_tasks_is_there_with_them(void **)
{
    std::vector<rollout::etcd::put_request> also;
    for (int i = 0; i < 30; ++i) {
        also.push_back({names.gateway("g" + std::to_string(i)), "of g" + std::to_string(i), 0});
    }
    const past of(20);
    importing to(of, also);
    to.etcd.most_steps = 8;
    while (!to.ended) {
        const auto meta = to.etcd.entries.find(names.meta());
        assert_true(meta == to.etcd.entries.end() || !read_meta(meta->second));
        to.clock.next();
    }
    assert_true(static_cast<bool>(*to.ended));
    for (const auto &put : also) {
        assert_text(to.etcd.entries.at(put.key).value, put.value);
    }
}


void an_import_of_another_journal_is_left_alone(void **)
{
    const past of(20);
    importing to(of);
    meta_record meta{std::string(32, 'a')};
    meta.import_of = std::string(32, 'b');
    to.etcd.put(names.meta(), write_meta(meta));
    assert_true(to.end().is == outcome::kind::permanent);
    assert_holds(to.ended->detail, "another journal is being imported");
    assert_int_equal(to.etcd.entries.size(), 1);
}


void one_that_is_begun_anew_elsewhere_stops(void **)
{
    const past of(200);
    importing to(of);
    while (to.etcd.sizes.size() < 3) {
        to.clock.next();
    }
    to.etcd.put(names.position(), "other 1");
    const auto count = to.etcd.entries.size();
    assert_true(to.end().is == outcome::kind::permanent);
    assert_holds(to.ended->detail, "something else has written");
    assert_int_equal(to.etcd.entries.size(), count);
}


void without_etcd_nothing_is_written(void **)
{
    const past of(20);
    const failure away{failure::kind::unavailable, failure::cause::unreachable, "etcd cannot be reached"};
    {
        importing to(of);
        to.etcd.refuses_reads = away;
        to.clock.run_for(9s);
        assert_false(to.ended.has_value());
        assert_true(to.end(3s).is == outcome::kind::transient);
        assert_text(to.ended->detail, "etcd cannot be reached. Nothing was written");
    }
    {
        importing to(of);
        to.etcd.refuses_reads = failure{failure::kind::refused, failure::cause::denied, "not allowed"};
        assert_true(to.end(1s).is == outcome::kind::permanent);
    }
    importing to(of);
    while (to.etcd.sizes.size() < 2) {
        to.clock.next();
    }
    to.etcd.refuses = away;
    to.clock.run_for(20s);
    assert_false(to.ended.has_value()); // it may come back
    assert_true(to.end(30s).is == outcome::kind::transient);
    assert_holds(to.ended->detail, "Run the import again");
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(all_is_there_in_the_same_order),
        cmocka_unit_test(an_empty_journal_makes_a_cluster),
        cmocka_unit_test(answers_that_are_lost_change_nothing),
        cmocka_unit_test(etcd_may_allow_less),
        cmocka_unit_test(only_an_empty_prefix_is_imported_into),
        cmocka_unit_test(an_import_that_ended_early_begins_anew),
        cmocka_unit_test(what_is_known_beside_the_tasks_is_there_with_them),
        cmocka_unit_test(an_import_of_another_journal_is_left_alone),
        cmocka_unit_test(one_that_is_begun_anew_elsewhere_stops),
        cmocka_unit_test(without_etcd_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
