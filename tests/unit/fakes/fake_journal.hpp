// A journal in memory. What is in its file survives the process that writes it.
#pragma once

#include "tests/unit/fakes/fake_clock.hpp"
#include "worker/journal/journal.hpp"

#include <algorithm>
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

    void create(const rollout::task &wanted, bool only_find, created_fn done) override
    {
        write(
            [this, wanted, only_find](bool fails, rollout::journal_news &news) {
                const auto known = file_.tasks.find(wanted.task_id);
                if (known != file_.tasks.end()) {
                    const auto there = rollout::task_of(known->second);
                    const bool same = there && there->kind == wanted.kind && there->model_id == wanted.model_id &&
                                      json_equal(there->config.get(), wanted.config.get()) != 0;
                    return std::pair{same ? creation::existed : creation::conflict, known->second};
                }
                rollout::task_row row;
                row.kind = wanted.kind;
                row.status = wanted.status;
                row.task_id = wanted.task_id;
                row.model_id = wanted.model_id;
                if (only_find || fails) {
                    return std::pair{creation::absent, row};
                }
                row.sequence = row.revision = ++file_.revision;
                row.document = rollout::document_of(wanted);
                file_.tasks[row.task_id] = row;
                news.rows.push_back(row);
                return std::pair{creation::created, row};
            },
            [done = std::move(done)](const rollout::outcome &how, const auto &made) {
                done(how, made.first, made.second);
            });
    }

    void save(const rollout::task &changed, const rollout::model *with, saved_fn done) override
    {
        const auto document = rollout::document_of(changed);
        write(
            [this, document, with = with != nullptr ? std::optional(*with) : std::nullopt, status = changed.status,
             id = changed.task_id, words = words_of(changed)](bool fails, rollout::journal_news &news) {
                if (fails) {
                    return file_.revision;
                }
                story_.push_back(words);
                rollout::task_row &row = file_.tasks.at(id);
                row.revision = ++file_.revision;
                row.status = status;
                row.document = document;
                news.rows.push_back(row);
                if (with) {
                    put(*with, news);
                }
                return row.revision;
            },
            [done = std::move(done)](const rollout::outcome &how, std::uint64_t made) { done(how, made); });
    }

    void save_model(const rollout::model &changed, saved_fn done) override
    {
        write(
            [this, changed](bool fails, rollout::journal_news &news) {
                if (!fails) {
                    ++file_.revision;
                    put(changed, news);
                }
                return file_.revision;
            },
            [done = std::move(done)](const rollout::outcome &how, std::uint64_t made) { done(how, made); });
    }

    void find(const std::string &task_id, found_fn done) override
    {
        read(std::move(done), [this, task_id](const auto &tell) {
            const auto known = file_.tasks.find(task_id);
            tell(rollout::outcome::ok(), known == file_.tasks.end() ? std::nullopt : std::optional(known->second));
        });
    }

    void save_series(const std::string &task_id, const std::string &, std::string document,
                     std::function<void(rollout::outcome)> done) override
    {
        write(
            [this, task_id, document = std::move(document)](bool fails, rollout::journal_news &) {
                if (!fails) {
                    file_.series[task_id] = document;
                }
                return 0;
            },
            [done = std::move(done)](const rollout::outcome &how, int) { done(how); });
    }

    void find_series(const std::string &task_id, series_fn done) override
    {
        read(std::move(done), [this, task_id](const auto &tell) {
            const auto known = file_.tasks.find(task_id);
            if (known == file_.tasks.end() || known->second.kind != rollout::task_kind::deploy) {
                tell(rollout::outcome::ok(), std::nullopt);
                return;
            }
            const auto stored = file_.series.find(task_id);
            tell(rollout::outcome::ok(),
                 rollout::stored_series{known->second.model_id, stored == file_.series.end() ? "" : stored->second});
        });
    }

    std::size_t count_unfinished() const override
    {
        return static_cast<std::size_t>(std::ranges::count_if(
            file_.tasks, [](const auto &entry) { return !rollout::is_final(entry.second.status); }));
    }

    /// Pages of one task.
    void list_unfinished(std::uint64_t after, std::size_t, listed_fn done) override
    {
        read(
            [done = std::move(done)](const rollout::outcome &how, std::optional<rollout::task_row> row) {
                const bool is_row = row.has_value();
                done(how, is_row ? std::vector{std::move(*row)} : std::vector<rollout::task_row>(), is_row);
            },
            [this, after](const auto &tell) {
                std::optional<rollout::task_row> next;
                for (const auto &[id, row] : file_.tasks) {
                    if (!rollout::is_final(row.status) && row.sequence > after &&
                        (!next || row.sequence < next->sequence)) {
                        next = row;
                    }
                }
                tell(rollout::outcome::ok(), next);
            });
    }

    void list_all_models(const std::string &after, std::size_t, models_fn done) override
    {
        read(
            [done = std::move(done)](const rollout::outcome &how, std::optional<std::vector<rollout::model>> all) {
                done(how, std::move(all).value_or(std::vector<rollout::model>()), false);
            },
            [this, after](const auto &tell) {
                auto all = models();
                std::erase_if(all, [&after](const rollout::model &one) { return one.model_id <= after; });
                tell(rollout::outcome::ok(), std::optional(std::move(all)));
            });
    }

    void list_gateways(std::function<void(rollout::outcome, std::vector<rollout::known_gateway>)> done) override
    {
        time_.post([this, done = std::move(done)] { done(rollout::outcome::ok(), known_gateways); });
    }

    /// As they are in the file.
    std::vector<rollout::model> models() const
    {
        std::vector<rollout::model> all;
        for (const auto &[model_id, entry] : file_.models) {
            json_error_t error;
            const rollout::json_ptr state(json_loads(entry.second.c_str(), 0, &error));
            all.push_back(rollout::model_from_json(state.get()).value());
            all.back().model_id = model_id;
            all.back().route_revision = entry.first;
        }
        return all;
    }

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
    void list(const rollout::task_filter &, std::size_t, std::size_t, listed_fn done) override
    {
        lists.push_back(std::move(done));
    }
    void list_models(const std::string &, std::size_t, models_fn done) override
    {
        model_lists.push_back(std::move(done));
    }

    /// Lets the writes go that were held.
    void release()
    {
        held = false;
        while (!waiting_.empty()) {
            time_.post(std::move(waiting_.front()));
            waiting_.pop_front();
        }
    }

  private:
    static std::string words_of(const rollout::task &what)
    {
        rollout::task copy = what;
        const auto *step = copy.find_step(what.step);
        return "journal: " + std::string(rollout::status_name(what.status)) +
               (step == nullptr ? "" : ", " + step->name + " " + std::string(rollout::step_state_name(step->state)));
    }

    /// Stores a model with the revision of the write that has just been counted.
    void put(const rollout::model &changed, rollout::journal_news &news)
    {
        file_.models[changed.model_id] = {file_.revision,
                                          rollout::json_compact(rollout::model_to_json(changed).get())};
        news.models.push_back(changed);
        news.models.back().route_revision = file_.revision;
    }

    /// Answers one call later, by `find` or, if a failure is due, with that.
    template <typename Done, typename Find>
    void read(Done done, Find find)
    {
        time_.post([this, done = std::move(done), find = std::move(find)] {
            if (failing_reads != 0) {
                --failing_reads;
                done(rollout::outcome::transient("the disk does not answer"), std::nullopt);
                return;
            }
            find(done);
        });
    }

    /// Durable one call later, told another call later.
    template <typename Apply, typename Tell>
    void write(Apply apply, Tell tell)
    {
        auto commit = [this, apply = std::move(apply), tell = std::move(tell)] {
            const bool fails = failing_writes != 0;
            failing_writes -= fails ? 1 : 0;
            rollout::journal_news news{.before = file_.revision};
            const auto made = apply(fails || lost, news);
            news.now = file_.revision;
            const auto how = lost    ? rollout::outcome::lost("host b leads")
                             : fails ? rollout::outcome::transient("the disk is full")
                                     : rollout::outcome::ok();
            time_.post([this, tell, how, made, news] {
                tell(how, made);
                if (on_commit && how) {
                    on_commit(news);
                }
            });
        };
        if (held) {
            waiting_.push_back(std::move(commit));
        } else {
            time_.post(std::move(commit));
        }
    }

    journal_file &file_;
    fake_clock &time_;
    std::vector<std::string> &story_;
    std::string id_ = std::string(32, 'a');
    std::deque<std::function<void()>> waiting_;
};
