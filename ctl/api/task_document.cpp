#include "ctl/api/task_document.hpp"

#include "common/base/text.hpp"
#include "common/base/timestamp.hpp"
#include "common/domain/limits.hpp"

#include <algorithm>
#include <utility>

namespace rollout::ctl {

namespace {

constexpr std::size_t most_steps = 1000; ///< read from a plan or a task


std::string clean(const json_t *object, const char *member)
{
    return clean_text(json_text(object, member), limits::detail_characters);
}


std::optional<task_status> status_of(const json_t *document)
{
    const auto word = json_text(document, "status");
    const auto status = status_from(word);
    return status ? status : status_from(word, dialect::embedding_studio);
}


std::string creator_of(const json_t *from)
{
    std::string text;
    for (const char *member : {"user", "certificate", "address"}) {
        if (const std::string part = clean(from, member); !part.empty()) {
            text += (text.empty() ? "" : ", ") + part;
        }
    }
    return text;
}


std::vector<task_step> steps_of(const json_t *metadata)
{
    std::vector<task_step> steps;
    const json_t *list = json_object_get(metadata, "steps");
    for (std::size_t i = 0; i < std::min(json_array_size(list), most_steps); ++i) {
        const json_t *step = json_array_get(list, i);
        steps.push_back({clean(step, "name"), clean(step, "state"), timestamp_us(json_text(step, "started_at")),
                         timestamp_us(json_text(step, "ended_at"))});
    }
    return steps;
}


void read_plan(const json_t *plan, task_document &to)
{
    const json_t *list = json_object_get(plan, "steps");
    for (std::size_t i = 0; i < std::min(json_array_size(list), most_steps); ++i) {
        const json_t *step = json_array_get(list, i);
        to.plan.push_back({static_cast<unsigned>(std::min<std::uint64_t>(json_count(step, "weight"), 100)),
                           json_count(step, "hold_s")});
    }
    to.promote = clean(plan, "promote");
    to.watch_s = json_count(plan, "watch_s");
}

} // namespace


std::optional<task_document> read_task_document(task_kind kind, std::string text)
{
    json_error_t error;
    const json_ptr root = json_read(text, 0, error);
    const auto status = status_of(root.get());
    const json_t *metadata = json_object_get(root.get(), "metadata");
    task_document to;
    to.task_id = clean(root.get(), "task_id");
    to.model_id = clean(root.get(), "model_id");
    if (!status || to.task_id.empty() || to.model_id.empty() || !json_is_object(metadata)) {
        return std::nullopt;
    }
    to.kind = kind;
    to.status = *status;
    to.parent_id = clean(root.get(), "parent_id");
    to.created_by = creator_of(json_object_get(root.get(), "created_by"));
    to.detail = clean(root.get(), "detail");
    to.created_us = timestamp_us(json_text(root.get(), "created_at"));
    to.updated_us = timestamp_us(json_text(root.get(), "updated_at"));
    to.revision = json_count(metadata, "revision");
    to.step = clean(metadata, "step");
    to.weight = static_cast<unsigned>(std::min<std::uint64_t>(json_count(metadata, "traffic_weight"), 100));
    to.elapsed_ms = json_count(metadata, "elapsed_ms");
    to.waits_for = clean(metadata, "waits_for");
    to.hold_ends_us = timestamp_us(json_text(metadata, "hold_ends_at"));
    to.paused = json_is_true(json_object_get(metadata, "paused"));
    to.cancel_asked = json_is_true(json_object_get(metadata, "cancel_asked"));
    to.steps = steps_of(metadata);
    read_plan(json_object_get(metadata, "plan"), to);
    if (json_t *gate = json_object_get(metadata, "gate"); json_is_object(gate)) {
        to.gate = share(json_share(gate));
    }
    to.text = std::move(text);
    return to;
}

} // namespace rollout::ctl
