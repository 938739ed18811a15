#include "worker/etcd/upkeep_watch.hpp"

#include "worker/base/format.hpp"
#include "worker/base/log.hpp"

#include <algorithm>
#include <utility>

namespace rollout::etcd {

namespace {

bool has_alarm(const status_answer &of, std::string_view name)
{
    return std::ranges::any_of(of.errors,
                               [name](const std::string &text) { return text.find(name) != std::string::npos; });
}


std::string size_of(std::int64_t bytes)
{
    return format_size(static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0)));
}

} // namespace


upkeep_watch::upkeep_watch(calls &asked, clock &time, settings of)
    : asked_(asked), time_(time), settings_(std::move(of))
{
}


void upkeep_watch::start()
{
    ask_status();
    look_at_history();
}


std::int64_t upkeep_watch::quota_bytes() const noexcept
{
    return status_ && status_->quota_bytes > 0 ? status_->quota_bytes : settings_.quota_bytes;
}


// Space.

void upkeep_watch::ask_status()
{
    asking_ = asked_.status({}, [this](const answer<status_answer> &got) { on_status(got); });
}


/// An alarm is known as long as a member says so: while none answers, that is the trouble, and others say it.
void upkeep_watch::on_status(const answer<status_answer> &got)
{
    asking_ = time_.after(status_pause, [this] { ask_status(); });
    if (!got) {
        status_.reset();
        trouble_.clear();
        return;
    }
    status_ = *got;
    check_alarms(*got);
    check_space(*got);
}


void upkeep_watch::check_alarms(const status_answer &of)
{
    std::string now;
    if (has_alarm(of, "NOSPACE")) {
        now = "etcd has the alarm NOSPACE: " + std::string(remedy_without_space);
    } else if (has_alarm(of, "CORRUPT")) {
        now = "etcd has the alarm CORRUPT: the data of its members differ, and it takes no writes: find the member "
              "that is "
              "damaged and replace it, as etcd's manual says under data corruption";
    }
    if (now == trouble_) {
        return;
    }
    trouble_ = std::move(now);
    if (trouble_.empty()) {
        log(log_level::info, "etcd has no alarm any more");
    } else {
        log(log_level::error, trouble_);
    }
}


void upkeep_watch::check_space(const status_answer &of)
{
    const auto quota = quota_bytes();
    const bool is_half_full = quota > 0 && of.db_size_bytes >= quota - quota / 2;
    if (std::exchange(is_half_full_, is_half_full) == is_half_full) {
        return;
    }
    const std::string sizes = size_of(of.db_size_bytes) + " of its quota of " + size_of(quota);
    if (is_half_full) {
        log(log_level::warning,
            "etcd uses " + sizes + ", of which " + size_of(of.db_used_bytes) +
                " are in use: when the quota is used up, no task is accepted. Compact and defragment it, or raise "
                "--quota-backend-bytes");
    } else {
        log(log_level::info, "etcd uses less than half of its quota again: " + sizes);
    }
}


// History. No call says how far back it goes: it is searched for once, and again when what was the oldest is gone.

void upkeep_watch::look_at_history()
{
    ask_for(kept_);
}


/// 0: the newest one.
void upkeep_watch::ask_for(std::int64_t revision)
{
    range_request request;
    request.key = settings_.key;
    request.revision = revision;
    request.serializable = true;
    request.count_only = true;
    reading_ = asked_.range(std::move(request),
                            [this, revision](const answer<range_answer> &got) { on_revision(revision, got); });
}


void upkeep_watch::on_revision(std::int64_t asked, const answer<range_answer> &got)
{
    const auto again_later = [this] { reading_ = time_.after(history_pause, [this] { look_at_history(); }); };
    if (got) {
        kept_ = asked == 0 ? got->header.revision : asked;
        search();
    } else if (got.why().because == failure::cause::compacted) {
        compacted_ = asked;
        kept_ > asked ? search() : ask_for(0);
    } else if (got.why().because == failure::cause::future_revision) { // restored from an older copy
        compacted_ = 0;
        kept_ = 0;
        oldest_ = 0;
        again_later();
    } else {
        again_later();
    }
}


void upkeep_watch::search()
{
    if (kept_ - compacted_ > 1) {
        ask_for(compacted_ + (kept_ - compacted_) / 2);
        return;
    }
    on_history_known();
    reading_ = time_.after(history_pause, [this] { look_at_history(); });
}


void upkeep_watch::on_history_known()
{
    const auto now = time_.now();
    if (std::exchange(oldest_, kept_) != kept_) {
        compacted_at_ = now;
        if (std::exchange(is_uncompacted_, false)) {
            log(log_level::info, "The history in etcd is compacted again");
        }
    } else if (now - compacted_at_ >= longest_uncompacted && !std::exchange(is_uncompacted_, true)) {
        log(log_level::warning,
            "The history in etcd was not compacted for " +
                std::to_string(std::chrono::duration_cast<std::chrono::hours>(longest_uncompacted).count()) +
                " hours, and grows until etcd's quota is used up: start etcd with --auto-compaction-retention=1h, or "
                "set "
                "journal.etcd.compact_s if the etcd is for rolloutd alone");
    }
}

} // namespace rollout::etcd
