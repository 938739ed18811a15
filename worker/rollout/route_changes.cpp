#include "worker/rollout/route_changes.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

route_changes::route_changes(rollout::model &model) : model_(model), durable_(routes_of(model)) {}


void route_changes::note_write()
{
    written_ = routes_of(model_, durable_);
}


void route_changes::on_durable(std::uint64_t revision)
{
    const bool has_changed = std::ranges::any_of(written_, [this](const route &part) {
        const auto before = std::ranges::find(durable_, part.part, &route::part);
        return before == durable_.end() ? !part.removed() : !(*before == part);
    });
    if (has_changed) {
        model_.route_revision = revision;
    }
    std::erase_if(written_, [](const route &part) { return part.removed(); });
    durable_ = std::exchange(written_, {});
}

} // namespace rollout
