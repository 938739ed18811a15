#include "worker/leadership/etcd/host_registration.hpp"

#include "worker/base/log.hpp"

#include <utility>

namespace rollout {

namespace {

using std::chrono::milliseconds;

constexpr int reads_in_a_ttl = 3;
constexpr int attempts_in_a_ttl = 6; ///< after one that has failed

} // namespace


std::string_view name_of(registration_state state) noexcept
{
    switch (state) {
    case registration_state::stopped:
        return "stopped";
    case registration_state::granting:
        return "granting";
    case registration_state::putting:
        return "putting";
    case registration_state::registered:
        return "registered";
    case registration_state::displaced:
        return "displaced";
    case registration_state::leaving:
        return "leaving";
    }
    return "";
}


host_registration::host_registration(etcd::calls &asked, clock &time, std::string key, std::chrono::seconds lease,
                                     std::function<void()> on_change)
    : asked_(asked), time_(time), key_(std::move(key)), ttl_(lease), on_change_(std::move(on_change))
{
}


host_registration::~host_registration() = default;


void host_registration::start(host_record record)
{
    record_ = std::move(record);
    value_ = text_of(record_);
    ask_for_lease();
}


void host_registration::update(host_record record)
{
    record_ = std::move(record);
    value_ = text_of(record_);
    if (state_ == registration_state::registered) {
        put();
    } // else it is put anyway, or the next read shows that it says something else
}


void host_registration::leave(std::function<void()> done)
{
    if (!lease_) {
        state_ = registration_state::stopped;
        step_ = time_.after(milliseconds(0), std::move(done));
        return;
    }
    state_ = registration_state::leaving;
    const auto id = lease_->id();
    lease_.reset();
    step_ = asked_.revoke({id}, [this, done = std::move(done)](const etcd::answer<etcd::revoke_answer> &) {
        state_ = registration_state::stopped; // without an answer, the lease ends by itself
        const auto call = done;               // which may destroy this object
        call();
    });
}


void host_registration::ask_for_lease()
{
    enter(registration_state::granting);
    step_ = asked_.grant({ttl_}, [this, asked_at = time_.now()](const etcd::answer<etcd::lease_answer> &got) {
        on_granted(asked_at, got);
    });
}


void host_registration::on_granted(milliseconds asked_at, const etcd::answer<etcd::lease_answer> &got)
{
    if (got) {
        lease_ = std::make_unique<etcd::keep_alive>(
            [this](etcd::lease_renewal request, etcd::answer_fn<etcd::lease_answer> done) {
                return asked_.renew(request, std::move(done));
            },
            time_, *got, asked_at,
            [this](const std::string &why) {
                log(log_level::warning, "This host's record in etcd is put again: " + why);
                begin_anew();
                settle();
            });
        put();
    } else {
        meet(got.why());
        again_after(ttl_ / attempts_in_a_ttl, &host_registration::ask_for_lease);
    }
    settle();
}


void host_registration::put()
{
    if (state_ != registration_state::registered) {
        enter(registration_state::putting);
    }
    step_ =
        asked_.put({key_, value_, lease_->id()}, [this](const etcd::answer<etcd::put_answer> &got) { on_put(got); });
}


void host_registration::on_put(const etcd::answer<etcd::put_answer> &got)
{
    if (got) {
        put_at_ = got->header.revision;
        read();
    } else if (got.why().because == etcd::failure::cause::lease_not_found) {
        begin_anew();
    } else {
        meet(got.why());
        again_after(ttl_ / attempts_in_a_ttl, &host_registration::put);
    }
    settle();
}


void host_registration::read()
{
    step_ = asked_.range({key_}, [this, sent_at = time_.now()](const etcd::answer<etcd::range_answer> &got) {
        on_read(sent_at, got);
    });
}


void host_registration::on_read(milliseconds sent_at, const etcd::answer<etcd::range_answer> &got)
{
    if (!got) {
        meet(got.why());
        again_after(ttl_ / attempts_in_a_ttl, &host_registration::read);
    } else if (got->header.revision < put_at_) { // of a member that lags
        again_after(ttl_ / attempts_in_a_ttl, &host_registration::read);
    } else {
        check(got->found.empty() ? nullptr : &got->found.front(), sent_at);
    }
    settle();
}


void host_registration::check(const etcd::key_value *entry, milliseconds sent_at)
{
    if (entry == nullptr) {
        begin_anew();
        return;
    }
    const bool is_own_lease = lease_ && entry->lease == lease_->id();
    const auto record = parse_host_record(entry->value);
    if (!is_own_lease && record && record->process != record_.process) {
        meet("another rolloutd has registered under " + key_ +
                 ": each needs a name of its own, and this one waits until the other has gone",
             etcd::failure::cause::other);
        lease_.reset();
        enter(registration_state::displaced);
        again_after(ttl_ / reads_in_a_ttl, &host_registration::read);
    } else if (!is_own_lease || entry->value != value_) {
        lease_ ? put() : ask_for_lease();
    } else {
        pass();
        enter(registration_state::registered);
        seen_at_ = sent_at;
        again_after(ttl_ / reads_in_a_ttl, &host_registration::read);
    }
}


/// The lease is revoked, as etcd may still have it.
void host_registration::begin_anew()
{
    if (lease_) {
        revocation_ = asked_.revoke({lease_->id()}, [](const etcd::answer<etcd::revoke_answer> &) {});
        lease_.reset();
    }
    ask_for_lease();
}


void host_registration::again_after(milliseconds time, void (host_registration::*step)())
{
    step_ = time_.after(time, [this, step] { (this->*step)(); });
}


void host_registration::meet(const etcd::failure &why)
{
    meet(why.sentence, why.because);
}


void host_registration::meet(std::string sentence, etcd::failure::cause because)
{
    if (trouble_because_ != because) {
        log(log_level::warning, "This host's record in etcd is not known to be there: " + sentence);
        changed_ = true;
    }
    trouble_ = std::move(sentence);
    trouble_because_ = because;
}


void host_registration::pass()
{
    changed_ = changed_ || trouble_because_.has_value();
    trouble_.clear();
    trouble_because_.reset();
}


void host_registration::enter(registration_state state)
{
    changed_ = changed_ || state != state_;
    state_ = state;
}


/// Comes last wherever the loop has called: who is told may destroy this object.
void host_registration::settle()
{
    if (std::exchange(changed_, false) && on_change_) {
        const auto call = on_change_;
        call();
    }
}

} // namespace rollout
