#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "tests/unit/test_loop.hpp"
#include "worker/journal/sqlite/committer.hpp"
#include "worker/journal/sqlite/journal_file.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using rollout::commit_batch;
using rollout::outcome;

/// Takes a revision, and does what a test wants.
class fake_write final : public rollout::journal_write {
  public:
    explicit fake_write(std::function<void()> on_apply = {}) : on_apply_(std::move(on_apply)) {}

    void apply(rollout::write_statements &with) override
    {
        ++with.revision;
        if (on_apply_) {
            on_apply_();
        }
    }
    void end(const outcome &) override {}
    const char *name() const noexcept override { return "fake"; }

  private:
    std::function<void()> on_apply_;
};

struct fixture {
    void add(std::function<void()> on_apply = {})
    {
        committer->add(std::make_unique<fake_write>(std::move(on_apply)));
    }

    void add_many(int count)
    {
        for (int i = 0; i < count; ++i) {
            add();
        }
    }

    void run()
    {
        loop.run_until([this] { return !committer->busy(); });
    }

    std::int64_t stored_revision() { return file.writer.number("SELECT value FROM meta WHERE name = 'revision'"); }

    /// A line a batch: how many, how it ended, and the revision after it.
    std::string story;
    std::vector<std::size_t> sizes;

    test_loop loop;
    temporary_folder folder;
    rollout::journal_file file{(folder / "journal.db").native()};
    std::atomic<int> commits = 0;
    std::unique_ptr<rollout::committer> committer = std::make_unique<rollout::committer>(
        loop.get(), file.writer, file.revision, [this] { ++commits; },
        [this](const commit_batch &batch) {
            sizes.push_back(batch.writes.size());
            story += std::to_string(batch.writes.size()) + (batch.ended ? " ok" : " " + batch.ended.detail) + ", " +
                     std::to_string(batch.revision) + "\n";
        });
};

void what_comes_in_one_turn_of_the_loop_is_one_commit(void **)
{
    fixture journal;
    journal.add_many(3);
    assert_true(journal.committer->busy());
    journal.run();
    journal.add();
    journal.run();
    assert_text(journal.story, "3 ok, 3\n1 ok, 4\n");
    assert_int_equal(journal.stored_revision(), 4);
}

void many_writes_do_not_wait_for_the_turns_end(void **)
{
    fixture journal;
    std::promise<void> applied;
    journal.add([&] { applied.set_value(); });
    journal.add_many(15);
    applied.get_future().wait(); // the loop has not turned
    journal.run();
    assert_text(journal.story, "16 ok, 16\n");
}

void a_batch_has_a_bound_and_all_are_ended_in_their_order(void **)
{
    fixture journal;
    std::vector<int> order;
    for (int i = 0; i < 300; ++i) {
        journal.add([&order, i] { order.push_back(i); });
    }
    journal.run();
    std::size_t all = 0;
    for (const auto size : journal.sizes) {
        assert_true(size <= 96);
        all += size;
    }
    assert_int_equal(all, 300);
    assert_true(std::ranges::is_sorted(order));
    assert_int_equal(journal.stored_revision(), 300);
}

void a_few_writes_after_many_are_committed_too(void **)
{
    fixture journal;
    journal.add_many(40);
    journal.run();
    journal.add_many(2); // fewer than the batch before had
    journal.run();
    journal.add();
    journal.run();
    assert_int_equal(journal.stored_revision(), 43);
    assert_text(journal.story.substr(journal.story.rfind("1 ok")), "1 ok, 43\n");
}

void a_write_that_fails_takes_its_batch_with_it_and_the_revisions_are_given_again(void **)
{
    fixture journal;
    journal.add();
    journal.run();
    journal.add();
    journal.add([] { throw std::runtime_error("no room"); });
    journal.add();
    journal.run();
    journal.add();
    journal.run();
    assert_text(journal.story, "1 ok, 1\n3 no room, 1\n1 ok, 2\n");
    assert_int_equal(journal.stored_revision(), 2);
}

void only_a_commit_that_went_well_is_followed_by_a_look_at_the_log(void **)
{
    fixture journal;
    journal.add([] { throw std::runtime_error("no room"); });
    journal.run();
    journal.committer.reset(); // which waits for the thread
    assert_int_equal(journal.commits, 0);
    {
        fixture other;
        other.add();
        other.run();
        other.committer.reset();
        assert_int_equal(other.commits, 1);
    }
}

void what_was_not_given_to_the_thread_is_dropped_with_the_committer(void **)
{
    fixture journal;
    bool applied = false;
    journal.add([&] { applied = true; });
    journal.committer.reset();
    assert_false(applied);
    assert_text(journal.story, "");
}

void a_write_may_be_added_by_the_end_of_another(void **)
{
    const temporary_folder folder;
    test_loop loop;
    rollout::journal_file file{(folder / "journal.db").native()};
    int batches = 0;
    std::unique_ptr<rollout::committer> committer;
    committer = std::make_unique<rollout::committer>(
        loop.get(), file.writer, file.revision, [] {},
        [&](const commit_batch &) {
            if (++batches < 3) {
                committer->add(std::make_unique<fake_write>());
            }
        });
    committer->add(std::make_unique<fake_write>());
    loop.run_until([&] { return !committer->busy(); });
    assert_int_equal(batches, 3);
    committer.reset();
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_in_one_turn_of_the_loop_is_one_commit),
        cmocka_unit_test(many_writes_do_not_wait_for_the_turns_end),
        cmocka_unit_test(a_batch_has_a_bound_and_all_are_ended_in_their_order),
        cmocka_unit_test(a_few_writes_after_many_are_committed_too),
        cmocka_unit_test(a_write_that_fails_takes_its_batch_with_it_and_the_revisions_are_given_again),
        cmocka_unit_test(only_a_commit_that_went_well_is_followed_by_a_look_at_the_log),
        cmocka_unit_test(what_was_not_given_to_the_thread_is_dropped_with_the_committer),
        cmocka_unit_test(a_write_may_be_added_by_the_end_of_another),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
