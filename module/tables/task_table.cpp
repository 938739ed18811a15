#include "module/tables/task_table.hpp"

#include "common/domain/limits.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>

namespace rollout {

namespace {

/// The part of a task's record before the model's name and the document.
struct task_head {
    std::uint64_t sequence;
    std::uint64_t revision;
    std::uint32_t document_bytes;
    std::uint8_t kind;
    std::uint8_t status;
    std::uint8_t model_id_bytes;
    std::uint8_t task_id_bytes;
};

/// A model's record: its latest task of each kind. The sequence stays when that task is evicted, so that an older one
/// is never taken for the latest; `task_counts::forgotten` stands for it once the record is removed.
struct model_entry {
    struct latest_task {
        std::uint64_t sequence;
        std::uint8_t task_id_bytes; ///< 0: only rolloutd knows the task
        char task_id[limits::task_id_bytes];

        std::string_view id() const noexcept { return {task_id, task_id_bytes}; }
    };

    std::array<latest_task, 2> latest; ///< indexed by task_kind
    std::uint32_t tasks;               ///< of this model in the table; the entry is removed with the last one
};


/// Makes sure that a reader that misses a task which is evicted now sees that one was evicted.
void raise(std::uint64_t &evicted) noexcept
{
    std::atomic_ref(evicted).fetch_add(1, std::memory_order_release);
}


template <class T>
std::string_view bytes_of(const T &value) noexcept
{
    return {reinterpret_cast<const char *>(&value), sizeof(value)};
}


/// Parses a task's record, which is `head, task_id, model_id, document`.
bool open_task(const unsigned char *bytes, std::size_t size, task_record &task) noexcept
{
    task_head head;
    if (size < sizeof(head)) {
        return false;
    }
    std::memcpy(&head, bytes, sizeof(head));
    if (size != sizeof(head) + head.task_id_bytes + head.model_id_bytes + head.document_bytes) {
        return false;
    }
    const char *text = reinterpret_cast<const char *>(bytes) + sizeof(head);
    task.kind = static_cast<task_kind>(head.kind);
    task.status = static_cast<task_status>(head.status);
    task.sequence = head.sequence;
    task.revision = head.revision;
    task.task_id = {text, head.task_id_bytes};
    task.model_id = {text + head.task_id_bytes, head.model_id_bytes};
    task.document = {text + head.task_id_bytes + head.model_id_bytes, head.document_bytes};
    return true;
}


record_store::found read_task(const record_store &records, std::string_view task_id,
                              const task_table::allocate_fn &allocate, task_record &task)
{
    const unsigned char *bytes = nullptr;
    std::size_t size = 0;
    const auto found = records.read(record_map::tasks, task_id, [&](std::size_t wanted) {
        size = wanted;
        auto *to = allocate(wanted);
        bytes = to;
        return to;
    });
    if (found == record_store::found::yes && !open_task(bytes, size, task)) {
        return record_store::found::failed;
    }
    return found;
}


/// For writers, into their own memory: nobody else writes at this time, so that no record is torn.
record_store::found read_task(const record_store &records, std::string_view task_id, std::string &bytes,
                              task_record &task)
{
    return read_task(
        records, task_id,
        [&bytes](std::size_t size) {
            bytes.resize(size);
            return reinterpret_cast<unsigned char *>(bytes.data());
        },
        task);
}


record_store::found read_model(const record_store &records, std::string_view model_id, model_entry &entry)
{
    return records.read(record_map::models, model_id, [&entry](std::size_t size) {
        return size == sizeof(entry) ? reinterpret_cast<unsigned char *>(&entry) : nullptr;
    });
}

} // namespace


std::uint64_t task_counts::read(task_kind kind, task_status status) const noexcept
{
    auto &number = const_cast<std::uint64_t &>(of[static_cast<std::size_t>(kind)][static_cast<std::size_t>(status)]);
    return std::atomic_ref(number).load(std::memory_order_relaxed);
}


std::size_t task_record::status_at() const noexcept
{
    // All values before it are ids of a plain alphabet, so the first match is the member itself.
    static constexpr std::string_view member = "\"status\":\"";
    const auto position = document.find(member);
    return position == std::string_view::npos ? position : position + member.size();
}


record_store::found task_table::by_id(task_kind kind, std::string_view task_id, const allocate_fn &allocate,
                                      task_record &task) const
{
    const auto found = read_task(records_, task_id, allocate, task);
    return found == record_store::found::yes && task.kind != kind ? record_store::found::no : found;
}


record_store::found task_table::latest(task_kind kind, std::string_view model_id, const allocate_fn &allocate,
                                       task_record &task) const
{
    model_entry entry;
    const auto found = read_model(records_, model_id, entry);
    if (found != record_store::found::yes) {
        return found;
    }
    const auto &latest = entry.latest[static_cast<std::size_t>(kind)];
    return latest.task_id_bytes == 0 ? record_store::found::no : by_id(kind, latest.id(), allocate, task);
}


task_table::stored task_table::put(const task_record &task, std::uint64_t &evicted)
{
    const auto result = store(task, evicted);
    if (result != stored::stale && events_ != nullptr) {
        events_->add_task(task.kind, task.model_id, task.task_id);
    }
    return result;
}


task_table::stored task_table::store(const task_record &task, std::uint64_t &evicted)
{
    std::string old_bytes;
    task_record old;
    const auto before = read_task(records_, task.task_id, old_bytes, old);
    if (before == record_store::found::yes && old.revision >= task.revision) {
        return stored::stale;
    }

    const task_head head = {task.sequence,
                            task.revision,
                            static_cast<std::uint32_t>(task.document.size()),
                            static_cast<std::uint8_t>(task.kind),
                            static_cast<std::uint8_t>(task.status),
                            static_cast<std::uint8_t>(task.model_id.size()),
                            static_cast<std::uint8_t>(task.task_id.size())};
    const std::size_t value = sizeof(head) + task.task_id.size() + task.model_id.size() + task.document.size();
    const std::size_t cells = record_store::cells_for(task.task_id.size(), value) +
                              record_store::cells_for(task.model_id.size(), sizeof(model_entry));
    if (!make_room(cells, task.task_id, evicted) ||
        !records_.put(record_map::tasks, task.task_id, {bytes_of(head), task.task_id, task.model_id, task.document},
                      is_final(task.status) ? age_list::final_tasks : age_list::active_tasks)) {
        // The old state must not be taken for the new one, so rolloutd is asked.
        raise(evicted);
        if (before == record_store::found::yes) {
            evict(task.task_id);
        }
        return stored::no_room;
    }
    if (before == record_store::found::yes) {
        count(old, -1);
    }
    count(task, 1);
    if (before != record_store::found::yes) {
        make_room(record_store::cells_for(task.model_id.size(), sizeof(model_entry)), task.task_id, evicted);
        note_latest(task);
    }
    return stored::yes;
}


void task_table::expect(std::span<const task_record> next) const
{
    constexpr std::size_t most = 32; // more would drive each other out of the nearest cache
    std::array<record_store::expected_key, 2 * most> keys;
    std::size_t count = 0;
    for (const auto &task : next.first(std::min(next.size(), most))) {
        keys[count++] = records_.expect(record_map::tasks, task.task_id);
        keys[count++] = records_.expect(record_map::models, task.model_id);
    }
    for (const auto &key : std::span(keys).first(count)) {
        records_.expect_record(key);
    }
}


bool task_table::holds(std::string_view task_id) const
{
    return records_.holds(record_map::tasks, task_id);
}


bool task_table::note_latest(const task_record &task)
{
    model_entry entry = {};
    if (read_model(records_, task.model_id, entry) != record_store::found::yes && counts_ != nullptr) {
        // The model may have had an entry, with a later task than this one.
        for (std::size_t kind = 0; kind < task_kinds; ++kind) {
            entry.latest[kind].sequence = counts_->forgotten[kind];
        }
    }
    ++entry.tasks;
    auto &latest = entry.latest[static_cast<std::size_t>(task.kind)];
    if (task.sequence >= latest.sequence) {
        latest.sequence = task.sequence;
        latest.task_id_bytes = static_cast<std::uint8_t>(task.task_id.size());
        std::memcpy(latest.task_id, task.task_id.data(), task.task_id.size());
    }
    return records_.put(record_map::models, task.model_id, {bytes_of(entry)}, age_list::none);
}


void task_table::rebuild_models(std::uint64_t &evicted)
{
    records_.each(record_map::models, [&](std::string_view model_id) {
        model_entry entry;
        if (read_model(records_, model_id, entry) == record_store::found::yes) {
            for (std::size_t kind = 0; kind < task_kinds; ++kind) {
                if (entry.latest[kind].task_id_bytes == 0) {
                    note_forgotten(kind, entry.latest[kind].sequence);
                }
            }
        }
    });
    records_.clear(record_map::models);
    if (counts_ != nullptr) {
        counts_->of = {};
    }
    std::array<unsigned char, record_store::max_value_bytes> bytes;
    records_.each(record_map::tasks, [&](std::string_view task_id) {
        task_record task;
        const auto found = read_task(
            records_, task_id, [&bytes](std::size_t) { return bytes.data(); }, task);
        if (found == record_store::found::yes) {
            count(task, 1);
        }
        if (found != record_store::found::yes || !note_latest(task)) {
            raise(evicted);
        }
    });
}


bool task_table::make_room(std::size_t cells, std::string_view keep, std::uint64_t &evicted)
{
    while (records_.free_cells() < cells) {
        raise(evicted);
        if (!evict_one(keep)) {
            return false;
        }
    }
    return true;
}


void task_table::evict(std::string_view task_id)
{
    std::string bytes;
    task_record task;
    const auto found = read_task(records_, task_id, bytes, task);
    records_.erase(record_map::tasks, task_id);
    if (found == record_store::found::yes) {
        count(task, -1);
    }

    model_entry entry;
    if (found != record_store::found::yes || read_model(records_, task.model_id, entry) != record_store::found::yes) {
        return;
    }
    if (--entry.tasks == 0) {
        for (std::size_t kind = 0; kind < task_kinds; ++kind) {
            note_forgotten(kind, entry.latest[kind].sequence);
        }
        records_.erase(record_map::models, task.model_id);
        return;
    }
    auto &latest = entry.latest[static_cast<std::size_t>(task.kind)];
    if (latest.id() == task_id) {
        latest.task_id_bytes = 0;
    }
    // The task that was just evicted has freed more cells than this takes.
    records_.put(record_map::models, task.model_id, {bytes_of(entry)}, age_list::none);
}


void task_table::note_forgotten(std::size_t kind, std::uint64_t sequence) noexcept
{
    if (counts_ != nullptr) {
        counts_->forgotten[kind] = std::max(counts_->forgotten[kind], sequence);
    }
}


bool task_table::evict_one(std::string_view keep)
{
    std::array<char, limits::task_id_bytes> buffer;
    for (const auto list : {age_list::final_tasks, age_list::active_tasks}) {
        if (const auto task_id = records_.oldest(list, buffer, keep); !task_id.empty()) {
            evict(std::string(task_id));
            return true;
        }
    }
    return false;
}


void task_table::clear()
{
    records_.clear(record_map::tasks);
    records_.clear(record_map::models);
    if (counts_ != nullptr) {
        *counts_ = {};
    }
}


void task_table::count(const task_record &task, std::int64_t more) noexcept
{
    const auto kind = static_cast<std::size_t>(task.kind);
    const auto status = static_cast<std::size_t>(task.status);
    if (counts_ != nullptr && kind < task_kinds && status < task_statuses) {
        std::atomic_ref(counts_->of[kind][status])
            .fetch_add(static_cast<std::uint64_t>(more), std::memory_order_relaxed);
    }
}

} // namespace rollout
