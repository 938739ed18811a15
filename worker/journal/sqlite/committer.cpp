#include "worker/journal/sqlite/committer.hpp"

#include "worker/base/failpoint.hpp"
#include "worker/os/signals.hpp"

#include <algorithm>
#include <exception>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace rollout {

namespace {

/// A batch is a transaction, and everything that waits for it waits for all of it. If it were larger, hundreds of
/// clients that post at once would pass through nginx, the loop and the disk as one block, and each of these would
/// idle while another works.
constexpr std::size_t max_batch = 96;

/// This many writes do not wait for the end of the loop's turn, which may read posts for milliseconds while the disk
/// is idle.
constexpr std::size_t worth_a_sync = 16;

/// What only a test asks for: no other rolloutd writes to the file.
struct lost_write : std::runtime_error {
    using std::runtime_error::runtime_error;
};

} // namespace


committer::committer(uv_loop_t *loop, sqlite_database &writer, std::uint64_t last_revision,
                     std::function<void()> after_commit, std::function<void(const commit_batch &)> ended)
    : statements_(writer, last_revision), begin_(writer, "BEGIN IMMEDIATE"),
      put_revision_(writer, "UPDATE meta SET value = ? WHERE name = 'revision'"), commit_(writer, "COMMIT"),
      after_commit_(std::move(after_commit)), on_ended_(std::move(ended)), turn_end_(loop), wake_(new uv_async_t)
{
    uv_async_init(loop, wake_, [](uv_async_t *wake) { static_cast<committer *>(wake->data)->tell(); });
    wake_->data = this;
    uv_unref(reinterpret_cast<uv_handle_t *>(wake_)); // alone, it keeps no loop running
    thread_ = make_thread([this](const std::stop_token &stop) { run(stop); });
}


committer::~committer()
{
    thread_.request_stop();
    thread_.join();
    uv_close(reinterpret_cast<uv_handle_t *>(wake_),
             [](uv_handle_t *handle) { delete reinterpret_cast<uv_async_t *>(handle); });
}


void committer::add(write_ptr write)
{
    gathered_.push_back(std::move(write));
    if (gathered_.size() >= worth_a_sync && unended_ == 0) {
        give();
    } else if (gathered_.size() == 1) {
        turn_end_.start(std::chrono::milliseconds(0), [this] { give(); });
    }
}


void committer::give()
{
    turn_end_.stop();
    if (gathered_.empty()) {
        return;
    }
    unended_ += gathered_.size();
    uv_ref(reinterpret_cast<uv_handle_t *>(wake_));
    bool is_enough = false;
    {
        const std::scoped_lock lock(mutex_);
        std::ranges::move(gathered_, std::back_inserter(waiting_));
        is_enough = waiting_.size() >= wanted_;
    }
    gathered_.clear();
    if (is_enough) {
        given_.notify_one();
    }
}


/// Runs on the loop's thread.
void committer::tell()
{
    std::vector<commit_batch> ended;
    {
        const std::scoped_lock lock(mutex_);
        ended.swap(ended_);
    }
    for (const auto &batch : ended) {
        unended_ -= batch.writes.size();
        on_ended_(batch);
    }
    if (unended_ == 0) {
        uv_unref(reinterpret_cast<uv_handle_t *>(wake_));
    }
}


/// Returns false at the end.
bool committer::wait_for_batch(std::unique_lock<std::mutex> &lock, const std::stop_token &stop)
{
    const auto is_enough = [this] { return waiting_.size() >= wanted_; };
    wanted_ = 1;
    given_.wait(lock, stop, is_enough);
    if (waiting_.size() < gathering_.wanted()) {
        wanted_ = gathering_.wanted();
        given_.wait_for(lock, stop, gathering_.longest_wait(), is_enough);
        wanted_ = 1;
    }
    return !stop.stop_requested();
}


void committer::run(const std::stop_token &stop)
{
    std::unique_lock lock(mutex_);
    while (wait_for_batch(lock, stop)) {
        commit_batch batch;
        const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), max_batch));
        batch.writes.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
        waiting_.erase(waiting_.begin(), end);

        lock.unlock();
        commit(batch);
        gathering_.note(batch.writes.size(), batch.took);
        const bool committed = static_cast<bool>(batch.ended);
        lock.lock();
        ended_.push_back(std::move(batch));
        lock.unlock();
        uv_async_send(wake_);
        if (committed) {
            after_commit_();
        }
        lock.lock();
    }
}


void committer::commit(commit_batch &batch)
{
    const auto begun = std::chrono::steady_clock::now();
    const auto before = statements_.revision;
    try {
        pass(batch.writes, "before");
        begin_.run();
        for (auto &write : batch.writes) {
            write->apply(statements_);
        }
        put_revision_.with(statements_.revision).run();
        pass(batch.writes, "applied");
        commit_.run();
        pass(batch.writes, "committed");
    } catch (const std::exception &error) {
        statements_.database.roll_back();
        statements_.revision = before;
        const bool is_lost = dynamic_cast<const lost_write *>(&error) != nullptr;
        const auto *of_file = dynamic_cast<const sqlite_error *>(&error);
        batch.is_damaged = of_file != nullptr && of_file->is_permanent();
        batch.ended = is_lost ? outcome::lost(error.what()) : outcome::transient(error.what());
    }
    batch.revision = statements_.revision;
    batch.took = std::chrono::steady_clock::now() - begun;
}


/// Passes the failpoints of a batch's writes; once the batch is committed, it cannot fail any more.
void committer::pass(const std::vector<write_ptr> &writes, std::string_view when)
{
    if (!has_failpoints) {
        return;
    }
    for (const auto &write : writes) {
        const std::initializer_list<std::string_view> name = {"journal", write->name(), when};
        if (when == "committed") {
            failpoint(name);
            continue;
        }
        switch (failpoint(name, {fault::error, fault::lost})) {
        case fault::lost:
            throw lost_write("a test lets another rolloutd lead");
        case fault::error:
            throw sqlite_error("the journal: a test lets it fail");
        default:
            break;
        }
    }
}

} // namespace rollout
