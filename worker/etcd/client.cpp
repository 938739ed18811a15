#include "worker/etcd/client.hpp"

#include "worker/base/format.hpp"
#include "worker/etcd/conversion.hpp"
#include "worker/etcd/member_connection.hpp"
#include "worker/etcd/service_stubs.hpp"
#include "worker/etcd/unary_call.hpp"

#include <algorithm>
#include <iterator>
#include <list>
#include <optional>
#include <utility>
#include <vector>

namespace rollout::etcd {

namespace wire = etcdserverpb;

namespace {

using std::chrono::milliseconds;

/// What came of one attempt: a failure, or else what delivers the answer.
using attempt_done = std::function<void(const grpc::Status &status, const std::function<void()> &deliver)>;

/// How a call is sent, and how it ends without an answer.
struct call_plan {
    bool changes = false;
    std::function<std::unique_ptr<pending_rpc>(const member_connection::member &, milliseconds timeout, attempt_done)>
        send;
    std::function<void(failure)> fail;
};

} // namespace


class client::implementation : public std::enable_shared_from_this<implementation> {
  public:
    implementation(rpc_thread &thread, clock &time, std::shared_ptr<const access> to, milliseconds timeout)
        : thread_(thread), time_(time), timeout_(timeout), access_(to),
          connection_(std::in_place, thread, time, std::move(to), [this] { on_settled(); })
    {
    }

    rpc_thread &thread() noexcept { return thread_; }

    std::string progress() const { return connection_->progress(); }

    operation_ptr call(call_plan plan)
    {
        const auto made = std::make_shared<pending_call>();
        made->plan = std::move(plan);
        made->deadline = time_.now() + timeout_;
        made->place = calls_.insert(calls_.end(), made);
        wait_or_send(made);
        return std::make_unique<handle>(weak_from_this(), made);
    }

    /// Abandons all calls. Nothing of this object is called any more.
    void close()
    {
        closed_ = true;
        connection_.reset();
        for (const call_ptr &one : std::exchange(calls_, {})) {
            one->plan = {};
            one->attempt.reset();
            one->alarm.reset();
        }
    }

  private:
    struct pending_call;
    using call_ptr = std::shared_ptr<pending_call>;

    struct pending_call {
        call_plan plan; ///< empty once it has ended
        milliseconds deadline{0};
        std::unique_ptr<pending_rpc> attempt; ///< under way
        operation_ptr alarm;                  ///< while it waits for a member
        std::list<call_ptr>::iterator place;
        bool waits = false;
        bool token_renewed = false;
    };

    class handle final : public operation {
      public:
        handle(std::weak_ptr<implementation> of, call_ptr call) : of_(std::move(of)), call_(std::move(call)) {}
        ~handle() override
        {
            if (const auto of = of_.lock(); of && call_->plan.fail) {
                of->end(call_);
            }
        }

        void cancel() override
        {
            if (const auto of = of_.lock(); of && call_->plan.fail) {
                of->cancel(call_);
            }
        }

      private:
        std::weak_ptr<implementation> of_;
        call_ptr call_;
    };

    void wait_or_send(const call_ptr &call)
    {
        if (const auto *member = connection_->current()) {
            send(call, *member);
            return;
        }
        call->waits = true;
        call->alarm = time_.after(std::max(call->deadline - time_.now(), milliseconds(0)), [this, call] {
            failure why = connection_->trouble();
            why.is = failure::kind::unavailable;
            fail(call, std::move(why));
        });
        connection_->want();
    }

    void send(const call_ptr &call, const member_connection::member &member)
    {
        call->waits = false;
        call->alarm.reset();
        const auto left = std::max(call->deadline - time_.now(), milliseconds(1));
        call->attempt = call->plan.send(
            member, left,
            [this, call, left, number = member.number, url = member.url](const grpc::Status &status,
                                                                         const std::function<void()> &deliver) {
                if (!status.ok()) {
                    on_failed(call, status, {url, connection_->user(), left, call->plan.changes}, number);
                    return;
                }
                connection_->on_success(number);
                end(call);
                deliver();
            });
    }

    void on_failed(const call_ptr &call, const grpc::Status &status, const call_facts &facts, std::uint64_t number)
    {
        verdict of = judge(status.error_code(), status.error_message(), facts);
        call->attempt.reset();
        if (of.member_fails) {
            connection_->on_failure(number, of.why);
        } else if (of.token_fails) {
            connection_->on_token_refused(number);
        } else if (of.why.is == failure::kind::refused) {
            connection_->on_success(number);
        }
        const auto alive = shared_from_this();
        const bool again = of.member_fails || (of.token_fails && !std::exchange(call->token_renewed, true));
        if (of.why.is == failure::kind::unavailable && again && time_.now() < call->deadline) {
            wait_or_send(call);
        } else {
            fail(call, std::move(of.why));
        }
        want_for_others();
    }

    void on_settled()
    {
        const auto alive = shared_from_this();
        const bool refused = connection_->current() == nullptr && connection_->trouble().is == failure::kind::refused;
        for (const call_ptr &call : waiting()) {
            if (closed_) {
                return;
            }
            if (!call->waits) {
                continue; // a callback has ended it
            }
            if (const auto *member = connection_->current()) {
                send(call, *member);
            } else if (refused) {
                fail(call, connection_->trouble());
            }
        }
        want_for_others();
    }

    void want_for_others()
    {
        if (!closed_ && std::ranges::any_of(calls_, [](const call_ptr &call) { return call->waits; })) {
            connection_->want();
        }
    }

    std::vector<call_ptr> waiting() const
    {
        std::vector<call_ptr> all;
        std::ranges::copy_if(calls_, std::back_inserter(all), [](const call_ptr &call) { return call->waits; });
        return all;
    }

    void cancel(const call_ptr &call)
    {
        if (!call->alarm || call->waits) {
            const bool sent = call->attempt != nullptr;
            call->attempt.reset();
            call->waits = false;
            call->alarm = time_.after(milliseconds(0), [this, call, sent] {
                fail(call, {sent && call->plan.changes ? failure::kind::unknown : failure::kind::unavailable,
                            failure::cause::canceled, "canceled"});
            });
        }
    }

    void fail(const call_ptr &call, failure why)
    {
        if (const auto done = end(call)) {
            access_->count(why.because);
            done(std::move(why));
        }
    }

    /// Nothing of the call is under way any more. Returns its callback.
    std::function<void(failure)> end(const call_ptr &call)
    {
        call_plan plan = std::exchange(call->plan, {});
        if (plan.fail) {
            call->waits = false;
            call->attempt.reset();
            call->alarm.reset();
            calls_.erase(call->place);
        }
        return std::move(plan.fail);
    }

    rpc_thread &thread_;
    clock &time_;
    milliseconds timeout_;
    std::shared_ptr<const access> access_;
    bool closed_ = false;
    std::list<call_ptr> calls_;
    std::optional<member_connection> connection_; ///< until close()
};


namespace {

/// What the stub of a service has for each of its calls.
template <typename Service, typename Request, typename Response>
using stub_method = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (Service::Stub::*)(
    grpc::ClientContext *, const Request &, grpc::CompletionQueue *);

/// A call by that method. The request stays until the call has ended, for another attempt.
template <typename Service, typename Wanted, typename Request, typename Response, typename Answer>
call_plan plan_of(rpc_thread &thread, bool changes, Wanted wanted, stub_method<Service, Request, Response> method,
                  answer_fn<Answer> done)
{
    const auto request = std::make_shared<arena_message<Request>>();
    fill(**request, std::move(wanted));
    const auto to_call = std::make_shared<answer_fn<Answer>>(std::move(done));
    return {changes,
            [&thread, request, method, to_call](const member_connection::member &member, milliseconds timeout,
                                                attempt_done ended) {
                auto &stub = member.stubs->of<Service>();
                return unary_call<Response>::start(
                    thread, member.stubs, member.token, timeout,
                    [&](grpc::ClientContext *context, grpc::CompletionQueue *queue) {
                        return (stub.*method)(context, **request, queue);
                    },
                    [to_call, ended = std::move(ended)](const grpc::Status &status, const Response &response) {
                        ended(status, [&] { (*to_call)(from_wire(response)); });
                    });
            },
            [to_call](failure why) { (*to_call)(std::move(why)); }};
}

} // namespace


client::client(rpc_thread &thread, clock &time, std::shared_ptr<const access> to, milliseconds timeout)
    : implementation_(std::make_shared<implementation>(thread, time, std::move(to), timeout))
{
}


client::~client()
{
    implementation_->close();
}


std::string client::progress() const
{
    return implementation_->progress();
}


operation_ptr client::range(range_request request, answer_fn<range_answer> done)
{
    return implementation_->call(plan_of<wire::KV>(implementation_->thread(), false, std::move(request),
                                                   &wire::KV::Stub::AsyncRange, std::move(done)));
}


operation_ptr client::put(put_request request, answer_fn<put_answer> done)
{
    return implementation_->call(plan_of<wire::KV>(implementation_->thread(), true, std::move(request),
                                                   &wire::KV::Stub::AsyncPut, std::move(done)));
}


operation_ptr client::remove(delete_request request, answer_fn<delete_answer> done)
{
    return implementation_->call(plan_of<wire::KV>(implementation_->thread(), true, std::move(request),
                                                   &wire::KV::Stub::AsyncDeleteRange, std::move(done)));
}


operation_ptr client::txn(txn_request request, answer_fn<txn_answer> done)
{
    return implementation_->call(plan_of<wire::KV>(implementation_->thread(), true, std::move(request),
                                                   &wire::KV::Stub::AsyncTxn, std::move(done)));
}


operation_ptr client::compact(compact_request request, answer_fn<compact_answer> done)
{
    return implementation_->call(
        plan_of<wire::KV>(implementation_->thread(), true, request, &wire::KV::Stub::AsyncCompact, std::move(done)));
}


operation_ptr client::grant(lease_request request, answer_fn<lease_answer> done)
{
    return implementation_->call(plan_of<wire::Lease>(implementation_->thread(), true, request,
                                                      &wire::Lease::Stub::AsyncLeaseGrant, std::move(done)));
}


operation_ptr client::renew(lease_renewal request, answer_fn<lease_answer> done)
{
    return implementation_->call(plan_of<wire::Lease>(implementation_->thread(), false, request,
                                                      &wire::Lease::Stub::AsyncLeaseKeepAlive, std::move(done)));
}


operation_ptr client::revoke(revoke_request request, answer_fn<revoke_answer> done)
{
    return implementation_->call(plan_of<wire::Lease>(implementation_->thread(), true, request,
                                                      &wire::Lease::Stub::AsyncLeaseRevoke, std::move(done)));
}


operation_ptr client::status(status_request request, answer_fn<status_answer> done)
{
    return implementation_->call(plan_of<wire::Maintenance>(implementation_->thread(), false, request,
                                                            &wire::Maintenance::Stub::AsyncStatus, std::move(done)));
}

} // namespace rollout::etcd
