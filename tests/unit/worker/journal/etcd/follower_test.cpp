#include "worker/journal/etcd/follower.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_etcd_store.hpp"
#include "tests/unit/logged.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "tests/unit/test_loop.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "worker/journal/etcd/revision.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace rollout::cluster;
using namespace std::chrono_literals;
using rollout::outcome;
using rollout::task_row;
using rollout::etcd::failure;
using rollout::etcd::watched_range;
using rollout::etcd::watcher;
using state = follower::state;

const failure broken{failure::kind::unavailable, failure::cause::unreachable, "the stream broke"};

/// A follower before etcd, with a watch that a test lets tell what there is.
struct following {
    class told_watch final : public open_watch {
      public:
        told_watch(following &of, watcher &to, std::int64_t applied) : of_(of), to_(to), applied_(applied)
        {
            of_.watch = this;
        }
        ~told_watch() override { of_.watch = nullptr; }

        void applied(std::int64_t revision) override
        {
            applied_ = revision;
            waits_ = false;
        }

        /// Tells all that came since, unless the last is not taken in yet.
        bool tell()
        {
            auto events = of_.etcd.events_after(applied_);
            if (waits_ || events.empty()) {
                return false;
            }
            waits_ = true;
            to_.on_events(std::move(events));
            return true;
        }

        void breaks() { to_.on_trouble(broken); }
        void is_silent()
        {
            to_.on_trouble({failure::kind::unavailable, failure::cause::timed_out, "no change is told"});
        }
        void compacted() { to_.on_compacted(of_.etcd.compacted); }

        std::int64_t applied_at() const noexcept { return applied_; }

      private:
        following &of_;
        watcher &to_;
        std::int64_t applied_;
        bool waits_ = false;
    };

    temporary_folder folder;
    test_loop loop;
    fake_clock time;
    fake_etcd_store etcd{time};
    keys names{"/r/"};
    std::unique_ptr<rollout::journal_replica> replica =
        std::make_unique<rollout::journal_replica>(loop.get(), (folder / "replica.db").native());
    told_watch *watch = nullptr;
    unsigned watches = 0;
    std::string meta;
    std::string refused;
    std::vector<std::string> news; ///< the tasks that were told
    std::uint64_t last = 0;        ///< the revision that the news lead to
    unsigned resynchronised = 0;
    bool was_other = false;
    std::unique_ptr<follower> of;

    following() { open(); }
    ~following()
    {
        of.reset();
        loop.run_until([this] { return !replica->busy(); });
    }

    void open()
    {
        of = std::make_unique<follower>(follower::surroundings{
            .etcd = etcd.store(),
            .watch =
                [this](const watched_range &range, watcher &to) {
                    assert_text(range.key, "/r/s/");
                    assert_text(range.range_end, "/r/s0");
                    ++watches;
                    return std::make_unique<told_watch>(*this, to, range.applied);
                },
            .time = time,
            .names = names,
            .replica = *replica,
            .random = [] { return 0.5; },
            .writer = "own",
            .on_joined = [this](const meta_record &, const std::string &value) { meta = value; },
            .on_refused = [this](const std::string &why) { refused = why; },
            .on_applied =
                [this](const rollout::journal_news &changes) {
                    assert_true(changes.before == last);
                    last = changes.now;
                    for (const auto &row : changes.rows) {
                        news.push_back(row.task_id);
                    }
                },
            .on_resynchronised =
                [this](bool is_other) {
                    ++resynchronised;
                    was_other = is_other;
                    last = replica->position().revision;
                }});
        last = replica->position().revision;
        of->start();
    }

    /// Until nothing is under way any more.
    void settle(std::chrono::milliseconds span = 30s)
    {
        for (int rounds = 0; rounds < 400; ++rounds) {
            time.run_for(span / 400);
            if (replica->busy()) {
                loop.run_until([this] { return !replica->busy(); });
            }
        }
    }

    /// Until the watch has told everything and the replica has it.
    void follow()
    {
        settle();
        while (watch != nullptr && watch->tell()) {
            settle();
        }
    }

    void put_task(const std::string &task_id)
    {
        const auto row = rollout::row_of(task_of_model(task_id, "m"), 0);
        etcd.put(names.task(task_id), write_task(row, 1, "w", 0));
        etcd.put(names.position(), write_position({"w", ++writes}));
    }

    std::size_t count()
    {
        std::optional<std::size_t> answer;
        replica->read().read_after(0, 1 << 30,
                                   [&](const outcome &, const std::vector<task_row> &rows) { answer = rows.size(); });
        loop.run_until([&] { return answer.has_value(); });
        return *answer;
    }

    std::int64_t writes = 0;
};


void the_first_one_makes_the_cluster_and_follows_it(void **)
{
    following f;
    f.follow();
    assert_true(f.of->is() == state::following);
    assert_text(f.of->trouble(), "");
    assert_text(f.etcd.value(f.names.meta()), f.meta);
    assert_int_equal(f.replica->position().journal_id.size(), 32);
    assert_int_equal(f.replica->position().cluster, 77);
    assert_int_equal(f.resynchronised, 1);
    f.put_task("t1");
    f.put_task("t2");
    f.follow();
    assert_true((f.news == std::vector<std::string>{"t1", "t2"}));
    assert_int_equal(f.count(), 2);
    assert_int_equal(f.watch->applied_at(), f.etcd.revision);
    assert_int_equal(f.replica->position().revision, revision_after(f.etcd.revision));
    assert_text(f.replica->position().mark, "w 2");
}


void while_a_journal_is_imported_everybody_waits(void **)
{
    following f;
    meta_record importing{std::string(32, 'a')};
    importing.import_of = std::string(32, 'b');
    f.etcd.put(f.names.meta(), write_meta(importing));
    f.put_task("t1");
    f.settle();
    assert_true(f.of->is() == state::joining);
    assert_holds(f.refused, "is being imported");
    assert_text(f.meta, "");
    assert_text(f.replica->position().journal_id, "");
    f.etcd.put(f.names.meta(), write_meta({std::string(32, 'a')}));
    f.follow();
    assert_true(f.of->is() == state::following);
    assert_text(f.replica->position().journal_id, std::string(32, 'a'));
    assert_int_equal(f.count(), 1);
}


void a_replica_goes_on_behind_its_last_change(void **)
{
    following f;
    f.put_task("t1");
    f.follow();
    f.of.reset();
    f.put_task("t2");
    f.open();
    f.follow();
    assert_int_equal(f.resynchronised, 1); // the first time
    assert_true(f.news.back() == "t2");
    assert_int_equal(f.count(), 2);
}


void everything_is_read_in_pages_of_one_revision(void **)
{
    following f;
    for (int i = 0; i < 1234; ++i) { // of one transaction: the history has it once
        const auto id = "t" + std::to_string(i);
        const auto row = rollout::row_of(task_of_model(id, "m"), 0);
        f.etcd.entries[f.names.task(id)] = {
            f.names.task(id), write_task(row, 1, "w", static_cast<unsigned>(i % 256)), i + 2, i + 2, 1, 0};
    }
    f.etcd.revision = 1300;
    f.put_task("t");
    f.settle();
    f.put_task("later");
    f.follow();
    assert_int_equal(f.count(), 1236);
    assert_int_equal(f.resynchronised, 1);
    assert_true((f.news == std::vector<std::string>{"later"}));
}


void what_is_compacted_is_read_anew(void **)
{
    following f;
    f.put_task("t1");
    f.follow();
    f.put_task("t2");
    f.etcd.remove(f.names.task("t1"));
    f.put_task("t3");
    f.etcd.compacted = f.etcd.revision;
    f.watch->compacted();
    f.follow();
    assert_int_equal(f.resynchronised, 2);
    assert_false(f.was_other);
    assert_int_equal(f.count(), 2);
    assert_true(f.of->is() == state::following);
}


/// What a copy of etcd is: its content, and its history up to then.
struct copy_of_etcd {
    fake_etcd_store::content entries;
    std::int64_t revision;
    std::map<std::int64_t, fake_etcd_store::content> history;

    explicit copy_of_etcd(const fake_etcd_store &of) : entries(of.entries), revision(of.revision), history(of.history)
    {
    }

    void put_back(fake_etcd_store &to) const
    {
        to.entries = entries;
        to.revision = revision;
        to.history = history;
    }
};


void an_etcd_put_back_from_a_copy_is_noticed_when_the_stream_breaks(void **)
{
    for (const bool went_on : {false, true}) {
        following f;
        f.put_task("kept");
        f.follow();
        const copy_of_etcd copy(f.etcd);
        f.put_task("gone");
        f.follow();
        copy.put_back(f.etcd);
        if (went_on) { // beyond the replica's revision, by another rolloutd
            for (int i = 0; i < 5; ++i) {
                f.writes += 100;
                f.put_task("other" + std::to_string(i));
            }
        }
        const auto told_before = f.news.size();
        f.watch->breaks();
        assert_true(f.of->is() == state::checking);
        if (went_on) {
            assert_true(f.watch->tell()); // the new stream is quicker: this must not be taken in
        }
        f.follow();
        assert_true(f.of->is() == state::following);
        assert_int_equal(f.resynchronised, 2);
        assert_true(f.was_other);
        assert_int_equal(f.news.size(), told_before);
        assert_int_equal(f.count(), went_on ? 6 : 1);
    }
}


void a_stream_that_broke_goes_on_if_the_history_is_the_same(void **)
{
    following f;
    f.put_task("t1");
    f.follow();
    f.watch->breaks();
    f.put_task("t2");
    assert_true(f.watch->tell()); // while it is checked
    assert_int_equal(f.count(), 1);
    f.follow();
    assert_true((f.news.back() == "t2"));
    assert_int_equal(f.resynchronised, 1);
    assert_int_equal(f.watches, 1);
    assert_text(f.of->trouble(), "");
}


void another_cluster_is_read_anew(void **)
{
    following f;
    f.put_task("t1");
    f.follow();
    const auto before = f.replica->position().journal_id;
    f.etcd.entries.clear();
    f.etcd.history.clear();
    f.etcd.put(f.names.meta(), write_meta({std::string(32, 'b')}));
    f.put_task("x");
    f.of->rejoin();
    f.follow();
    assert_text(f.replica->position().journal_id, std::string(32, 'b'));
    assert_true(f.was_other);
    assert_int_equal(f.count(), 1);
    // etcd's own id counts as well: a restored snapshot has another one.
    f.etcd.cluster_id = 78;
    f.of->rejoin();
    f.follow();
    assert_int_equal(f.resynchronised, 3);
    assert_int_equal(f.replica->position().cluster, 78);
}


void a_meta_that_changes_is_read_before_anything_goes_on(void **)
{
    following f;
    f.put_task("t1");
    f.follow();
    const auto good = f.meta;
    f.etcd.put(f.names.meta(),
               R"({"id":")" + f.replica->position().journal_id + R"(","format":9,"oldest_reader":9})");
    f.put_task("t2");
    f.follow();
    assert_holds(f.refused, "Upgrade it");
    assert_holds(f.of->trouble(), "Upgrade it");
    assert_int_equal(f.count(), 1);
    f.etcd.put(f.names.meta(), good);
    f.follow();
    assert_true(f.of->is() == state::following);
    assert_int_equal(f.count(), 2);
    assert_int_equal(f.resynchronised, 1);
}


void while_etcd_is_away_it_says_why_and_tries_again(void **)
{
    following f;
    f.etcd.refuses_reads = broken;
    const auto lines = logged([&f] { f.settle(); });
    assert_holds(f.of->trouble(), "the stream broke");
    assert_holds(lines, "the stream broke");
    assert_int_equal(std::count(lines.begin(), lines.end(), '\n'), 1);
    f.etcd.refuses_reads.reset();
    f.put_task("t1");
    f.follow();
    assert_true(f.of->is() == state::following);
    assert_int_equal(f.count(), 1);
}

void silence_is_logged_once_until_a_change_comes(void **)
{
    following f;
    f.put_task("t1");
    f.follow();
    const auto lines = logged([&f] {
        for (int times = 0; times < 10; ++times) { // as nobody leads
            f.watch->is_silent();
            f.settle();
            assert_true(f.of->is() == state::following);
            assert_text(f.of->trouble(), "");
        }
    });
    assert_holds(lines, "no change is told. Either nobody leads, or the member keeps the changes back");
    assert_int_equal(std::count(lines.begin(), lines.end(), '\n'), 1);
    f.put_task("t2");
    assert_holds(logged([&f] { f.follow(); }), "etcd tells of changes again");
    assert_int_equal(f.count(), 2);
    assert_holds(logged([&f] {
                     f.watch->is_silent();
                     f.settle();
                 }),
                 "no change is told");
    assert_int_equal(f.resynchronised, 1);
}


void before_the_first_answer_the_client_says_what_is_going_on(void **)
{
    following f;
    assert_holds(f.of->trouble(), "etcd at X has not answered yet");
    f.follow();
    assert_text(f.of->trouble(), "");
}


void a_clock_that_is_wrong_is_named_once_for_each_that_writes(void **)
{
    following f;
    f.follow();
    const auto write = [&f](const std::string &writer, std::chrono::microseconds ahead,
                            const std::string &host = {}) {
        return logged([&] {
            f.etcd.put(f.names.position(), write_position({writer, f.time.wall_us() + ahead.count(), host}));
            assert_true(f.watch->tell());
            f.settle();
        });
    };
    assert_text(write("a", 1s), "");
    assert_holds(write("b", 2min), "This host's clock is 120 s behind that of the host that wrote to etcd last");
    assert_text(write("a", 0s), "");
    assert_text(write("b", 2min), ""); // still
    assert_holds(write("c", -2min), "ahead of that of the host");
    assert_text(write("b", 0s), "");
    assert_holds(write("b", 2min), "behind that of the host");
    assert_holds(write("d", 2min, "gateway-2"), "This host's clock is 120 s behind that of host gateway-2: dates");
    assert_text(write("own", 10min), ""); // this rolloutd's, from before its clock was set
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_first_one_makes_the_cluster_and_follows_it),
        cmocka_unit_test(while_a_journal_is_imported_everybody_waits),
        cmocka_unit_test(a_replica_goes_on_behind_its_last_change),
        cmocka_unit_test(everything_is_read_in_pages_of_one_revision),
        cmocka_unit_test(what_is_compacted_is_read_anew),
        cmocka_unit_test(an_etcd_put_back_from_a_copy_is_noticed_when_the_stream_breaks),
        cmocka_unit_test(a_stream_that_broke_goes_on_if_the_history_is_the_same),
        cmocka_unit_test(another_cluster_is_read_anew),
        cmocka_unit_test(a_meta_that_changes_is_read_before_anything_goes_on),
        cmocka_unit_test(while_etcd_is_away_it_says_why_and_tries_again),
        cmocka_unit_test(silence_is_logged_once_until_a_change_comes),
        cmocka_unit_test(before_the_first_answer_the_client_says_what_is_going_on),
        cmocka_unit_test(a_clock_that_is_wrong_is_named_once_for_each_that_writes),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
