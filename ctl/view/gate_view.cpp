#include "ctl/view/gate_view.hpp"

#include "common/base/text.hpp"
#include "common/domain/limits.hpp"
#include "ctl/base/numbers.hpp"
#include "ctl/view/signs.hpp"

#include <array>
#include <optional>
#include <string>

namespace rollout::ctl {

namespace {

constexpr std::size_t name_columns = 6;
constexpr std::size_t most_reason_lines = 3;

struct column {
    std::string_view title;
    std::size_t width;
    std::string (*value)(const json_t *counted);
    std::size_t shown_from; ///< columns of the screen
};


double real_of(const json_t *object, const char *member) noexcept
{
    return json_number_value(json_object_get(object, member));
}


double client_error_rate(const json_t *counted) noexcept
{
    const double requests = real_of(counted, "requests");
    return requests > 0 ? real_of(counted, "client_errors") / requests : 0;
}

const std::array<column, 6> columns_of_table = {{
    {"requests", 11, [](const json_t *c) { return format_count(json_count(c, "requests")); }, 0},
    {"failed", 9, [](const json_t *c) { return format_count(json_count(c, "failures")); }, 0},
    {"", 10, [](const json_t *c) { return format_percent(real_of(c, "error_rate")); }, 0},
    {"4xx", 10, [](const json_t *c) { return format_percent(client_error_rate(c)); }, 62},
    {"mean", 10, [](const json_t *c) { return format_number(real_of(c, "mean_ms")) + " ms"; }, 72},
    {"p99", 10, [](const json_t *c) { return format_number(real_of(c, "p99_ms")) + " ms"; }, 48},
}};


void add_right(styled_line &line, const std::string &text, std::size_t width, style look = style::plain)
{
    const std::size_t used = width_of(text);
    line.add(std::string(width > used ? width - used : 1, ' ')).add(text, look);
}


styled_line row_of(const json_t *counted, const char *name, style look, std::size_t columns)
{
    styled_line row(name, look);
    row.pad_to(name_columns);
    for (const auto &column : columns_of_table) {
        if (columns >= column.shown_from) {
            add_right(row, column.value(counted), column.width);
        }
    }
    return row;
}


styled_line titles(std::size_t columns)
{
    styled_line row;
    row.pad_to(name_columns);
    for (const auto &column : columns_of_table) {
        if (columns >= column.shown_from) {
            add_right(row, std::string(column.title), column.width, style::dim);
        }
    }
    return row;
}


/// Returns one limit: its sign, what is measured, and the limit.
styled_line limit_item(const std::string &name, double value, double limit, bool decided, const std::string &text)
{
    const bool over = value > limit;
    const style look = decided ? style::bad : over ? style::warning : style::good;
    styled_line item(std::string(decided ? failed_sign : over ? running_sign : done_sign), look);
    item.add(" " + name + " ").add(text, decided ? style::bad : style::plain);
    return item;
}


bool is_decided(const json_t *gate, const char *test) noexcept
{
    return json_is_true(json_object_get(json_object_get(json_object_get(gate, "evidence"), test), "decided"));
}


/// Returns green's value as a multiple of blue's; nothing if blue has none.
std::optional<double> ratio(const json_t *gate, const char *member) noexcept
{
    const double blue = real_of(json_object_get(gate, "blue"), member);
    return blue > 0 ? std::optional(real_of(json_object_get(gate, "green"), member) / blue) : std::nullopt;
}


void add_ratio(std::vector<styled_line> &items, const json_t *gate, const char *limit_name, const char *member,
               const std::string &name)
{
    const double limit = real_of(json_object_get(gate, "limits"), limit_name);
    if (limit <= 0) {
        return;
    }
    const auto times = ratio(gate, member);
    items.push_back(limit_item(name, times.value_or(0), limit, is_decided(gate, limit_name),
                               (times ? format_number(*times) : "?") + " of " + format_number(limit) + " × blue"));
}


std::vector<styled_line> limit_items(const json_t *gate)
{
    const json_t *limits = json_object_get(gate, "limits");
    const json_t *green = json_object_get(gate, "green");
    std::vector<styled_line> items;
    const auto requests = json_count(green, "requests");
    if (const auto least = json_count(limits, "min_requests"); least != 0) {
        const bool enough = requests >= least;
        styled_line item(std::string(enough ? done_sign : running_sign), enough ? style::good : style::warning);
        items.push_back(item.add(" requests " + format_count(requests) + " of " + format_count(least)));
    }
    if (const double limit = real_of(limits, "max_error_rate");
        json_object_get(limits, "max_error_rate") != nullptr) {
        const double rate = real_of(green, "error_rate");
        items.push_back(limit_item("failed", rate, limit, is_decided(gate, "max_error_rate"),
                                   format_number(rate * 100) + " of " + format_percent(limit)));
    }
    if (const double limit = real_of(limits, "max_p99_ms"); limit > 0) {
        const double p99 = real_of(green, "p99_ms");
        items.push_back(limit_item("p99", p99, limit, is_decided(gate, "max_p99_ms"),
                                   format_number(p99) + " of " + format_number(limit) + " ms"));
    }
    add_ratio(items, gate, "max_error_ratio_to_blue", "error_rate", "failed");
    add_ratio(items, gate, "max_p99_ratio_to_blue", "p99_ms", "p99");
    return items;
}

} // namespace


std::vector<styled_line> gate_lines(const json_t *gate, std::size_t columns)
{
    std::vector<styled_line> lines;
    lines.push_back(titles(columns));
    lines.push_back(row_of(json_object_get(gate, "blue"), "blue", style::blue, columns));
    lines.push_back(row_of(json_object_get(gate, "green"), "green", style::green, columns));
    auto items = limit_items(gate);
    const bool is_bad = json_text(gate, "verdict") == "bad";
    if (!items.empty()) {
        items.front() = styled_line("gate  ", is_bad ? style::bad : style::plain).add(items.front());
    }
    for (auto &line : flow(items, columns)) {
        lines.push_back(std::move(line));
    }
    if (is_bad) {
        const auto reason = clean_text(json_text(gate, "reason"), limits::detail_characters);
        for (auto &line : wrap(reason, columns, most_reason_lines, style::bad)) {
            lines.push_back(std::move(line));
        }
    }
    return lines;
}

} // namespace rollout::ctl
