#include "worker/scheduler/model_watch.hpp"

#include "worker/async/combine.hpp"
#include "worker/base/words.hpp"
#include "worker/config/model_settings.hpp"
#include "worker/rollout/placed_work.hpp"
#include "worker/rollout/revision_work.hpp"

#include <algorithm>
#include <set>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds longest_pause = 300s;
constexpr auto let_go_look = 10ms;
constexpr auto let_go_timeout = 60s;

} // namespace


model_watch::model_watch(const std::map<std::string, model> &models, clock &time) : models_(models), time_(time) {}


void model_watch::use(std::shared_ptr<const settings> config, backend_fn backend_of)
{
    config_ = std::move(config);
    backend_of_ = std::move(backend_of);
    const auto is_watched = [this](const std::string &backend) {
        const auto known = config_->backends.find(backend);
        return known != config_->backends.end() && known->second.check_s != 0;
    };
    std::erase_if(views_, [&](const auto &one) { return !is_watched(one.first); });
    std::erase_if(losses_, [&](const auto &one) { return !is_watched(one.first.first) && !one.second.work; });
    for (const auto &[backend, _] : config_->backends) {
        if (is_watched(backend) && !views_[backend].question) {
            views_[backend].pause = time_.after(0ms, [this, backend = backend] { look(backend); });
        }
    }
}


void model_watch::stop(std::function<void()> stopped)
{
    views_.clear();
    std::erase_if(losses_, [](const auto &one) { return !one.second.work; });
    for (auto &[at, one] : losses_) {
        cancel(one);
    }
    if (losses_.empty()) {
        stopped();
    } else {
        stopped_ = std::move(stopped);
    }
}


// Looking.

std::vector<model_watch::standing_copy> model_watch::standing_on(const std::string &backend) const
{
    std::vector<standing_copy> all;
    for (const auto &[model_id, one] : models_) {
        for (const auto *placed : loaded_revisions(one)) {
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


bool model_watch::stands(const std::string &backend, const standing_copy &one) const
{
    const auto known = models_.find(one.model_id);
    return known != models_.end() &&
           std::ranges::any_of(loaded_revisions(known->second), [&](const placed_revision *placed) {
               return placed->backend == backend && placed->revision == one.revision;
           });
}


void model_watch::look(const std::string &backend)
{
    view &at = views_.at(backend);
    at.asked = standing_on(backend);
    class backend *server = backend_of_(backend);
    if (at.asked.empty() || server == nullptr) {
        at.silent = false;
        at.looked = false;
        look_later(backend);
        return;
    }
    std::vector<server_model> models;
    for (const auto &one : at.asked) {
        models.push_back(server_model_of(one.model_id, one.revision, one.copy));
    }
    // What finds the backend keeps it.
    at.question = server->survey(
        models, [this, backend, keeps = backend_of_](const std::vector<presence> &found) { looked(backend, found); });
}


void model_watch::look_later(const std::string &backend)
{
    const auto pause = std::chrono::seconds(config_->backends.at(backend).check_s);
    views_.at(backend).pause = time_.after(pause, [this, backend] { look(backend); });
}


void model_watch::looked(const std::string &backend, const std::vector<presence> &found)
{
    view &at = views_.at(backend);
    const auto ended = std::move(at.question);
    const auto asked = std::exchange(at.asked, {});
    note_silence(backend, at, found);
    for (std::size_t i = 0; i < asked.size(); ++i) {
        judge({backend, asked[i].copy.model}, asked[i], found[i]);
    }
    std::erase_if(losses_, [&](const auto &one) {
        return one.first.first == backend && !one.second.work && !stands(backend, one.second.of);
    });
    start_reloads(backend);
    look_later(backend);
}


/// A server that is away has lost nothing: it is there again, or empty, when it answers.
void model_watch::note_silence(const std::string &backend, view &at, const std::vector<presence> &found)
{
    const bool silent =
        std::ranges::all_of(found, [](const presence &one) { return one.is == presence::kind::unknown; });
    if (silent && !at.silent) {
        log(log_level::warning,
            "Backend " + backend + " does not say whether its " +
                count_words(found.size(), "model is", "models are") + " still loaded; it is asked again every " +
                duration_words(std::chrono::seconds(config_->backends.at(backend).check_s)) +
                (found.front().words.empty() ? "" : ": " + found.front().words),
            {{"backend", backend}});
    } else if (!silent && at.silent) {
        log(log_level::info, "Backend " + backend + " says again which models are loaded", {{"backend", backend}});
    }
    at.silent = silent;
    at.silence = silent ? found.front().words : "";
    at.looked = true;
}


void model_watch::judge(const place &at, const standing_copy &one, const presence &found)
{
    const auto known = losses_.find(at);
    if (known != losses_.end() && known->second.work) {
        return; // what it comes to will tell
    }
    switch (found.is) {
    case presence::kind::loaded:
        if (known != losses_.end() && known->second.sure) {
            say(log_level::info, at, known->second, "A lost model is there again");
        }
        losses_.erase(at);
        return;
    case presence::kind::unknown:
    case presence::kind::moving:
        if (known != losses_.end()) {
            known->second.due = false;
        }
        return;
    case presence::kind::lost:
    case presence::kind::not_ready:
        break;
    }
    if (!stands(at.first, one)) {
        return; // a task has taken it away meanwhile
    }
    loss &lost = losses_[at];
    lost.of = one;
    lost.words = found.words;
    ++lost.looks;
    if (!lost.sure && (found.is == presence::kind::lost || lost.looks > 1)) {
        lost.sure = true;
        say(log_level::warning, at, lost, sentence_of(at, lost));
    }
    lost.due = lost.sure && time_.now() >= lost.not_before;
}


// Loading.

void model_watch::start_reloads(const std::string &backend)
{
    const auto settings = config_->backends.find(backend);
    if (settings == config_->backends.end() || stopped_) {
        return;
    }
    const auto is_here = [&](const auto &one) { return one.first.first == backend; };
    auto under_way = static_cast<std::uint64_t>(
        std::ranges::count_if(losses_, [&](const auto &one) { return is_here(one) && one.second.work != nullptr; }));
    for (auto &[at, one] : losses_) {
        if (under_way < settings->second.max_reloads && at.first == backend && one.due) {
            reload(at, one);
            ++under_way;
        }
    }
}


void model_watch::reload(const place &at, loss &one)
{
    one.due = false;
    backend *server = backend_of_(at.first);
    const auto limit = std::chrono::seconds(rollout_of(*config_, one.of.model_id).ready_timeout_s);
    const server_model model = server_model_of(one.of.model_id, one.of.revision, one.of.copy);
    one.work = in_order(time_,
                        {[server, model, config = one.of.copy.server_config, limit](done_fn then) {
                             return server->load(model, config.get(), limit, std::move(then));
                         },
                         [this, server, model, limit](done_fn then) {
                             return ready_within(time_, *server, model, limit, std::move(then));
                         }},
                        [this, at, keeps = backend_of_](const outcome &how) { reloaded(at, how); });
}


void model_watch::reloaded(const place &at, const outcome &how)
{
    const auto known = losses_.find(at);
    loss &one = known->second;
    const auto ended = std::move(one.work);
    if (how || one.canceled) {
        if (how) {
            say(log_level::info, at, one, "A lost model is loaded again");
        }
        losses_.erase(known);
    } else {
        ++one.failures;
        one.failure = how.detail;
        const std::chrono::milliseconds first =
            config_->backends.contains(at.first) ? std::chrono::seconds(config_->backends.at(at.first).check_s) : 1s;
        one.not_before = time_.now() + std::min(first * (1u << std::min(one.failures - 1, 10u)), longest_pause);
        say(log_level::warning, at, one, sentence_of(at, one));
    }
    if (!stopped_) {
        start_reloads(at.first);
    } else if (losses_.empty()) {
        std::exchange(stopped_, nullptr)();
    }
}


void model_watch::cancel(loss &one)
{
    if (!std::exchange(one.canceled, true)) {
        one.work->cancel();
    }
}


operation_ptr model_watch::let_go(const std::string &model_id, std::uint64_t revision, done_fn done)
{
    const auto is_it = [model_id, revision](const loss &one) {
        return one.of.model_id == model_id && one.of.revision == revision;
    };
    std::erase_if(losses_, [&](const auto &one) { return is_it(one.second) && !one.second.work; });
    bool busy = false;
    for (auto &[at, one] : losses_) {
        if (is_it(one)) {
            busy = true;
            cancel(one);
        }
    }
    if (!busy) {
        return nullptr;
    }
    const auto look_for_end = [this, is_it](done_fn then) {
        const bool still = std::ranges::any_of(losses_, [&](const auto &one) { return is_it(one.second); });
        return ended(time_, still ? outcome::transient("it is still being loaded again") : outcome::ok(),
                     std::move(then));
    };
    return try_until(
        time_, look_for_end, let_go_look, let_go_timeout,
        [](const std::string &last) { return outcome::transient(last); }, std::move(done));
}


// Saying.

std::string model_watch::sentence_of(const place &at, const loss &one) const
{
    const std::string what = at.second + " is not loaded on backend " + at.first + " any more" +
                             (one.words.empty() ? "" : " (" + one.words + ")");
    if (one.work) {
        return what + " and is being loaded again.";
    }
    return what + (one.failures == 0 ? " and is loaded again in its turn."
                                     : "; loading it again failed (" + one.failure + ") and is repeated.");
}


std::vector<lost_revision> model_watch::losses_of(const std::string &model_id) const
{
    std::map<std::uint64_t, lost_revision> by_revision;
    for (const auto &[at, one] : losses_) {
        if (one.of.model_id != model_id || !one.sure || !stands(at.first, one.of)) {
            continue;
        }
        lost_revision &lost = by_revision[one.of.revision];
        lost.revision = one.of.revision;
        lost.reloading = lost.reloading || one.work != nullptr;
        lost.detail += (lost.detail.empty() ? "" : " ") + sentence_of(at, one);
    }
    const auto known = models_.find(model_id);
    for (const auto *placed :
         known == models_.end() ? std::vector<const placed_revision *>() : loaded_revisions(known->second)) {
        const auto seen = views_.find(placed->backend);
        if (seen != views_.end() && seen->second.silent && !by_revision.contains(placed->revision)) {
            by_revision[placed->revision] = {
                placed->revision, true, false,
                "Backend " + placed->backend + " does not answer" +
                    (seen->second.silence.empty() ? "" : " (" + seen->second.silence + ")") +
                    ", so that it is not known "
                    "whether revision " +
                    std::to_string(placed->revision) + " serves."};
        }
    }
    std::vector<lost_revision> all;
    for (auto &[_, lost] : by_revision) {
        all.push_back(std::move(lost));
    }
    return all;
}


std::size_t model_watch::lost_models() const
{
    std::set<std::string> models;
    for (const auto &[at, one] : losses_) {
        if (one.sure && stands(at.first, one.of)) {
            models.insert(one.of.model_id);
        }
    }
    return models.size();
}


std::map<std::string, bool> model_watch::backends_up() const
{
    std::map<std::string, bool> all;
    for (const auto &[backend, seen] : views_) {
        if (seen.looked) {
            all.emplace(backend, !seen.silent);
        }
    }
    return all;
}


void model_watch::say(log_level level, const place &at, const loss &one, const std::string &message) const
{
    log(level, message,
        {{"model_id", one.of.model_id},
         {"revision", std::to_string(one.of.revision)},
         {"backend", at.first},
         {"model", at.second}});
}

} // namespace rollout
