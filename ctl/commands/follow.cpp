#include "ctl/commands/follow.hpp"

#include "ctl/api/readiness_probe.hpp"
#include "ctl/api/task_follower.hpp"
#include "ctl/base/durations.hpp"
#include "ctl/base/wall_clock.hpp"
#include "ctl/terminal/screen.hpp"
#include "ctl/view/task_changes.hpp"
#include "ctl/view/task_picture.hpp"

#include <algorithm>
#include <utility>

namespace rollout::ctl {

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr auto frame = 250ms; ///< between two checks of the clock and the terminal's size
constexpr auto longest_wait = std::chrono::milliseconds(5s);
constexpr std::size_t picture_columns = 100; ///< if there is no terminal


/// Returns the revision that serves the model now; 0 if there is none, or if it is not known.
std::uint64_t serving_revision(gateway &from, const task_document &task)
{
    if (task.kind != task_kind::deploy || is_final(task.status)) {
        return 0;
    }
    try {
        const json_ptr model = from.find_model(task.model_id);
        return json_count(json_object_get(model.get(), "blue"), "revision");
    } catch (const command_error &) {
        return 0; // the picture works without it
    }
}


class task_watch {
  public:
    task_watch(gateway &from, const output &to, task_document task, const follow_request &wanted)
        : to_(to), wanted_(wanted), follower_(from, std::move(task), wanted.patience), probe_(from.client()),
          screen_(to.colors()), begun_(steady::now())
    {
        if (draws()) {
            notice_resizes();
            around_.blue_revision = serving_revision(from, follower_.task());
        }
    }

    exit_code run()
    {
        show(true);
        while (true) {
            if (const auto result = wanted_.until.result_of(follower_.task())) {
                end();
                return *result;
            }
            check_time();
            show(follower_.wait(next_wait()));
        }
    }

  private:
    bool draws() const noexcept { return to_.redraws() && !wanted_.quiet; }

    std::chrono::milliseconds next_wait() const
    {
        std::chrono::milliseconds wait = draws() ? std::chrono::milliseconds(frame) : longest_wait;
        if (wanted_.timeout) {
            const auto left = *wanted_.timeout - (steady::now() - begun_);
            wait = std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(left) + 1ms, 1ms, wait);
        }
        return wait;
    }

    void check_time() const
    {
        if (wanted_.timeout && steady::now() - begun_ >= *wanted_.timeout) {
            throw command_error(exit_code::timed_out, "Task " + follower_.task().task_id + " is not that far after " +
                                                          format_duration(*wanted_.timeout) +
                                                          ", and goes on: " + follower_.task().detail);
        }
    }

    void show(bool is_new)
    {
        if (draws()) {
            draw();
        } else if (!wanted_.quiet) {
            print_trouble();
            print(is_new);
        }
    }

    void draw()
    {
        const task_document &task = follower_.task();
        if (!is_final(task.status)) {
            around_.is_ready = probe_.poll();
        }
        around_.now_us = wall_us() + std::chrono::microseconds(follower_.clock_ahead()).count();
        around_.trouble = follower_.trouble();
        around_.trouble_lasts =
            std::chrono::duration_cast<std::chrono::milliseconds>(steady::now() - follower_.trouble_since());
        const terminal_size size = size_of_terminal();
        to_.write(screen_.draw(draw_task(task, around_, size.columns), size));
    }

    void print(bool is_new)
    {
        if (!is_new) {
            return;
        }
        if (to_.json()) {
            to_.line(follower_.task().text);
        } else if (const std::string line = changes_.line_of(follower_.task()); !line.empty()) {
            to_.line(line);
        }
    }

    /// Prints once when the trouble begins, and once when it is over.
    void print_trouble()
    {
        const bool is_trouble = !follower_.trouble().empty();
        if (std::exchange(in_trouble_, is_trouble) != is_trouble && !to_.json()) {
            to_.line(is_trouble ? follower_.trouble() + " Trying again." : "The gateway answers again.");
        }
    }

    void end()
    {
        if (wanted_.quiet) {
            print(true);
        }
    }

    const output &to_;
    follow_request wanted_;
    task_follower follower_;
    readiness_probe probe_;
    screen screen_;
    task_changes changes_;
    picture_context around_;
    bool in_trouble_ = false;
    steady::time_point begun_;
};

} // namespace


exit_code follow(gateway &from, const output &to, task_document task, const follow_request &wanted)
{
    return task_watch(from, to, std::move(task), wanted).run();
}


void show_task(gateway &from, const output &to, const task_document &task)
{
    if (to.json()) {
        to.line(task.text);
        return;
    }
    picture_context around;
    around.now_us = wall_us();
    around.blue_revision = serving_revision(from, task);
    to.lines(draw_task(task, around, std::min(to.columns(), to.redraws() ? to.columns() : picture_columns)));
}

} // namespace rollout::ctl
