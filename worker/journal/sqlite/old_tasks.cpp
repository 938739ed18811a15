#include "worker/journal/sqlite/old_tasks.hpp"

#include "worker/journal/sqlite/rows.hpp"

#include <string_view>

namespace rollout {

namespace {

/// Returns a query. Its third column says whether a later task of the same kind and model has ended too; the fourth
/// is the model.
std::string select_old_tasks(std::string_view which)
{
    return "SELECT sequence, updated_us, EXISTS (SELECT 1 FROM tasks l WHERE l.model_id = t.model_id "
           "AND l.kind = t.kind AND l.sequence > t.sequence AND l.status NOT IN ('pending', 'in_progress')), "
           "model_id, task_id, revision "
           "FROM tasks t WHERE status NOT IN ('pending', 'in_progress') AND " +
           std::string(which);
}

} // namespace


old_tasks::old_tasks(sqlite_database &of)
    : at_once_(of, select_old_tasks("updated_us = ? AND sequence > ? ORDER BY sequence LIMIT ?")),
      later_(of, select_old_tasks("updated_us > ? AND updated_us < ? ORDER BY updated_us, sequence LIMIT ?")),
      find_model_(of, select_models("WHERE model_id = ?"))
{
}


old_tasks::found old_tasks::find(purge_position from, std::int64_t before_us, std::size_t rows)
{
    found step{from, {}, false};
    std::size_t visited = 0;
    const auto visit = [&](sqlite_statement &old) {
        for (; visited < rows && old.step(); ++visited) {
            step.scanned_up_to = {old.number(1), static_cast<std::uint64_t>(old.number(0))};
            if (old.number(2) != 0 || !stands_somewhere(old.text(3))) {
                step.to_remove.push_back({static_cast<std::uint64_t>(old.number(0)),
                                          static_cast<std::uint64_t>(old.number(5)), old.text(4)});
            }
        }
        old.reset();
    };
    if (from.updated_us < before_us) {
        visit(at_once_.with(from.updated_us, from.sequence, static_cast<std::int64_t>(rows)));
    }
    visit(later_.with(from.updated_us, before_us, static_cast<std::int64_t>(rows - visited)));
    step.more = visited == rows;
    return step;
}


/// Returns whether the model has something on a server; assumed to be true if its entry cannot be read.
bool old_tasks::stands_somewhere(const std::string &model_id)
{
    find_model_.with(std::string_view(model_id));
    if (!find_model_.step()) {
        return false;
    }
    bool stands = true;
    try {
        stands = is_placed(model_at(find_model_));
    } catch (const sqlite_error &) {
        // The start has reported it.
    }
    find_model_.reset();
    return stands;
}

} // namespace rollout
