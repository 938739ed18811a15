#include "worker/leadership/etcd/word_receiver.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto pause_between_polls = 2s;
constexpr auto pause_before_repetition = 500ms;

} // namespace


word_receiver::word_receiver(etcd::calls &asked, clock &time, settings of, on_word_fn on_word)
    : asked_(asked), time_(time), settings_(std::move(of)), on_word_(std::move(on_word))
{
    poll();
}


word_receiver::~word_receiver() = default;


void word_receiver::poll()
{
    if (reading_) {
        read_again_ = true;
        return;
    }
    pause_.reset();
    etcd::range_request request;
    request.key = settings_.keys.words;
    request.range_end = etcd::end_of_prefix(request.key);
    request.limit = most_under_way;
    reading_ =
        asked_.range(std::move(request), [this](const etcd::answer<etcd::range_answer> &got) { on_read(got); });
}


void word_receiver::on_read(const etcd::answer<etcd::range_answer> &got)
{
    reading_.reset();
    pause_ = time_.after(std::exchange(read_again_, false) ? 0s : pause_between_polls, [this] { poll(); });
    if (!got) {
        return; // the election meets it as well, and says so
    }
    std::erase_if(words_, [&got](const auto &known) {
        return known.second.is_over &&
               std::ranges::find(got->found, known.first, &etcd::key_value::key) == got->found.end();
    });
    const std::weak_ptr<int> alive = lives_;
    const auto carry_out = on_word_; // which may destroy this object
    for (const auto &entry : got->found) {
        const std::string tail = entry.key.substr(settings_.keys.words.size());
        const auto slash = tail.find('/');
        if (slash == std::string::npos || words_.contains(entry.key) || words_.size() >= most_under_way) {
            continue;
        }
        words_[entry.key].entry = entry;
        carry_out(tail.substr(0, slash), entry.value, [this, alive, key = entry.key](std::string text) {
            if (!alive.expired()) {
                answer(key, std::move(text));
            }
        });
        if (alive.expired()) {
            return;
        }
    }
}


void word_receiver::answer(const std::string &key, std::string text)
{
    const auto found = words_.find(key);
    if (found != words_.end() && !found->second.call && !found->second.is_over) {
        found->second.answer = std::move(text);
        put_answer(key);
    }
}


void word_receiver::put_answer(const std::string &key)
{
    word &of = words_.at(key);
    const std::string tail = key.substr(settings_.keys.words.size());
    etcd::txn_request request;
    request.compares.push_back(etcd::compare::created_at(settings_.leader_key, settings_.token));
    request.compares.push_back(etcd::compare::unchanged_since(key, of.entry.mod_revision));
    request.then.push_back({etcd::put_request{settings_.keys.answers + tail, of.answer, of.entry.lease}});
    request.then.push_back({etcd::delete_request{key, {}}});
    of.call = asked_.txn(std::move(request), [this, key](const etcd::answer<etcd::txn_answer> &got) {
        if (got || got.why().because == etcd::failure::cause::lease_not_found) {
            words_.at(key).call.reset();
            words_.at(key).is_over = true; // answered; or its host has gone, or this one leads no more
        } else {
            words_.at(key).call = time_.after(pause_before_repetition, [this, key] { put_answer(key); });
        }
    });
}

} // namespace rollout
