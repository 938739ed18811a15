#include "worker/journal/etcd/read_index.hpp"

#include <iterator>
#include <utility>

namespace rollout::cluster {

read_index::read_index(store etcd, clock &time, keys names)
    : etcd_(std::move(etcd)), time_(time), names_(std::move(names))
{
}


void read_index::ask(known_fn done)
{
    if (is_away()) {
        std::vector<known_fn> who;
        who.push_back(std::move(done));
        answer_soon(std::move(who), false);
        return;
    }
    asked_.push_back(std::move(done));
    if (!reading_) {
        read();
    }
}


/// Who asks while a read is under way waits for the next one: what it wants to see may have been written since.
void read_index::read()
{
    read_for_ = std::exchange(asked_, {});
    etcd::range_request request;
    request.key = names_.position();
    reading_ = etcd_.range(std::move(request), [this](const etcd::answer<etcd::range_answer> &got) { on_read(got); });
}


void read_index::on_read(const etcd::answer<etcd::range_answer> &got)
{
    reading_.reset();
    auto who = std::exchange(read_for_, {});
    if (!got) {
        on_away();
        who.insert(who.end(), std::make_move_iterator(asked_.begin()), std::make_move_iterator(asked_.end()));
        asked_.clear();
        answer_soon(std::move(who), false);
        return;
    }
    const std::int64_t revision = got->found.empty() ? 0 : got->found.front().mod_revision;
    if (!asked_.empty()) {
        read();
    }
    if (revision <= applied_) {
        answer_soon(std::move(who), true);
        return;
    }
    const auto place = waiting_.insert(waiting_.end(), {revision, std::move(who), nullptr});
    place->alarm = time_.after(apply_time, [this, place] {
        auto late = std::move(place->who);
        waiting_.erase(place); // with this alarm
        answer_soon(std::move(late), false);
    });
}


void read_index::on_applied(std::int64_t mod_revision)
{
    applied_ = mod_revision;
    for (auto next = waiting_.begin(); next != waiting_.end();) {
        if (next->revision > applied_) {
            ++next;
            continue;
        }
        auto who = std::move(next->who);
        next = waiting_.erase(next);
        answer_soon(std::move(who), true);
    }
}


void read_index::answer_soon(std::vector<known_fn> who, bool current)
{
    answers_.emplace_back(std::move(who), current);
    if (answering_) {
        return;
    }
    answering_ = time_.after(std::chrono::milliseconds(0), [this] {
        answering_.reset();
        for (const auto &[all, is_current] : std::exchange(answers_, {})) {
            for (const auto &done : all) {
                done(is_current);
            }
        }
    });
}

} // namespace rollout::cluster
