#include "worker/scheduler/unload_retry.hpp"

#include "worker/base/log.hpp"
#include "worker/base/words.hpp"
#include "worker/config/model_settings.hpp"
#include "worker/rollout/placed_work.hpp"

#include <algorithm>
#include <optional>
#include <vector>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds longest_pause = 1h;

/// A pause is shorter by up to this part of it, so that what failed together is not tried again together.
constexpr double jitter = 0.25;

} // namespace


/// An attempt that waits for a place.
class unload_retry::place_wait final : public operation {
  public:
    place_wait(unload_retry &of, attempts &one, done_fn done) : of_(of), one_(&one), done_(std::move(done))
    {
        one_->waits = this;
        of_.use_room();
    }

    ~place_wait() override { leave(); }

    void cancel() override
    {
        leave();
        end(outcome::canceled());
    }

    void granted()
    {
        one_->has_place = true;
        ++of_.places_;
        leave();
        end(outcome::ok());
    }

  private:
    void leave()
    {
        if (one_ != nullptr) {
            std::exchange(one_, nullptr)->waits = nullptr;
        }
    }

    void end(outcome how)
    {
        if (!end_) {
            end_ = of_.time_.after(0ms, [done = std::move(done_), how = std::move(how)] { done(how); });
        }
    }

    unload_retry &of_;
    attempts *one_; ///< whose work this is a part of; null when it does not wait any more
    done_fn done_;
    operation_ptr end_;
};


/// The model without that revision is durable, and known from then on. A write cannot be taken back: to cancel it changes nothing.
class unload_retry::model_write final : public operation {
  public:
    model_write(unload_retry &of, const name &which, done_fn done)
    {
        model changed = of.models_.at(which.first);
        note_taken_off(changed, which.second);
        of.book_.save_model(changed,
                            [&of, which, alive = alive_, done = std::move(done)](const outcome &how, std::uint64_t) {
                                if (!*alive) {
                                    return;
                                }
                                if (how) {
                                    note_taken_off(of.models_.at(which.first), which.second);
                                }
                                done(how); // which may destroy this
                            });
    }

    ~model_write() override { *alive_ = false; }

    void cancel() override {}

  private:
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};


unload_retry::unload_retry(std::map<std::string, model> &models, journal &book, traffic &gateways, clock &time,
                           surroundings around)
    : models_(models), book_(book), gateways_(gateways), time_(time), around_(std::move(around))
{
}


void unload_retry::use(std::shared_ptr<const settings> config, backend_fn backend_of)
{
    config_ = std::move(config);
    backend_of_ = std::move(backend_of);
    for (auto &[which, one] : attempts_) { // what was in the way may be out of it by now
        one.failures = 0;
        one.not_before = time_.now() + pause_after(one.backend, 0);
    }
    for (const auto &[model_id, one] : models_) {
        look_at(one);
    }
    start_due();
}


void unload_retry::stop(std::function<void()> stopped)
{
    stopping_ = true;
    pause_.reset();
    std::erase_if(attempts_, [](const auto &entry) { return !entry.second.work; });
    for (auto &[which, one] : attempts_) {
        cancel(one);
    }
    if (attempts_.empty()) {
        stopped();
    } else {
        stopped_ = std::move(stopped);
    }
}


void unload_retry::look(const std::string &model_id)
{
    if (const auto known = models_.find(model_id); known != models_.end()) {
        look_at(known->second);
    }
    start_due();
}


void unload_retry::look_at(const model &of)
{
    if (stopping_ || around_.is_at_work(of.model_id)) {
        return;
    }
    for (const auto *one : revisions_to_take_off(of)) {
        attempts &known = attempts_[{of.model_id, one->revision}];
        known.backend = one->backend;
        if (!known.work) { // a task may just have tried
            known.not_before = std::max(known.not_before, time_.now() + pause_after(one->backend, 0));
        }
    }
}


/// Null where it is not to be taken off any more.
const placed_revision *unload_retry::find(const name &which) const
{
    const auto known = models_.find(which.first);
    if (known == models_.end()) {
        return nullptr;
    }
    const auto all = revisions_to_take_off(known->second);
    const auto at = std::ranges::find(all, which.second, &placed_revision::revision);
    return at == all.end() ? nullptr : *at;
}


/// A backend that is out of the configuration has the pauses of any other.
std::chrono::milliseconds unload_retry::pause_after(const std::string &backend, unsigned failures)
{
    const auto known = config_->backends.find(backend);
    const std::chrono::milliseconds first = std::chrono::seconds(
        known == config_->backends.end() ? backend_settings().unload_retry_s : known->second.unload_retry_s);
    const auto pause = std::min(first * (1u << std::min(failures, 12u)), std::max(first, longest_pause));
    std::uniform_real_distribution<double> part(1 - jitter, 1);
    return std::chrono::duration_cast<std::chrono::milliseconds>(pause * part(random_));
}


// Trying.

bool unload_retry::may_start(const name &which, const attempts &one) const
{
    const auto settings = config_->backends.find(one.backend);
    if (settings != config_->backends.end() && settings->second.unload_retry_s == 0) {
        return false;
    }
    return std::ranges::none_of(attempts_, [&](const auto &other) {
        return other.second.work && (other.second.backend == one.backend || other.first.first == which.first);
    });
}


/// What is due and may not start yet is looked at again when what is before it has ended.
void unload_retry::start_due()
{
    if (stopping_) {
        return;
    }
    std::erase_if(attempts_, [this](const auto &entry) { // what a task has taken off
        return !entry.second.work && find(entry.first) == nullptr;
    });
    std::vector<std::pair<std::chrono::milliseconds, name>> due;
    std::optional<std::chrono::milliseconds> next;
    for (const auto &[which, one] : attempts_) {
        if (one.work || around_.is_at_work(which.first)) {
            continue;
        }
        if (one.not_before <= time_.now()) {
            due.emplace_back(one.not_before, which);
        } else {
            next = std::min(next.value_or(one.not_before), one.not_before);
        }
    }
    std::ranges::sort(due);
    for (const auto &[_, which] : due) {
        if (attempts &one = attempts_.at(which); may_start(which, one)) {
            start(which, one);
        }
    }
    pause_ = next ? time_.after(*next - time_.now(), [this] { start_due(); }) : nullptr;
}


void unload_retry::start(const name &which, attempts &one)
{
    const placed_revision retired = *find(which);
    const placed_revision of = without_names_in_use(models_.at(which.first), retired);
    const auto drain_limit = std::chrono::seconds(rollout_of(*config_, which.first).drain_s);
    const auto seen = std::make_shared<std::optional<std::uint64_t>>();
    backend *const server = backend_of_(of.backend);
    one.work = in_order(
        time_,
        {[this, which](done_fn then) { return check_gateways(which, std::move(then)); },
         [this, which, retired, drain_limit, seen](done_fn then) {
             return await_drain(time_, gateways_, which.first, retired, drain_limit, seen, std::move(then));
         },
         [this, &one](done_fn then) { return std::make_unique<place_wait>(*this, one, std::move(then)); },
         [this, which, of, server](done_fn then) { return take_off(which, of, server, std::move(then)); },
         [this, which](done_fn then) { return std::make_unique<model_write>(*this, which, std::move(then)); }},
        [this, which, keeps_server = backend_of_](const outcome &how) { ended(which, how); });
}


/// As long as a gateway may route to it, a revision stays.
operation_ptr unload_retry::check_gateways(const name &which, done_fn done)
{
    const auto followers = gateways_.followers_of(models_.at(which.first).route_revision);
    outcome how;
    if (followers.known == 0) {
        how = outcome::transient("no gateway is connected, and one that comes may still route to it");
    } else if (followers.behind != 0) {
        const std::string missing = gateways_.missing();
        how =
            outcome::transient("not every gateway follows the route of the model, so that one may still route to it" +
                               (missing.empty() ? "" : ": " + missing));
    }
    return rollout::ended(time_, std::move(how), std::move(done));
}


operation_ptr unload_retry::take_off(const name &which, const placed_revision &of, backend *server, done_fn done)
{
    if (server == nullptr) {
        return rollout::ended(time_, lost_backend(of), std::move(done));
    }
    std::vector<start_fn> parts;
    if (of.load_begun) {
        parts.push_back([this, which](done_fn then) {
            auto waits = around_.let_go(which.first, which.second, then);
            return waits ? std::move(waits) : rollout::ended(time_, outcome::ok(), std::move(then));
        });
        parts.push_back([this, server, which, of](done_fn then) {
            return on_copies(time_, *server, which.first, of, unload_copy, std::move(then));
        });
    }
    if (!of.keep_files) {
        parts.push_back([this, server, which, of](done_fn then) {
            return on_copies(time_, *server, which.first, of, removal_of(of), std::move(then));
        });
    }
    return in_order(time_, std::move(parts), std::move(done));
}


void unload_retry::ended(const name &which, const outcome &how)
{
    const auto known = attempts_.find(which);
    attempts &one = known->second;
    const auto work = std::move(one.work);
    const auto released = std::move(one.released);
    if (std::exchange(one.has_place, false)) {
        --places_;
        around_.place_given_back();
    }
    if (how) {
        log(log_level::info,
            "Revision " + std::to_string(which.second) + " of model " + which.first + " is off backend " +
                one.backend + " now",
            {{"model_id", which.first}, {"revision", std::to_string(which.second)}, {"backend", one.backend}});
        attempts_.erase(known);
        around_.taken_off(which.first);
    } else if (stopping_) {
        attempts_.erase(known);
    } else if (!std::exchange(one.canceled, false)) { // what is canceled fails in whatever words
        one.not_before = time_.now() + pause_after(one.backend, ++one.failures);
        log_failure(which, one, how.detail);
    }
    if (released) {
        released();
    }
    start_due();
    if (stopped_ && attempts_.empty()) {
        std::exchange(stopped_, nullptr)();
    }
}


/// Each cause once.
void unload_retry::log_failure(const name &which, attempts &one, const std::string &why) const
{
    if (std::exchange(one.logged, why) != why) {
        log(log_level::warning,
            "Revision " + std::to_string(which.second) + " of model " + which.first +
                " could not be taken off backend " + one.backend +
                "; it is tried again, with pauses of up to an hour: " + why,
            {{"model_id", which.first}, {"revision", std::to_string(which.second)}, {"backend", one.backend}});
    }
}


void unload_retry::use_room()
{
    for (auto &[which, one] : attempts_) {
        if (one.waits != nullptr && around_.has_room()) {
            one.waits->granted();
        }
    }
}


void unload_retry::cancel(attempts &one)
{
    if (!std::exchange(one.canceled, true)) {
        one.work->cancel();
    }
}


bool unload_retry::release(const std::string &model_id, std::function<void()> then)
{
    for (auto &[which, one] : attempts_) {
        if (which.first == model_id && one.work) {
            one.released = std::move(then);
            cancel(one);
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
    for (const auto &[which, one] : attempts_) {
        if (find(which) != nullptr) {
            ++all[one.backend];
        }
    }
    return all;
}

} // namespace rollout
