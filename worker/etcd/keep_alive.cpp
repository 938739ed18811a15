#include "worker/etcd/keep_alive.hpp"

#include "worker/base/format.hpp"

#include <utility>

namespace rollout::etcd {

namespace {

constexpr int renewals_in_a_ttl = 4;
constexpr int attempts_in_a_ttl = 16; ///< after one that has failed, which may have taken half of it

} // namespace


keep_alive::keep_alive(renew_fn renew, clock &time, const lease_answer &lease, std::chrono::milliseconds asked_at,
                       std::function<void(std::string)> on_lost, std::chrono::milliseconds margin)
    : renew_(std::move(renew)), time_(time), id_(lease.id), ttl_(lease.ttl), margin_(margin), until_(asked_at),
      on_lost_(std::move(on_lost))
{
    set_end(asked_at + ttl_ - margin_);
    wait(ttl_ / renewals_in_a_ttl);
}


void keep_alive::wait(std::chrono::milliseconds time)
{
    pause_ = time_.after(time, [this] { this->renew(); });
}


void keep_alive::renew()
{
    const auto sent_at = time_.now();
    renewal_ = renew_({id_}, [this, sent_at](const answer<lease_answer> &got) { on_answer(sent_at, got); });
}


void keep_alive::on_answer(std::chrono::milliseconds sent_at, const answer<lease_answer> &got)
{
    if (!got) {
        trouble_ = got.why().sentence;
        if (got.why().because == failure::cause::lease_not_found) {
            lose(trouble_);
        } else {
            wait(ttl_ / attempts_in_a_ttl);
        }
        return;
    }
    if (got->ttl <= std::chrono::seconds(0)) {
        lose("etcd has ended the lease");
        return;
    }
    trouble_.clear();
    set_end(sent_at + got->ttl - margin_);
    wait(ttl_ / renewals_in_a_ttl);
}


void keep_alive::set_end(std::chrono::milliseconds until)
{
    until_ = until;
    end_ = time_.after(until - time_.now(), [this] {
        lose("the lease was not renewed within " + format_duration(ttl_ - margin_) +
             (trouble_.empty() ? std::string() : ": " + trouble_));
    });
}


void keep_alive::lose(std::string why)
{
    lost_ = true;
    pause_.reset();
    end_.reset();
    on_lost_(std::move(why));
}

} // namespace rollout::etcd
