#include "worker/scheduler/unload_retry.hpp"

#include "worker/async/completion.hpp"
#include "worker/async/lifetime.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/config/model_overrides.hpp"
#include "worker/rollout/placed_work.hpp"

#include <algorithm>
#include <optional>
#include <vector>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds longest_unload_pause = 1h;

/// A pause is shortened by up to this part of it, so that attempts that failed together are not retried together.
constexpr double jitter = 0.25;

} // namespace


/// An attempt that waits for a permit.
class unload_retry::permit_wait final : public operation {
  public:
    permit_wait(unload_retry &of, attempts &waiting, done_fn done)
        : of_(of), waiting_(&waiting), done_(std::move(done))
    {
        waiting_->waits = this;
        of_.use_room();
    }

    ~permit_wait() override { leave(); }

    void cancel() override
    {
        leave();
        end(outcome::canceled());
    }

    void granted()
    {
        waiting_->has_permit = true;
        ++of_.permits_;
        leave();
        end(outcome::ok());
    }

  private:
    void leave()
    {
        if (waiting_ != nullptr) {
            std::exchange(waiting_, nullptr)->waits = nullptr;
        }
    }

    void end(outcome result)
    {
        if (!end_) {
            end_ = ended(of_.time_, std::move(result), std::move(done_));
        }
    }

    unload_retry &of_;
    attempts *waiting_; ///< whose work this is a part of; null once it no longer waits
    done_fn done_;
    operation_ptr end_;
};


/// Makes the model with a change to that revision durable, and changes it in memory then. A write cannot be undone, so
/// canceling it has no effect.
class unload_retry::model_write final : public operation {
  public:
    using change_fn = void (*)(model &, std::uint64_t revision);

    model_write(unload_retry &of, const revision_name &which, change_fn change, done_fn done) : done_(std::move(done))
    {
        model changed = *of.models_.find(which.model_id);
        change(changed, which.revision);
        of.journal_.save_model(changed,
                               lifetime_.bound([this, &of, which, change](const outcome &result, std::uint64_t) {
                                   if (result) {
                                       change(*of.models_.find(which.model_id), which.revision);
                                   }
                                   done_(result);
                               }));
    }

    void cancel() override {}

  private:
    completion<outcome> done_;
    lifetime lifetime_;
};


unload_retry::unload_retry(model_registry &models, journal &journal, gateway_control &gateways, clock &time,
                           surroundings around)
    : models_(models), journal_(journal), gateways_(gateways), time_(time), around_(std::move(around))
{
}


void unload_retry::use(std::shared_ptr<const settings> config, backend_fn backend_of)
{
    config_ = std::move(config);
    backend_of_ = std::move(backend_of);
    for (auto &[_, tried] : attempts_) { // the obstacle may be gone by now
        tried.failures = 0;
        tried.not_before = time_.now() + pause_after(tried.backend, 0);
    }
    for (const auto &[_, known] : models_.models()) {
        schedule(known);
    }
    start_due();
}


void unload_retry::stop(std::function<void()> stopped)
{
    stopping_ = true;
    pause_.reset();
    std::erase_if(attempts_, [](const auto &entry) { return entry.second.state == attempt_state::pausing; });
    for (auto &[_, under_way] : attempts_) {
        cancel(under_way);
    }
    if (attempts_.empty()) {
        stopped();
    } else {
        stopped_ = std::move(stopped);
    }
}


void unload_retry::on_task_ended(const std::string &model_id)
{
    if (const model *const known = models_.find(model_id)) {
        schedule(*known);
    }
    start_due();
}


void unload_retry::schedule(const model &from)
{
    if (stopping_ || around_.is_at_work(from.model_id)) {
        return;
    }
    for (const auto *placed : revisions_to_unload(from)) {
        attempts &tried = attempts_[{from.model_id, placed->revision}];
        tried.backend = placed->backend;
        tried.awaits_gateways = !objection_of_gateways(from.model_id).empty();
        if (tried.state == attempt_state::pausing) { // a task may just have tried
            tried.not_before = std::max(tried.not_before, time_.now() + pause_after(placed->backend, 0));
        }
    }
}


/// Returns null if the revision no longer has to be removed.
const served_revision *unload_retry::find(const revision_name &which) const
{
    const model *const known = models_.find(which.model_id);
    if (known == nullptr) {
        return nullptr;
    }
    const auto all = revisions_to_unload(*known);
    const auto placed = std::ranges::find(all, which.revision, &served_revision::revision);
    return placed == all.end() ? nullptr : *placed;
}


/// Returns the pause before the next attempt; a backend that is no longer configured gets the default pauses.
std::chrono::milliseconds unload_retry::pause_after(const std::string &backend, unsigned failures)
{
    const auto known = config_->backends.find(backend);
    const std::chrono::milliseconds first = std::chrono::seconds(
        known == config_->backends.end() ? backend_settings().unload_retry_s : known->second.unload_retry_s);
    const auto pause = std::min(first * (1u << std::min(failures, 12u)), std::max(first, longest_unload_pause));
    std::uniform_real_distribution<double> part(1 - jitter, 1);
    return std::chrono::duration_cast<std::chrono::milliseconds>(pause * part(random_));
}


// Attempts.

bool unload_retry::may_start(const revision_name &which, const attempts &due) const
{
    const auto settings = config_->backends.find(due.backend);
    if (settings != config_->backends.end() && settings->second.unload_retry_s == 0) {
        return false;
    }
    return std::ranges::none_of(attempts_, [&](const auto &entry) {
        const auto &[name, other] = entry;
        return other.state != attempt_state::pausing &&
               (other.backend == due.backend || name.model_id == which.model_id);
    });
}


/// Starts what is due. What may not start yet is checked again when the attempt ahead of it has ended.
void unload_retry::start_due()
{
    if (stopping_) {
        return;
    }
    std::erase_if(attempts_, [this](const auto &entry) { // what a task has removed
        return entry.second.state == attempt_state::pausing && find(entry.first) == nullptr;
    });
    std::vector<std::pair<std::chrono::milliseconds, revision_name>> due;
    std::optional<std::chrono::milliseconds> next;
    for (const auto &[which, tried] : attempts_) {
        if (tried.state != attempt_state::pausing || around_.is_at_work(which.model_id)) {
            continue;
        }
        if (tried.not_before <= time_.now()) {
            due.emplace_back(tried.not_before, which);
        } else {
            next = std::min(next.value_or(tried.not_before), tried.not_before);
        }
    }
    std::ranges::sort(due);
    for (const auto &[_, which] : due) {
        if (attempts &tried = attempts_.at(which); may_start(which, tried)) {
            start(which, tried);
        }
    }
    pause_ = next ? time_.after(*next - time_.now(), [this] { start_due(); }) : nullptr;
}


void unload_retry::start(const revision_name &which, attempts &due)
{
    const served_revision retired = *find(which);
    const served_revision revision = without_names_in_use(*models_.find(which.model_id), retired);
    const auto drain_limit = std::chrono::seconds(rollout_of(*config_, which.model_id).drain_s);
    const auto seen = std::make_shared<std::optional<std::uint64_t>>();
    backend *const server = backend_of_(revision.backend);
    const start_fn check = [this, which](done_fn then) { return check_gateways(which, std::move(then)); };
    const start_fn drain = [this, which, retired, drain_limit, seen](done_fn then) {
        if (retired.drained || !retired.load_begun) {
            return ended(time_, outcome::ok(), std::move(then));
        }
        const start_fn wait = [this, which, retired, drain_limit, seen](done_fn end) {
            return await_drain(time_, gateways_, which.model_id, retired, drain_limit, seen, std::move(end));
        };
        const start_fn note = [this, which](done_fn end) {
            return write_change(which, note_drained, std::move(end));
        };
        return in_order(time_, {wait, note}, std::move(then));
    };
    due.state = attempt_state::under_way;
    due.work = in_order(
        time_,
        {check, drain,
         [this, &due](done_fn then) { return std::make_unique<permit_wait>(*this, due, std::move(then)); }, check,
         [this, which, revision, server](done_fn then) {
             return unload_and_remove(which, revision, server, std::move(then));
         },
         [this, which](done_fn then) { return write_change(which, note_taken_off, std::move(then)); }},
        [this, which, keeps_server = backend_of_](const outcome &result) { on_ended(which, result); });
}


operation_ptr unload_retry::write_change(const revision_name &which, void (*change)(model &, std::uint64_t revision),
                                         done_fn done)
{
    return std::make_unique<model_write>(*this, which, change, std::move(done));
}


/// Returns why the gateways do not let a retired revision of the model be unloaded; empty if they do.
std::string unload_retry::objection_of_gateways(const std::string &model_id) const
{
    const auto revision = models_.find(model_id)->route_revision;
    if (gateways_.followers_of(revision, gateway_control::awaited::known).known == 0) {
        return "no gateway is connected, and one that comes may still route to it";
    }
    const std::string why = gateways_.routing_before(revision);
    return why.empty()
               ? ""
               : "not every gateway follows the route of the model, so that one may still route to it: " + why;
}


/// Fails while a gateway may still route to the revision, which then stays.
operation_ptr unload_retry::check_gateways(const revision_name &which, done_fn done)
{
    const std::string objection = objection_of_gateways(which.model_id);
    attempts_.at(which).awaits_gateways = !objection.empty();
    return ended(time_, objection.empty() ? outcome::ok() : outcome::transient(objection), std::move(done));
}


operation_ptr unload_retry::unload_and_remove(const revision_name &which, const served_revision &revision,
                                              backend *server, done_fn done)
{
    if (server == nullptr) {
        return ended(time_, lost_backend(revision), std::move(done));
    }
    std::vector<start_fn> parts;
    if (revision.load_begun) {
        parts.push_back(
            [this, which](done_fn then) { return around_.release(which.model_id, which.revision, std::move(then)); });
        parts.push_back([this, server, which, revision](done_fn then) {
            return on_copies(time_, *server, which.model_id, revision, unload_copy, std::move(then));
        });
        parts.push_back(
            [this, server, revision](done_fn then) { return check_owing(*server, revision, std::move(then)); });
    }
    if (!revision.keep_files) {
        parts.push_back([this, server, which, revision](done_fn then) {
            return on_copies(time_, *server, which.model_id, revision, removal_of(revision), std::move(then));
        });
    }
    return in_order(time_, std::move(parts), std::move(done));
}


/// Fails while a server that may have the revision is down.
operation_ptr unload_retry::check_owing(const backend &server, const served_revision &revision, done_fn done)
{
    std::string names;
    for (const auto &peer : owing_servers(server, revision)) {
        names += (names.empty() ? "" : ", ") + peer;
    }
    return ended(time_,
                 names.empty() ? outcome::ok()
                               : outcome::transient("a server that is down may have it loaded still: " + names),
                 std::move(done));
}


void unload_retry::on_server_back(const std::string &backend)
{
    for (auto &[_, tried] : attempts_) {
        if (tried.backend == backend && tried.state == attempt_state::pausing) {
            tried.failures = 0;
            tried.not_before = time_.now();
        }
    }
    start_due();
}


/// A gateway follows many routes: only the attempts that it lets go ahead are started.
void unload_retry::on_gateway_progress()
{
    bool is_any_due = false;
    for (auto &[which, tried] : attempts_) {
        if (tried.awaits_gateways && tried.state == attempt_state::pausing && find(which) != nullptr &&
            objection_of_gateways(which.model_id).empty()) {
            tried.awaits_gateways = false;
            tried.not_before = time_.now();
            is_any_due = true;
        }
    }
    if (is_any_due) {
        start_due();
    }
}


void unload_retry::on_ended(const revision_name &which, const outcome &result)
{
    const auto known = attempts_.find(which);
    attempts &tried = known->second;
    const auto work = std::move(tried.work);
    const auto released = std::move(tried.released);
    const bool is_canceled = std::exchange(tried.state, attempt_state::pausing) == attempt_state::canceling;
    if (std::exchange(tried.has_permit, false)) {
        --permits_;
        around_.permit_released();
    }
    if (result) {
        log(log_level::info,
            "Revision " + std::to_string(which.revision) + " of model " + which.model_id + " is off backend " +
                tried.backend + " now",
            {{"model_id", which.model_id}, {"revision", std::to_string(which.revision)}, {"backend", tried.backend}});
        attempts_.erase(known);
        models_.put_aside(which.model_id);
    } else if (stopping_ || result.is_lost()) { // lost: another rolloutd has the model
        attempts_.erase(known);
    } else if (!is_canceled) {        // a canceled attempt may fail with any text
        if (!tried.awaits_gateways) { // else nothing was tried
            ++tried.failures;
        }
        tried.not_before = time_.now() + pause_after(tried.backend, tried.failures);
        log_failure(which, tried, result.detail);
    }
    if (released) {
        released();
    }
    start_due();
    if (stopped_ && attempts_.empty()) {
        std::exchange(stopped_, nullptr)();
    }
}


/// Logs each cause once.
void unload_retry::log_failure(const revision_name &which, attempts &failed, const std::string &why) const
{
    if (std::exchange(failed.logged, why) != why) {
        log(log_level::warning,
            "Revision " + std::to_string(which.revision) + " of model " + which.model_id +
                " could not be taken off backend " + failed.backend +
                "; it is tried again, with pauses of up to an hour: " + why,
            {{"model_id", which.model_id},
             {"revision", std::to_string(which.revision)},
             {"backend", failed.backend}});
    }
}


void unload_retry::use_room()
{
    for (auto &[_, tried] : attempts_) {
        if (tried.waits != nullptr && around_.has_room()) {
            tried.waits->granted();
        }
    }
}


void unload_retry::cancel(attempts &under_way)
{
    if (std::exchange(under_way.state, attempt_state::canceling) != attempt_state::canceling) {
        under_way.work->cancel();
    }
}


bool unload_retry::release(const std::string &model_id, std::function<void()> then)
{
    for (auto &[which, tried] : attempts_) {
        if (which.model_id == model_id && tried.state != attempt_state::pausing) {
            tried.released = std::move(then);
            cancel(tried);
            return true;
        }
    }
    return false;
}


std::map<std::string, std::size_t> unload_retry::pending() const
{
    std::map<std::string, std::size_t> all;
    for (const auto &[backend, _] : config_->backends) {
        all.emplace(backend, 0);
    }
    for (const auto &[which, tried] : attempts_) {
        if (find(which) != nullptr) {
            ++all[tried.backend];
        }
    }
    return all;
}

} // namespace rollout
