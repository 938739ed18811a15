// What the scheduler remembers of models: where each stands while it stands somewhere, and else its last revision's number.
#include "worker/scheduler/scheduler.hpp"

#include <algorithm>

namespace rollout {

namespace {

template <typename Predicate>
bool has_revision(const model &of, Predicate is_it)
{
    return (of.blue && is_it(*of.blue)) || (of.green && is_it(*of.green)) || (of.incoming && is_it(*of.incoming)) ||
           std::ranges::any_of(of.retired, is_it) || std::ranges::any_of(of.kept, is_it);
}

} // namespace


std::size_t scheduler::deployed_models() const
{
    return static_cast<std::size_t>(std::count_if(models_.begin(), models_.end(), [](const auto &entry) {
        return entry.second.blue || entry.second.green || entry.second.incoming;
    }));
}


std::string scheduler::holder_of(const std::string &model_id, const std::string &backend,
                                 const std::string &name) const
{
    for (const auto &[id, one] : models_) {
        if (id == model_id) {
            continue;
        }
        const auto is_it = [&](const placed_revision &placed) {
            return placed.backend == backend &&
                   std::ranges::any_of(placed.copies, [&](const auto &copy) { return copy.model == name; });
        };
        if (has_revision(one, is_it)) {
            return id;
        }
    }
    return {};
}


std::vector<std::string> scheduler::models_on(const std::string &backend) const
{
    std::vector<std::string> all;
    for (const auto &[id, one] : models_) {
        if (has_revision(one, [&](const placed_revision &placed) { return placed.backend == backend; })) {
            all.push_back(id);
        }
    }
    return all;
}


/// A model that stands nowhere leaves only its last revision's number to remember, and that only if it ever had one.
void scheduler::put_aside(const std::string &model_id)
{
    const auto known = models_.find(model_id);
    if (known == models_.end() || is_placed(known->second)) {
        return;
    }
    if (known->second.last_revision != 0) {
        last_revisions_.emplace(model_id, known->second.last_revision);
    }
    models_.erase(known);
}


/// The model's entry, for a task of it.
model &scheduler::take_up(const std::string &model_id)
{
    model &of = models_[model_id];
    of.model_id = model_id;
    if (const auto before = last_revisions_.extract(model_id)) {
        of.last_revision = before.mapped();
    }
    return of;
}


std::size_t scheduler::known_models() const
{
    const auto is_new = [this](const auto &entry) {
        const auto known = models_.find(entry.first);
        return known != models_.end() && known->second.last_revision == 0;
    };
    return models_.size() + last_revisions_.size() - static_cast<std::size_t>(std::ranges::count_if(runs_, is_new));
}

} // namespace rollout
