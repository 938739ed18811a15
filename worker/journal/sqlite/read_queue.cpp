#include "worker/journal/sqlite/read_queue.hpp"

#include "worker/async/thread_work.hpp"
#include "worker/base/failpoint.hpp"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <iterator>
#include <vector>

namespace rollout {

namespace {

/// How many questions one turn of a thread answers: a look-up takes microseconds, a turn longer. All of their results
/// are in memory at once.
constexpr std::size_t most_at_once = 64;

} // namespace


read_queue::read_queue(uv_loop_t *loop, const std::string &path) : loop_(loop), database_(path, SQLITE_OPEN_READONLY)
{
}


void read_queue::add(question asked)
{
    waiting_.push_back(std::move(asked));
    if (!under_way_) {
        start();
    }
}


void read_queue::start()
{
    const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), most_at_once));
    auto questions =
        std::make_shared<std::vector<question>>(std::move_iterator(waiting_.begin()), std::move_iterator(end));
    auto outcomes = std::make_shared<std::vector<outcome>>(questions->size());
    waiting_.erase(waiting_.begin(), end);
    under_way_ = run_on_thread(
        loop_,
        [this, questions, outcomes](const stop_flag &) {
            for (std::size_t i = 0; i < questions->size(); ++i) {
                try {
                    if (failpoint({"journal", "read"}, {fault::error}) != fault::none) {
                        throw sqlite_error("the journal: a test lets it fail");
                    }
                    (*questions)[i].read(database_);
                } catch (const sqlite_error &error) {
                    (*outcomes)[i] =
                        error.is_permanent() ? outcome::permanent(error.what()) : outcome::transient(error.what());
                } catch (const std::exception &error) {
                    (*outcomes)[i] = outcome::transient(error.what());
                }
            }
            return outcome::ok();
        },
        [this, questions, outcomes](const outcome &) {
            under_way_.reset();
            if (!waiting_.empty()) {
                start();
            }
            for (std::size_t i = 0; i < questions->size(); ++i) {
                (*questions)[i].done((*outcomes)[i]);
            }
        });
}

} // namespace rollout
