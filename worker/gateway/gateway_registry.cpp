#include "worker/gateway/gateway_registry.hpp"

#include "common/base/timestamp.hpp"
#include "common/domain/limits.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/journal/full_reads.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// A running gateway is back within a second: one that is not by then is out of reach.
constexpr std::chrono::milliseconds lost_grace = 5s;

/// The time between two checks of whether the processes of a gateway without a link are alive.
constexpr auto lost_pause = 500ms;

/// A message names no more gateways than this.
constexpr std::size_t most_gateways_named = 3;

/// The pause before pages that could not be read are read again.
constexpr auto reread_pause = 1000ms;


/// Joins the first sentences of a list, and counts the others.
std::string first_of(const std::vector<std::string> &sentences)
{
    std::string all;
    for (std::size_t i = 0; i < std::min(sentences.size(), most_gateways_named); ++i) {
        all += (all.empty() ? "" : "; ") + sentences[i];
    }
    return sentences.size() <= most_gateways_named
               ? all
               : all + "; and " + std::to_string(sentences.size() - most_gateways_named) + " more";
}

} // namespace


gateway_registry::gateway_registry(journal &journal, clock &time)
    : journal_(journal), time_(time), waits_for_known_(time), waits_for_reachable_(time)
{
}


void gateway_registry::load(done_fn done)
{
    read_routes([this, done = std::move(done)](const outcome &result) {
        if (!result) {
            done(result);
            return;
        }
        journal_.list_gateways(
            lifetime_.bound([this, done](const outcome &listed, const std::vector<known_gateway> &all) {
                seen_ = journal_.revision();
                add_known(all);
                done(listed);
            }));
    });
}


/// What is written meanwhile comes as news, which are newer than what was read.
void gateway_registry::read_routes(done_fn done)
{
    coming_.emplace();
    const auto take = [this](const std::vector<model> &page) {
        for (const auto &placed : page) {
            if (!coming_->followed.contains(placed.model_id)) {
                coming_->routes.load(placed);
            }
        }
    };
    loading_ = read_all_models(journal_, take, [this, done = std::move(done)](const outcome &result) {
        if (result) {
            routes_ = std::move(coming_->routes);
        }
        coming_.reset();
        done(result);
    });
}


void gateway_registry::reload(bool is_other, std::function<void(bool)> done)
{
    replaced_by_other_ = replaced_by_other_ || is_other; // also if the read before this one has not ended
    read_routes([this, done = std::move(done)](const outcome &result) {
        if (!result) {
            log(log_level::error, "The routes could not be read anew and are read again: " + result.detail);
            loading_ = time_.after(reread_pause, [this, done] { reload(false, done); });
            return;
        }
        seen_ = journal_.revision();
        const bool is_of_other = std::exchange(replaced_by_other_, false);
        for (const auto &[_, known] : known_) {
            known->replica.on_replaced(is_of_other);
        }
        note_change();
        done(is_of_other);
    });
}


/// A gateway that followed the routes when the previous process ended may still do so.
void gateway_registry::add_known(const std::vector<known_gateway> &all)
{
    for (const auto &[id, processes] : all) {
        auto &known = add(id);
        known.processes = peer_processes::from_text(processes);
        note_lost(known);
    }
}


void gateway_registry::add_lost(const std::vector<known_gateway> &all)
{
    std::vector<known_gateway> others;
    std::ranges::copy_if(all, std::back_inserter(others),
                         [this](const known_gateway &which) { return !known_.contains(which.id); });
    if (others.empty() || stopped_) {
        return;
    }
    const bool had_lost = has_lost();
    add_known(others);
    for (const auto &[id, processes] : others) {
        journal_.remember_gateway(id, processes);
    }
    if (!had_lost) {
        lost_timer_ = time_.after(lost_pause, [this] { drop_lost(); });
    }
    note_change();
}


std::vector<local_gateways::gateway_state> gateway_registry::states() const
{
    std::vector<local_gateways::gateway_state> all;
    all.reserve(known_.size());
    for (const auto &[id, known] : known_) {
        const bool is_linked = known->replica.is_linked();
        all.push_back({id, is_linked, is_linked ? known->linked_at_us : known->lost_at_us, known->replica.confirmed(),
                       known->processes.text()});
    }
    return all;
}


void gateway_registry::expect_links()
{
    for (const auto &[_, known] : known_) {
        note_lost(*known);
    }
    if (has_lost()) {
        lost_timer_ = time_.after(lost_pause, [this] { drop_lost(); });
    }
}


void gateway_registry::stop()
{
    stopped_ = true;
    loading_.reset();
    lost_timer_.reset();
    progress_.reset();
    reread_.reset();
}


gateway_registry::member &gateway_registry::add(const std::string &id)
{
    auto &known = known_[id];
    if (!known) {
        known = std::make_unique<member>(
            id,
            gateway_replica::surroundings{journal_, routes_, [this] { return is_shared(); },
                                          [this] { reread_ = time_.after(reread_pause, [this] { pump_all(); }); }});
    }
    return *known;
}


gateway_replica *gateway_registry::find(const std::string &id)
{
    const auto known = known_.find(id);
    return known == known_.end() ? nullptr : &known->second->replica;
}


// Adding and removing links.

gateway_replica *gateway_registry::join(const session_ptr &link, const std::string &id)
{
    if (!known_.contains(id) && known_.size() >= limits::gateways) {
        return nullptr;
    }
    auto &known = add(id);
    link->peer.gateway = id;
    known.processes.add(link->peer.seen_pid);
    journal_.remember_gateway(id, known.processes.text());
    if (std::exchange(known.lost_logged, false)) {
        log(log_level::info, "A gateway is back", {{"gateway", id}});
    }
    const bool was_linked = known.replica.is_linked();
    known.replica.add(link);
    if (!was_linked) {
        known.linked_at_us = time_.wall_us();
        tell_shared();
    }
    note_change();
    log(log_level::info, "A worker process of nginx is linked",
        {{"gateway", id}, {"pid", std::to_string(link->peer.pid)}});
    warn_of_unknown_upstreams(known.replica, *link);
    return &known.replica;
}


void gateway_registry::leave(const session_ptr &link)
{
    const auto found = known_.find(link->peer.gateway);
    if (found == known_.end()) {
        return; // it never said hello
    }
    const bool had_lost = has_lost();
    member &known = *found->second;
    known.replica.remove(link);
    if (known.replica.is_linked()) {
        return;
    }
    if (link->peer.said_bye) {
        journal_.forget_gateway(found->first);
        known_.erase(found);
        check_waits();
        note_progress();
    } else {
        lose(known, !had_lost);
    }
    tell_shared();
    note_change();
}


/// Returns whether there are several gateways, here or elsewhere, so that each may learn of a task from the others.
bool gateway_registry::is_shared() const
{
    return journal_.is_shared() ||
           std::ranges::count_if(known_, [](const auto &entry) { return entry.second->replica.is_linked(); }) > 1;
}


void gateway_registry::tell_shared() const
{
    const bool shared = is_shared();
    for (const auto &[_, known] : known_) {
        known->replica.tell_shared(shared);
    }
}


void gateway_registry::on_written(const session_ptr &link)
{
    if (auto *of = find(link->peer.gateway); of != nullptr && of->stream() == link) {
        of->pump();
    }
}


void gateway_registry::pump_all()
{
    for (const auto &[_, known] : known_) {
        known->replica.pump();
    }
}


std::vector<session_ptr> gateway_registry::streams() const
{
    std::vector<session_ptr> all;
    for (const auto &[_, known] : known_) {
        all.push_back(known->replica.stream());
    }
    return all;
}


// Routes and tasks.

void gateway_registry::follow(const journal_news &news)
{
    for (const auto &changed : news.models) {
        send(routes_.follow(changed), changed.route_revision);
        if (coming_) {
            coming_->routes.follow(changed);
            coming_->followed.insert(changed.model_id);
        }
    }
    seen_ = news.now;
    bool has_progress = false;
    for (const auto &[_, known] : known_) {
        const auto before = known->replica.confirmed();
        note_followed(known->replica);
        has_progress = has_progress || known->replica.confirmed() != before;
    }
    if (has_progress && !stopped_) { // not inside of the journal's callback
        progress_ = time_.after(0ms, [this] {
            check_waits();
            note_progress();
        });
    }
    if (!news.models.empty()) {
        note_change();
    }
}


void gateway_registry::note_followed(gateway_replica &by) const
{
    if (by.confirmed() >= routes_.revision()) {
        by.confirm(seen_);
    }
}


void gateway_registry::publish_peers(const std::string &model_id, std::uint64_t revision,
                                     const std::string &server_model,
                                     const std::optional<std::vector<std::string>> &peers)
{
    send(routes_.set_peers({model_id, revision, server_model}, peers), routes_.revision());
}


void gateway_registry::reset_peers()
{
    send(routes_.reset_peers(), routes_.revision());
}


void gateway_registry::send(const std::vector<route> &changed, std::uint64_t revision) const
{
    for (const auto &to_follow : changed) {
        const std::string frame = published_routes::change(to_follow, revision);
        for (const auto &[_, known] : known_) {
            known->replica.send_routes(frame);
        }
    }
}


void gateway_registry::send_tasks(const std::vector<task_row> &rows, std::uint64_t before, std::uint64_t now)
{
    for (const auto &[_, known] : known_) {
        known->replica.send_tasks(rows, before, now);
    }
}


std::string gateway_registry::objection_to(const std::string &upstream) const
{
    for (const auto &[id, known] : known_) {
        if (known->replica.is_linked() && !known->replica.has_upstream(upstream)) {
            return unknown_upstream_sentence(id, known->replica.links().back()->peer.pid, upstream);
        }
    }
    return {};
}


std::vector<std::string> gateway_registry::servers_missing_in(const std::string &upstream,
                                                              const std::vector<std::string> &peers) const
{
    std::vector<std::string> missing;
    std::ranges::copy_if(peers, std::back_inserter(missing), [&](const std::string &peer) {
        return std::ranges::any_of(
            known_, [&](const auto &entry) { return !entry.second->replica.has_server(upstream, peer); });
    });
    return missing;
}


/// Warns only of routes that are in force already, whose requests fail.
void gateway_registry::warn_of_unknown_upstreams(const gateway_replica &of, const session &by) const
{
    for (const auto &upstream : routes_.upstreams()) {
        if (!of.has_upstream(upstream)) {
            log(log_level::warning,
                "Models are routed to an upstream that a gateway does not know: " +
                    unknown_upstream_sentence(of.id(), by.peer.pid, upstream),
                {{"gateway", of.id()}, {"pid", std::to_string(by.peer.pid)}});
        }
    }
}


// Lost gateways.

bool gateway_registry::has_lost() const
{
    return std::ranges::any_of(known_, [](const auto &entry) { return !entry.second->replica.is_linked(); });
}


/// `is_first`: no other gateway is lost. Otherwise the checks are running already, and must not start over with each
/// loss.
void gateway_registry::lose(member &which, bool is_first)
{
    note_lost(which);
    if (!stopped_ && is_first) {
        lost_timer_ = time_.after(lost_pause, [this] { drop_lost(); });
    }
}


void gateway_registry::note_lost(member &which) const
{
    which.lost_at = time_.now();
    which.lost_at_us = time_.wall_us();
    which.lost_logged = false;
}


/// A gateway that cannot connect continues to route from its last known state: what it may route to must stay loaded,
/// unless it is certain that all of its processes have ended.
bool gateway_registry::is_to_be_dropped(member &which) const
{
    const auto &id = which.replica.id();
    if (which.processes.are_gone()) {
        log(log_level::info, "A gateway is gone: its processes have ended", {{"gateway", id}});
        return true;
    }
    const std::chrono::milliseconds away = time_.now() - which.lost_at + 1ms;
    const auto limit = which.processes.were_noted() ? lost_for_ : lost_grace;
    if (away >= limit) {
        log(log_level::warning,
            "A gateway had no link for " + format_duration(limit) + " and is no longer waited for (" +
                which.processes.words() +
                "): revisions that it may still route to are unloaded from now on; stop it, or restore its link",
            {{"gateway", id}});
        return true;
    }
    if (away >= lost_grace && !std::exchange(which.lost_logged, true)) {
        log(log_level::warning,
            "A gateway has no link, and " + which.processes.words() +
                ": the revisions that it may route to stay loaded until it is back, for " + format_duration(limit) +
                " at most (limits.gateway_lost_s). nginx's error log says why it has none",
            {{"gateway", id}});
    }
    return false;
}


void gateway_registry::drop_lost()
{
    const auto count = known_.size();
    for (auto next = known_.begin(); next != known_.end();) {
        const auto entry = next++;
        if (!entry->second->replica.is_linked() && is_to_be_dropped(*entry->second)) {
            journal_.forget_gateway(entry->first);
            known_.erase(entry);
        }
    }
    if (has_lost()) {
        lost_timer_ = time_.after(lost_pause, [this] { drop_lost(); });
    }
    check_waits();
    if (known_.size() != count) {
        note_progress();
        note_change();
    }
}


void gateway_registry::note_change() const
{
    if (on_change && !stopped_) {
        on_change();
    }
}


void gateway_registry::note_progress() const
{
    if (on_progress && !stopped_) {
        on_progress();
    }
}


/// Returns whether new routes can be expected to reach it soon, if they have not yet.
bool gateway_registry::is_reachable(const member &which) const
{
    return which.replica.is_linked() || time_.now() - which.lost_at + 1ms < lost_grace;
}


std::string gateway_registry::words_of(const member &lost) const
{
    return "gateway " + lost.replica.id().substr(0, 8) + " has had no link since " + timestamp(lost.lost_at_us) +
           " (" + lost.processes.words() + ") and may still route";
}


std::string gateway_registry::missing() const
{
    std::vector<std::string> sentences;
    for (const auto &[_, known] : known_) {
        if (!known->replica.is_linked()) {
            sentences.push_back(words_of(*known));
        }
    }
    return first_of(sentences);
}


/// A gateway that has confirmed a route does not go back to an older one, whether it is linked or not.
std::string gateway_registry::routing_before(std::uint64_t revision) const
{
    std::vector<std::string> sentences;
    for (const auto &[id, known] : known_) {
        if (known->replica.confirmed() >= revision) {
            continue;
        }
        sentences.push_back(known->replica.is_linked()
                                ? "gateway " + id.substr(0, 8) + " does not follow the newest routes yet"
                                : words_of(*known));
    }
    return first_of(sentences);
}


// Waits.

void gateway_registry::confirm(const session &by, std::uint64_t routes_revision)
{
    if (auto *of = find(by.peer.gateway)) {
        of->confirm(routes_revision);
        note_followed(*of);
        check_waits();
        note_progress();
        note_change();
    }
}


operation_ptr gateway_registry::when_followed(std::uint64_t revision, gateway_control::awaited whom, done_fn done)
{
    auto &waits = whom == gateway_control::awaited::known ? waits_for_known_ : waits_for_reachable_;
    auto wait = waits.start(revision, std::move(done));
    check_waits();
    return wait;
}


void gateway_registry::check_waits()
{
    std::uint64_t by_known = known_.empty() ? 0 : UINT64_MAX;
    std::uint64_t by_reachable = UINT64_MAX;
    bool is_any_linked = false;
    for (const auto &[_, known] : known_) {
        is_any_linked = is_any_linked || known->replica.is_linked();
        by_known = std::min(by_known, known->replica.followed());
        if (is_reachable(*known)) {
            by_reachable = std::min(by_reachable, known->replica.followed());
        }
    }
    waits_for_known_.end_up_to(by_known);
    waits_for_reachable_.end_up_to(is_any_linked ? by_reachable : 0);
}


gateway_control::followers gateway_registry::followers_of(std::uint64_t revision, gateway_control::awaited whom) const
{
    gateway_control::followers count;
    for (const auto &[_, known] : known_) {
        if (whom == gateway_control::awaited::known || is_reachable(*known)) {
            ++count.known;
            count.behind += known->replica.followed() < revision ? 1 : 0;
        }
    }
    return count;
}

} // namespace rollout
