#include "worker/etcd/watch.hpp"

#include "worker/base/format.hpp"
#include "worker/etcd/conversion.hpp"
#include "worker/etcd/member_connection.hpp"
#include "worker/etcd/service_stubs.hpp"
#include "worker/etcd/unary_call.hpp"

#include <grpcpp/support/async_stream.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace rollout::etcd {

namespace wire = etcdserverpb;

namespace {

/// Who has opened a stream.
class stream_user {
  public:
    virtual ~stream_user() = default;
    virtual void on_response(const wire::WatchResponse &response) = 0;
    virtual void on_end(const grpc::Status &status) = 0;
};

/// One stream, with one thing under way at a time: opened, the request written, responses read one by one, its status taken.
class watch_stream final : public rpc_thread::step {
  public:
    static watch_stream *open(rpc_thread &thread, const member_connection::member &member, wire::WatchRequest request,
                              stream_user &user)
    {
        auto *made = new watch_stream(member.stubs, std::move(request), user);
        prepare(made->context_, member.token);
        made->stream_ = member.stubs->of<wire::Watch>().PrepareAsyncWatch(&made->context_, thread.queue());
        made->stream_->StartCall(made->tag());
        return made;
    }

    /// Reads the next response, after the one that on_response() has been given.
    void read()
    {
        at_ = state::reading;
        stream_->Read(&response_, tag());
    }

    /// Nobody waits for it any more. It ends itself.
    void abandon()
    {
        user_ = nullptr;
        context_.TryCancel();
        if (at_ == state::resting) {
            delete this;
        }
    }

    void ended(bool ok) override
    {
        const bool is_over = at_ == state::finishing;
        at_ = state::resting;
        if (user_ == nullptr) {
            delete this;
        } else if (is_over) {
            const std::unique_ptr<watch_stream> self(this);
            user_->on_end(status_);
        } else if (!ok) {
            at_ = state::finishing;
            stream_->Finish(&status_, tag());
        } else if (opened_ && written_) {
            user_->on_response(response_);
        } else if (opened_) {
            written_ = true;
            read();
        } else {
            opened_ = true;
            at_ = state::writing;
            stream_->Write(request_, tag());
        }
    }

  private:
    enum class state { opening, writing, reading, resting, finishing };

    watch_stream(std::shared_ptr<const service_stubs> stubs, wire::WatchRequest request, stream_user &user)
        : stubs_(std::move(stubs)), request_(std::move(request)), user_(&user)
    {
    }
    ~watch_stream() = default;
    friend std::default_delete<watch_stream>;

    void *tag() noexcept { return static_cast<rpc_thread::step *>(this); }

    std::shared_ptr<const service_stubs> stubs_; ///< the stream is of one of them
    grpc::ClientContext context_;
    wire::WatchRequest request_;
    wire::WatchResponse response_;
    grpc::Status status_;
    std::unique_ptr<grpc::ClientAsyncReaderWriter<wire::WatchRequest, wire::WatchResponse>> stream_;
    stream_user *user_; ///< null once it is abandoned
    state at_ = state::opening;
    bool opened_ = false;
    bool written_ = false;
};


struct abandoner {
    void operator()(watch_stream *of) const { of->abandon(); }
};

} // namespace


class watch::implementation final : public stream_user, public std::enable_shared_from_this<implementation> {
  public:
    implementation(rpc_thread &thread, clock &time, std::shared_ptr<const access> to, watched_range range,
                   watcher &told)
        : thread_(thread), time_(time), range_(std::move(range)), told_(told), access_(to),
          connection_(std::in_place, thread, time, std::move(to), [this] { on_settled(); })
    {
    }

    void start() { connection_->want(); }

    void close()
    {
        closed_ = true;
        quiet_.reset();
        stream_.reset();
        connection_.reset();
    }

    void applied(std::int64_t revision)
    {
        range_.applied = std::max(range_.applied, revision);
        if (closed_ || range_.applied < awaited_) {
            return;
        }
        awaited_ = 0;
        if (stream_ && rests_) {
            go_on();
        } else if (!stream_) {
            open_or_want();
        }
    }

    std::int64_t applied() const noexcept { return range_.applied; }
    bool is_live() const noexcept { return stream_ && created_; }

  private:
    void on_settled()
    {
        if (connection_->current() != nullptr) {
            open_or_want();
        } else if (trouble(connection_->trouble())) {
            connection_->want();
        }
    }

    /// Not while the owner has yet to say how far it is: the stream would begin too early.
    void open_or_want()
    {
        if (awaited_ != 0 || closed_) {
            return;
        }
        const auto *member = connection_->current();
        if (member == nullptr) {
            connection_->want();
            return;
        }
        number_ = member->number;
        url_ = member->url;
        created_ = false;
        pending_.clear();
        wire::WatchRequest request;
        auto &create = *request.mutable_create_request();
        create.set_key(range_.key);
        create.set_range_end(range_.range_end);
        create.set_start_revision(range_.applied + 1);
        create.set_fragment(true);
        rests_ = false;
        stream_.reset(watch_stream::open(thread_, *member, std::move(request), *this));
        await_event();
    }

    void await_event()
    {
        if (range_.silence.count() > 0) {
            quiet_ = time_.after(range_.silence, [this] { on_silence(); });
        }
    }

    void go_on()
    {
        rests_ = false;
        if (!quiet_) {
            await_event();
        }
        stream_->read();
    }

    void on_response(const wire::WatchResponse &response) override
    {
        rests_ = true;
        if (response.canceled()) {
            on_canceled(response);
            return;
        }
        if (response.created()) {
            created_ = true;
            connection_->on_success(number_);
        }
        for (const auto &event : response.events()) {
            if (event.kv().mod_revision() > range_.applied) {
                pending_.push_back(from_wire(event));
            }
        }
        auto whole = take_whole(response.fragment());
        if (whole.empty()) {
            go_on();
            return;
        }
        quiet_.reset();
        awaited_ = whole.back().entry.mod_revision;
        told_.on_events(std::move(whole));
    }

    /// A fragment may end inside of a revision, whose other events come with the next one.
    std::vector<watch_event> take_whole(bool more_follows)
    {
        auto end = pending_.end();
        if (more_follows && !pending_.empty()) {
            const auto last = pending_.back().entry.mod_revision;
            end = std::ranges::find_if(pending_,
                                       [last](const watch_event &event) { return event.entry.mod_revision == last; });
        }
        std::vector<watch_event> whole(std::make_move_iterator(pending_.begin()), std::make_move_iterator(end));
        pending_.erase(pending_.begin(), end);
        return whole;
    }

    void on_canceled(const wire::WatchResponse &response)
    {
        const auto oldest = response.compact_revision();
        if (oldest > 0) {
            connection_->on_success(number_);
            close();
            told_.on_compacted(oldest);
            return;
        }
        // As a status: etcd has no other word for it.
        constexpr int unknown = 2;
        const verdict of =
            judge(unknown, response.cancel_reason(), {url_, connection_->user(), range_.silence, false});
        // To a watch, a token that is not valid any more is "permission denied".
        broken(of.why, of.token_fails || of.why.because == failure::cause::denied);
    }

    void on_end(const grpc::Status &status) override
    {
        static_cast<void>(stream_.release()); // it deletes itself
        const verdict of =
            judge(status.error_code(), status.ok() ? "the member has ended the stream" : status.error_message(),
                  {url_, connection_->user(), range_.silence, false});
        broken(of.why, of.token_fails);
    }

    void on_silence()
    {
        quiet_.reset();
        stream_.reset();
        const failure why{failure::kind::unavailable, failure::cause::timed_out,
                          "etcd at " + url_ + " has told of no change for " + format_duration(range_.silence) +
                              ", though there is one every few seconds while a rolloutd leads"};
        access_->count(why.because);
        connection_->leave(number_, why.sentence);
        if (trouble(why)) {
            open_or_want();
        }
    }

    void broken(const failure &why, bool token_fails)
    {
        access_->count(why.because);
        quiet_.reset();
        stream_.reset();
        if (token_fails && !connection_->user().empty()) {
            connection_->on_token_refused(number_);
        } else {
            connection_->on_failure(number_, why);
        }
        if (trouble(why)) {
            open_or_want();
        }
    }

    /// Returns whether the watch is still there.
    bool trouble(const failure &why)
    {
        const auto alive = shared_from_this();
        told_.on_trouble(failure(why));
        return !closed_;
    }

    rpc_thread &thread_;
    clock &time_;
    watched_range range_;
    watcher &told_;
    std::shared_ptr<const access> access_;
    bool closed_ = false;
    std::optional<member_connection> connection_; ///< until close()
    std::unique_ptr<watch_stream, abandoner> stream_;
    std::uint64_t number_ = 0; ///< of the member that has the stream
    std::string url_;
    bool created_ = false;
    bool rests_ = false;               ///< a response has come, and the next one is not read yet
    std::int64_t awaited_ = 0;         ///< applied() is to come up to there; 0: nothing is
    std::vector<watch_event> pending_; ///< of a revision whose events are not all here
    operation_ptr quiet_;
};


watch::watch(rpc_thread &thread, clock &time, std::shared_ptr<const access> to, watched_range range, watcher &told)
    : implementation_(std::make_shared<implementation>(thread, time, std::move(to), std::move(range), told))
{
    implementation_->start();
}


watch::~watch()
{
    implementation_->close();
}


void watch::applied(std::int64_t revision)
{
    implementation_->applied(revision);
}


std::int64_t watch::applied() const noexcept
{
    return implementation_->applied();
}


bool watch::is_live() const noexcept
{
    return implementation_->is_live();
}

} // namespace rollout::etcd
