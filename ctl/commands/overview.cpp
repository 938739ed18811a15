#include "ctl/commands/overview.hpp"

#include "common/domain/limits.hpp"
#include "ctl/base/durations.hpp"
#include "ctl/base/wall_clock.hpp"
#include "ctl/terminal/screen.hpp"
#include "ctl/view/task_changes.hpp"
#include "ctl/view/task_table.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace rollout::ctl {

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr auto between_lists = 2s;
constexpr auto between_frames = 250ms;


/// Returns the running tasks, then the waiting ones; at most one page of each.
std::vector<task_document> open_tasks(gateway &from)
{
    std::vector<task_document> tasks;
    for (const auto status : {task_status::in_progress, task_status::pending}) {
        for (const auto kind : {task_kind::deploy, task_kind::remove}) {
            std::ranges::move(from.list_tasks(kind, {}, status, limits::page_most), std::back_inserter(tasks));
        }
    }
    return tasks;
}


class overview {
  public:
    overview(gateway &from, const output &to, std::chrono::milliseconds patience)
        : from_(from), to_(to), patience_(patience), screen_(to.colors())
    {
    }

    /// Reads the lists when it is time, and shows changes.
    void step()
    {
        if (steady::now() >= next_) {
            read();
            next_ = steady::now() + between_lists;
        }
        if (to_.redraws()) {
            draw();
        }
        from_.client().work(between_frames);
    }

  private:
    void read()
    {
        try {
            auto tasks = open_tasks(from_);
            if (!to_.redraws()) {
                print(tasks);
            }
            tasks_ = std::move(tasks);
            trouble_.clear();
            answered_ = steady::now();
        } catch (const command_error &error) {
            if (error.code() != exit_code::unreachable || steady::now() - answered_ >= patience_) {
                throw;
            }
            if (trouble_.empty() && !to_.redraws() && !to_.json()) {
                to_.line(error.what() + std::string(" Trying again."));
            }
            trouble_ = error.what();
        }
    }

    void draw()
    {
        const terminal_size size = size_of_terminal();
        std::vector<styled_line> lines;
        const auto running =
            static_cast<std::size_t>(std::ranges::count(tasks_, task_status::in_progress, &task_document::status));
        styled_line title(std::to_string(running) + " tasks at work, " + std::to_string(tasks_.size() - running) +
                              " waiting",
                          style::bold);
        lines.push_back(std::move(title));
        if (!trouble_.empty()) {
            const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(steady::now() - answered_);
            lines.emplace_back("no answer for " + format_duration(since) + ": " + trouble_, style::bad);
        }
        if (!tasks_.empty()) {
            std::ranges::move(task_table(tasks_, wall_us()), std::back_inserter(lines));
        }
        to_.write(screen_.draw(lines, size));
    }

    /// Prints the changes since the last list; a task that is in none any more is over.
    void print(const std::vector<task_document> &tasks)
    {
        auto before = std::exchange(printed_, {});
        for (const auto &task : tasks) {
            if (auto known = before.extract(task.task_id)) {
                printed_.insert(std::move(known));
            }
            print(task);
        }
        for (auto &[task_id, task_printed] : before) {
            if (const auto ended = from_.find_task(task_printed.kind, task_id)) {
                printed_[task_id] = std::move(task_printed);
                print(*ended);
                printed_.erase(task_id);
            }
        }
    }

    void print(const task_document &task)
    {
        auto &shown = printed_[task.task_id];
        shown.kind = task.kind;
        const std::string line = shown.changes.line_of(task);
        if (!line.empty()) {
            to_.line(to_.json() ? task.text : line);
        }
    }

    struct printed_task {
        task_kind kind = task_kind::deploy;
        task_changes changes;
    };

    gateway &from_;
    const output &to_;
    std::chrono::milliseconds patience_;
    screen screen_;
    std::vector<task_document> tasks_;
    std::map<std::string, printed_task> printed_;
    std::string trouble_;
    steady::time_point answered_ = steady::now();
    steady::time_point next_{};
};

} // namespace


exit_code watch_all(gateway &from, const output &to, std::optional<std::chrono::milliseconds> timeout,
                    std::chrono::milliseconds patience)
{
    if (to.redraws()) {
        notice_resizes();
    }
    const auto begun = steady::now();
    overview all(from, to, patience);
    while (!timeout || steady::now() - begun < *timeout) {
        all.step();
    }
    return exit_code::success;
}

} // namespace rollout::ctl
