#include "ctl/view/task_picture.hpp"

#include "ctl/base/durations.hpp"
#include "ctl/view/gate_view.hpp"
#include "ctl/view/signs.hpp"
#include "ctl/view/weight_bar.hpp"

#include <algorithm>

namespace rollout::ctl {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t most_detail_lines = 3;
constexpr std::size_t bar_text_columns = 30; ///< the minimum width of the text after the bar


milliseconds from_us(std::int64_t us) noexcept
{
    return std::chrono::duration_cast<milliseconds>(std::chrono::microseconds(us));
}


milliseconds from_s(std::uint64_t seconds) noexcept
{
    return std::chrono::seconds(seconds);
}


/// Returns the index of the plan's weight in force; the plan's size if none is.
std::size_t current_weight(const task_document &task) noexcept
{
    for (std::size_t i = task.plan.size(); i-- > 0;) {
        if (task.weight != 0 && task.plan[i].weight <= task.weight) {
            return i;
        }
    }
    return task.plan.size();
}


styled_line readiness(const picture_context &around)
{
    styled_line item;
    if (!around.trouble.empty()) {
        return styled_line("no answer for " + format_duration(around.trouble_lasts), style::bad);
    }
    if (around.is_ready) {
        item.add("rolloutd ")
            .add(std::string(*around.is_ready ? done_sign : failed_sign),
                 *around.is_ready ? style::good : style::bad);
    }
    return item;
}


std::vector<styled_line> head(const task_document &task, const picture_context &around, std::size_t columns)
{
    std::vector<styled_line> items;
    items.emplace_back(task.model_id, style::bold);
    items.emplace_back(subject_of(task) + (around.blue_revision != 0 && around.blue_revision != task.revision
                                               ? " beside " + std::to_string(around.blue_revision)
                                               : ""));
    items.emplace_back(state_of(task), style_of(task.status));
    if (task.promote == "manual") {
        items.emplace_back("manual promotion");
    }
    if (auto item = readiness(around); item.width() != 0) {
        items.push_back(std::move(item));
    }
    items.emplace_back("task " + task.task_id, style::dim);
    return flow(items, columns);
}


/// Returns `load ✔ 3.1 s`, `shift ● 2 of 3`.
styled_line step_item(const task_document &task, const task_step &step, std::int64_t now_us)
{
    styled_line item(step.name, step.state == "running" ? style::bold : style::plain);
    item.add(" ").add(sign_of_step(step.state));
    if (step.name == "shift" && step.state == "running" && task.plan.size() > 1) {
        const std::size_t current = current_weight(task);
        const std::size_t number = current == task.plan.size() ? 0 : current + 1;
        return item.add(" " + std::to_string(number) + " of " + std::to_string(task.plan.size()));
    }
    const bool has_ended = step.ended_us != 0;
    if (step.started_us != 0 && step.state != "skipped") {
        const auto took = from_us((has_ended ? step.ended_us : std::max(now_us, step.started_us)) - step.started_us);
        if (took >= milliseconds(100)) {
            item.add(" " + format_duration(took), style::dim);
        }
    }
    return item;
}


/// Returns the shortest time that the task still takes: the rest of its hold, and the holds to come.
milliseconds shortest_rest(const task_document &task, milliseconds hold_rest)
{
    milliseconds rest = std::max(hold_rest, milliseconds(0));
    for (std::size_t i = current_weight(task) + 1; i < task.plan.size(); ++i) {
        rest += from_s(task.plan[i].hold_s);
    }
    return rest + (task.step == "shift" ? from_s(task.watch_s) : milliseconds(0));
}


std::vector<styled_line> hold_items(const task_document &task, const picture_context &around)
{
    std::vector<styled_line> items;
    if (task.hold_ends_us == 0 || is_final(task.status)) {
        return items;
    }
    const auto rest = from_us(task.hold_ends_us - around.now_us);
    const std::size_t current = current_weight(task);
    if (task.step == "shift" && current < task.plan.size()) {
        const auto since = from_s(task.plan[current].hold_s) - rest;
        if (since > milliseconds(0)) {
            items.emplace_back("since " + format_duration(since));
        }
    }
    if (rest > milliseconds(0)) {
        items.emplace_back(format_duration(rest) + " to go");
    }
    if (!task.paused && task.promote != "manual") {
        items.emplace_back("done at the earliest in " + format_duration(shortest_rest(task, rest)), style::dim);
    }
    return items;
}


std::vector<styled_line> traffic(const task_document &task, const picture_context &around, std::size_t columns)
{
    std::vector<styled_line> items;
    const std::size_t bar_columns = columns > 2 * bar_text_columns ? columns - bar_text_columns : columns;
    items.push_back(weight_bar(task.plan, task.weight, bar_columns));
    items.emplace_back(std::to_string(task.weight) + " %", style::bold);
    for (auto &item : hold_items(task, around)) {
        items.push_back(std::move(item));
    }
    return flow(items, columns);
}


void append(std::vector<styled_line> &to, std::vector<styled_line> lines)
{
    for (auto &line : lines) {
        to.push_back(std::move(line));
    }
}

} // namespace


std::string subject_of(const task_document &task)
{
    if (task.kind == task_kind::remove) {
        return "deletion";
    }
    return task.revision == 0 ? "deployment" : "revision " + std::to_string(task.revision);
}


std::string state_of(const task_document &task)
{
    if (is_final(task.status)) {
        return std::string(status_name(task.status));
    }
    return task.cancel_asked                         ? "canceling"
           : task.paused                             ? "paused"
           : task.waits_for_person()                 ? "waits for a person"
           : task.status == task_status::in_progress ? "in progress"
                                                     : "pending";
}


std::vector<styled_line> draw_task(const task_document &task, const picture_context &around, std::size_t columns)
{
    std::vector<styled_line> lines = head(task, around, columns);
    if (!around.trouble.empty()) {
        append(lines, wrap(around.trouble, columns, 2, style::bad));
    }
    const bool is_bad = task.status == task_status::failed || task.status == task_status::refused;
    append(lines, wrap(task.detail, columns, most_detail_lines, is_bad ? style::bad : style::plain));
    std::vector<styled_line> steps;
    for (const auto &step : task.steps) {
        steps.push_back(step_item(task, step, around.now_us));
    }
    append(lines, flow(steps, columns));
    if (task.kind == task_kind::deploy && !task.plan.empty()) {
        append(lines, traffic(task, around, columns));
    }
    if (task.gate) {
        append(lines, gate_lines(task.gate.get(), columns));
    }
    if (!task.created_by.empty()) {
        lines.emplace_back("created by " + task.created_by, style::dim);
    }
    return lines;
}

} // namespace rollout::ctl
