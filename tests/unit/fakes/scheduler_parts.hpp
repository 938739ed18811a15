// What the scheduler's parts work with, for the test of one of them: a clock, a journal, the queues, and clients.
#pragma once

#include "tests/unit/fakes/fake_clock.hpp"
#include "tests/unit/fakes/fake_journal.hpp"
#include "tests/unit/json_of.hpp"
#include "worker/scheduler/requests.hpp"
#include "worker/scheduler/task_queues.hpp"

#include <string>
#include <string_view>
#include <vector>

/// A journal that counts what it is asked to read.
class counting_journal final : public fake_journal {
  public:
    using fake_journal::fake_journal;

    unsigned finds = 0;

    void find(const std::string &task_id, found_fn done) override
    {
        ++finds;
        fake_journal::find(task_id, std::move(done));
    }
};

struct scheduler_parts {
    scheduler_parts()
    {
        queues.on_first_changed = [](const std::string &) {};
        queues.on_moved = [this](const rollout::task_name &which) { note(moved, which.task_id); };
    }

    /// Writes a task to the journal.
    rollout::task store(const std::string &task_id, const std::string &model_id,
                        rollout::task_status status = rollout::task_status::pending, std::string_view config = "{}")
    {
        rollout::task stored;
        stored.task_id = task_id;
        stored.model_id = model_id;
        stored.status = status;
        stored.config = shared_json_of(config);
        stored.created_us = stored.updated_us = time.wall_us();
        journal.create(stored, false, [](const auto &, auto, const auto &) {});
        time.settle();
        stored.sequence = file.tasks.at(task_id).sequence;
        return stored;
    }

    /// Writes a task to the journal, and puts it in its queue.
    rollout::task queue(const std::string &task_id, const std::string &model_id, bool supersedes = false)
    {
        rollout::task waits = store(task_id, model_id);
        queues.push(model_id, {waits.sequence, task_id, waits.created_us, rollout::urgency::deployment, supersedes});
        return waits;
    }

    /// The tasks of a model that wait.
    std::string waiting(const std::string &model_id) const
    {
        std::string ids;
        for (const auto &waits : queues.of(model_id)) {
            note(ids, waits.task_id);
        }
        return ids;
    }

    /// As the journal has it.
    rollout::task task(const std::string &task_id) const { return rollout::task_of(file.tasks.at(task_id)).value(); }

    std::string status(const std::string &task_id) const
    {
        return std::string(rollout::status_name(file.tasks.at(task_id).status));
    }

    /// Notes what a client is told: "t1 canceled", "new t2 pending", or "409 The reason.".
    rollout::answer_fn client()
    {
        return [this](const rollout::request_answer &result) {
            answers.push_back(result.task == nullptr
                                  ? std::to_string(result.refused.status) + " " + result.refused.detail
                                  : (result.created ? "new " : "") + result.task->task_id + " " +
                                        std::string(rollout::status_name(result.task->status)));
        };
    }

    /// The answer since the last one that was asked for; empty: none, or more than one.
    std::string answer()
    {
        const auto all = std::exchange(answers, {});
        return all.size() == 1 ? all.front() : "";
    }

    static void note(std::string &list, const std::string &name) { list += (list.empty() ? "" : " ") + name; }

    fake_clock time;
    journal_file file;
    std::vector<std::string> story;
    counting_journal journal{file, time, story};
    rollout::task_queues queues;
    std::string moved; ///< tasks that stand behind another one than before
    std::vector<std::string> answers;
};
