#include "module/tables/change_row.hpp"

#include "common/base/json.hpp"
#include "common/base/json_writer.hpp"
#include "common/base/text.hpp"

#include <numeric>

namespace rollout {

namespace {

constexpr std::size_t detail_characters_in_row = 200;


void write_text(json_writer &to, std::string_view name, const json_t *value)
{
    to.name(name);
    json_is_string(value) ? to.text(json_text(value)) : to.null();
}


void write_number(json_writer &to, std::string_view name, const json_t *value)
{
    to.name(name);
    json_is_integer(value) ? to.number(json_integer_value(value)) : to.null();
}


void write_slot(json_writer &to, std::string_view name, const std::optional<route_target> &target)
{
    to.name(name);
    if (!target) {
        to.null();
        return;
    }
    to.begin_object().name("revision").number(target->revision);
    to.name("model").text(target->model).name("upstream").text(target->upstream).end_object();
}

void write_counters(json_writer &to, std::string_view name, const route_metrics::slot_reading &of)
{
    to.name(name);
    if (!of.any()) {
        to.null();
        return;
    }
    const auto &by_class = of.by_class;
    to.begin_object().name("requests").number(std::accumulate(by_class.begin(), by_class.end(), std::uint64_t{0}));
    to.name("failed").number(by_class[4]).name("client_errors").number(by_class[3]);
    to.name("sum_ms").number(of.sum_ms).name("buckets").begin_array();
    for (const auto count : of.buckets) {
        to.number(count);
    }
    to.end_array().end_object();
}

} // namespace


std::string row_of(const task_record &task, dialect words)
{
    json_error_t ignored{};
    const json_ptr document = json_read(task.document, JSON_REJECT_DUPLICATES, ignored);
    const json_t *metadata = json_object_get(document.get(), "metadata");

    json_writer to;
    to.begin_object().name("task_id").text(task.task_id).name("model_id").text(task.model_id);
    to.name("kind").text(kind_name(task.kind)).name("status").text(status_name(task.status, words));
    write_text(to, "step", json_object_get(metadata, "step"));
    write_number(to, "weight", json_object_get(metadata, "traffic_weight"));
    write_number(to, "revision", json_object_get(metadata, "revision"));
    to.name("detail").text(clean_text(json_text(document.get(), "detail"), detail_characters_in_row));
    write_text(to, "updated_at", json_object_get(document.get(), "updated_at"));
    return to.end_object().take();
}


std::string row_of(const route &of)
{
    json_writer to;
    to.begin_object().name("model_id").text(of.model_id).name("part").text(of.part);
    write_slot(to, "blue", of.blue);
    write_slot(to, "green", of.green);
    return to.name("weight").number(of.weight).end_object().take();
}


std::string row_of(const route_metrics::reading &of)
{
    json_writer to;
    to.begin_object().name("model_id").text(of.model_id).name("part").text(of.part);
    for (const auto which : {slot::blue, slot::green}) {
        write_counters(to, slot_name(which), of.slots[static_cast<std::size_t>(which)]);
    }
    return to.end_object().take();
}

} // namespace rollout
