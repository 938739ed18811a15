#include "worker/scheduler/model_monitor.hpp"

#include "common/domain/upstream_name.hpp"
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

/// The time between two polls of a server that gateways complain about.
constexpr std::chrono::milliseconds suspect_pause = 500ms;
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
    std::set<server_key> watched;
    for (const auto &[name, backend] : config_->backends) {
        for (const auto &peer : servers_of(name)) {
            if (backend.check_s != 0) {
                watched.insert({name, peer});
            }
        }
    }
    std::erase_if(servers_, [&](const auto &entry) { return !watched.contains(entry.first); });
    std::erase_if(losses_, [&](const auto &entry) {
        return !watched.contains(entry.first.server) && !entry.second.is_under_way();
    });
    for (const auto &which : watched) {
        if (!servers_[which].question) {
            servers_[which].pause = time_.after(0ms, [this, which] { poll(which); });
        }
    }
    for (const auto &[name, _] : config_->backends) { // servers that are no longer in the configuration
        update_peers(name);
    }
}


void model_monitor::stop(std::function<void()> stopped)
{
    servers_.clear();
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


/// Returns the server as a backend of its own; null if the configuration has no such server.
backend *model_monitor::find(const server_key &which) const
{
    backend *const all = backend_of_(which.backend);
    return all == nullptr ? nullptr : all->server(which.peer);
}


/// Returns a single empty name for a backend with one server.
std::vector<std::string> model_monitor::servers_of(const std::string &backend) const
{
    const auto *const known = backend_of_(backend);
    auto peers = known == nullptr ? std::vector<std::string>() : known->servers();
    if (peers.empty()) {
        peers.emplace_back();
    }
    return peers;
}


void model_monitor::poll(const server_key &which)
{
    polled_server &polled = servers_.at(which);
    polled.is_suspect = false;
    polled.polled_at = time_.now();
    polled.asked = standing_on(which.backend);
    backend *const server = find(which);
    if (polled.asked.empty() || server == nullptr) {
        polled.state = backend_state::unasked;
        polled.found.clear();
        poll_later(which);
        return;
    }
    std::vector<server_model> models;
    for (const auto &copy : polled.asked) {
        models.push_back(server_model_of(copy.model_id, copy.revision, copy.copy));
    }
    // The callback keeps the function that owns the backend.
    polled.question =
        server->probe_models(models, [this, which, keeps = backend_of_](const std::vector<model_status> &found) {
            on_polled(which, found);
        });
}


void model_monitor::poll_later(const server_key &which)
{
    polled_server &polled = servers_.at(which);
    std::chrono::milliseconds pause = std::chrono::seconds(config_->backends.at(which.backend).check_s);
    if (polled.is_suspect) {
        pause = std::min(pause, suspect_pause);
    }
    polled.pause = time_.after(pause, [this, which] { poll(which); });
}


void model_monitor::suspect(const std::string &upstream, const std::string &peer)
{
    const auto is_of_upstream = [&](const server_key &which) {
        const auto known = config_->backends.find(which.backend);
        return known != config_->backends.end() && !which.peer.empty() &&
               upstream_key(known->second.upstream) == upstream_key(upstream);
    };
    const bool is_named = std::ranges::any_of(
        servers_, [&](const auto &entry) { return entry.first.peer == peer && is_of_upstream(entry.first); });
    for (auto &[which, polled] : servers_) {
        if (!is_of_upstream(which) || (is_named && which.peer != peer)) {
            continue;
        }
        if (polled.question) {
            polled.is_suspect = true;
        } else if (!polled.is_suspect) {
            polled.is_suspect = true;
            const auto next = polled.polled_at + suspect_pause;
            polled.pause = time_.after(std::max<std::chrono::milliseconds>(next - time_.now(), 0ms),
                                       [this, which = which] { poll(which); });
        }
    }
}


void model_monitor::on_polled(const server_key &which, const std::vector<model_status> &found)
{
    polled_server &polled = servers_.at(which);
    const auto ended = std::move(polled.question);
    const auto asked = std::exchange(polled.asked, {});
    const bool was_silent = polled.state == backend_state::silent;
    note_silence(which, polled, found);
    if (polled.state == backend_state::silent && !was_silent) {
        polled.found_before = std::exchange(polled.found, {});
        for (const auto &copy : asked) { // or what the journal says, after a restart
            const auto &peers = copy.copy.peers;
            if (peers && std::ranges::find(*peers, which.peer) != peers->end()) {
                polled.found_before.try_emplace(copy.copy.model, model_status::kind::loaded);
            }
        }
    }
    polled.found.clear();
    for (std::size_t i = 0; i < asked.size(); ++i) {
        polled.found[asked[i].copy.model] = found[i].is;
        judge({which, asked[i].copy.model}, asked[i], found[i]);
    }
    std::erase_if(losses_, [&](const auto &entry) {
        const auto &[name, lost] = entry;
        return name.server == which && !lost.is_under_way() && !stands(which.backend, lost.of);
    });
    update_peers(which.backend);
    start_reloads(which);
    poll_later(which);
    if (was_silent && polled.state == backend_state::answering) {
        on_server_back(which.backend);
    }
}


/// Notes whether the server answers. A silent server has lost nothing: when it answers again, it has its models or is
/// empty.
void model_monitor::note_silence(const server_key &which, polled_server &polled,
                                 const std::vector<model_status> &found)
{
    const bool was_silent = polled.state == backend_state::silent;
    const bool is_silent =
        std::ranges::all_of(found, [](const model_status &copy) { return copy.is == model_status::kind::unknown; });
    const std::string name =
        which.peer.empty() ? "Backend " + which.backend : "Server " + which.peer + " of backend " + which.backend;
    if (is_silent && !was_silent) {
        log(log_level::warning,
            name + " does not say whether its " + format_count(found.size(), "model is", "models are") +
                " still loaded; it is asked again every " +
                format_duration(std::chrono::seconds(config_->backends.at(which.backend).check_s)) +
                (found.front().words.empty() ? "" : ": " + found.front().words),
            {{"backend", which.backend}, {"server", which.peer}});
    } else if (!is_silent && was_silent) {
        log(log_level::info, name + " says again which models are loaded",
            {{"backend", which.backend}, {"server", which.peer}});
    }
    polled.state = is_silent ? backend_state::silent : backend_state::answering;
    polled.silence = is_silent ? found.front().words : "";
}


void model_monitor::judge(const server_name &name, const standing_copy &copy, const model_status &found)
{
    const auto known = losses_.find(name);
    if (known != losses_.end() && known->second.is_under_way()) {
        return; // its result decides
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
    if (!stands(name.server.backend, copy)) {
        return; // a task has removed it in the meantime
    }
    const bool was_suspected = known != losses_.end() && known->second.state == loss_state::suspected;
    const auto &[lost_at, is_first] = losses_.try_emplace(name);
    loss &lost = lost_at->second;
    if (is_first) {
        lost.is_new = !name.server.peer.empty() && copy.copy.peers &&
                      std::ranges::find(*copy.copy.peers, name.server.peer) == copy.copy.peers->end();
    }
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

void model_monitor::start_reloads(const server_key &which)
{
    const auto settings = config_->backends.find(which.backend);
    if (settings == config_->backends.end() || stopped_ || find(which) == nullptr) {
        return;
    }
    auto under_way = static_cast<std::uint64_t>(std::ranges::count_if(
        losses_, [&](const auto &entry) { return entry.first.server == which && entry.second.is_under_way(); }));
    for (auto &[name, lost] : losses_) {
        if (under_way < settings->second.max_reloads && name.server == which && lost.state == loss_state::due) {
            reload(name, lost);
            ++under_way;
        }
    }
}


void model_monitor::reload(const server_name &name, loss &lost)
{
    lost.state = loss_state::loading;
    backend *const all = backend_of_(name.server.backend);
    backend *const server = find(name.server);
    const auto limit = std::chrono::seconds(rollout_of(*config_, lost.of.model_id).ready_timeout_s);
    const server_model model = server_model_of(lost.of.model_id, lost.of.revision, lost.of.copy);
    const start_fn supply = [this, all, model, peer = name.server.peer](done_fn then) {
        // A new server may have a repository of its own.
        const auto begun = std::make_shared<done_fn>(then);
        auto work = all->supply(peer, model, *begun);
        return work ? std::move(work) : ended(time_, outcome::ok(), std::move(then));
    };
    lost.work = in_order(time_,
                         {supply,
                          [server, model, config = lost.of.copy.server_config, limit](done_fn then) {
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
            say(log_level::info, name, lost,
                lost.is_new ? "A model is loaded on a server that lacked it" : "A lost model is loaded again");
        }
        const auto polled = servers_.find(name.server);
        losses_.erase(known);
        if (result && !is_canceled && polled != servers_.end()) {
            polled->second.found[name.model] = model_status::kind::loaded;
            polled->second.loaded_anew.insert(name.model);
            update_peers(name.server.backend);
            polled->second.loaded_anew.clear();
        }
    } else {
        ++lost.failures;
        lost.failure = result.detail;
        const std::chrono::milliseconds first =
            config_->backends.contains(name.server.backend)
                ? std::chrono::seconds(config_->backends.at(name.server.backend).check_s)
                : 1s;
        lost.not_before =
            time_.now() + std::min(first * (1u << std::min(lost.failures - 1, 10u)), longest_load_pause);
        say(log_level::warning, name, lost, sentence_of(name, lost));
    }
    if (!stopped_) {
        start_reloads(name.server);
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
    forget_found(model_id, revision);
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


// Messages.

std::string model_monitor::sentence_of(const server_name &name, const loss &lost) const
{
    const auto &[backend, peer] = name.server;
    const std::string sentence = name.model + " is not loaded on " +
                                 (peer.empty() ? "backend " + backend : "server " + peer + " of backend " + backend) +
                                 (lost.is_new ? " yet" : " any more") +
                                 (lost.words.empty() ? "" : " (" + lost.words + ")");
    const std::string again = lost.is_new ? "" : " again";
    if (lost.is_under_way()) {
        return sentence + " and is being loaded" + again + ".";
    }
    return sentence + (lost.failures == 0
                           ? " and is loaded" + again + " in its turn."
                           : "; loading it" + again + " failed (" + lost.failure + ") and is repeated.");
}


/// Returns whether other servers of the backend have it: then clients do not notice.
bool model_monitor::is_elsewhere(const server_name &name) const
{
    return std::ranges::any_of(servers_, [&](const auto &entry) {
        const auto found = entry.second.found.find(name.model);
        return entry.first.backend == name.server.backend && entry.first != name.server &&
               found != entry.second.found.end() && found->second == model_status::kind::loaded;
    });
}


std::vector<lost_revision> model_monitor::losses_of(const std::string &model_id) const
{
    std::map<std::uint64_t, lost_revision> by_revision;
    for (const auto &[name, lost] : losses_) {
        if (lost.of.model_id != model_id || lost.state == loss_state::suspected ||
            !stands(name.server.backend, lost.of)) {
            continue;
        }
        const bool is_first = !by_revision.contains(lost.of.revision);
        lost_revision &revision = by_revision[lost.of.revision];
        revision.revision = lost.of.revision;
        revision.partial = (is_first || revision.partial) && is_elsewhere(name);
        revision.reloading = revision.reloading || lost.is_under_way();
        revision.detail += (revision.detail.empty() ? "" : " ") + sentence_of(name, lost);
    }
    const auto known = models_.find(model_id);
    for (const auto *placed :
         known == models_.end() ? std::vector<const served_revision *>() : loaded_revisions(known->second)) {
        for (const auto &[which, polled] : servers_) {
            if (which.backend != placed->backend || polled.state != backend_state::silent) {
                continue;
            }
            const bool is_partial = std::ranges::all_of(placed->copies, [&, &key = which](const served_model &copy) {
                return is_elsewhere({key, copy.model});
            });
            if (by_revision.contains(placed->revision) && !is_partial) {
                continue;
            }
            const std::string name = which.peer.empty() ? "Backend " + which.backend
                                                        : "Server " + which.peer + " of backend " + which.backend;
            const std::string sentence =
                name + " does not answer" + (polled.silence.empty() ? "" : " (" + polled.silence + ")") +
                ", so that it is not known whether revision " + std::to_string(placed->revision) + " serves" +
                (which.peer.empty() ? "." : " there.");
            if (by_revision.contains(placed->revision)) {
                by_revision[placed->revision].detail += ' ' + sentence;
            } else {
                by_revision[placed->revision] = {
                    .revision = placed->revision, .unreachable = true, .partial = is_partial, .detail = sentence};
            }
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
        if (lost.state != loss_state::suspected && stands(name.server.backend, lost.of)) {
            models.insert(lost.of.model_id);
        }
    }
    return models.size();
}


std::map<std::string, bool> model_monitor::backends_up() const
{
    std::map<std::string, bool> all;
    for (const auto &[which, polled] : servers_) {
        if (polled.state != backend_state::unasked) {
            all[which.backend] = all[which.backend] || polled.state == backend_state::answering;
        }
    }
    return all;
}


std::vector<model_monitor::server_models> model_monitor::models_on_servers() const
{
    std::vector<server_models> all;
    for (const auto &[which, polled] : servers_) {
        if (which.peer.empty()) {
            continue;
        }
        server_models counts{
            .backend = which.backend, .server = which.peer, .is_up = polled.state == backend_state::answering};
        for (const auto &copy : standing_on(which.backend)) {
            const auto lost = losses_.find({which, copy.copy.model});
            const auto found = polled.found.find(copy.copy.model);
            const bool is_loaded =
                found != polled.found.end()
                    ? found->second == model_status::kind::loaded
                    : copy.copy.peers && std::ranges::find(*copy.copy.peers, which.peer) != copy.copy.peers->end();
            if (lost != losses_.end() && lost->second.is_under_way()) {
                ++counts.loading;
            } else if (is_loaded) {
                ++counts.loaded;
            } else {
                ++counts.missing;
            }
        }
        all.push_back(std::move(counts));
    }
    return all;
}


// Which servers have what.

/// Forgets what was found of a revision earlier: a task has it now, so that it is no longer valid.
void model_monitor::forget_found(const std::string &model_id, std::uint64_t revision)
{
    const auto known = models_.find(model_id);
    if (known == models_.end()) {
        return;
    }
    model copy = known->second;
    const auto *const placed = find_revision(copy, revision);
    if (placed == nullptr) {
        return;
    }
    for (auto &[which, polled] : servers_) {
        for (const auto &served : placed->copies) {
            if (which.backend == placed->backend) {
                polled.found.erase(served.model);
            }
        }
    }
}


void model_monitor::update_peers(const std::string &backend)
{
    const auto servers = servers_of(backend);
    std::vector<std::pair<std::string, peers_change>> changes;
    for (const auto &copy : standing_on(backend)) {
        peers_change now = {copy.revision, copy.copy.model, std::nullopt, {}};
        if (!servers.front().empty()) {
            for (const auto &peer : copy.copy.barred) {
                const auto polled = servers_.find({backend, peer});
                if (polled != servers_.end() && !polled->second.loaded_anew.contains(copy.copy.model)) {
                    now.barred.push_back(peer);
                }
            }
            served_model seen = copy.copy;
            seen.barred = now.barred;
            now.peers = peers_of(backend, seen, servers);
        }
        if (now.peers != copy.copy.peers || now.barred != copy.copy.barred) {
            changes.emplace_back(copy.model_id, std::move(now));
        }
    }
    for (const auto &[model_id, change] : changes) {
        on_peers_changed(model_id, change);
    }
}


/// Returns the servers that requests may go to. A server that does not answer keeps what it had only while no other
/// is known to have it; one that has not been asked for the copy yet is left as before.
std::optional<std::vector<std::string>> model_monitor::peers_of(const std::string &backend, const served_model &copy,
                                                                const std::vector<std::string> &servers) const
{
    const auto status_at = [&](const std::string &peer) -> std::optional<model_status::kind> {
        const auto polled = servers_.find({backend, peer});
        if (polled == servers_.end()) {
            return std::nullopt;
        }
        const auto found = polled->second.found.find(copy.model);
        return found == polled->second.found.end() ? std::nullopt : std::optional(found->second);
    };
    const auto had = [&](const std::string &peer) {
        return !copy.peers || std::ranges::find(*copy.peers, peer) != copy.peers->end();
    };
    const auto had_before_silence = [&](const std::string &peer) {
        const auto &before = servers_.at({backend, peer}).found_before;
        const auto found = before.find(copy.model);
        return found != before.end() && found->second == model_status::kind::loaded;
    };
    const auto is_barred = [&](const std::string &peer) {
        return std::ranges::find(copy.barred, peer) != copy.barred.end();
    };
    const bool is_known =
        std::ranges::any_of(servers, [&](const std::string &peer) { return status_at(peer).has_value(); });
    if (!is_known && !copy.peers) {
        return std::nullopt;
    }
    const bool is_anywhere = std::ranges::any_of(servers, [&](const std::string &peer) {
        const auto status = status_at(peer);
        return !is_barred(peer) && (status ? *status == model_status::kind::loaded : copy.peers && had(peer));
    });
    std::vector<std::string> peers;
    for (const auto &peer : servers) {
        bool is_in = had(peer);
        if (const auto status = status_at(peer)) {
            switch (*status) {
            case model_status::kind::loaded:
                is_in = true;
                break;
            case model_status::kind::moving:
                break;
            case model_status::kind::lost:
                is_in = false;
                break;
            case model_status::kind::not_ready:
                is_in = is_in && !is_anywhere;
                break;
            case model_status::kind::unknown:
                is_in = (is_in || had_before_silence(peer)) && !is_anywhere;
                break;
            }
        }
        if (is_in && !is_barred(peer)) {
            peers.push_back(peer);
        }
    }
    return peers;
}


void model_monitor::say(log_level level, const server_name &name, const loss &lost, const std::string &message) const
{
    log(level, message,
        {{"model_id", lost.of.model_id},
         {"revision", std::to_string(lost.of.revision)},
         {"backend", name.server.backend},
         {"server", name.server.peer},
         {"model", name.model}});
}

} // namespace rollout
