#include "worker/scheduler/model_monitor.hpp"

#include "worker/async/combine.hpp"
#include "worker/base/format.hpp"
#include "worker/config/model_overrides.hpp"
#include "worker/rollout/placed_work.hpp"
#include "worker/rollout/revision_work.hpp"

#include <algorithm>
#include <set>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds longest_load_pause = 300s;
constexpr auto release_pause = 10ms;
constexpr auto release_timeout = 60s;

} // namespace


model_monitor::model_monitor(const std::map<std::string, model> &models, clock &time) : models_(models), time_(time)
{
}


void model_monitor::use(std::shared_ptr<const settings> config, backend_fn backend_of)
{
    config_ = std::move(config);
    backend_of_ = std::move(backend_of);
    const auto is_watched = [this](const std::string &backend) {
        const auto known = config_->backends.find(backend);
        return known != config_->backends.end() && known->second.check_s != 0;
    };
    std::erase_if(backends_, [&](const auto &entry) { return !is_watched(entry.first); });
    std::erase_if(
        losses_, [&](const auto &entry) { return !is_watched(entry.first.backend) && !entry.second.is_under_way(); });
    for (const auto &[backend, _] : config_->backends) {
        if (is_watched(backend) && !backends_[backend].question) {
            backends_[backend].pause = time_.after(0ms, [this, backend = backend] { poll(backend); });
        }
    }
}


void model_monitor::stop(std::function<void()> stopped)
{
    backends_.clear();
    std::erase_if(losses_, [](const auto &entry) { return !entry.second.is_under_way(); });
    for (auto &[_, lost] : losses_) {
        cancel(lost);
    }
    if (losses_.empty()) {
        stopped();
    } else {
        stopped_ = std::move(stopped);
    }
}


// Polling.

std::vector<model_monitor::standing_copy> model_monitor::standing_on(const std::string &backend) const
{
    std::vector<standing_copy> all;
    for (const auto &[model_id, entry] : models_) {
        for (const auto *placed : loaded_revisions(entry)) {
            if (placed->backend != backend) {
                continue;
            }
            for (const auto &copy : placed->copies) {
                all.push_back({model_id, placed->revision, copy});
            }
        }
    }
    return all;
}


bool model_monitor::stands(const std::string &backend, const standing_copy &copy) const
{
    const auto known = models_.find(copy.model_id);
    return known != models_.end() &&
           std::ranges::any_of(loaded_revisions(known->second), [&](const served_revision *placed) {
               return placed->backend == backend && placed->revision == copy.revision;
           });
}


void model_monitor::poll(const std::string &backend)
{
    polled_backend &polled = backends_.at(backend);
    polled.asked = standing_on(backend);
    class backend *server = backend_of_(backend);
    if (polled.asked.empty() || server == nullptr) {
        polled.state = backend_state::unasked;
        poll_later(backend);
        return;
    }
    std::vector<server_model> models;
    for (const auto &copy : polled.asked) {
        models.push_back(server_model_of(copy.model_id, copy.revision, copy.copy));
    }
    // What finds the backend keeps it.
    polled.question =
        server->probe_models(models, [this, backend, keeps = backend_of_](const std::vector<model_status> &found) {
            on_polled(backend, found);
        });
}


void model_monitor::poll_later(const std::string &backend)
{
    const auto pause = std::chrono::seconds(config_->backends.at(backend).check_s);
    backends_.at(backend).pause = time_.after(pause, [this, backend] { poll(backend); });
}


void model_monitor::on_polled(const std::string &backend, const std::vector<model_status> &found)
{
    polled_backend &polled = backends_.at(backend);
    const auto ended = std::move(polled.question);
    const auto asked = std::exchange(polled.asked, {});
    note_silence(backend, polled, found);
    for (std::size_t i = 0; i < asked.size(); ++i) {
        judge({backend, asked[i].copy.model}, asked[i], found[i]);
    }
    std::erase_if(losses_, [&](const auto &entry) {
        const auto &[name, lost] = entry;
        return name.backend == backend && !lost.is_under_way() && !stands(backend, lost.of);
    });
    start_reloads(backend);
    poll_later(backend);
}


/// Notes whether the backend answers. A server that is away has lost nothing: it is there again, or empty, when it answers.
void model_monitor::note_silence(const std::string &backend, polled_backend &polled,
                                 const std::vector<model_status> &found)
{
    const bool was_silent = polled.state == backend_state::silent;
    const bool is_silent =
        std::ranges::all_of(found, [](const model_status &copy) { return copy.is == model_status::kind::unknown; });
    if (is_silent && !was_silent) {
        log(log_level::warning,
            "Backend " + backend + " does not say whether its " +
                format_count(found.size(), "model is", "models are") + " still loaded; it is asked again every " +
                format_duration(std::chrono::seconds(config_->backends.at(backend).check_s)) +
                (found.front().words.empty() ? "" : ": " + found.front().words),
            {{"backend", backend}});
    } else if (!is_silent && was_silent) {
        log(log_level::info, "Backend " + backend + " says again which models are loaded", {{"backend", backend}});
    }
    polled.state = is_silent ? backend_state::silent : backend_state::answering;
    polled.silence = is_silent ? found.front().words : "";
}


void model_monitor::judge(const server_name &name, const standing_copy &copy, const model_status &found)
{
    const auto known = losses_.find(name);
    if (known != losses_.end() && known->second.is_under_way()) {
        return; // what it comes to will tell
    }
    switch (found.is) {
    case model_status::kind::loaded:
        if (known != losses_.end() && known->second.state != loss_state::suspected) {
            say(log_level::info, name, known->second, "A lost model is back");
        }
        losses_.erase(name);
        return;
    case model_status::kind::unknown:
    case model_status::kind::moving:
        if (known != losses_.end() && known->second.state == loss_state::due) {
            known->second.state = loss_state::lost;
        }
        return;
    case model_status::kind::lost:
    case model_status::kind::not_ready:
        break;
    }
    if (!stands(name.backend, copy)) {
        return; // a task has taken it away meanwhile
    }
    const bool was_suspected = known != losses_.end() && known->second.state == loss_state::suspected;
    loss &lost = losses_[name];
    lost.of = copy;
    lost.words = found.words;
    if (lost.state == loss_state::suspected && (found.is == model_status::kind::lost || was_suspected)) {
        lost.state = loss_state::lost;
        say(log_level::warning, name, lost, sentence_of(name, lost));
    }
    if (lost.state != loss_state::suspected) {
        lost.state = time_.now() >= lost.not_before ? loss_state::due : loss_state::lost;
    }
}


// Loading.

void model_monitor::start_reloads(const std::string &backend)
{
    const auto settings = config_->backends.find(backend);
    if (settings == config_->backends.end() || stopped_) {
        return;
    }
    auto under_way = static_cast<std::uint64_t>(std::ranges::count_if(
        losses_, [&](const auto &entry) { return entry.first.backend == backend && entry.second.is_under_way(); }));
    for (auto &[name, lost] : losses_) {
        if (under_way < settings->second.max_reloads && name.backend == backend && lost.state == loss_state::due) {
            reload(name, lost);
            ++under_way;
        }
    }
}


void model_monitor::reload(const server_name &name, loss &lost)
{
    lost.state = loss_state::loading;
    backend *server = backend_of_(name.backend);
    const auto limit = std::chrono::seconds(rollout_of(*config_, lost.of.model_id).ready_timeout_s);
    const server_model model = server_model_of(lost.of.model_id, lost.of.revision, lost.of.copy);
    lost.work = in_order(time_,
                         {[server, model, config = lost.of.copy.server_config, limit](done_fn then) {
                              return server->load(model, config.get(), limit, std::move(then));
                          },
                          [this, server, model, limit](done_fn then) {
                              return ready_within(time_, *server, model, limit, std::move(then));
                          }},
                         [this, name, keeps = backend_of_](const outcome &result) { on_reloaded(name, result); });
}


void model_monitor::on_reloaded(const server_name &name, const outcome &result)
{
    const auto known = losses_.find(name);
    loss &lost = known->second;
    const auto ended = std::move(lost.work);
    const bool is_canceled = lost.state == loss_state::canceling;
    lost.state = loss_state::lost;
    if (result || is_canceled) {
        if (result) {
            say(log_level::info, name, lost, "A lost model is loaded again");
        }
        losses_.erase(known);
    } else {
        ++lost.failures;
        lost.failure = result.detail;
        const std::chrono::milliseconds first = config_->backends.contains(name.backend)
                                                    ? std::chrono::seconds(config_->backends.at(name.backend).check_s)
                                                    : 1s;
        lost.not_before =
            time_.now() + std::min(first * (1u << std::min(lost.failures - 1, 10u)), longest_load_pause);
        say(log_level::warning, name, lost, sentence_of(name, lost));
    }
    if (!stopped_) {
        start_reloads(name.backend);
    } else if (losses_.empty()) {
        std::exchange(stopped_, nullptr)();
    }
}


void model_monitor::cancel(loss &lost)
{
    if (std::exchange(lost.state, loss_state::canceling) != loss_state::canceling) {
        lost.work->cancel();
    }
}


operation_ptr model_monitor::release(const std::string &model_id, std::uint64_t revision, done_fn done)
{
    const auto is_it = [model_id, revision](const loss &lost) {
        return lost.of.model_id == model_id && lost.of.revision == revision;
    };
    std::erase_if(losses_, [&](const auto &entry) { return is_it(entry.second) && !entry.second.is_under_way(); });
    bool is_held = false;
    for (auto &[_, lost] : losses_) {
        if (is_it(lost)) {
            is_held = true;
            cancel(lost);
        }
    }
    if (!is_held) {
        return ended(time_, outcome::ok(), std::move(done));
    }
    const auto check = [this, is_it](done_fn then) {
        const bool still = std::ranges::any_of(losses_, [&](const auto &entry) { return is_it(entry.second); });
        return ended(time_, still ? outcome::transient("it is still being loaded again") : outcome::ok(),
                     std::move(then));
    };
    return try_until(
        time_, check, release_pause, release_timeout,
        [](const std::string &last) { return outcome::transient(last); }, std::move(done));
}


// Saying.

std::string model_monitor::sentence_of(const server_name &name, const loss &lost) const
{
    const std::string sentence = name.model + " is not loaded on backend " + name.backend + " any more" +
                                 (lost.words.empty() ? "" : " (" + lost.words + ")");
    if (lost.is_under_way()) {
        return sentence + " and is being loaded again.";
    }
    return sentence + (lost.failures == 0 ? " and is loaded again in its turn."
                                          : "; loading it again failed (" + lost.failure + ") and is repeated.");
}


std::vector<lost_revision> model_monitor::losses_of(const std::string &model_id) const
{
    std::map<std::uint64_t, lost_revision> by_revision;
    for (const auto &[name, lost] : losses_) {
        if (lost.of.model_id != model_id || lost.state == loss_state::suspected || !stands(name.backend, lost.of)) {
            continue;
        }
        lost_revision &revision = by_revision[lost.of.revision];
        revision.revision = lost.of.revision;
        revision.reloading = revision.reloading || lost.is_under_way();
        revision.detail += (revision.detail.empty() ? "" : " ") + sentence_of(name, lost);
    }
    const auto known = models_.find(model_id);
    for (const auto *placed :
         known == models_.end() ? std::vector<const served_revision *>() : loaded_revisions(known->second)) {
        const auto polled = backends_.find(placed->backend);
        if (polled != backends_.end() && polled->second.state == backend_state::silent &&
            !by_revision.contains(placed->revision)) {
            by_revision[placed->revision] = {
                placed->revision, true, false,
                "Backend " + placed->backend + " does not answer" +
                    (polled->second.silence.empty() ? "" : " (" + polled->second.silence + ")") +
                    ", so that it is not known "
                    "whether revision " +
                    std::to_string(placed->revision) + " serves."};
        }
    }
    std::vector<lost_revision> all;
    all.reserve(by_revision.size());
    for (auto &[_, revision] : by_revision) {
        all.push_back(std::move(revision));
    }
    return all;
}


std::size_t model_monitor::lost_models() const
{
    std::set<std::string> models;
    for (const auto &[name, lost] : losses_) {
        if (lost.state != loss_state::suspected && stands(name.backend, lost.of)) {
            models.insert(lost.of.model_id);
        }
    }
    return models.size();
}


std::map<std::string, bool> model_monitor::backends_up() const
{
    std::map<std::string, bool> all;
    for (const auto &[backend, polled] : backends_) {
        if (polled.state != backend_state::unasked) {
            all.emplace(backend, polled.state == backend_state::answering);
        }
    }
    return all;
}


void model_monitor::say(log_level level, const server_name &name, const loss &lost, const std::string &message) const
{
    log(level, message,
        {{"model_id", lost.of.model_id},
         {"revision", std::to_string(lost.of.revision)},
         {"backend", name.backend},
         {"model", name.model}});
}

} // namespace rollout
