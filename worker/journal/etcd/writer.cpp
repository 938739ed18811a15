#include "worker/journal/etcd/writer.hpp"

#include "worker/base/failpoint.hpp"
#include "worker/base/log.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

namespace rollout::cluster {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds first_resend_pause = 50ms;
constexpr std::chrono::milliseconds longest_resend_pause = 1000ms;

/// This many writes do not wait for the end of the loop's turn.
constexpr std::size_t worth_a_transaction = 16;


/// All of these learn how they have ended: each of a client's tasks has its line in the log.
void end_all(const std::vector<write_ptr> &ended)
{
    const log_batch audits;
    for (const auto &of : ended) {
        of->end();
    }
}

} // namespace


writer::writer(surroundings around) : around_(std::move(around)), closed_("etcd has not answered yet") {}


void writer::open(std::string meta_value)
{
    if (has_ended_) {
        return;
    }
    meta_ = std::move(meta_value);
    refusal_.reset();
    give();
}


void writer::close(std::string why)
{
    meta_.clear();
    closed_ = std::move(why);
    give();
}


void writer::end(std::string why)
{
    has_ended_ = true;
    close(std::move(why));
}


void writer::add(write_ptr wanted)
{
    queue_.push_back(std::move(wanted));
    if (queue_.size() >= worth_a_transaction && under_way_.empty() && is_open()) {
        give();
    } else if (!turn_end_) {
        turn_end_ = around_.time.after(0ms, [this] {
            turn_end_.reset();
            give();
        });
    }
}


void writer::give()
{
    if (has_ended_) {
        refuse_all();
        return;
    }
    if (!is_open()) {
        if (!queue_.empty() && !refusal_) {
            refusal_ = around_.time.after(longest_wait, [this] {
                refusal_.reset();
                refuse_all();
            });
        }
        return;
    }
    while (under_way_.size() < most_under_way && is_gathered()) {
        auto next = take();
        if (!next) {
            return;
        }
        has_waited_ = false;
        under_way_.push_back(std::move(*next));
        send(std::prev(under_way_.end()));
    }
}


void writer::refuse_all()
{
    for (auto &refused : std::exchange(queue_, {})) {
        refused->fail(outcome::transient(closed_), false, around_.own);
        refused->end();
    }
}


/// Returns whether the next batch waits for no more writes. If it does, it is sent when it has waited for long enough, or
/// when the one under way ends.
bool writer::is_gathered()
{
    const auto wanted = gathering_.wanted();
    if (queue_.empty() || wanted == 1 || is_full()) {
        gathering_end_.reset();
        return true;
    }
    const auto wait = std::chrono::floor<std::chrono::milliseconds>(gathering_.longest_wait());
    if (queue_.size() >= wanted || wait == 0ms || has_waited_) {
        gathering_end_.reset();
        return under_way_.empty() || under_way_.front().in_doubt;
    }
    if (!gathering_end_) {
        gathering_end_ = around_.time.after(wait, [this] {
            gathering_end_.reset();
            has_waited_ = true;
            give();
        });
    }
    return false;
}


/// Returns whether what waits fills a batch.
bool writer::is_full() const
{
    std::size_t bytes = 0;
    return queue_.size() >= writes_at_once_ || std::ranges::any_of(queue_, [&](const write_ptr &waits) {
               bytes += waits->bytes();
               return bytes >= bytes_at_once_;
           });
}


/// Takes the first writes whose keys nobody else writes now, in order.
std::optional<writer::batch> writer::take()
{
    batch taken;
    std::set<std::string_view> passed_over; // later writes of these must not overtake
    std::size_t bytes = 0;
    for (auto next = queue_.begin(); next != queue_.end() && taken.writes.size() < writes_at_once_;) {
        const auto &wanted_keys = (*next)->keys();
        const bool waits = std::ranges::any_of(wanted_keys, [&](const std::string &key) {
            return busy_keys_.contains(key) || passed_over.contains(key);
        });
        const auto size = (*next)->bytes();
        if (waits || (!taken.writes.empty() && bytes + size > bytes_at_once_)) {
            passed_over.insert(wanted_keys.begin(), wanted_keys.end());
            ++next;
            continue;
        }
        bytes += size;
        busy_keys_.insert(wanted_keys.begin(), wanted_keys.end());
        taken.writes.push_back(std::move(*next));
        next = queue_.erase(next);
    }
    if (taken.writes.empty()) {
        return std::nullopt;
    }
    taken.began = around_.time.now();
    return taken;
}


void writer::send(batch_place which)
{
    etcd::txn_request request;
    request.compares.push_back(etcd::compare::holds(around_.names.meta(), meta_));
    for (std::size_t i = 0; i < which->writes.size(); ++i) {
        failpoint({"etcd", "txn", which->writes[i]->name(), "before"});
        request.then.push_back({which->writes[i]->request(static_cast<unsigned>(i), around_.own)});
    }
    request.then.push_back({writes::position(around_.names, around_.own, around_.time.wall_us())});
    which->attempted = around_.time.now();
    which->call = around_.etcd.txn(std::move(request), [this, which](etcd::answer<etcd::txn_answer> got) {
        for (const auto &sent : which->writes) {
            failpoint({"etcd", "txn", sent->name(), "answered"});
        }
        on_answer(which, std::move(got));
    });
}


void writer::on_answer(batch_place which, etcd::answer<etcd::txn_answer> got)
{
    which->call.reset();
    if (got && got->succeeded) {
        settle(which, *got);
    } else if (got) {
        // Nothing of this attempt was carried out. An earlier one may have been, before the meta was changed.
        close("the cluster's entry in etcd has changed; rolloutd reads it anew");
        fail_all(which, outcome::transient(closed_), which->in_doubt);
        around_.on_other_meta();
    } else if (got.why().is == etcd::failure::kind::unknown || which->in_doubt) {
        which->in_doubt = true;
        told(*which, false);
        if (around_.time.now() - which->began < settle_time && is_open()) {
            wait(which);
        } else {
            fail_all(which, outcome::transient(got.why().sentence), true);
        }
    } else if (!is_too_much(which, got.why())) {
        told(*which, false);
        fail_all(which, outcome::transient(got.why().sentence), false);
    }
    give();
}


void writer::settle(batch_place which, const etcd::txn_answer &answer)
{
    batch ended = release(which);
    std::vector<write_ptr> again;
    std::vector<write_ptr> settled;
    for (std::size_t i = 0; i < ended.writes.size(); ++i) {
        const auto *part = i < answer.parts.size() ? std::get_if<etcd::txn_answer>(&answer.parts[i].is) : nullptr;
        auto &of = ended.writes[i];
        if (part == nullptr) {
            of->fail(outcome::transient("etcd's answer lacks a part"), true, around_.own);
            settled.push_back(std::move(of));
        } else if (of->settle(*part, answer.header.revision, static_cast<unsigned>(i), around_.own)) {
            settled.push_back(std::move(of));
        } else {
            again.push_back(std::move(of));
        }
    }
    queue_.insert(queue_.begin(), std::make_move_iterator(again.begin()), std::make_move_iterator(again.end()));
    told(ended, true);
    const auto other = under_way_.empty() ? std::size_t{0} : under_way_.front().writes.size();
    gathering_.note(std::max(ended.writes.size(), other), around_.time.now() - ended.attempted);
    end_all(settled);
}


/// Makes the batches smaller if etcd allows less than it does by default. Returns whether that was why it failed.
bool writer::is_too_much(batch_place which, const etcd::failure &why)
{
    const bool is_many = why.because == etcd::failure::cause::too_many_operations;
    const bool is_large = why.because == etcd::failure::cause::too_large;
    if (!is_many && !is_large) {
        return false;
    }
    batch refused = release(which);
    if (refused.writes.size() == 1) {
        told(refused, false);
        refused.writes.front()->fail(outcome::permanent(why.sentence), false, around_.own);
        refused.writes.front()->end();
        return true;
    }
    if (is_many) {
        writes_at_once_ = std::max<std::size_t>(refused.writes.size() / 2, 1);
    } else {
        std::size_t bytes = 0;
        for (const auto &of : refused.writes) {
            bytes += of->bytes();
        }
        bytes_at_once_ = std::min(bytes_at_once_, bytes / 2);
    }
    queue_.insert(queue_.begin(), std::make_move_iterator(refused.writes.begin()),
                  std::make_move_iterator(refused.writes.end()));
    return true;
}


/// Sends the batch again after a pause.
void writer::wait(batch_place which)
{
    which->pause = std::clamp(2 * which->pause, first_resend_pause, longest_resend_pause);
    which->call = around_.time.after(which->pause, [this, which] {
        if (is_open()) {
            send(which);
        } else {
            fail_all(which, outcome::transient(closed_), true);
        }
    });
}


void writer::fail_all(batch_place which, const outcome &why, bool in_doubt)
{
    batch failed = release(which);
    for (const auto &of : failed.writes) {
        of->fail(why, in_doubt, around_.own);
    }
    end_all(failed.writes);
}


/// The batch is under way no more.
writer::batch writer::release(batch_place which)
{
    batch ended = std::move(*which);
    under_way_.erase(which);
    for (const auto &of : ended.writes) {
        for (const auto &key : of->keys()) {
            busy_keys_.erase(key);
        }
    }
    return ended;
}


void writer::told(const batch &of, bool ok)
{
    if (around_.on_attempt) {
        around_.on_attempt(around_.time.now() - of.attempted, ok);
    }
}

} // namespace rollout::cluster
