#include "worker/domain/task.hpp"

#include "common/base/json_writer.hpp"
#include "common/base/timestamp.hpp"
#include "common/domain/limits.hpp"
#include "worker/base/format.hpp"

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <utility>

namespace rollout {

namespace {

/// Most documents of tasks that wait are shorter.
constexpr std::size_t usual_document_bytes = 1024;

constexpr std::array step_states = {step_state::pending, step_state::running, step_state::done, step_state::failed,
                                    step_state::skipped};

constexpr std::array wait_reasons = {wait_reason::time,    wait_reason::requests, wait_reason::person,
                                     wait_reason::gateway, wait_reason::server,   wait_reason::turn};


constexpr std::array<std::pair<const char *, std::string client_identity::*>, 3> creator_members = {{
    {"address", &client_identity::address},
    {"user", &client_identity::user},
    {"certificate", &client_identity::certificate},
}};


void write_time(json_writer &to, std::int64_t us)
{
    us == 0 ? to.null() : to.text(timestamp(us));
}


/// 15 digits are those that a number was written with; the two more that a double can hold read as noise
/// (0.0040000000000000001).
std::string for_people(const std::shared_ptr<const json_t> &from)
{
    return json_compact(from.get(), JSON_REAL_PRECISION(15));
}


void write_step(json_writer &to, const step_record &from)
{
    to.begin_object();
    to.name("name").text(from.name);
    to.name("state").text(step_state_name(from.state));
    to.name("attempts").number(from.attempts);
    write_time(to.name("started_at"), from.started_us);
    write_time(to.name("ended_at"), from.ended_us);
    to.name("detail").text(clean_text(from.detail, limits::step_detail_characters));
    to.end_object();
}


void write_creator(json_writer &to, const client_identity &from)
{
    to.begin_object();
    for (const auto &[name, value] : creator_members) {
        if (const std::string &text = from.*value; !text.empty()) {
            to.name(name).text(clean_text(text, limits::requester_characters));
        }
    }
    to.end_object();
}


unsigned bounded(std::uint64_t value, unsigned most) noexcept
{
    return static_cast<unsigned>(std::min<std::uint64_t>(value, most));
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
    to.attempts = bounded(json_count(from, "attempts"), UINT_MAX);
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


std::string_view wait_reason_name(wait_reason reason) noexcept
{
    switch (reason) {
    case wait_reason::none:
        return "";
    case wait_reason::time:
        return "time";
    case wait_reason::requests:
        return "requests";
    case wait_reason::person:
        return "person";
    case wait_reason::gateway:
        return "gateway";
    case wait_reason::server:
        return "server";
    case wait_reason::turn:
        return "turn";
    }
    return "";
}


void task::set_waiting(const wait_state &what) noexcept
{
    waits_for = what.reason;
    hold_ends_us = what.hold_ends_us;
}


step_record *task::find_step(std::string_view name) noexcept
{
    for (auto &record : steps) {
        if (record.name == name) {
            return &record;
        }
    }
    return nullptr;
}


std::string document_of(const task &from)
{
    // The ids come before the status, and the creator directly after it: the module relies on that
    // (task_record::status_at, served_document.cpp).
    json_writer to(usual_document_bytes);
    to.begin_object();
    to.name("task_id").text(from.task_id);
    to.name("id").text(from.task_id);
    to.name("model_id").text(from.model_id);
    to.name("embedding_model_id").text(from.model_id);
    to.name("status").text(status_name(from.status));
    if (from.created_by != client_identity()) {
        write_creator(to.name("created_by"), from.created_by);
    }
    to.name("detail").text(clean_text(from.detail, limits::detail_characters));
    to.name("created_at").text(timestamp(from.created_us));
    to.name("updated_at").text(timestamp(from.updated_us));
    if (!from.parent_id.empty()) {
        to.name("parent_id").text(from.parent_id);
    }

    to.name("metadata").begin_object();
    to.name("revision");
    from.model_revision == 0 ? to.null() : to.number(from.model_revision);
    to.name("step");
    from.step.empty() ? to.null() : to.text(from.step);
    to.name("progress").real(from.progress);
    to.name("traffic_weight").number(from.traffic_weight);
    to.name("elapsed_ms").number(from.elapsed_ms);
    if (from.waits_for != wait_reason::none) {
        to.name("waits_for").text(wait_reason_name(from.waits_for));
    }
    if (from.hold_ends_us != 0) {
        to.name("hold_ends_at").text(timestamp(from.hold_ends_us));
    }
    if (from.paused) {
        to.name("paused").boolean(true);
    }
    if (from.cancel_asked) {
        to.name("cancel_asked").boolean(true);
    }
    if (from.promote_asked) {
        to.name("promote_asked").boolean(true);
    }
    if (from.gate) {
        to.name("gate").raw(for_people(from.gate));
    }
    if (from.rollback_to != 0) {
        to.name("rollback_to").number(from.rollback_to);
    }
    if (from.plan) {
        to.name("plan").raw(for_people(from.plan));
    }
    to.name("steps").begin_array();
    for (const auto &step : from.steps) {
        write_step(to, step);
    }
    to.end_array();
    to.name("config").raw(from.config ? json_compact(from.config.get()) : "{}");
    return to.end_object().end_object().take();
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
    for (const auto &[name, value] : creator_members) {
        to.created_by.*value = json_text(json_object_get(document, "created_by"), name);
    }
    to.detail = json_text(document, "detail");
    to.created_us = timestamp_us(json_text(document, "created_at"));
    to.updated_us = timestamp_us(json_text(document, "updated_at"));
    to.parent_id = json_text(document, "parent_id");
    to.model_revision = json_count(metadata, "revision");
    to.step = json_text(metadata, "step");
    to.progress = json_number_value(json_object_get(metadata, "progress"));
    to.traffic_weight = bounded(json_count(metadata, "traffic_weight"), 100);
    to.elapsed_ms = json_count(metadata, "elapsed_ms");
    for (const auto reason : wait_reasons) {
        if (json_text(metadata, "waits_for") == wait_reason_name(reason)) {
            to.waits_for = reason;
        }
    }
    to.hold_ends_us = timestamp_us(json_text(metadata, "hold_ends_at"));
    to.paused = json_is_true(json_object_get(metadata, "paused"));
    to.cancel_asked = json_is_true(json_object_get(metadata, "cancel_asked"));
    to.promote_asked = json_is_true(json_object_get(metadata, "promote_asked"));
    if (json_t *gate = json_object_get(metadata, "gate"); json_is_object(gate)) {
        to.gate = share(json_share(gate));
    }
    to.rollback_to = json_count(metadata, "rollback_to");
    if (json_t *plan = json_object_get(metadata, "plan"); json_is_object(plan)) {
        to.plan = share(json_share(plan));
    }
    const json_t *steps = json_object_get(metadata, "steps");
    for (std::size_t i = 0; i < json_array_size(steps); ++i) {
        to.steps.push_back(step_from_json(json_array_get(steps, i)));
    }
    to.config = share(json_share(json_object_get(metadata, "config")));
    return to;
}

} // namespace rollout
