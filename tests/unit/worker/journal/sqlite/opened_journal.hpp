// An SQLite journal on a loop of its own, asked and answered in one call.
#pragma once

#include "tests/unit/temporary_folder.hpp"
#include "tests/unit/test_loop.hpp"
#include "tests/unit/worker/journal/sqlite/sample_task.hpp"
#include "worker/journal/full_reads.hpp"
#include "worker/journal/sqlite/sqlite_journal.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

struct opened_journal {
    explicit opened_journal(const std::filesystem::path &path)
        : journal(std::make_unique<rollout::sqlite_journal>(loop.get(), path.native()))
    {
    }
    ~opened_journal()
    {
        loop.run_until([this] { return !journal->busy(); });
    }

    rollout::sqlite_journal *operator->() { return journal.get(); }

    struct created {
        rollout::journal::creation how;
        rollout::task_row row;
    };

    created create(const rollout::task &wanted, bool only_find = false)
    {
        std::optional<created> answer;
        journal->create(
            wanted, only_find,
            [&](const rollout::outcome &ended, rollout::journal::creation how, const rollout::task_row &row) {
                must(ended);
                answer = {how, row};
            });
        return await(answer);
    }

    std::uint64_t save(const rollout::task &changed, const rollout::model *with = nullptr)
    {
        std::optional<std::uint64_t> answer;
        journal->save(changed, with, [&](const rollout::outcome &ended, std::uint64_t revision) {
            must(ended);
            answer = revision;
        });
        return await(answer);
    }

    std::uint64_t save_model(const rollout::model &changed)
    {
        std::optional<std::uint64_t> answer;
        journal->save_model(changed, [&](const rollout::outcome &ended, std::uint64_t revision) {
            must(ended);
            answer = revision;
        });
        return await(answer);
    }

    rollout::purge_step purge(std::int64_t before_us, rollout::purge_position from = {}, std::size_t rows = 100)
    {
        std::optional<rollout::purge_step> answer;
        journal->purge(from, before_us, rows, [&](const rollout::outcome &ended, const rollout::purge_step &step) {
            must(ended);
            answer = step;
        });
        return await(answer);
    }

    std::uint64_t count_tasks()
    {
        std::optional<std::uint64_t> answer;
        journal->count_tasks([&](const rollout::outcome &ended, std::uint64_t count) {
            must(ended);
            answer = count;
        });
        return await(answer);
    }

    std::optional<rollout::task_row> find(const std::string &task_id)
    {
        std::optional<std::optional<rollout::task_row>> answer;
        journal->find(task_id, found(answer));
        return await(answer);
    }

    std::optional<rollout::task_row> find_latest(rollout::task_kind kind, const std::string &model_id)
    {
        std::optional<std::optional<rollout::task_row>> answer;
        journal->find_latest(kind, model_id, found(answer));
        return await(answer);
    }

    std::vector<rollout::task_row> read_after(std::uint64_t revision, std::size_t max_bytes)
    {
        std::optional<std::vector<rollout::task_row>> answer;
        journal->read_after(revision, max_bytes,
                            [&](const rollout::outcome &ended, const std::vector<rollout::task_row> &rows) {
                                must(ended);
                                answer = rows;
                            });
        return await(answer);
    }

    struct page {
        std::vector<rollout::task_row> rows;
        bool more = false;
    };

    page list(const rollout::task_filter &which, std::size_t limit, std::size_t max_bytes = 1 << 20)
    {
        std::optional<page> answer;
        journal->list(which, limit, max_bytes,
                      [&](const rollout::outcome &ended, const std::vector<rollout::task_row> &rows, bool more) {
                          must(ended);
                          answer = {rows, more};
                      });
        return await(answer);
    }

    struct model_page {
        std::vector<rollout::model> models;
        bool more = false;
    };

    model_page list_models(const std::string &after, std::size_t limit)
    {
        std::optional<model_page> answer;
        journal->list_models(
            after, limit, [&](const rollout::outcome &ended, const std::vector<rollout::model> &models, bool more) {
                must(ended);
                answer = {models, more};
            });
        return await(answer);
    }

    std::vector<rollout::model> models()
    {
        std::vector<rollout::model> all;
        std::optional<bool> is_read;
        const auto reading = rollout::read_all_models(
            *journal,
            [&](const std::vector<rollout::model> &some) { all.insert(all.end(), some.begin(), some.end()); },
            [&](const rollout::outcome &ended) {
                must(ended);
                is_read = true;
            });
        await(is_read);
        return all;
    }

    std::vector<rollout::known_gateway> gateways()
    {
        std::optional<std::vector<rollout::known_gateway>> answer;
        journal->list_gateways([&](const rollout::outcome &ended, const std::vector<rollout::known_gateway> &all) {
            must(ended);
            answer = all;
        });
        return await(answer);
    }

    std::vector<rollout::task_row> unfinished()
    {
        std::vector<rollout::task_row> all;
        std::optional<bool> is_read;
        const auto reading = rollout::read_all_unfinished(
            *journal,
            [&](const std::vector<rollout::task_row> &some) { all.insert(all.end(), some.begin(), some.end()); },
            [&](const rollout::outcome &ended) {
                must(ended);
                is_read = true;
            });
        await(is_read);
        return all;
    }

    test_loop loop;
    std::unique_ptr<rollout::sqlite_journal> journal;

  private:
    static void must(const rollout::outcome &ended)
    {
        if (!ended) {
            throw std::runtime_error(ended.detail);
        }
    }

    static rollout::journal::found_fn found(std::optional<std::optional<rollout::task_row>> &answer)
    {
        return [&answer](const rollout::outcome &ended, const std::optional<rollout::task_row> &row) {
            must(ended);
            answer = row;
        };
    }

    template <typename T>
    T await(std::optional<T> &answer)
    {
        loop.run_until([&] { return answer.has_value(); });
        return std::move(*answer);
    }
};

/// Another connection to the file, as an operator's sqlite3 has it.
inline void run_on(const std::filesystem::path &path, const std::string &sql)
{
    rollout::sqlite_database(path.native(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE).run(sql.c_str());
}

inline std::filesystem::path filled_journal(const temporary_folder &folder)
{
    const auto path = folder / "journal.db";
    opened_journal journal(path);
    journal.create(task_of_model("t1", "a"));
    rollout::model of;
    of.model_id = "a";
    journal.save_model(of);
    return path;
}
