#include "worker/rollout/hold.hpp"

#include "worker/base/format.hpp"
#include "worker/rollout/hold_detail.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds poll_interval = 1s;

/// The tolerance between two clocks, so that their noise does not change the texts of a hold.
constexpr std::int64_t clock_tolerance_us = 2000000;


class holding final : public operation {
  public:
    holding(run_context &run, const hold_request &request, done_fn done)
        : run_(run), request_(request), done_(std::move(done)),
          parts_((run.model.green ? *run.model.green : *run.model.blue).parts()),
          started_(run.environment.time.now()), started_us_(run.environment.time.wall_us()),
          lost_before_(json_count(run.task.gate.get(), "lost")),
          failed_before_(run.environment.gateways.failures_of(run.model.model_id, request.green)),
          was_paused_(run.task.paused)
    {
        if (request_.judged && run_.plan.rollout.gate) {
            const step_record *step = run_.task.find_step(run_.task.step);
            const bool has_blue = request_.weight < 100;
            gate_.emplace(*run_.plan.rollout.gate,
                          divide_false_alarm(*run_.plan.rollout.gate, judged_holds(run_.plan.rollout),
                                             step == nullptr ? 1 : step->attempts),
                          static_cast<std::uint64_t>(request_.time / poll_interval),
                          has_blue ? std::nullopt : baseline_of_report(run_.task.gate.get()));
        }
        run_.environment.series.begin(run_.task);
        run_.environment.series.set_limits(run_.task.task_id, gate_ ? share(gate_->limits_report()) : nullptr);
        mark(mark_kind::weight, std::to_string(request_.weight) + " %");
        run_.steering.on_steered = [this] {
            mark_steering();
            poll_after(0ms);
        };
        poll_after(0ms);
    }

    ~holding() override
    {
        run_.steering.on_steered = nullptr;
        run_.limit.end_wait(waited_for::person);
    }

    void cancel() override { end_soon(outcome::canceled()); }

  private:
    void poll_after(std::chrono::milliseconds pause)
    {
        if (ended_) {
            return;
        }
        question_.reset();
        alarm_ = run_.environment.time.after(pause, [this] { poll(); });
    }

    void poll()
    {
        if (!gate_) {
            decide();
            return;
        }
        question_ = run_.environment.gateways.measure(run_.model.model_id, parts_, {request_.green, request_.blue},
                                                      [this](const gateway_control::measured &answer) {
                                                          take(answer);
                                                          decide();
                                                      });
    }

    /// A gateway's first answer is where its counts begin.
    void take(const gateway_control::measured &answer)
    {
        gate_window since_last;
        for (const auto &[gateway, said] : answer) {
            const auto [before, is_first] = last_.try_emplace(gateway, said);
            since_last.green += said.revisions.at(0).grown_since(before->second.revisions.at(0));
            since_last.blue += said.revisions.at(1).grown_since(before->second.revisions.at(1));
            before->second = said;
        }
        gate_->observe(since_last);
        add_to_series(since_last);
    }

    void add_to_series(const gate_window &since_last)
    {
        const bool by_first_byte = run_.plan.rollout.gate->latency == "first_byte";
        series_point look;
        look.weight = request_.weight;
        look.blue = slot_point_of(since_last.blue, by_first_byte);
        look.green = slot_point_of(since_last.green, by_first_byte);
        run_.environment.series.add(run_.task.task_id, look);
    }

    void mark(mark_kind what, std::string detail)
    {
        run_.environment.series.mark(run_.task.task_id, what, std::move(detail));
    }

    /// Marks what a client has asked for since the last time.
    void mark_steering()
    {
        if (std::exchange(was_paused_, run_.task.paused) != run_.task.paused) {
            mark(run_.task.paused ? mark_kind::pause : mark_kind::resume, "");
        }
        if (run_.task.promote_asked && !std::exchange(was_promoted_, true)) {
            mark(mark_kind::promote, "");
        }
    }

    /// Notes the verdict with which the hold ends.
    void conclude(const gate_verdict &verdict)
    {
        if (gate_) {
            mark(mark_kind::verdict, verdict.reason);
        }
        note(verdict);
    }

    void note(const gate_verdict &verdict)
    {
        if (gate_) {
            run_.task.gate = share(gate_->report(verdict, request_.weight, lost_before_));
        }
    }

    /// The mean is judged once, at the end of the hold's time.
    gate_verdict verdict_now(bool held)
    {
        if (!gate_) {
            return {gate_verdict::kind::good, false, ""};
        }
        auto now = gate_->verdict();
        if (!held || now.is != gate_verdict::kind::good || std::exchange(mean_is_judged_, true)) {
            return now;
        }
        return gate_->verdict_at_end();
    }

    void decide()
    {
        const auto elapsed = run_.environment.time.now() - started_;
        const bool held = elapsed >= request_.time;
        const auto verdict = verdict_now(held);
        if (verdict.is == gate_verdict::kind::bad) {
            conclude(verdict);
            end_soon(outcome::permanent("with " + std::to_string(request_.weight) + " % of the traffic, " +
                                        verdict.reason + servers_that_failed()));
            return;
        }
        if (run_.task.promote_asked) {
            mark_steering();
            conclude(verdict);
            end_soon(outcome::ok("a client went on"));
            return;
        }
        if (run_.task.paused || (held && request_.until_promoted)) {
            wait(verdict);
            return;
        }
        run_.limit.end_wait(waited_for::person);
        if (!held) {
            run_.writer.say_waiting(wait_for_time(view()));
            poll_after(std::clamp<std::chrono::milliseconds>(request_.time - elapsed, 1ms, poll_interval));
            return;
        }
        if (!request_.needs_traffic || verdict.is == gate_verdict::kind::good) {
            conclude(verdict);
            end_soon(outcome::ok(gate_ ? std::to_string(request_.weight) + " %: " + verdict.reason : ""));
            return;
        }
        extend(elapsed, verdict);
    }

    /// Waits for a person, during which the task's time limit does not run; the gate keeps checking.
    void wait(const gate_verdict &verdict)
    {
        run_.limit.wait_for(waited_for::person);
        if (run_.task.waits_for != wait_reason::person) {
            note(verdict);
        }
        run_.writer.say_waiting(wait_for_person(view(), run_.task.task_id, run_.task.paused ? "resume" : "promote"));
        if (gate_) {
            poll_after(poll_interval);
        } else {
            alarm_.reset(); // until a client's verb
        }
    }

    /// Nothing speaks against green, but it has had too little traffic, or some of its requests hang.
    void extend(std::chrono::milliseconds elapsed, const gate_verdict &verdict)
    {
        const auto limit = std::max<std::chrono::milliseconds>(
            request_.time, std::chrono::seconds(run_.plan.rollout.progress_deadline_s));
        if (elapsed < limit) {
            const auto until_us = view().ends_us + std::chrono::microseconds(limit - request_.time).count();
            run_.writer.say_waiting(verdict.hangs ? wait_for_answers(view(), until_us)
                                                  : wait_for_requests(view(), gate_->counted().green.requests,
                                                                      run_.plan.rollout.gate->min_requests, until_us,
                                                                      run_.plan.rollout.on_no_traffic));
            poll_after(std::min(limit - elapsed, poll_interval));
            return;
        }
        conclude(verdict);
        const std::string words = "after " + format_duration(limit) + " " + verdict.reason;
        if (run_.plan.rollout.on_no_traffic == "promote" && !verdict.hangs) {
            end_soon(outcome::ok(std::to_string(request_.weight) + " %: " + words + ", and on_no_traffic goes on"));
        } else {
            end_soon(outcome::permanent("with " + std::to_string(request_.weight) + " % of the traffic, " + words));
        }
    }

    /// Returns what the texts need.
    hold_view view()
    {
        const auto now_us = run_.environment.time.wall_us();
        const auto begun_us = now_us - std::chrono::microseconds(run_.environment.time.now() - started_).count();
        if (std::abs(begun_us - started_us_) > clock_tolerance_us) { // the wall clock was set
            started_us_ = begun_us;
        }
        return {format_share(run_.task), now_us, started_us_ + std::chrono::microseconds(request_.time).count(),
                run_.model.former};
    }

    /// Says which of several servers failed green's requests during the hold.
    std::string servers_that_failed() const
    {
        auto failed = run_.environment.gateways.failures_of(run_.model.model_id, request_.green);
        for (const auto &[server, failures] : failed_before_) {
            if (const auto known = failed.find(server); known != failed.end()) {
                known->second -= std::min(known->second, failures);
            }
        }
        return failed_servers(failed);
    }

    void end_soon(outcome result)
    {
        if (!std::exchange(ended_, true)) {
            run_.environment.series.save(run_.task.task_id);
            alarm_ = ended(run_.environment.time, std::move(result), std::move(done_));
        }
    }

    run_context &run_;
    const hold_request request_;
    done_fn done_;
    const part_names parts_; ///< green's
    const std::chrono::milliseconds started_;
    std::int64_t started_us_; ///< the same for people, by the wall clock
    gateway_control::measured last_;
    std::optional<gate> gate_;
    const std::uint64_t lost_before_; ///< requests that green failed in earlier holds
    const gateway_control::server_failures failed_before_;
    bool mean_is_judged_ = false;
    bool was_paused_ = false;
    bool was_promoted_ = false;
    operation_ptr alarm_;
    operation_ptr question_;
    bool ended_ = false;
};

} // namespace


operation_ptr hold(run_context &run, const hold_request &request, done_fn done)
{
    return std::make_unique<holding>(run, request, std::move(done));
}

} // namespace rollout
