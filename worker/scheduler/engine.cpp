#include "worker/scheduler/engine.hpp"

#include "worker/base/log.hpp"
#include "worker/scheduler/refusal.hpp"

#include <string_view>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr unsigned retry_after_s = 1;


/// Says why a verb cannot reach a task now.
std::string_view why_not(engine_state state)
{
    switch (state) {
    case engine_state::absent:
        return "No rolloutd carries out tasks at the moment";
    case engine_state::starting:
        return "rolloutd is about to go on with the tasks";
    case engine_state::stopping:
        return "rolloutd is handing its tasks over";
    case engine_state::running:
        break;
    }
    return {};
}

} // namespace


engine::engine(surroundings around, std::shared_ptr<const settings> config, backend_fn backend_of)
    : around_(std::move(around)), config_(std::move(config)), backend_of_(std::move(backend_of))
{
}


// Start and stop.

void engine::start(done_fn started)
{
    if (state_ == engine_state::absent) {
        started_ = std::move(started);
        begin();
    } else {
        next_start_ = std::move(started);
    }
}


void engine::begin()
{
    state_ = engine_state::starting;
    failure_ = outcome::ok();
    journal_ = std::make_unique<engine_journal>(around_.journal);
    scheduler_ = std::make_unique<scheduler>(config_, around_.intake, *journal_, around_.gateways, around_.time,
                                             backend_of_, around_.fetch, around_.run_hook);
    journal_->on_lost = [this] { scheduler_->lose(); };
    scheduler_->on_lost = [this] {
        if (on_lost) {
            on_lost();
        }
    };
    scheduler_->recover([this](const outcome &result) { on_recovered(result); });
}


void engine::on_recovered(const outcome &result)
{
    if (!result) {
        failure_ = result;
        begin_stop();
        return;
    }
    state_ = engine_state::running;
    around_.intake.set_engine(scheduler_.get());
    started_(result);
}


void engine::stop(std::function<void()> stopped)
{
    if (state_ == engine_state::absent) {
        stopped();
        return;
    }
    stopped_.push_back(std::move(stopped));
    next_start_(outcome::canceled());
    if (state_ != engine_state::stopping) {
        failure_ = outcome::canceled();
        begin_stop();
    }
}


void engine::begin_stop()
{
    state_ = engine_state::stopping;
    scheduler_->stop([this] { journal_->when_idle([this] { soon_ = around_.time.after(0ms, [this] { end(); }); }); });
}


void engine::end()
{
    around_.intake.set_engine(nullptr);
    scheduler_.reset();
    journal_.reset();
    state_ = engine_state::absent;
    started_(failure_);
    for (const auto &stopped : std::exchange(stopped_, {})) {
        stopped();
    }
    if (next_start_ && state_ == engine_state::absent) {
        started_ = std::exchange(next_start_, {});
        begin();
    }
}


void engine::use(std::shared_ptr<const settings> config, backend_fn backend_of)
{
    config_ = std::move(config);
    backend_of_ = std::move(backend_of);
    if (runs() || state_ == engine_state::starting) {
        scheduler_->use(config_, backend_of_);
    }
}


// While it runs or not.

void engine::on_commit(const journal_news &news)
{
    if (scheduler_) {
        scheduler_->on_commit(news);
    }
}


void engine::steer(steer_request wanted, answer_fn answer)
{
    if (runs()) {
        scheduler_->steer(std::move(wanted), std::move(answer));
    } else {
        answer(refused(503, std::string(why_not(state_)) + ", and nothing was changed; try again.", retry_after_s));
    }
}


void engine::find_series(const std::string &task_id, series_keeper::found_fn done)
{
    if (runs()) {
        scheduler_->find_series(task_id, std::move(done));
    } else {
        series_keeper::find_stored(around_.journal, task_id, std::move(done));
    }
}


std::vector<std::string> engine::tasks_of(const std::string &model_id, std::size_t most) const
{
    return runs() ? scheduler_->tasks_of(model_id, most) : std::vector<std::string>();
}


std::vector<lost_revision> engine::losses_of(const std::string &model_id) const
{
    return runs() ? scheduler_->losses_of(model_id) : std::vector<lost_revision>();
}


std::vector<std::string> engine::models_on(const std::string &backend) const
{
    return runs() ? scheduler_->models_on(backend) : std::vector<std::string>();
}


void engine::suspect(const std::string &upstream, const std::string &peer)
{
    if (runs()) {
        scheduler_->suspect(upstream, peer);
    }
}


void engine::on_gateway_progress()
{
    if (runs()) {
        scheduler_->on_gateway_progress();
    }
}


engine::figures engine::now() const
{
    if (!runs()) {
        return {};
    }
    return {.running = scheduler_->running(),
            .working = scheduler_->working(),
            .longest_wait = scheduler_->longest_wait(),
            .deployed_models = scheduler_->deployed_models(),
            .lost_models = scheduler_->lost_models(),
            .backends_up = scheduler_->backends_up(),
            .pending_unloads = scheduler_->pending_unloads(),
            .servers = scheduler_->models_on_servers()};
}

} // namespace rollout
