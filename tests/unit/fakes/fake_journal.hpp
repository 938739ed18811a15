// A journal in memory. What is in its file survives the process that writes it.
#pragma once

#include "tests/unit/fakes/fake_clock.hpp"
#include "worker/journal/journal.hpp"

#include <deque>
#include <map>
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
    bool lost = false; ///< another rolloutd leads: every write is lost
    bool held = false; ///< writes wait until it is not
    std::vector<rollout::known_gateway> known_gateways;
    std::vector<listed_fn> lists; ///< that were asked for, and are the test's to answer
    std::vector<models_fn> model_lists;

    const std::string &id() const override { return id_; }
    std::uint64_t revision() const override { return file_.revision; }

    void create(const rollout::task &wanted, bool only_find, created_fn done) override
    {
        write(
            [this, wanted, only_find](bool fails) {
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
                return std::pair{creation::created, row};
            },
            [done = std::move(done)](const rollout::outcome &how, const auto &made) {
                done(how, made.first, made.second);
            });
    }

    void save(const rollout::task &changed, const rollout::model *with, saved_fn done) override
    {
        const auto document = rollout::document_of(changed);
        const auto state = with != nullptr ? rollout::json_compact(rollout::model_to_json(*with).get()) : "";
        const auto model_id = with != nullptr ? with->model_id : "";
        write(
            [this, document, state, model_id, status = changed.status, id = changed.task_id,
             words = words_of(changed)](bool fails) {
                if (fails) {
                    return file_.revision;
                }
                story_.push_back(words);
                rollout::task_row &row = file_.tasks.at(id);
                row.revision = ++file_.revision;
                row.status = status;
                row.document = document;
                if (!model_id.empty()) {
                    file_.models[model_id] = {row.revision, state};
                }
                return row.revision;
            },
            [done = std::move(done)](const rollout::outcome &how, std::uint64_t made) { done(how, made); });
    }

    void save_model(const rollout::model &changed, saved_fn done) override
    {
        write(
            [this, changed](bool fails) {
                if (fails) {
                    return file_.revision;
                }
                file_.models[changed.model_id] = {++file_.revision,
                                                  rollout::json_compact(rollout::model_to_json(changed).get())};
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
            [this, task_id, document = std::move(document)](bool fails) {
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

    std::vector<rollout::task_row> unfinished() override
    {
        std::map<std::uint64_t, rollout::task_row> rows;
        for (const auto &[id, row] : file_.tasks) {
            if (!rollout::is_final(row.status)) {
                rows.emplace(row.sequence, row);
            }
        }
        std::vector<rollout::task_row> all;
        for (const auto &[sequence, row] : rows) {
            all.push_back(row);
        }
        return all;
    }

    std::vector<rollout::model> models() override
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
    std::vector<rollout::known_gateway> gateways() override { return known_gateways; }

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
            const auto made = apply(fails || lost);
            const auto how = lost    ? rollout::outcome::lost("host b leads")
                             : fails ? rollout::outcome::transient("the disk is full")
                                     : rollout::outcome::ok();
            time_.post([tell, how, made] { tell(how, made); });
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
