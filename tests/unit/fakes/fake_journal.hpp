// A journal in memory. What is in its file survives the process that writes it.
#pragma once

#include "tests/unit/fakes/fake_clock.hpp"
#include "worker/journal/journal.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

struct journal_file {
    std::uint64_t revision = 0;
    std::map<std::string, rollout::task_row> tasks; ///< by id
    std::map<std::string, std::pair<std::uint64_t, std::string>> models;
    std::map<std::string, std::string> series; ///< by task
};

class fake_journal : public rollout::journal {
  public:
    fake_journal(journal_file &file, fake_clock &time, std::vector<std::string> &story)
        : file_(file), time_(time), story_(story)
    {
    }

    unsigned failing_writes = 0; ///< so many of the next writes fail
    unsigned failing_reads = 0;
    bool lost = false;   ///< another rolloutd leads: every write is lost
    bool shared = false; ///< others read it
    bool held = false;   ///< writes wait until it is not
    std::vector<rollout::known_gateway> known_gateways;
    std::vector<listed_fn> lists; ///< that were asked for, and are the test's to answer
    std::vector<models_fn> model_lists;

    const std::string &id() const override { return id_; }
    std::uint64_t revision() const override { return file_.revision; }
    bool is_shared() const override { return shared; }

    void create(const rollout::task &wanted, bool only_find, created_fn done) override;

    void save(const rollout::task &changed, const rollout::model *with, saved_fn done) override;

    void save_model(const rollout::model &changed, saved_fn done) override;

    void find(const std::string &task_id, found_fn done) override;

    void save_series(const std::string &task_id, const std::string &, std::string document,
                     std::function<void(rollout::outcome)> done) override;

    void find_series(const std::string &task_id, series_fn done) override;

    std::size_t count_unfinished() const override;

    /// Pages of one task.
    void list_unfinished(std::uint64_t after, std::size_t, listed_fn done) override;

    void list_all_models(const std::string &after, std::size_t, models_fn done) override;

    void list_gateways(std::function<void(rollout::outcome, std::vector<rollout::known_gateway>)> done) override;

    /// As they are in the file.
    std::vector<rollout::model> models() const;

    // What the engine does not ask for.
    void remember_gateway(const std::string &, const std::string &) override {}
    void forget_gateway(const std::string &) override {}
    void purge(rollout::purge_position, std::int64_t, std::size_t, purged_fn) override {}
    void count_tasks(std::function<void(rollout::outcome, std::uint64_t)>) override {}
    void find_latest(rollout::task_kind, const std::string &, found_fn) override {}
    void read_after(std::uint64_t, std::size_t,
                    std::function<void(rollout::outcome, std::vector<rollout::task_row>)>) override
    {
    }
    void list(const rollout::task_filter &, std::size_t, std::size_t, listed_fn done) override;
    void list_models(const std::string &, std::size_t, models_fn done) override;

    /// Lets the writes go that were held.
    void release();

  private:
    static std::string words_of(const rollout::task &what);

    /// Stores a model with the revision of the write that has just been counted.
    void put(const rollout::model &changed, rollout::journal_news &news);

    /// Answers one call later, by `find` or, if a failure is due, with that.
    template <typename Done, typename Find>
    void read(Done done, Find find);

    /// Durable one call later, told another call later.
    template <typename Apply, typename Tell>
    void write(Apply apply, Tell tell);

    journal_file &file_;
    fake_clock &time_;
    std::vector<std::string> &story_;
    std::string id_ = std::string(32, 'a');
    std::deque<std::function<void()>> waiting_;
};
