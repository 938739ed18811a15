#include "worker/journal/sqlite/committer.hpp"

#include "worker/base/failpoint.hpp"
#include "worker/os/signals.hpp"

#include <algorithm>
#include <exception>
#include <initializer_list>
#include <iterator>
#include <utility>

namespace rollout {

namespace {

/// A batch is a transaction, and what waits for it waits for all of it. Were it larger, hundreds of clients that post at once
/// would go through nginx, the loop and the disk in one body, each of which would stand still for the others.
constexpr std::size_t max_batch = 96;

} // namespace


sqlite_journal::committer::committer(uv_loop_t *loop, statements &in, checkpoints &and_then,
                                     std::function<void(const batch &)> ended)
    : in_(in), checkpoints_(and_then), on_ended_(std::move(ended)), wake_(new uv_async_t)
{
    uv_async_init(loop, wake_, [](uv_async_t *wake) { static_cast<committer *>(wake->data)->tell(); });
    wake_->data = this;
    uv_unref(reinterpret_cast<uv_handle_t *>(wake_)); // alone it keeps no loop running
    thread_ = make_thread([this](const std::stop_token &stop) { run(stop); });
}


sqlite_journal::committer::~committer()
{
    thread_.request_stop();
    thread_.join();
    uv_close(reinterpret_cast<uv_handle_t *>(wake_),
             [](uv_handle_t *handle) { delete reinterpret_cast<uv_async_t *>(handle); });
}


void sqlite_journal::committer::give(writes some)
{
    if (some.empty()) {
        return;
    }
    unended_ += some.size();
    uv_ref(reinterpret_cast<uv_handle_t *>(wake_));
    {
        const std::scoped_lock lock(mutex_);
        std::ranges::move(some, std::back_inserter(waiting_));
    }
    given_.notify_one();
}


/// On the loop's thread.
void sqlite_journal::committer::tell()
{
    std::vector<batch> ended;
    {
        const std::scoped_lock lock(mutex_);
        ended.swap(ended_);
    }
    for (const auto &one : ended) {
        unended_ -= one.of.size();
        on_ended_(one);
    }
    if (!busy()) {
        uv_unref(reinterpret_cast<uv_handle_t *>(wake_));
    }
}


void sqlite_journal::committer::run(const std::stop_token &stop)
{
    std::unique_lock lock(mutex_);
    while (given_.wait(lock, stop, [this] { return !waiting_.empty(); }) && !stop.stop_requested()) {
        batch one;
        const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), max_batch));
        one.of.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
        waiting_.erase(waiting_.begin(), end);

        lock.unlock();
        commit(one);
        const bool committed = static_cast<bool>(one.ended);
        lock.lock();
        ended_.push_back(std::move(one));
        lock.unlock();
        uv_async_send(wake_);
        if (committed) {
            checkpoints_.after_commit();
        }
        lock.lock();
    }
}


void sqlite_journal::committer::commit(batch &one) const
{
    const auto begun = std::chrono::steady_clock::now();
    const auto before = in_.revision;
    try {
        pass(one.of, "before");
        in_.begin.run();
        for (auto &change : one.of) {
            change->apply(in_);
        }
        in_.put_revision.with(in_.revision).run();
        pass(one.of, "applied");
        in_.commit.run();
        pass(one.of, "committed");
    } catch (const std::exception &error) {
        in_.database.roll_back();
        in_.revision = before;
        one.ended = outcome::transient(error.what());
    }
    one.revision = in_.revision;
    one.took = std::chrono::steady_clock::now() - begun;
}


/// The failpoints of what a batch holds; once it is committed, it cannot fail any more.
void sqlite_journal::committer::pass(const writes &some, std::string_view when)
{
    if (!has_failpoints) {
        return;
    }
    for (const auto &one : some) {
        const std::initializer_list<std::string_view> name = {"journal", one->name(), when};
        if (when == "committed") {
            failpoint(name);
        } else if (failpoint(name, {fault::error}) != fault::none) {
            throw sqlite_error("the journal: a test lets it fail");
        }
    }
}

} // namespace rollout
