#include "worker/leadership/etcd/word_sender.hpp"

#include "worker/base/format.hpp"

#include <utility>
#include <vector>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto pause_between_reads = 1s;

} // namespace


word_sender::word_sender(etcd::calls &asked, clock &time, settings of, std::function<std::int64_t()> lease)
    : asked_(asked), time_(time), settings_(std::move(of)), lease_(std::move(lease))
{
}


word_sender::~word_sender() = default;


std::string word_sender::word_key(const std::string &name) const
{
    return settings_.keys.words + settings_.host + '/' + name;
}


void word_sender::send(std::string word, answered_fn done)
{
    const std::string name = settings_.process + '-' + std::to_string(++last_);
    pending &made = pending_[name];
    made.done = std::move(done);
    const auto lease = lease_();
    if (lease == 0 || pending_.size() > most_under_way) {
        made.timeout = time_.after(0ms, [this, name, lease] {
            end(name,
                outcome::transient(lease == 0
                                       ? "this host is not registered in etcd, so that it cannot ask the leader"
                                       : "too many requests to the leader are under way"),
                {});
        });
        return;
    }
    made.timeout = time_.after(settings_.timeout, [this, name] {
        remove(word_key(name));
        end(name,
            outcome::transient("the leader has not answered within " + format_duration(settings_.timeout) +
                               ": it may still do what was asked"),
            {});
    });
    made.put = asked_.put({word_key(name), std::move(word), lease},
                          [this, name](const etcd::answer<etcd::put_answer> &got) { on_put(name, got); });
}


void word_sender::on_put(const std::string &name, const etcd::answer<etcd::put_answer> &got)
{
    if (!got && got.why().is != etcd::failure::kind::unknown) {
        end(name, outcome::transient(got.why().sentence), {});
    } else if (!pause_ && !reading_) {
        pause_ = time_.after(pause_between_reads, [this] { read(); });
    }
}


void word_sender::poll()
{
    if (!pending_.empty()) {
        read();
    }
}


void word_sender::read()
{
    if (reading_) {
        read_again_ = true;
        return;
    }
    pause_.reset();
    etcd::range_request request;
    request.key = answers_prefix();
    request.range_end = etcd::end_of_prefix(request.key);
    reading_ =
        asked_.range(std::move(request), [this](const etcd::answer<etcd::range_answer> &got) { on_read(got); });
}


void word_sender::on_read(const etcd::answer<etcd::range_answer> &got)
{
    reading_.reset();
    const bool again = std::exchange(read_again_, false);
    const std::weak_ptr<int> alive = lives_;
    if (got) {
        for (const auto &entry : got->found) {
            const std::string name = entry.key.substr(answers_prefix().size());
            remove(entry.key); // also of one that nobody waits for any more
            end(name, outcome::ok(), entry.value);
            if (alive.expired()) {
                return;
            }
        }
    }
    if (again) {
        read();
    } else if (!pending_.empty()) {
        pause_ = time_.after(pause_between_reads, [this] { read(); });
    }
}


void word_sender::end(const std::string &name, outcome result, std::string answer)
{
    const auto found = pending_.find(name);
    if (found != pending_.end()) {
        pending ended = std::move(found->second);
        pending_.erase(found);
        ended.done(std::move(result), std::move(answer));
    }
}


/// What is not removed ends with the host's lease.
void word_sender::remove(std::string key)
{
    const auto number = ++last_removal_;
    removals_[number] = asked_.remove(
        {std::move(key), {}}, [this, number](const etcd::answer<etcd::delete_answer> &) { removals_.erase(number); });
}

} // namespace rollout
