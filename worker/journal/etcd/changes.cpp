#include "worker/journal/etcd/changes.hpp"

#include "worker/journal/etcd/records.hpp"

#include <algorithm>
#include <utility>

namespace rollout::cluster {

namespace {

void take_task(followed_changes &to, const etcd::key_value &entry, const std::string &task_id)
{
    auto read = read_task(entry, task_id);
    if (!read) {
        to.faults.push_back(read.sentence());
        return;
    }
    std::erase(to.changes.removed, task_id); // it is there again
    to.changes.tasks.push_back({std::move(read->row), read->updated_us});
}


void take_model(followed_changes &to, const etcd::key_value &entry, const std::string &model_id)
{
    auto read = read_model(entry, model_id);
    if (!read) {
        to.faults.push_back(read.sentence());
        return;
    }
    to.changes.models.push_back({model_id, read->revision, std::move(read->state)});
}


void take_series(followed_changes &to, const etcd::key_value &entry, const std::string &task_id)
{
    std::erase(to.changes.removed_series, task_id); // it is there again
    to.changes.series.push_back({task_id, entry.value});
}


void note_removal(std::vector<std::string> &removed, const std::string &task_id)
{
    if (std::ranges::find(removed, task_id) == removed.end()) {
        removed.push_back(task_id);
    }
}


void take(followed_changes &to, const keys &names, const etcd::key_value &entry, bool is_delete)
{
    to.up_to = std::max(to.up_to, entry.mod_revision);
    const auto name = names.parse(entry.key);
    if (!name) {
        to.faults.push_back(name.sentence());
        return;
    }
    switch (name->kind) {
    case key_kind::meta:
        to.meta = is_delete ? "" : entry.value;
        to.meta_removed = is_delete;
        return;
    case key_kind::position:
        to.mark = is_delete ? to.mark : entry.value;
        return;
    case key_kind::task:
        if (!is_delete) {
            take_task(to, entry, name->id);
        } else {
            note_removal(to.changes.removed, name->id);
        }
        return;
    case key_kind::series:
        if (!is_delete) {
            take_series(to, entry, name->id);
        } else {
            note_removal(to.changes.removed_series, name->id);
        }
        return;
    case key_kind::model:
        if (!is_delete) { // a model's end is a put
            take_model(to, entry, name->id);
        }
        return;
    case key_kind::leader:
    case key_kind::losses:
    case key_kind::other:
        return;
    }
}


/// etcd tells the changes of one transaction in its own order.
void order(followed_changes &of)
{
    std::ranges::stable_sort(of.changes.tasks, {}, [](const replica_task &task) { return task.row.revision; });
    std::ranges::stable_sort(of.changes.models, {}, &replica_model::revision);
}

} // namespace


followed_changes read_events(const keys &names, const std::vector<etcd::watch_event> &events)
{
    followed_changes read;
    for (const auto &event : events) {
        take(read, names, event.entry, event.is_delete);
    }
    order(read);
    return read;
}


followed_changes read_entries(const keys &names, const std::vector<etcd::key_value> &entries)
{
    followed_changes read;
    for (const auto &entry : entries) {
        take(read, names, entry, false);
    }
    order(read);
    return read;
}

} // namespace rollout::cluster
