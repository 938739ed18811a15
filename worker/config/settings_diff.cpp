#include "worker/config/settings_diff.hpp"

#include "worker/base/format.hpp"

#include <set>

namespace rollout {

namespace {

const json_t *member_of(const settings &from, const char *name)
{
    return json_object_get(from.document.get(), name);
}


std::set<std::string> names_in(const json_t *object)
{
    std::set<std::string> names;
    const char *name;
    json_t *member;
    json_object_foreach(const_cast<json_t *>(object), name, member)
    {
        names.insert(name);
    }
    return names;
}


/// Appends `1 backend added`, `2 models changed` and the like, for an object whose members are named entries.
void count_changes(const json_t *before, const json_t *after, std::string_view one, std::string_view many,
                   std::vector<std::string> &to)
{
    std::size_t added = 0;
    std::size_t changed = 0;
    std::size_t removed = 0;
    for (const auto &name : names_in(after)) {
        const json_t *old = json_object_get(before, name.c_str());
        added += old == nullptr;
        changed += old != nullptr && !json_same(old, json_object_get(after, name.c_str()));
    }
    for (const auto &name : names_in(before)) {
        removed += json_object_get(after, name.c_str()) == nullptr;
    }
    for (const auto &[count, what] : {std::pair{added, " added"}, {changed, " changed"}, {removed, " removed"}}) {
        if (count != 0) {
            to.push_back(format_count(count, one, many) + what);
        }
    }
}


/// Takes over what a reload may change.
void take_run_time_settings(const cluster_settings &from, cluster_settings &to)
{
    to.leader = from.leader;
    to.isolation_s = from.isolation_s;
    to.compact_s = from.compact_s;
}

} // namespace


std::vector<std::string> keep_what_takes_a_restart(const settings &running, settings &wanted)
{
    std::vector<std::string> kept;
    const auto keep = [&kept](const char *pointer, const auto &is, auto &was_to_be) {
        if (is != was_to_be) {
            was_to_be = is;
            kept.emplace_back(pointer);
        }
    };
    keep("/listen/path", running.listen.path, wanted.listen.path);
    keep("/listen/mode", running.listen.mode, wanted.listen.mode);
    keep("/listen/allow_users", running.listen.allow_users, wanted.listen.allow_users);
    keep("/journal/path", running.journal.path, wanted.journal.path);
    if (running.journal.etcd.has_value() != wanted.journal.etcd.has_value()) {
        wanted.journal.etcd = running.journal.etcd;
        kept.emplace_back("/journal/type");
    } else if (wanted.journal.etcd) {
        auto as_it_runs = *running.journal.etcd;
        take_run_time_settings(*wanted.journal.etcd, as_it_runs);
        keep("/journal/etcd", as_it_runs, *wanted.journal.etcd);
    }
    return kept;
}


std::string changes_between(const settings &before, const settings &after)
{
    std::vector<std::string> changes;
    if (before.journal.retain_days != after.journal.retain_days ||
        before.journal.max_tasks != after.journal.max_tasks || before.journal.etcd != after.journal.etcd) {
        changes.emplace_back("journal");
    }
    auto names = names_in(before.document.get());
    names.merge(names_in(after.document.get()));
    for (const char *handled : {"listen", "journal", "backends", "models"}) {
        names.erase(handled);
    }
    for (const auto &name : names) {
        if (!json_same(member_of(before, name.c_str()), member_of(after, name.c_str()))) {
            changes.push_back(name);
        }
    }
    count_changes(member_of(before, "backends"), member_of(after, "backends"), "backend", "backends", changes);
    count_changes(member_of(before, "models"), member_of(after, "models"), "entry of models", "entries of models",
                  changes);
    std::string words;
    for (const auto &change : changes) {
        words += (words.empty() ? "" : ", ") + change;
    }
    return words.empty() ? "nothing" : words;
}


bool is_same_backend(const settings &before, const settings &after, const std::string &name)
{
    const json_t *was = json_object_get(member_of(before, "backends"), name.c_str());
    return was != nullptr && json_same(was, json_object_get(member_of(after, "backends"), name.c_str()));
}

} // namespace rollout
