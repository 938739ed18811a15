#include "worker/rollout/hold.hpp"

#include "worker/rollout/hold_words.hpp"
#include "worker/words.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds look_interval = 1s;

/// Between two clocks, so that what is said of a hold does not change by their noise.
constexpr std::int64_t clock_tolerance_us = 2000000;


class holding final : public operation {
  public:
    holding(task_run &run, const hold_request &how, done_fn done)
        : run_(run), how_(how), done_(std::move(done)), parts_((run.of.green ? *run.of.green : *run.of.blue).parts()),
          started_(run.environment.time.now()), started_us_(run.environment.time.wall_us())
    {
        run_.on_steered = [this] { look_after(0ms); };
        look_after(0ms);
    }

    ~holding() override
    {
        run_.on_steered = nullptr;
        run_.wait_for_a_person(false);
    }

    void cancel() override { end_soon(outcome::canceled()); }

  private:
    const std::optional<gate_settings> &gate() const { return run_.plan.rollout.gate; }

    void look_after(std::chrono::milliseconds pause)
    {
        if (ended_) {
            return;
        }
        question_.reset();
        alarm_ = run_.environment.time.after(pause, [this] { look(); });
    }

    void look()
    {
        if (!gate()) {
            decide();
            return;
        }
        question_ = run_.environment.gateways.measure(run_.of.model_id, parts_, {how_.green, how_.blue},
                                                      [this](const traffic::measured &answer) {
                                                          take(answer);
                                                          decide();
                                                      });
    }

    /// The first that a gateway says is where its window begins.
    void take(const traffic::measured &answer)
    {
        for (const auto &[gateway, said] : answer) {
            first_.try_emplace(gateway, said);
            last_.insert_or_assign(gateway, said);
        }
        window_ = {};
        for (const auto &[gateway, said] : last_) {
            const auto &before = first_.at(gateway).revisions;
            window_.green += said.revisions.at(0).grown_since(before.at(0));
            window_.blue += said.revisions.at(1).grown_since(before.at(1));
        }
        verdict_ = judge(*gate(), window_);
    }

    void note()
    {
        if (gate()) {
            run_.what.gate = share(gate_report(*gate(), window_, verdict_, how_.weight));
        }
    }

    void decide()
    {
        const auto elapsed = run_.environment.time.now() - started_;
        if (gate() && verdict_.is == gate_verdict::kind::bad) {
            note();
            end_soon(
                outcome::permanent("with " + std::to_string(how_.weight) + " % of the traffic, " + verdict_.reason));
            return;
        }
        if (run_.what.promote_asked) {
            note();
            end_soon(outcome::ok("a client went on"));
            return;
        }
        const bool held = elapsed >= how_.time;
        if (run_.what.paused || (held && how_.until_promoted)) {
            wait();
            return;
        }
        run_.wait_for_a_person(false);
        if (!held) {
            run_.say_waiting(wait_for_time(view()));
            look_after(std::clamp<std::chrono::milliseconds>(how_.time - elapsed, 1ms, look_interval));
            return;
        }
        if (!gate() || !how_.needs_traffic || verdict_.is == gate_verdict::kind::good) {
            note();
            end_soon(outcome::ok(gate() ? std::to_string(how_.weight) + " %: " + verdict_.reason : ""));
            return;
        }
        no_traffic(elapsed);
    }

    /// A person decides, for whom the task's time limit does not run; the gate goes on looking.
    void wait()
    {
        run_.wait_for_a_person(true);
        if (run_.what.waits_for != wait_reason::person) {
            note();
        }
        run_.say_waiting(wait_for_person(view(), run_.what.task_id, run_.what.paused ? "resume" : "promote"));
        if (gate()) {
            look_after(look_interval);
        } else {
            alarm_.reset(); // until a client says so
        }
    }

    void no_traffic(std::chrono::milliseconds elapsed)
    {
        const auto limit = std::max<std::chrono::milliseconds>(
            how_.time, std::chrono::seconds(run_.plan.rollout.progress_deadline_s));
        if (elapsed < limit) {
            run_.say_waiting(wait_for_requests(view(), window_.green.requests, gate()->min_requests,
                                               view().ends_us + std::chrono::microseconds(limit - how_.time).count(),
                                               run_.plan.rollout.on_no_traffic));
            look_after(std::min(limit - elapsed, look_interval));
            return;
        }
        note();
        const std::string words = "after " + duration_words(limit) + " " + verdict_.reason;
        if (run_.plan.rollout.on_no_traffic == "promote") {
            end_soon(outcome::ok(std::to_string(how_.weight) + " %: " + words + ", and on_no_traffic goes on"));
        } else {
            end_soon(outcome::permanent("with " + std::to_string(how_.weight) + " % of the traffic, " + words));
        }
    }

    /// For the words about it.
    hold_view view()
    {
        const auto now_us = run_.environment.time.wall_us();
        const auto begun_us = now_us - std::chrono::microseconds(run_.environment.time.now() - started_).count();
        if (std::abs(begun_us - started_us_) > clock_tolerance_us) { // the clock of day was set
            started_us_ = begun_us;
        }
        return {run_.share_words(), now_us, started_us_ + std::chrono::microseconds(how_.time).count(),
                run_.of.former};
    }

    void end_soon(outcome how)
    {
        if (std::exchange(ended_, true)) {
            return;
        }
        alarm_ = run_.environment.time.after(0ms, [this, how = std::move(how)] {
            const auto done = std::exchange(done_, nullptr); // which may destroy this
            done(how);
        });
    }

    task_run &run_;
    const hold_request how_;
    done_fn done_;
    const part_names parts_; ///< of green
    const std::chrono::milliseconds started_;
    std::int64_t started_us_; ///< the same for people, by the clock of day
    traffic::measured first_;
    traffic::measured last_;
    gate_window window_;
    gate_verdict verdict_;
    operation_ptr alarm_;
    operation_ptr question_;
    bool ended_ = false;
};

} // namespace


operation_ptr hold(task_run &run, const hold_request &how, done_fn done)
{
    return std::make_unique<holding>(run, how, std::move(done));
}

} // namespace rollout
