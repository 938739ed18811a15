// What the journal gives back, and what goes over the link as it is: tasks, models, routes, counters. Input: a byte that
// chooses, a model's id, the JSON text.
#include "tests/fuzz/fuzzing.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "common/domain/traffic_counters.hpp"
#include "worker/domain/model.hpp"
#include "worker/domain/task.hpp"
#include "worker/gateway/line_of.hpp"

#include <algorithm>

using namespace rollout;

namespace {

/// Of a size that rolloutd gives its tasks.
bool is_bounded(const task &of)
{
    const auto small = [](const step_record &one) { return one.name.size() <= 16; };
    return is_task_id(of.task_id) && is_model_id(of.model_id) && of.parent_id.size() <= limits::task_id_bytes &&
           of.step.size() <= 16 && of.steps.size() <= 12 && std::ranges::all_of(of.steps, small) &&
           json_compact(of.gate.get()).size() <= 1024 && json_compact(of.config.get()).size() <= limits::config_bytes;
}


void check_task(const json_t *from)
{
    const auto read = task_from_document(from);
    if (!read) {
        return;
    }
    const auto text = document_of(*read);
    const auto document = parsed_json(text);
    always(document != nullptr, "a task can be written, as JSON");
    always(!is_bounded(*read) || text.size() <= limits::document_bytes, "a task's document is within its bound");

    const auto again = task_from_document(document.get());
    always(again.has_value(), "a task that was written can be read");
    always(document_of(*again) == text, "a task, written and read, is the same");

    task_row row;
    row.task_id = read->task_id;
    row.model_id = read->model_id;
    row.document = text;
    std::string line;
    append_task_line(line, line_of(row));
    always(line.ends_with(" " + text) && line.find('\n') == std::string::npos,
           "a task on its way to a gateway is a line");
}


void check_model(const json_t *from, const std::string &model_id)
{
    auto read = model_from_json(from);
    if (!read) {
        return;
    }
    read->model_id = model_id;
    const auto written = model_to_json(*read);
    const auto again = model_from_json(written.get());
    always(again.has_value(), "a model that was written can be read");
    const auto second = model_to_json(*again);
    always(json_same(written.get(), second.get()), "a model, written and read, is the same");

    for (const auto &one : routes_of(*read)) {
        std::string reason;
        const auto route = route_from_json(route_to_json(one).get(), reason);
        always(route && *route == one, "the gateway can follow the routes of a model that was read back");
    }
    const auto placed = read->kept.size() + read->retired.size();
    bound_kept(*read, 0);
    always(read->kept.empty(), "what may not be kept is retired");
    always(std::ranges::none_of(read->retired, &served_revision::keep_files),
           "what may not be kept goes with its files");
    always(read->kept.size() + read->retired.size() == placed, "no revision is forgotten");
}


void check_route(const json_t *from)
{
    std::string reason;
    const auto read = route_from_json(from, reason);
    if (!read) {
        always(!reason.empty(), "a route that is none says why");
        return;
    }
    const auto again = route_from_json(route_to_json(*read).get(), reason);
    always(again && *again == *read, "a route, written and read, is the same");
}


void check_counters(const json_t *from)
{
    std::uint64_t revision = 0;
    const auto read = counters_from_json(from, revision);
    if (!read) {
        return;
    }
    std::uint64_t same = 0;
    const auto written = counters_to_json(*read, revision);
    const auto again = counters_from_json(written.get(), same);
    always(again && same == revision && again->requests == read->requests && again->buckets == read->buckets,
           "counters, written and read, are the same");
    for (const double share : {0.0, 0.5, 0.99, 1.0}) {
        const double ms = read->quantile_ms(share);
        always(ms >= 0 && ms <= bucket_ms(latency_buckets - 1), "a latency is one of the buckets'");
    }
    always(read->error_rate() >= 0 && read->mean_ms() >= 0, "no rate is negative");
    auto sum = *read;
    sum += *again;
    const auto grown = sum.grown_since(*read);
    always(grown.requests <= sum.requests, "what was counted since is no more than all");
}

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    pieces input(data, size);
    const auto choice = input.byte();
    const std::string given(input.text());
    const auto value = parsed_json(input.rest());
    switch (choice % 4) {
    case 0:
        check_task(value.get());
        break;
    case 1:
        check_model(value.get(), is_model_id(given) ? given : "123");
        break;
    case 2:
        check_route(value.get());
        break;
    default:
        check_counters(value.get());
    }
    return 0;
}
