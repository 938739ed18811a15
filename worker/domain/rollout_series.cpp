#include "worker/domain/rollout_series.hpp"

#include "common/base/json_writer.hpp"
#include "common/base/timestamp.hpp"
#include "common/domain/limits.hpp"
#include "worker/base/format.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace rollout {

namespace {

constexpr std::int64_t us_of_second = 1000000;

/// Looks that are further apart than this are not of one time: rolloutd was down, or the gate did not look.
constexpr std::int64_t longest_look_s = 3;

constexpr unsigned longest_period = 1U << 20;

constexpr std::array marks_by_name = {mark_kind::weight,  mark_kind::pause,    mark_kind::resume, mark_kind::promote,
                                      mark_kind::verdict, mark_kind::promoted, mark_kind::end};


constexpr std::array<std::pair<const char *, std::uint64_t slot_point::*>, 3> counts_by_name = {{
    {"requests", &slot_point::requests},
    {"failures", &slot_point::failures},
    {"client_errors", &slot_point::client_errors},
}};

constexpr std::array<std::pair<const char *, double slot_point::*>, 2> latencies_by_name = {{
    {"p50_ms", &slot_point::p50_ms},
    {"p99_ms", &slot_point::p99_ms},
}};


double rounded(double ms) noexcept
{
    return std::round(ms * 100) / 100;
}


void join(slot_point &sum, const slot_point &more) noexcept
{
    const auto requests = static_cast<double>(sum.requests + more.requests);
    if (requests > 0) {
        sum.p50_ms = rounded(
            (sum.p50_ms * static_cast<double>(sum.requests) + more.p50_ms * static_cast<double>(more.requests)) /
            requests);
    }
    sum.p99_ms = std::max(sum.p99_ms, more.p99_ms);
    sum.requests += more.requests;
    sum.failures += more.failures;
    sum.client_errors += more.client_errors;
}


void join(series_point &sum, const series_point &more) noexcept
{
    sum.at_s = more.at_s;
    sum.weight = more.weight;
    sum.looks += more.looks;
    join(sum.blue, more.blue);
    join(sum.green, more.green);
}


/// Returns whether two points are of one time and one weight.
bool are_neighbours(const series_point &one, const series_point &next) noexcept
{
    return one.weight == next.weight && next.at_s - one.at_s <= longest_look_s * next.looks;
}


template <class Write>
void write_column(json_writer &to, std::string_view name, const std::vector<series_point> &points, Write write)
{
    to.name(name).begin_array();
    for (const auto &point : points) {
        write(point);
    }
    to.end_array();
}


void write_slot(json_writer &to, std::string_view name, const std::vector<series_point> &points,
                slot_point series_point::*slot)
{
    to.name(name).begin_object();
    for (const auto &[column, count] : counts_by_name) {
        write_column(to, column, points, [&, of = count](const series_point &point) { to.number(point.*slot.*of); });
    }
    for (const auto &[column, latency] : latencies_by_name) {
        write_column(to, column, points, [&, of = latency](const series_point &point) {
            (point.*slot).requests == 0 ? to.null() : to.real(point.*slot.*of);
        });
    }
    to.end_object();
}


/// Returns a column with an element for each point; null if it is not one.
const json_t *column_of(const json_t *from, const char *name, std::size_t size) noexcept
{
    const json_t *column = json_object_get(from, name);
    return json_is_array(column) && json_array_size(column) == size ? column : nullptr;
}


/// Reads a count; false if the element is none.
bool read_count(const json_t *column, std::size_t i, std::uint64_t &to) noexcept
{
    const json_t *value = json_array_get(column, i);
    to = json_is_integer(value) ? static_cast<std::uint64_t>(json_integer_value(value)) : 0;
    return json_is_integer(value) && json_integer_value(value) >= 0;
}


bool read_slot(const json_t *from, std::vector<series_point> &points, slot_point series_point::*slot) noexcept
{
    for (const auto &[name, count] : counts_by_name) {
        const json_t *column = column_of(from, name, points.size());
        for (std::size_t i = 0; i < points.size(); ++i) {
            if (!read_count(column, i, points[i].*slot.*count)) {
                return false;
            }
        }
    }
    for (const auto &[name, latency] : latencies_by_name) {
        const json_t *column = column_of(from, name, points.size());
        for (std::size_t i = 0; i < points.size(); ++i) {
            const json_t *value = json_array_get(column, i);
            if (!json_is_number(value) && !json_is_null(value)) {
                return false;
            }
            points[i].*slot.*latency = json_number_value(value);
        }
    }
    return true;
}


/// Reads the points; nothing if a column is missing, of another length or of other values.
std::optional<std::vector<series_point>> points_of(const json_t *document, unsigned period)
{
    const json_t *seconds = json_object_get(document, "second");
    const std::size_t size = json_array_size(seconds);
    const json_t *weights = column_of(document, "weight", size);
    const auto from_us = timestamp_us(json_text(document, "from"));
    if (!json_is_array(seconds) || weights == nullptr || size > rollout_series::most_points ||
        (size != 0 && from_us == 0)) {
        return std::nullopt;
    }
    std::vector<series_point> points(size);
    for (std::size_t i = 0; i < size; ++i) {
        std::uint64_t second = 0;
        std::uint64_t weight = 0;
        if (!read_count(seconds, i, second) || !read_count(weights, i, weight) || weight > 100 ||
            second > UINT32_MAX) {
            return std::nullopt;
        }
        points[i].at_s = from_us / us_of_second + static_cast<std::int64_t>(second);
        points[i].weight = static_cast<unsigned>(weight);
        points[i].looks = period;
        if (i != 0 && points[i].at_s < points[i - 1].at_s) {
            return std::nullopt;
        }
    }
    if (!read_slot(json_object_get(document, "blue"), points, &series_point::blue) ||
        !read_slot(json_object_get(document, "green"), points, &series_point::green)) {
        return std::nullopt;
    }
    return points;
}


std::optional<series_mark> mark_of(const json_t *from)
{
    const auto name = json_text(from, "what");
    const auto what = std::ranges::find(marks_by_name, name, mark_name);
    const auto at_us = timestamp_us(json_text(from, "at"));
    if (what == marks_by_name.end() || at_us == 0) {
        return std::nullopt;
    }
    return series_mark{at_us, *what, std::string(json_text(from, "detail"))};
}

} // namespace


slot_point slot_point_of(const traffic_counters &grown, bool by_first_byte) noexcept
{
    slot_point to{grown.requests, grown.failures, grown.client_errors, 0, 0};
    if (grown.requests != 0) {
        traffic_counters timed;
        timed.requests = grown.requests;
        timed.buckets = by_first_byte ? grown.first_byte : grown.buckets;
        to.p50_ms = rounded(timed.quantile_ms(0.5));
        to.p99_ms = rounded(timed.quantile_ms(0.99));
    }
    return to;
}


std::string_view mark_name(mark_kind what) noexcept
{
    switch (what) {
    case mark_kind::weight:
        return "weight";
    case mark_kind::pause:
        return "pause";
    case mark_kind::resume:
        return "resume";
    case mark_kind::promote:
        return "promote";
    case mark_kind::verdict:
        return "verdict";
    case mark_kind::promoted:
        return "promoted";
    case mark_kind::end:
        return "end";
    }
    return "";
}


void rollout_series::add(series_point look)
{
    if (!points_.empty()) {
        series_point &last = points_.back();
        look.at_s = std::max(look.at_s, last.at_s); // the wall clock may be set back
        const bool at_once = look.at_s == last.at_s && look.weight == last.weight;
        if (at_once || (last.looks + look.looks <= period_ && are_neighbours(last, look))) {
            look.looks = at_once ? 0 : look.looks;
            join(last, look);
            return;
        }
    }
    if (points_.size() == most_points) {
        merge_neighbours(false);
        if (points_.size() > most_points / 4 * 3) {
            merge_neighbours(true); // so many weights, or times without a look, that few are neighbours
        }
    }
    points_.push_back(look);
}


/// Makes one point of each two neighbours; with `any`, also of two that are not of one time and weight.
void rollout_series::merge_neighbours(bool any)
{
    period_ = std::min(period_ * 2, longest_period);
    std::vector<series_point> merged;
    bool is_pair = false; // the last one is two already
    for (const auto &point : points_) {
        if (!merged.empty() && !is_pair && (any || are_neighbours(merged.back(), point))) {
            join(merged.back(), point);
            is_pair = true;
        } else {
            merged.push_back(point);
            is_pair = false;
        }
    }
    points_ = std::move(merged);
}


void rollout_series::mark(series_mark what)
{
    if (marks_.size() == most_marks) {
        marks_.erase(marks_.begin());
    }
    what.detail = clean_text(what.detail, limits::step_detail_characters);
    marks_.push_back(std::move(what));
}


void rollout_series::append(const rollout_series &later)
{
    for (const auto &point : later.points_) {
        add(point);
    }
    for (const auto &what : later.marks_) {
        mark(what);
    }
    if (later.limits_) {
        limits_ = later.limits_;
    }
}


std::string rollout_series::document(std::string_view task_id, std::string_view model_id) const
{
    const auto from_s = points_.empty() ? 0 : points_.front().at_s;
    json_writer to;
    to.begin_object();
    to.name("task_id").text(task_id);
    to.name("model_id").text(model_id);
    to.name("from");
    points_.empty() ? to.null() : to.text(timestamp(from_s * us_of_second));
    to.name("period_s").number(period_);
    write_column(to, "second", points_, [&](const series_point &point) { to.number(point.at_s - from_s); });
    write_column(to, "weight", points_, [&](const series_point &point) { to.number(point.weight); });
    write_slot(to, "blue", points_, &series_point::blue);
    write_slot(to, "green", points_, &series_point::green);
    to.name("limits");
    limits_ ? to.raw(json_compact(limits_.get(), JSON_REAL_PRECISION(15))) : to.null();
    to.name("marks").begin_array();
    for (const auto &mark : marks_) {
        to.begin_object();
        to.name("at").text(timestamp(mark.at_us));
        to.name("what").text(mark_name(mark.what));
        to.name("detail").text(mark.detail);
        to.end_object();
    }
    return to.end_array().end_object().take();
}


std::optional<rollout_series> rollout_series::from_document(const json_t *document)
{
    const auto period = json_count(document, "period_s");
    if (period == 0 || period > longest_period) {
        return std::nullopt;
    }
    rollout_series to;
    to.period_ = static_cast<unsigned>(period);
    auto points = points_of(document, to.period_);
    if (!points) {
        return std::nullopt;
    }
    to.points_ = std::move(*points);
    if (json_t *limits = json_object_get(document, "limits"); json_is_object(limits)) {
        to.limits_ = share(json_share(limits));
    }
    const json_t *marks = json_object_get(document, "marks");
    for (std::size_t i = 0; i < json_array_size(marks); ++i) {
        auto mark = mark_of(json_array_get(marks, i));
        if (!mark) {
            return std::nullopt;
        }
        to.mark(std::move(*mark));
    }
    return to;
}

} // namespace rollout
