#include "worker/local_store.hpp"

#include "worker/journal/sqlite/open_journal.hpp"

#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

} // namespace


local_store::local_store(uv_loop_t *loop, clock &time, std::string path, events told)
    : loop_(loop), time_(time), path_(std::move(path)), told_(std::move(told))
{
}


void local_store::open()
{
    opening_ = open_journal(loop_, path_, told_.at_work,
                            [this](const outcome &result, std::unique_ptr<sqlite_journal> journal) {
                                opening_.reset();
                                journal_ = std::move(journal);
                                if (!stopped_) {
                                    result ? told_.on_open() : told_.on_refused(result);
                                }
                            });
}


gateway_control &local_store::control_of(gateway_server &own, std::function<void()> on_progress)
{
    own.on_gateway_progress = std::move(on_progress);
    return own;
}


void local_store::stand()
{
    soon_ = time_.after(0ms, told_.on_elected);
}


void local_store::check_integrity()
{
    journal_->check_integrity(told_.on_damaged);
}


/// Nobody else could carry it out: the engine says why it does not.
void local_store::pass_on(steer_request wanted, answer_fn answer)
{
    told_.on_steer(std::move(wanted), std::move(answer));
}


void local_store::resign(std::function<void()> done)
{
    soon_ = time_.after(0ms, std::move(done));
}


void local_store::stop()
{
    stopped_ = true;
    soon_.reset();
    if (opening_) {
        opening_->cancel();
    }
    if (journal_) {
        journal_->stop_integrity_check();
    }
}


bool local_store::busy() const
{
    return opening_ || (journal_ && journal_->busy());
}

} // namespace rollout
