#include "worker/scheduler/model_registry.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

namespace {

template <typename Predicate>
bool has_revision(const model &of, Predicate is_it)
{
    return (of.blue && is_it(*of.blue)) || (of.green && is_it(*of.green)) || (of.incoming && is_it(*of.incoming)) ||
           std::ranges::any_of(of.retired, is_it) || std::ranges::any_of(of.kept, is_it);
}

} // namespace


void model_registry::add(model known)
{
    const std::string model_id = known.model_id;
    models_.emplace(model_id, std::move(known));
    put_aside(model_id);
}


const model *model_registry::find(const std::string &model_id) const
{
    const auto known = models_.find(model_id);
    return known == models_.end() ? nullptr : &known->second;
}


model *model_registry::find(const std::string &model_id)
{
    const auto known = models_.find(model_id);
    return known == models_.end() ? nullptr : &known->second;
}


model &model_registry::find_or_create(const std::string &model_id)
{
    model &entry = models_[model_id];
    entry.model_id = model_id;
    if (const auto before = traces_.extract(model_id)) {
        entry.last_revision = before.mapped().last_revision;
        entry.route_revision = before.mapped().route_revision;
    }
    return entry;
}


void model_registry::put_aside(const std::string &model_id)
{
    const auto known = models_.find(model_id);
    if (known == models_.end() || is_placed(known->second)) {
        return;
    }
    if (known->second.last_revision != 0) {
        traces_.emplace(model_id, trace{known->second.last_revision, known->second.route_revision});
    }
    models_.erase(known);
}


std::size_t model_registry::deployed() const
{
    return static_cast<std::size_t>(std::ranges::count_if(
        models_, [](const auto &entry) { return entry.second.blue || entry.second.green || entry.second.incoming; }));
}


std::size_t model_registry::known(const std::function<bool(const std::string &model_id)> &is_at_work) const
{
    const auto is_new = [&](const auto &entry) { return entry.second.last_revision == 0 && is_at_work(entry.first); };
    return models_.size() + traces_.size() - static_cast<std::size_t>(std::ranges::count_if(models_, is_new));
}


std::vector<std::string> model_registry::models_on(const std::string &backend) const
{
    std::vector<std::string> all;
    for (const auto &[model_id, entry] : models_) {
        if (has_revision(entry, [&](const served_revision &placed) { return placed.backend == backend; })) {
            all.push_back(model_id);
        }
    }
    return all;
}


std::string model_registry::holder_of(const std::string &model_id, const std::string &backend,
                                      const std::string &name) const
{
    const auto has_the_name = [&](const served_revision &placed) {
        return placed.backend == backend &&
               std::ranges::any_of(placed.copies, [&](const auto &copy) { return copy.model == name; });
    };
    for (const auto &[other, entry] : models_) {
        if (other != model_id && has_revision(entry, has_the_name)) {
            return other;
        }
    }
    return {};
}

} // namespace rollout
