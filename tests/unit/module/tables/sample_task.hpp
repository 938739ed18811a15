// Tasks as rolloutd sends them, and what a task_table says of them.
#pragma once

#include "module/tables/task_table.hpp"

#include <string>
#include <string_view>
#include <utility>

/// A task that owns its texts. The document is of the usual size and says which revision it is of.
struct sample_task {
    std::string task_id = "t";
    std::string model_id = "m";
    rollout::task_status status = rollout::task_status::pending;
    std::uint64_t sequence = 1;
    std::uint64_t revision = 1;
    rollout::task_kind kind = rollout::task_kind::deploy;
    std::size_t document_bytes = 600;

    std::string document() const
    {
        std::string text = R"({"task_id":")" + task_id + R"(","model_id":")" + model_id + R"(","status":")" +
                           std::string(status_name(status)) + R"(","revision":)" + std::to_string(revision) +
                           R"(,"pad":")";
        if (text.size() + 2 < document_bytes) {
            text.append(document_bytes - 2 - text.size(), static_cast<char>('a' + revision % 26));
        }
        return text + "\"}";
    }
};

/// As rolloutd sends it, with `document` for the text.
inline rollout::task_record record_of(const sample_task &task, std::string_view document)
{
    rollout::task_record record;
    record.kind = task.kind;
    record.status = task.status;
    record.sequence = task.sequence;
    record.revision = task.revision;
    record.task_id = task.task_id;
    record.model_id = task.model_id;
    record.document = document;
    return record;
}

/// Puts it and adds to `evicted`.
inline rollout::task_table::stored put(rollout::task_table &table, const sample_task &task, std::uint64_t &evicted)
{
    const std::string document = task.document();
    return table.put(record_of(task, document), evicted);
}

inline rollout::task_table::stored put(rollout::task_table &table, const sample_task &task)
{
    std::uint64_t ignored = 0;
    return put(table, task, ignored);
}

/// A task that was read, with the memory that its views point into.
struct read_back {
    rollout::record_store::found found = rollout::record_store::found::no;
    rollout::task_record task;
    std::string memory;

    read_back() = default;
    read_back(const read_back &) = delete;
    read_back &operator=(const read_back &) = delete;

    auto into()
    {
        return [this](std::size_t size) {
            memory.assign(size, '?');
            return reinterpret_cast<unsigned char *>(memory.data());
        };
    }

    std::string document() const
    {
        return found == rollout::record_store::found::yes  ? std::string(task.document)
               : found == rollout::record_store::found::no ? "(none)"
                                                           : "(busy)";
    }
};

inline std::string document_of(const rollout::task_table &table, std::string_view task_id,
                               rollout::task_kind kind = rollout::task_kind::deploy)
{
    read_back read;
    read.found = table.by_id(kind, task_id, read.into(), read.task);
    return read.document();
}

/// The id of the model's latest task, or "(none)".
inline std::string latest_of(const rollout::task_table &table, std::string_view model_id,
                             rollout::task_kind kind = rollout::task_kind::deploy)
{
    read_back read;
    read.found = table.latest(kind, model_id, read.into(), read.task);
    return read.found == rollout::record_store::found::yes ? std::string(read.task.task_id) : read.document();
}
