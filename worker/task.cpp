#include "worker/task.hpp"

#include "common/limits.hpp"
#include "worker/words.hpp"

#include <array>
#include <cstdio>
#include <ctime>

namespace rollout {

namespace {

constexpr std::array step_states = {step_state::pending, step_state::running, step_state::done, step_state::failed,
                                    step_state::skipped};


json_ptr time_or_null(std::int64_t us)
{
    return us == 0 ? json_ptr(json_null()) : json_make(timestamp(us));
}


json_ptr step_to_json(const step_record &from)
{
    json_ptr to(json_object());
    json_put(to.get(), "name", from.name);
    json_put(to.get(), "state", step_state_name(from.state));
    json_put(to.get(), "attempts", json_make_number(from.attempts));
    json_put(to.get(), "started_at", time_or_null(from.started_us));
    json_put(to.get(), "ended_at", time_or_null(from.ended_us));
    json_put(to.get(), "detail", clean_text(from.detail, limits::step_detail_characters));
    return to;
}


step_record step_from_json(const json_t *from)
{
    step_record to;
    to.name = json_text(from, "name");
    for (const auto state : step_states) {
        if (json_text(from, "state") == step_state_name(state)) {
            to.state = state;
        }
    }
    to.attempts = static_cast<unsigned>(json_number(from, "attempts"));
    to.started_us = timestamp_us(json_text(from, "started_at"));
    to.ended_us = timestamp_us(json_text(from, "ended_at"));
    to.detail = json_text(from, "detail");
    return to;
}

} // namespace


std::string_view step_state_name(step_state state) noexcept
{
    switch (state) {
    case step_state::pending:
        return "pending";
    case step_state::running:
        return "running";
    case step_state::done:
        return "done";
    case step_state::failed:
        return "failed";
    case step_state::skipped:
        return "skipped";
    }
    return "pending";
}


step_record *task::find_step(std::string_view name) noexcept
{
    for (auto &one : steps) {
        if (one.name == name) {
            return &one;
        }
    }
    return nullptr;
}


json_ptr document_of(const task &from)
{
    // The ids come before the status: the module counts on that (task_record::status_at).
    json_ptr to(json_object());
    json_put(to.get(), "task_id", from.task_id);
    json_put(to.get(), "id", from.task_id);
    json_put(to.get(), "model_id", from.model_id);
    json_put(to.get(), "embedding_model_id", from.model_id);
    json_put(to.get(), "status", status_name(from.status));
    json_put(to.get(), "detail", clean_text(from.detail, limits::detail_characters));
    json_put(to.get(), "created_at", timestamp(from.created_us));
    json_put(to.get(), "updated_at", timestamp(from.updated_us));
    if (!from.parent_id.empty()) {
        json_put(to.get(), "parent_id", from.parent_id);
    }

    json_ptr metadata(json_object());
    json_put(metadata.get(), "revision",
             from.model_revision == 0 ? json_ptr(json_null()) : json_make_number(from.model_revision));
    json_put(metadata.get(), "step", from.step.empty() ? json_ptr(json_null()) : json_make(from.step));
    json_put(metadata.get(), "progress", json_ptr(json_real(from.progress)));
    json_put(metadata.get(), "traffic_weight", json_make_number(from.traffic_weight));
    json_put(metadata.get(), "elapsed_ms", json_make_number(from.elapsed_ms));
    if (from.paused) {
        json_put(metadata.get(), "paused", json_ptr(json_true()));
    }
    if (from.cancel_asked) {
        json_put(metadata.get(), "cancel_asked", json_ptr(json_true()));
    }
    if (from.promote_asked) {
        json_put(metadata.get(), "promote_asked", json_ptr(json_true()));
    }
    if (from.gate) {
        json_put(metadata.get(), "gate", json_share(const_cast<json_t *>(from.gate.get())));
    }
    if (from.rollback_to != 0) {
        json_put(metadata.get(), "rollback_to", json_make_number(from.rollback_to));
    }
    json_ptr steps(json_array());
    for (const auto &step : from.steps) {
        json_array_append_new(steps.get(), step_to_json(step).release());
    }
    json_put(metadata.get(), "steps", std::move(steps));
    json_put(metadata.get(), "config",
             from.config ? json_share(const_cast<json_t *>(from.config.get())) : json_ptr(json_object()));
    json_put(to.get(), "metadata", std::move(metadata));
    return to;
}


std::optional<task> task_from_document(const json_t *document)
{
    task to;
    to.task_id = json_text(document, "task_id");
    to.model_id = json_text(document, "model_id");
    const auto status = status_from(json_text(document, "status"));
    const json_t *metadata = json_object_get(document, "metadata");
    if (to.task_id.empty() || to.model_id.empty() || !status || !json_is_object(metadata)) {
        return std::nullopt;
    }
    to.status = *status;
    to.detail = json_text(document, "detail");
    to.created_us = timestamp_us(json_text(document, "created_at"));
    to.updated_us = timestamp_us(json_text(document, "updated_at"));
    to.parent_id = json_text(document, "parent_id");
    to.model_revision = json_count(metadata, "revision");
    to.step = json_text(metadata, "step");
    to.progress = json_number_value(json_object_get(metadata, "progress"));
    to.traffic_weight = static_cast<unsigned>(json_number(metadata, "traffic_weight"));
    to.elapsed_ms = json_count(metadata, "elapsed_ms");
    to.paused = json_is_true(json_object_get(metadata, "paused"));
    to.cancel_asked = json_is_true(json_object_get(metadata, "cancel_asked"));
    to.promote_asked = json_is_true(json_object_get(metadata, "promote_asked"));
    if (json_t *gate = json_object_get(metadata, "gate"); json_is_object(gate)) {
        to.gate = share(json_share(gate));
    }
    to.rollback_to = json_count(metadata, "rollback_to");
    const json_t *steps = json_object_get(metadata, "steps");
    for (std::size_t i = 0; i < json_array_size(steps); ++i) {
        to.steps.push_back(step_from_json(json_array_get(steps, i)));
    }
    to.config = share(json_share(json_object_get(metadata, "config")));
    return to;
}


std::string timestamp(std::int64_t since_1970_us)
{
    const std::time_t seconds = since_1970_us / 1000000;
    std::tm parts;
    gmtime_r(&seconds, &parts);
    std::array<char, 80> text;
    const int size = std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
                                   parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                                   parts.tm_sec, static_cast<int>(since_1970_us % 1000000));
    return std::string(text.data(), static_cast<std::size_t>(size));
}


std::int64_t timestamp_us(std::string_view text) noexcept
{
    std::tm parts = {};
    int micro = 0;
    std::array<char, 40> copy = {};
    if (text.size() >= copy.size()) {
        return 0;
    }
    text.copy(copy.data(), text.size());
    if (std::sscanf(copy.data(), "%d-%d-%dT%d:%d:%d.%6dZ", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
                    &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &micro) != 7) {
        return 0;
    }
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    return static_cast<std::int64_t>(timegm(&parts)) * 1000000 + micro;
}

} // namespace rollout
