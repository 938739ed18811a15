#include "worker/journal/sqlite/open_journal.hpp"

#include "worker/async/thread_work.hpp"
#include "worker/base/permanent_start_error.hpp"

#include <exception>
#include <utility>

namespace rollout {

namespace {

/// Calls `open`, and says how it ended.
outcome outcome_of(const std::function<void()> &open)
{
    try {
        open();
        return outcome::ok();
    } catch (const permanent_start_error &error) {
        return outcome::permanent(error.what());
    } catch (const sqlite_error &error) {
        return error.is_permanent() ? outcome::permanent(error.what()) : outcome::transient(error.what());
    } catch (const std::exception &error) {
        return outcome::transient(error.what());
    }
}

} // namespace


operation_ptr open_journal(uv_loop_t *loop, const std::string &path, std::function<void()> at_work, opened_fn done)
{
    auto opened = std::make_shared<std::unique_ptr<sqlite_journal::opened_file>>();
    return run_on_thread(
        loop,
        [path, opened, at_work = std::move(at_work)](const stop_flag &stop) {
            const auto goes_on = [&stop, &at_work] {
                at_work();
                return !stop;
            };
            const auto result =
                outcome_of([&] { *opened = std::make_unique<sqlite_journal::opened_file>(path, goes_on); });
            return stop ? outcome::canceled() : result;
        },
        [loop, path, opened, done = std::move(done)](const outcome &ended) {
            std::unique_ptr<sqlite_journal> journal;
            const auto result = !ended ? ended : outcome_of([&] {
                journal = std::make_unique<sqlite_journal>(loop, path, std::move(*opened));
            });
            done(result, std::move(journal));
        });
}

} // namespace rollout
