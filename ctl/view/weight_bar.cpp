#include "ctl/view/weight_bar.hpp"

#include <algorithm>
#include <map>
#include <string>

namespace rollout::ctl {

namespace {

constexpr std::size_t least_columns = 8;
constexpr std::size_t most_columns = 50;


/// Returns the labels of the plan's weights by the column where each begins; a label that would touch another one is
/// omitted.
std::map<std::size_t, std::string> place_labels(const std::vector<planned_weight> &plan, std::size_t columns)
{
    std::map<std::size_t, std::string> labels;
    std::size_t free_from = 0;
    const std::string last = "100";
    const std::size_t last_begins = columns - last.size();
    for (const auto &step : plan) {
        const std::string label = std::to_string(step.weight);
        const std::size_t begins = std::min<std::size_t>(step.weight * columns / 100, last_begins);
        if (step.weight != 0 && step.weight != 100 && begins >= free_from && begins + label.size() < last_begins) {
            labels[begins] = label;
            free_from = begins + label.size() + 1;
        }
    }
    labels[last_begins] = last;
    return labels;
}

} // namespace


styled_line weight_bar(const std::vector<planned_weight> &plan, unsigned weight, std::size_t columns)
{
    styled_line bar;
    columns = std::min(columns, most_columns);
    if (columns < least_columns) {
        return bar;
    }
    const auto labels = place_labels(plan, columns);
    const std::size_t filled = weight * columns / 100;
    for (std::size_t column = 0; column < columns;) {
        const bool is_filled = column < filled;
        if (const auto label = labels.find(column); label != labels.end()) {
            bar.add(label->second, is_filled ? style::green : style::dim);
            column += label->second.size();
        } else {
            bar.add(is_filled ? "━" : "─", is_filled ? style::green : style::dim);
            ++column;
        }
    }
    return bar;
}

} // namespace rollout::ctl
