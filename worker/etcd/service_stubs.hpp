// A channel to a member with the stubs of etcd's services, which are made once for all of its calls.
#pragma once

#include <etcd.grpc.pb.h>

#include <grpcpp/channel.h>

#include <memory>
#include <tuple>

namespace rollout::etcd {

class service_stubs {
  public:
    explicit service_stubs(const std::shared_ptr<grpc::Channel> &channel)
        : all_(etcdserverpb::KV::NewStub(channel), etcdserverpb::Lease::NewStub(channel),
               etcdserverpb::Watch::NewStub(channel), etcdserverpb::Maintenance::NewStub(channel),
               etcdserverpb::Auth::NewStub(channel))
    {
    }

    /// Returns a service's stub, which may be used from any thread.
    template <typename Service>
    typename Service::Stub &of() const noexcept
    {
        return *std::get<std::unique_ptr<typename Service::Stub>>(all_);
    }

  private:
    template <typename... Services>
    using stubs_of = std::tuple<std::unique_ptr<typename Services::Stub>...>;

    stubs_of<etcdserverpb::KV, etcdserverpb::Lease, etcdserverpb::Watch, etcdserverpb::Maintenance,
             etcdserverpb::Auth>
        all_;
};

} // namespace rollout::etcd
