#include "worker/journal/sqlite/open_tasks.hpp"

#include <algorithm>

namespace rollout {

namespace {

std::size_t index_of(task_kind kind) noexcept
{
    return static_cast<std::size_t>(kind);
}

} // namespace


open_tasks::open_tasks(sqlite_database &database)
{
    sqlite_statement rows(database,
                          "SELECT sequence, kind, model_id FROM tasks WHERE kind IN ('deploy', 'delete') AND "
                          "status IN ('pending', 'in_progress') ORDER BY sequence");
    while (rows.step()) {
        const auto kind = kind_from(rows.text(1)).value_or(task_kind::deploy);
        by_kind_.at(index_of(kind))[rows.text(2)].push_back(static_cast<std::uint64_t>(rows.number(0)));
        ++count_;
    }
}


void open_tasks::note(const task_row &row)
{
    auto &of_kind = by_kind_.at(index_of(row.kind));
    const auto found = of_kind.try_emplace(row.model_id).first;
    auto &open = found->second;
    const auto place = std::ranges::lower_bound(open, row.sequence);
    const bool is_there = place != open.end() && *place == row.sequence;
    if (!is_final(row.status) && !is_there) {
        open.insert(place, row.sequence); // a new task comes last
        ++count_;
    } else if (is_final(row.status) && is_there) {
        open.erase(place);
        --count_;
    }
    if (open.empty()) {
        of_kind.erase(found);
    }
}


open_tasks::sequences open_tasks::of(task_kind kind, const std::string &model_id) const
{
    const auto &of_kind = by_kind_.at(index_of(kind));
    const auto found = of_kind.find(model_id);
    return found == of_kind.end() ? sequences() : found->second;
}

} // namespace rollout
