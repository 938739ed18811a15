#include "worker/etcd/member_connection.hpp"

#include "worker/etcd/service_stubs.hpp"
#include "worker/etcd/unary_call.hpp"

#include <algorithm>
#include <random>
#include <utility>

namespace rollout::etcd {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds attempt_timeout = 1s; ///< of each call before a member is used
constexpr std::chrono::milliseconds pause_after_refusal = 1s;

/// For pauses alone, which must differ between hosts that were started together.
std::function<double()> chance()
{
    return [engine = std::minstd_rand(std::random_device()())]() mutable {
        return std::uniform_real_distribution<double>(0, 1)(engine);
    };
}

failure not_yet(const std::string &url)
{
    return {failure::kind::unavailable, failure::cause::unreachable,
            "etcd at " + url + " has not answered yet: rolloutd connects to it"};
}

} // namespace


member_connection::member_connection(rpc_thread &thread, clock &time, std::shared_ptr<const access> to,
                                     std::function<void()> on_settled)
    : thread_(thread), time_(time), access_(std::move(to)), on_settled_(std::move(on_settled)),
      endpoints_(access_->members().size(), access_->first_member(), chance()),
      trouble_(not_yet(access_->members()[access_->first_member()].url))
{
}


member_connection::~member_connection() = default;


void member_connection::want()
{
    if (current_ || candidate_ || pause_) {
        return;
    }
    const auto now = time_.now();
    const auto choice = endpoints_.next(now);
    const auto wait = std::max(choice.wait, not_before_ - now);
    if (wait <= 0ms) {
        begin(choice.index);
        return;
    }
    pause_ = time_.after(wait, [this] {
        pause_.reset();
        begin(endpoints_.next(time_.now()).index);
    });
}


std::string member_connection::progress() const
{
    return current_ ? "etcd at " + current_->url + " is connected, and has not answered yet" : trouble_.sentence;
}


void member_connection::begin(std::size_t index)
{
    index_ = index;
    if (!has_settled_) {
        trouble_ = not_yet(access_->members()[index].url);
    }
    endpoints_.on_attempt(index, time_.now());
    candidate_ = member{std::make_shared<const service_stubs>(access_->channel_to(index)),
                        {},
                        access_->members()[index].url,
                        ++last_number_};
    ask_status();
}


void member_connection::ask_status()
{
    using response = etcdserverpb::StatusResponse;
    auto &stub = candidate_->stubs->of<etcdserverpb::Maintenance>();
    asked_ = unary_call<response>::start(
        thread_, candidate_->stubs, {}, attempt_timeout,
        [&](grpc::ClientContext *context, grpc::CompletionQueue *queue) {
            return stub.AsyncStatus(context, {}, queue);
        },
        [this](const grpc::Status &status, const response &answer) {
            if (!status.ok()) {
                const verdict of = judge(status.error_code(), status.error_message(), facts());
                // A member that asks for a user before it says how it is can still be used.
                if (of.why.is == failure::kind::unavailable && !of.token_fails) {
                    attempt_failed(of.why);
                    return;
                }
            } else if (answer.leader() == 0 || answer.islearner()) {
                attempt_failed({failure::kind::unavailable, failure::cause::no_leader,
                                "etcd at " + candidate_->url +
                                    (answer.islearner() ? " is a learner: name members that vote in \"endpoints\""
                                                        : " has no leader: it is cut off from the others, or they "
                                                          "elect one")});
                return;
            }
            version_ = answer.version();
            if (access_->user().empty()) {
                found();
            } else {
                ask_token();
            }
        });
}


void member_connection::ask_token()
{
    using response = etcdserverpb::AuthenticateResponse;
    auto &stub = candidate_->stubs->of<etcdserverpb::Auth>();
    etcdserverpb::AuthenticateRequest request;
    request.set_name(access_->user());
    request.set_password(access_->password());
    asked_ = unary_call<response>::start(
        thread_, candidate_->stubs, {}, 2 * attempt_timeout, // etcd makes this one slow on purpose
        [&](grpc::ClientContext *context, grpc::CompletionQueue *queue) {
            return stub.AsyncAuthenticate(context, request, queue);
        },
        [this](const grpc::Status &status, const response &answer) {
            if (status.ok()) {
                candidate_->token = answer.token();
                token_at_ = time_.now();
                found();
                return;
            }
            const verdict of = judge(status.error_code(), status.error_message(), facts());
            if (status.error_message().find("authentication is not enabled") != std::string::npos) {
                log(log_level::warning, "etcd's authentication is off: everybody may change what is in it",
                    {{"member", candidate_->url}});
                found();
            } else if (of.why.is == failure::kind::unavailable) {
                attempt_failed(of.why);
            } else {
                refused(of.why);
            }
        });
}


void member_connection::found()
{
    asked_.reset();
    current_ = std::exchange(candidate_, std::nullopt);
    has_settled_ = true;
    trouble_ = {failure::kind::unavailable, failure::cause::unreachable,
                "etcd at " + current_->url + " was given up"};
    const bool is_routine = std::exchange(left_silent_, false);
    const bool is_news = access_->note_use(index_) && !is_routine;
    log(is_news ? log_level::info : log_level::debug, "Connected to etcd",
        {{"member", current_->url}, {"version", version_}});
    settle();
}


/// What keeps TLS from working may be in this host's own files: that is told, as etcd and gRPC do not.
void member_connection::attempt_failed(failure why)
{
    const bool may_be_own = why.because == failure::cause::certificate || why.because == failure::cause::unreachable;
    if (may_be_own && access_->members()[index_].is_tls) {
        if (const auto fault = access_->fault_of_files(time_.wall_us()); !fault.empty()) {
            why.because = failure::cause::certificate;
            why.sentence = "etcd at " + candidate_->url +
                           " cannot be used, as the certificates here are not right: " + fault +
                           ". Put the right file in its place; it is read again by itself";
        }
    }
    asked_.reset();
    candidate_.reset();
    has_settled_ = true;
    access_->count(why.because);
    const bool is_other = trouble_.because != why.because; // another cause needs another remedy
    trouble_ = std::move(why);
    if (endpoints_.on_failure(index_, time_.now()) || is_other) {
        log_trouble(log_level::warning);
    }
    settle();
}


/// By a member that works: the others would say the same.
void member_connection::refused(const failure &why)
{
    asked_.reset();
    candidate_.reset();
    has_settled_ = true;
    access_->count(why.because);
    if (std::exchange(trouble_, why) != why) {
        log_trouble(log_level::error);
    }
    not_before_ = time_.now() + pause_after_refusal;
    settle();
}


void member_connection::settle()
{
    const auto call = on_settled_; // which may destroy this object
    call();
}


void member_connection::on_success(std::uint64_t number)
{
    if (current_ && current_->number == number) {
        endpoints_.on_success(index_);
    }
}


void member_connection::on_failure(std::uint64_t number, const failure &why)
{
    if (current_ && current_->number == number) {
        current_.reset();
        trouble_ = why;
        trouble_.is = failure::kind::unavailable; // for those who wait: theirs was not sent
        if (endpoints_.on_failure(index_, time_.now())) {
            log_trouble(log_level::warning);
        }
    }
}


/// The other connections have the same trouble with the member: one of them logs it.
void member_connection::log_trouble(log_level level) const
{
    const bool is_news = access_->note_failure(index_, trouble_.because);
    log(is_news ? level : log_level::debug, trouble_.sentence);
}


void member_connection::leave(std::uint64_t number, const std::string &why)
{
    if (current_ && current_->number == number) {
        current_.reset();
        trouble_ = {failure::kind::unavailable, failure::cause::timed_out, why};
        left_silent_ = true;
        endpoints_.leave(index_);
    }
}


void member_connection::on_token_refused(std::uint64_t number)
{
    if (!current_ || current_->number != number || access_->user().empty()) {
        return;
    }
    if (time_.now() < token_at_ + pause_after_refusal) { // to make another one is work for etcd
        current_.reset();
        not_before_ = time_.now() + pause_after_refusal;
        return;
    }
    candidate_ = std::exchange(current_, std::nullopt);
    candidate_->number = ++last_number_;
    ask_token();
}


call_facts member_connection::facts(bool changes) const
{
    return {candidate_ ? std::string_view(candidate_->url) : std::string_view(), access_->user(), attempt_timeout,
            changes};
}

} // namespace rollout::etcd
