#include "ctl/view/model_table.hpp"

#include "common/base/text.hpp"
#include "common/domain/limits.hpp"
#include "ctl/view/table.hpp"

#include <algorithm>

namespace rollout::ctl {

namespace {

std::string clean(const json_t *object, const char *member)
{
    return clean_text(json_text(object, member), limits::detail_characters);
}


std::string revision_of(const json_t *model, const char *slot)
{
    const auto revision = json_count(json_object_get(model, slot), "revision");
    return revision == 0 ? "" : std::to_string(revision);
}


/// Returns 0 for a problem, 1 if work is under way, 2 at rest.
int urgency_of(const json_t *model) noexcept
{
    const auto state = json_text(model, "state");
    return state == "deployed" ? 2 : state == "rolling_out" || state == "retiring" ? 1 : 0;
}


style style_of_state(const json_t *model) noexcept
{
    const int urgency = urgency_of(model);
    return urgency == 0 ? style::bad : urgency == 1 ? style::bold : style::good;
}


std::string kept_of(const json_t *model)
{
    std::string text;
    const json_t *kept = json_object_get(model, "kept");
    for (std::size_t i = 0; i < json_array_size(kept); ++i) {
        text += (text.empty() ? "" : ", ") + std::to_string(json_count(json_array_get(kept, i), "revision"));
    }
    return text;
}

} // namespace


std::vector<styled_line> model_table(const std::vector<json_ptr> &models)
{
    std::vector<const json_t *> sorted;
    sorted.reserve(models.size());
    for (const auto &model : models) {
        sorted.push_back(model.get());
    }
    std::ranges::stable_sort(sorted, {}, urgency_of);
    table rows({"MODEL", "STATE", "BLUE", "GREEN", "WEIGHT", "KEPT", "TASKS", "DETAIL"});
    for (const json_t *model : sorted) {
        const std::string green = revision_of(model, "green");
        const auto tasks = json_array_size(json_object_get(model, "task_ids"));
        rows.add({styled_line(clean(model, "model_id"), style::bold),
                  styled_line(clean(model, "state"), style_of_state(model)),
                  styled_line(revision_of(model, "blue"), style::blue), styled_line(green, style::green),
                  styled_line(green.empty() ? "" : std::to_string(json_count(model, "weight")) + " %"),
                  styled_line(kept_of(model)), styled_line(tasks == 0 ? "" : std::to_string(tasks)),
                  styled_line(clean(model, "detail"))});
    }
    return rows.lines();
}

} // namespace rollout::ctl
