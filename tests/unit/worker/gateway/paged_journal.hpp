// A journal whose reads are the test's to answer, and that notes which gateways it is told of.
#pragma once

#include "worker/journal/journal.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

class paged_journal final : public rollout::journal {
  public:
    using page_fn = std::function<void(rollout::outcome, std::vector<rollout::task_row>)>;

    explicit paged_journal(std::uint64_t revision) : now(revision) {}

    std::uint64_t now; ///< its revision
    std::vector<rollout::known_gateway> known_gateways;
    std::vector<rollout::model> known_models;
    std::deque<found_fn> finds; ///< that were asked for, and are the test's to answer
    std::deque<listed_fn> lists;
    std::deque<models_fn> model_lists;

    /// What it was asked since the last call.
    std::string asked() { return std::exchange(asked_, {}); }

    /// Answers the first page after a revision that has no answer yet.
    void answer(std::vector<rollout::task_row> rows) { end(rollout::outcome::ok(), std::move(rows)); }
    void fail(const std::string &why) { end(rollout::outcome::transient(why), {}); }

    const std::string &id() const override { return id_; }
    std::uint64_t revision() const override { return now; }
    void read_after(std::uint64_t after, std::size_t, page_fn done) override
    {
        note("after " + std::to_string(after));
        pages_.push_back(std::move(done));
    }
    void find(const std::string &task_id, found_fn done) override
    {
        note("task " + task_id);
        finds.push_back(std::move(done));
    }
    void find_latest(rollout::task_kind, const std::string &model_id, found_fn done) override
    {
        note("latest of " + model_id);
        finds.push_back(std::move(done));
    }
    void list(const rollout::task_filter &, std::size_t, std::size_t, listed_fn done) override
    {
        note("list");
        lists.push_back(std::move(done));
    }
    void list_models(const std::string &, std::size_t, models_fn done) override
    {
        note("models");
        model_lists.push_back(std::move(done));
    }
    void remember_gateway(const std::string &gateway, const std::string &) override { note("remember " + gateway); }
    void forget_gateway(const std::string &gateway) override { note("forget " + gateway); }
    void list_all_models(const std::string &, std::size_t, models_fn done) override
    {
        start_reads_.push_back([this, done = std::move(done)] {
            done(why_no_models.empty() ? rollout::outcome::ok() : rollout::outcome::permanent(why_no_models),
                 known_models, false);
        });
    }
    void list_gateways(std::function<void(rollout::outcome, std::vector<rollout::known_gateway>)> done) override
    {
        start_reads_.push_back([this, done = std::move(done)] { done(rollout::outcome::ok(), known_gateways); });
    }

    /// Answers what is read at a start.
    void answer_start()
    {
        while (!start_reads_.empty()) {
            const auto next = std::move(start_reads_.front());
            start_reads_.pop_front();
            next();
        }
    }

    std::string why_no_models; ///< empty: they can be read

    // What a gateway does not ask for.
    void create(const rollout::task &, bool, created_fn) override {}
    void save(const rollout::task &, const rollout::model *, saved_fn) override {}
    void save_model(const rollout::model &, saved_fn) override {}
    void save_series(const std::string &, const std::string &, std::string,
                     std::function<void(rollout::outcome)>) override
    {
    }
    void find_series(const std::string &, series_fn) override {}
    void purge(rollout::purge_position, std::int64_t, std::size_t, purged_fn) override {}
    void count_tasks(std::function<void(rollout::outcome, std::uint64_t)>) override {}
    std::size_t count_unfinished() const override { return 0; }
    void list_unfinished(std::uint64_t, std::size_t, listed_fn) override {}

  private:
    void note(const std::string &words) { asked_ += (asked_.empty() ? "" : ", ") + words; }

    void end(const rollout::outcome &how, std::vector<rollout::task_row> rows)
    {
        const auto done = std::move(pages_.front());
        pages_.pop_front();
        done(how, std::move(rows));
    }

    std::string id_ = std::string(32, 'j');
    std::string asked_;
    std::deque<page_fn> pages_;
    std::deque<std::function<void()>> start_reads_;
};

/// A task that was accepted, and last changed, with that revision.
inline rollout::task_row row(std::uint64_t revision, std::string document = "{}")
{
    rollout::task_row made;
    made.sequence = revision;
    made.revision = revision;
    made.task_id = "t" + std::to_string(revision);
    made.model_id = "m";
    made.document = std::move(document);
    return made;
}

/// The same as a line behind a frame's message.
inline std::string line(std::uint64_t revision, const std::string &document = "{}")
{
    const auto number = std::to_string(revision);
    return "deploy " + number + ' ' + number + " pending t" + number + " m " + document + '\n';
}
