#include "worker/fleet/fleet_view.hpp"

#include "common/base/timestamp.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/journal/etcd/revision.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace rollout {

namespace {

etcd::range_request all_below(std::string prefix)
{
    etcd::range_request request;
    request.range_end = etcd::end_of_prefix(prefix);
    request.key = std::move(prefix);
    return request;
}

} // namespace


fleet_view::fleet_view(etcd::calls &asked, clock &time, cluster::keys names, std::function<void(bool)> on_read)
    : asked_(asked), time_(time), names_(std::move(names)), on_read_(std::move(on_read))
{
}


void fleet_view::lead(leader_token token)
{
    token_ = token;
    members_.clear();
    absences_.clear();
    read_at_ = 0;
    answered_at_.reset();
    read_again_ = false;
    reading_.reset();
    pause_.reset();
    if (token_ != 0) {
        read();
    }
}


bool fleet_view::has_read(std::uint64_t revision) const noexcept
{
    return read_at_ != 0 && read_at_ >= cluster::mod_revision_of(revision);
}


void fleet_view::poll()
{
    if (token_ == 0) {
        return;
    }
    if (reading_) {
        read_again_ = true; // what is read may be from before the change
        return;
    }
    const auto pause = asked_at_ + least_pause - time_.now();
    pause_ = time_.after(std::max(pause, std::chrono::milliseconds(0)), [this] { read(); });
}


/// A transaction that only reads is answered by what etcd has when it is asked, like a read.
void fleet_view::read()
{
    pause_.reset();
    asked_at_ = time_.now();
    etcd::txn_request request;
    request.then.push_back({all_below(names_.gateways())});
    request.then.push_back({all_below(names_.hosts())});
    reading_ = asked_.txn(std::move(request), [this](const etcd::answer<etcd::txn_answer> &got) { on_answer(got); });
}


void fleet_view::on_answer(const etcd::answer<etcd::txn_answer> &got)
{
    reading_.reset();
    const bool again = std::exchange(read_again_, false);
    pause_ = time_.after(again ? least_pause : longest_pause, [this] { read(); });
    if (!got || got->parts.size() != 2) {
        return; // the election meets it as well, and says so
    }
    const auto *records = std::get_if<etcd::range_answer>(&got->parts[0].is);
    const auto *hosts = std::get_if<etcd::range_answer>(&got->parts[1].is);
    if (records == nullptr || hosts == nullptr) {
        return;
    }
    read_at_ = got->header.revision;
    const auto before = std::exchange(members_, {});
    take(*records, *hosts);
    const auto call = on_read_; // which may destroy this object
    call(members_ != before);
}


void fleet_view::take(const etcd::range_answer &records, const etcd::range_answer &hosts)
{
    const auto now = time_.now();
    const auto since = answered_at_ ? now - *answered_at_ : std::chrono::milliseconds(0);
    const auto step = since <= longest_step ? since : std::chrono::milliseconds(0);
    answered_at_ = now;
    std::set<std::string> living;
    for (const auto &host : hosts.found) {
        living.insert(host.key);
    }
    for (const auto &entry : records.found) {
        const auto name = std::string_view(entry.key).substr(names_.gateways().size());
        const auto plain = cluster::unescaped(name);
        const auto id = plain ? *plain : std::string(name);
        member &of = members_[id];
        of.record = plain ? parse_gateway_record(entry.value) : std::nullopt;
        of.is_host_there = of.record && living.contains(names_.host(of.record->host));
        if (of.is_host_there) {
            absences_.erase(id);
        } else {
            note_absence(entry, id, of, step);
        }
    }
    std::erase_if(absences_, [this](const auto &known) { return !members_.contains(known.first); });
}


void fleet_view::note_absence(const etcd::key_value &entry, const std::string &id, member &of,
                              std::chrono::milliseconds step)
{
    const auto [known, is_new] = absences_.try_emplace(id);
    absence &away = known->second;
    if (is_new) {
        away.since_us = time_.wall_us();
    } else {
        away.counted += step;
    }
    of.missed_since_us = away.since_us;
    const auto limit = of.record ? isolated_for_ : std::max(isolated_for_, mending_time);
    if (isolated_for_.count() != 0 && away.counted >= limit && !away.removal) {
        remove(entry, id, of);
    }
}


/// Unless the host has come back, or the record was put again meanwhile.
void fleet_view::remove(const etcd::key_value &entry, const std::string &id, const member &of)
{
    const std::string host = of.record ? of.record->host : std::string();
    etcd::txn_request request;
    request.compares.push_back(etcd::compare::created_at(names_.leader(), token_));
    request.compares.push_back(etcd::compare::unchanged_since(entry.key, entry.mod_revision));
    if (!host.empty()) {
        request.compares.push_back(etcd::compare::absent(names_.host(host)));
    }
    request.then.push_back({etcd::delete_request{entry.key, {}}});
    absences_.at(id).removal =
        asked_.txn(std::move(request),
                   [this, id, host, since_us = of.missed_since_us](const etcd::answer<etcd::txn_answer> &got) {
                       if (const auto known = absences_.find(id); known != absences_.end()) {
                           known->second.removal.reset();
                       }
                       if (got && got->succeeded) {
                           log(log_level::warning,
                               "A gateway of a host that is away is no longer waited for: gateway " + id +
                                   (host.empty() ? ", whose record in etcd cannot be read" : " of host " + host) +
                                   ", missed since " + timestamp(since_us) + " (journal.etcd.isolation_s, " +
                                   format_duration(isolated_for_) +
                                   "). Revisions that it may still route to are unloaded from now on; stop it, or "
                                   "bring the host back",
                               {{"gateway", id}, {"host", host}});
                       }
                       poll();
                   });
}

} // namespace rollout
