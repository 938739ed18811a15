#include "worker/leadership/etcd/etcd_leadership.hpp"

#include "worker/cluster/keys.hpp"

#include <memory>
#include <utility>

namespace rollout {

namespace {

election_settings settings_of(const cluster_place &place)
{
    const cluster::keys names(place.prefix);
    return {place.host, names.leader(), names.hosts(), place.lease};
}


/// The owner may set its callbacks after this object is made, and destroy it in one.
template <typename... Values>
std::function<void(Values...)> passed_to(const std::function<void(Values...)> &callback)
{
    return [&callback](Values... values) {
        if (const auto call = callback) {
            call(std::move(values)...);
        }
    };
}

} // namespace


etcd_leadership::etcd_leadership(etcd::calls &asked, clock &time, const cluster_place &place, host_record record)
    : record_(std::move(record)),
      registration_(asked, time, cluster::keys(place.prefix).host(place.host), place.lease, passed_to(on_change)),
      election_(asked, time, settings_of(place), {passed_to(on_elected), passed_to(on_deposed), passed_to(on_change)})
{
}


void etcd_leadership::start()
{
    registration_.start(record_);
    election_.stand(record_.candidate);
    election_.start();
}


std::string etcd_leadership::trouble() const
{
    return election_.trouble().empty() ? registration_.trouble() : election_.trouble();
}


void etcd_leadership::stand(bool wanted)
{
    record_.candidate = wanted;
    registration_.update(record_);
    election_.stand(wanted && !is_withdrawn_);
}


void etcd_leadership::withdraw(bool wanted)
{
    is_withdrawn_ = wanted;
    election_.stand(record_.candidate && !wanted);
    if (wanted) {
        registration_.leave([] {});
    } else {
        registration_.start(record_);
    }
}


void etcd_leadership::update(host_record record)
{
    record.candidate = record_.candidate;
    record_ = std::move(record);
    registration_.update(record_);
}


void etcd_leadership::resign(std::function<void()> done)
{
    const auto left = std::make_shared<int>(2);
    const auto both = [left, done = std::move(done)] {
        if (--*left == 0) {
            done();
        }
    };
    election_.resign(both);
    registration_.leave(both);
}

} // namespace rollout
