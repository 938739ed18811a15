#include "worker/fleet/record_keeper.hpp"

#include "worker/base/log.hpp"

#include <utility>

namespace rollout {

record_keeper::record_keeper(etcd::calls &asked, clock &time, std::string key, events told)
    : asked_(asked), time_(time), key_(std::move(key)), told_(std::move(told))
{
}


void record_keeper::keep(std::string text)
{
    wanted_ = std::move(text);
    removes_ = false;
    drive();
}


void record_keeper::remove()
{
    removes_ = true;
    drive();
}


bool record_keeper::is_settled() const
{
    return !removes_ && at_.value_or(0) != 0 && held_ == wanted_;
}


std::optional<std::int64_t> record_keeper::settled_at() const
{
    return call_ || !is_settled() ? std::nullopt : at_;
}


void record_keeper::drive()
{
    if (call_ || is_settled()) {
        return;
    }
    if (removes_ && is_others_) {
        call_ = time_.after(std::chrono::milliseconds(0), [this] {
            call_.reset();
            removes_ ? end() : drive();
        });
        return;
    }
    const auto pause = put_at_ ? *put_at_ + put_pause - time_.now() : std::chrono::milliseconds(0);
    if (removes_ || pause.count() <= 0) {
        write();
    } else {
        call_ = time_.after(pause, [this] {
            call_.reset();
            drive();
        });
    }
}


void record_keeper::write()
{
    etcd::txn_request request;
    request.compares.push_back(etcd::compare::unchanged_since(key_, at_.value_or(0)));
    if (!removes_) {
        request.then.push_back({etcd::put_request{key_, wanted_, 0}});
    } else if (at_.value_or(0) != 0) {
        request.then.push_back({etcd::delete_request{key_, {}}});
    }
    request.otherwise.push_back({etcd::range_request{key_}});
    call_ = asked_.txn(std::move(request),
                       [this, was_removal = removes_, text = wanted_](const etcd::answer<etcd::txn_answer> &got) {
                           on_answer(got, was_removal, text);
                       });
}


void record_keeper::on_answer(const etcd::answer<etcd::txn_answer> &got, bool was_removal, std::string text)
{
    call_.reset();
    if (!got) {
        fail(got.why());
        return;
    }
    trouble_.clear();
    if (!got->succeeded) {
        on_other(*got, was_removal);
        return;
    }
    at_ = was_removal ? 0 : got->header.revision;
    is_others_ = false;
    held_ = was_removal ? std::string() : std::move(text);
    put_at_ = time_.now();
    if (was_removal && removes_) {
        end();
        return;
    }
    if (!was_removal) {
        told_.on_kept();
    }
    drive();
}


/// The key is another than was thought.
void record_keeper::on_other(const etcd::txn_answer &got, bool was_removal)
{
    const auto *read = got.parts.empty() ? nullptr : std::get_if<etcd::range_answer>(&got.parts.front().is);
    const bool is_first = !at_.has_value();
    take(read == nullptr || read->found.empty() ? nullptr : &read->found.front());
    if (was_removal && removes_ && (*at_ == 0 || !told_.is_own(held_))) {
        end();
        return;
    }
    if (is_first && *at_ != 0) {
        told_.on_found(held_);
    }
    if (is_settled()) {
        told_.on_kept();
    }
    drive();
}


void record_keeper::take(const etcd::key_value *found)
{
    at_ = found == nullptr ? 0 : found->mod_revision;
    is_others_ = false;
    held_ = found == nullptr ? std::string() : found->value;
}


void record_keeper::check(const etcd::key_value *found, std::int64_t was_at)
{
    if (settled_at() != was_at || (found != nullptr && found->mod_revision == was_at)) {
        return;
    }
    take(found);
    if (*at_ == 0) {
        told_.on_missing();
    } else if (!told_.is_own(held_)) {
        is_others_ = true; // its gateway is linked there now
        held_ = wanted_;
    }
    drive();
}


void record_keeper::fail(const etcd::failure &why)
{
    if (trouble_.empty()) {
        log(log_level::warning,
            "A gateway's record could not be written to etcd, and is written again: " + why.sentence,
            {{"key", key_}});
    }
    trouble_ = why.sentence;
    call_ = time_.after(retry_pause, [this] { write(); });
}


void record_keeper::end()
{
    const auto call = told_.on_removed; // which may destroy this object
    call();
}

} // namespace rollout
