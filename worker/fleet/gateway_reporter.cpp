#include "worker/fleet/gateway_reporter.hpp"

#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/journal/etcd/revision.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds list_retry_pause = 1s;

/// Before the journal is asked again whether it has all that was written before a record.
constexpr std::chrono::milliseconds current_retry_pause = 50ms;

/// Before it is looked again whether the journal here has come to a leader's begin.
constexpr auto leader_retry_pause = 100ms;

/// etcd takes 128 steps in a transaction.
constexpr std::size_t most_checked = 100;

} // namespace


gateway_reporter::gateway_reporter(etcd::calls &asked, clock &time, local_gateways &own, settings of,
                                   current_fn current)
    : asked_(asked), time_(time), own_(own), settings_(std::move(of)), current_(std::move(current))
{
    list_own();
    check_ = time_.after(check_pause, [this] { check_records(); });
    on_change();
}


// What there is.

/// Those of an earlier process: the journal's file, which has them as well, may have been lost.
void gateway_reporter::list_own()
{
    etcd::range_request request;
    request.key = settings_.names.gateways();
    request.range_end = etcd::end_of_prefix(request.key);
    listing_ = asked_.range(std::move(request), [this](const etcd::answer<etcd::range_answer> &got) {
        if (got) {
            listing_.reset();
            on_listed(*got);
        } else {
            listing_ = time_.after(list_retry_pause, [this] { list_own(); });
        }
    });
}


void gateway_reporter::on_listed(const etcd::range_answer &got)
{
    std::vector<known_gateway> lost;
    for (const auto &entry : got.found) {
        const auto id = cluster::unescaped(std::string_view(entry.key).substr(settings_.names.gateways().size()));
        const auto record = parse_gateway_record(entry.value);
        if (id && record && record->host == settings_.host && !reports_.contains(*id)) {
            lost.push_back({*id, record->processes});
        }
    }
    own_.add_lost(lost);
}


gateway_reporter::report *gateway_reporter::find(const std::string &gateway)
{
    const auto known = reports_.find(gateway);
    return known == reports_.end() ? nullptr : known->second.get();
}


gateway_reporter::report &gateway_reporter::report_of(const std::string &gateway)
{
    auto &known = reports_[gateway];
    if (!known) {
        known = std::make_unique<report>();
        known->record.host = settings_.host;
        known->keeper = std::make_unique<record_keeper>(
            asked_, time_, settings_.names.gateway(gateway),
            record_keeper::events{.on_found = [this, gateway](const std::string &text) { adopt(gateway, text); },
                                  .on_kept = [this, gateway] { on_kept(gateway); },
                                  .on_missing =
                                      [this, gateway] {
                                          report &of = *reports_.at(gateway);
                                          of.is_recorded = false;
                                          ++of.puts;
                                      },
                                  .on_removed = [this, gateway] { reports_.erase(gateway); },
                                  .is_own =
                                      [this](const std::string &text) {
                                          const auto record = parse_gateway_record(text);
                                          return !record || record->host == settings_.host;
                                      }});
    }
    return *known;
}


void gateway_reporter::on_change()
{
    if (!soon_) {
        soon_ = time_.after(0ms, [this] {
            soon_.reset();
            evaluate();
        });
    }
}


void gateway_reporter::evaluate()
{
    const auto all = own_.gateways();
    for (const auto &state : all) {
        report &of = report_of(state.id);
        of.is_known = true;
        of.record.is_linked = state.is_linked;
        of.record.since_us = state.since_us;
        of.record.processes = state.processes;
        if (!is_reloading_) {
            follow(state.id, of, state.followed);
        }
        keep(of);
    }
    for (const auto &[id, of] : reports_) {
        if (of->is_known && std::ranges::find(all, id, &local_gateways::gateway_state::id) == all.end()) {
            of->is_known = false;
            of->is_recorded = false;
            of->is_overdue = false;
            ++of->puts;
            of->waiting.clear();
            of->deadline.reset();
            of->round.reset();
            of->count.reset();
            of->pause.reset();
            of->keeper->remove();
        }
    }
}


/// What the gateway has followed it does not unfollow, whichever process it has told.
void gateway_reporter::adopt(const std::string &gateway, const std::string &text)
{
    report &of = *reports_.at(gateway);
    const auto found = parse_gateway_record(text);
    if (std::exchange(of.is_adopted, true) || !found || !of.is_known) {
        return;
    }
    of.record.followed = std::max(of.record.followed, found->followed);
    for (const auto &[name, requests] : found->busy) {
        if (!of.idle.contains(name)) {
            of.record.busy.emplace(name, requests);
        }
    }
    keep(of);
    count_busy_later(gateway, of);
}


// The first routes.

void gateway_reporter::before_first_routes(const std::string &gateway, std::function<void()> go_on)
{
    evaluate();
    report &of = report_of(gateway);
    if (of.is_recorded || of.is_overdue) {
        go_on();
        return;
    }
    of.waiting.push_back(std::move(go_on));
    if (!of.deadline) {
        of.deadline = time_.after(longest_wait, [this, gateway] { on_overdue(gateway); });
    }
}


void gateway_reporter::on_kept(const std::string &gateway)
{
    const report &of = *reports_.at(gateway);
    if (!of.is_recorded && of.asked_at == 0) {
        ask_whether_current(gateway);
    }
}


void gateway_reporter::ask_whether_current(const std::string &gateway)
{
    report &asking = *reports_.at(gateway);
    asking.asked_at = asking.puts + 1;
    current_(lifetime_.bound([this, gateway, at = asking.asked_at](bool is_current) {
        report *const of = find(gateway);
        if (of == nullptr || of->asked_at != at) {
            return;
        }
        of->asked_at = 0;
        if (is_current && of->puts + 1 == at) {
            of->is_recorded = true;
            of->is_overdue = false;
            let_in(*of);
        } else {
            of->again = time_.after(of->waiting.empty() ? list_retry_pause : current_retry_pause,
                                    [this, gateway] { on_kept(gateway); });
        }
    }));
}


void gateway_reporter::let_in(report &of)
{
    of.deadline.reset();
    for (const auto &go_on : std::exchange(of.waiting, {})) {
        go_on();
    }
}


void gateway_reporter::on_overdue(const std::string &gateway)
{
    report &of = *reports_.at(gateway);
    const auto &trouble = of.keeper->trouble();
    log(log_level::warning,
        "A gateway gets its routes although etcd has no record of it after " + format_duration(longest_wait) +
            ", so that hosts which reach etcd do not wait for it before they unload something: " +
            (trouble.empty() ? "etcd has not answered, or the journal here lags behind it" : trouble),
        {{"gateway", gateway}});
    of.is_overdue = true;
    let_in(of);
}


// What a gateway follows.

bool gateway_reporter::is_due(const report &of, const local_gateways::position &here) const
{
    const auto begin = cluster::revision_of(leader_, 0);
    return here.routes > of.record.followed || (begin > of.record.followed && here.seen >= begin);
}


/// `confirmed`: up to which revision it has told this process that it follows the routes.
void gateway_reporter::follow(const std::string &gateway, report &of, std::uint64_t confirmed)
{
    if (!of.record.is_linked) {
        return; // nobody is there who could be asked
    }
    if (!of.round) {
        const auto here = own_.where();
        const auto next = of.followed_at + lazy_pause;
        const bool is_lazy = here.models > of.record.followed && time_.now() >= next;
        if (!is_due(of, here) && !is_lazy) {
            if (cluster::revision_of(leader_, 0) > of.record.followed) {
                later_ = time_.after(leader_retry_pause, [this] { on_change(); });
            } else if (here.models > of.record.followed && !of.pause && !of.count) {
                of.pause = time_.after(next - time_.now(), [this, &of] {
                    of.pause.reset();
                    on_change();
                });
            }
            return;
        }
        of.round = following{here, own_.unrouted()};
        drop_routed(of, of.round->unrouted);
        of.count.reset();
        of.pause.reset();
    }
    if (!of.count && confirmed >= of.round->to.routes) {
        begin_count(gateway, of);
    }
}


/// Forgets of revisions that have traffic again, or are gone, what was said of them.
void gateway_reporter::drop_routed(report &of, const std::vector<local_gateways::unrouted_revision> &unrouted)
{
    idle_revisions now;
    for (const auto &revision : unrouted) {
        now[{revision.model_id, revision.revision}] = revision.routed_at;
    }
    std::erase_if(of.idle, [&now](const auto &known) {
        const auto same = now.find(known.first);
        return same == now.end() || same->second != known.second;
    });
    std::erase_if(of.record.busy, [&now](const auto &known) { return !now.contains(known.first); });
}


void gateway_reporter::begin_count(const std::string &gateway, report &of)
{
    std::vector<local_gateways::unrouted_revision> on;
    std::ranges::copy_if(of.round->unrouted, std::back_inserter(on), [&of](const auto &revision) {
        return !of.idle.contains(
            {revision.model_id, revision.revision}); // drop_routed() has left those that still are
    });
    if (on.empty()) {
        finish_round(gateway, {});
        return;
    }
    of.count = std::make_unique<busy_count>(
        own_, gateway, std::move(on),
        [this, gateway](const busy_count::counts &counted) { finish_round(gateway, counted); });
}


void gateway_reporter::finish_round(const std::string &gateway, const busy_count::counts &counted)
{
    report &of = *reports_.at(gateway);
    const auto done = std::move(*of.round);
    of.round.reset();
    of.count.reset();
    note(of, done.unrouted, counted);
    of.record.followed = std::max({of.record.followed, done.to.routes, done.to.seen});
    of.followed_at = time_.now();
    keep(of);
    count_busy_later(gateway, of);
    on_change(); // there may be newer routes
}


/// `on`: as it was before the count began, so that what has had traffic since is not taken for idle.
void gateway_reporter::note(report &of, const std::vector<local_gateways::unrouted_revision> &on,
                            const busy_count::counts &counted)
{
    for (const auto &revision : on) {
        const std::pair name(revision.model_id, revision.revision);
        const auto found = counted.find(name);
        if (found == counted.end()) {
            continue;
        }
        if (found->second && *found->second == 0) {
            of.record.busy.erase(name);
            of.idle[name] = revision.routed_at;
        } else {
            of.record.busy.insert_or_assign(name, found->second);
        }
    }
}


void gateway_reporter::count_busy_later(const std::string &gateway, report &of)
{
    if (!of.round && !of.count && !of.record.busy.empty()) {
        of.pause = time_.after(count_pause, [this, gateway] { count_busy(gateway); });
    }
}


/// A number that has only fallen is not worth a put.
void gateway_reporter::count_busy(const std::string &gateway)
{
    report &of = *reports_.at(gateway);
    of.pause.reset();
    if (of.round || of.count) {
        return;
    }
    const auto unrouted = own_.unrouted();
    drop_routed(of, unrouted);
    keep(of);
    std::vector<local_gateways::unrouted_revision> on;
    std::ranges::copy_if(unrouted, std::back_inserter(on), [&of](const auto &revision) {
        return revision.routed_at <= of.record.followed &&
               of.record.busy.contains({revision.model_id, revision.revision});
    });
    if (on.empty() || !of.record.is_linked) {
        count_busy_later(gateway, of); // it may be back, and it may follow
        return;
    }
    of.count = std::make_unique<busy_count>(
        own_, gateway, on, [this, gateway, on](const busy_count::counts &counted) { on_busy(gateway, on, counted); });
}


void gateway_reporter::on_busy(const std::string &gateway, const std::vector<local_gateways::unrouted_revision> &on,
                               busy_count::counts counted)
{
    report &of = *reports_.at(gateway);
    of.count.reset();
    std::erase_if(counted, [&of](const auto &entry) {
        const auto known = of.record.busy.find(entry.first);
        return known == of.record.busy.end() || !entry.second || (*entry.second != 0 && known->second);
    });
    note(of, on, counted);
    keep(of);
    count_busy_later(gateway, of);
    on_change();
}


void gateway_reporter::on_leader(leader_token token)
{
    leader_ = std::max(leader_, token);
    on_change();
}


void gateway_reporter::on_replaced(bool is_other)
{
    is_reloading_ = true;
    if (is_other) {
        leader_ = 0;
    }
    for (const auto &[_, of] : reports_) {
        of->round.reset();
        of->count.reset();
        of->pause.reset();
        if (is_other) {
            of->record.followed = 0;
            of->record.busy.clear();
            of->idle.clear();
        }
    }
    on_change();
}


void gateway_reporter::on_reloaded()
{
    is_reloading_ = false;
    for (const auto &[id, of] : reports_) {
        count_busy_later(id, *of);
    }
    on_change();
}


// The records are there.

void gateway_reporter::check_records()
{
    check_ = time_.after(check_pause, [this] { check_records(); });
    std::vector<std::pair<std::string, std::int64_t>> asked;
    etcd::txn_request request;
    for (const auto &[id, of] : reports_) {
        if (const auto at = of->keeper->settled_at(); at && asked.size() < most_checked) {
            asked.emplace_back(id, *at);
            request.then.push_back({etcd::range_request{of->keeper->key()}});
        }
    }
    if (asked.empty()) {
        return;
    }
    checking_ = asked_.txn(std::move(request), [this, asked](const etcd::answer<etcd::txn_answer> &got) {
        if (got) {
            on_checked(asked, *got);
        }
    });
}


void gateway_reporter::on_checked(const std::vector<std::pair<std::string, std::int64_t>> &asked,
                                  const etcd::txn_answer &got)
{
    for (std::size_t i = 0; i < asked.size() && i < got.parts.size(); ++i) {
        const auto *read = std::get_if<etcd::range_answer>(&got.parts[i].is);
        report *const of = find(asked[i].first);
        if (of != nullptr && read != nullptr) {
            of->keeper->check(read->found.empty() ? nullptr : &read->found.front(), asked[i].second);
        }
    }
}

} // namespace rollout
