#include "worker/rollout/fetch_step.hpp"

#include "worker/async/combine.hpp"
#include "worker/async/completion.hpp"
#include "worker/base/format.hpp"
#include "worker/rollout/revision_work.hpp"

#include <algorithm>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto progress_interval = 1s;


/// A fetch whose progress is reported.
class watched_fetch final : public operation {
  public:
    /// Fetches copy `number` of `count`.
    watched_fetch(run_context &run, fetch_request request, std::size_t number, std::size_t count, done_fn done)
        : run_(run), number_(number), count_(count), done_(std::move(done)),
          progress_(std::make_shared<fetch_progress>())
    {
        request.progress = progress_;
        fetch_ = run.environment.fetch(std::move(request), [this](const outcome &result) {
            poll_.reset();
            done_(result);
        });
        poll_later();
    }

    void cancel() override { fetch_->cancel(); }

  private:
    void poll_later()
    {
        poll_ = run_.environment.time.after(progress_interval, [this] {
            poll();
            poll_later();
        });
    }

    void poll()
    {
        const std::uint64_t done = progress_->done_bytes;
        const std::uint64_t total = progress_->total_bytes;
        if (done == seen_) {
            return;
        }
        seen_ = done;
        const double share = total == 0 ? 0 : std::min(static_cast<double>(done) / static_cast<double>(total), 1.0);
        run_.writer.note_progress((static_cast<double>(number_) + share) / static_cast<double>(count_),
                                  format_size(done) + (total == 0 ? "" : " of " + format_size(total)));
    }

    run_context &run_;
    std::size_t number_;
    std::size_t count_;
    completion<outcome> done_;
    std::shared_ptr<fetch_progress> progress_;
    std::uint64_t seen_ = 0;
    operation_ptr fetch_;
    operation_ptr poll_;
};

} // namespace


operation_ptr fetch_source(run_context &run, const served_revision &revision, done_fn done)
{
    return on_copies(
        run, revision, std::move(done),
        [&run](backend &server, const server_model &, const served_model &copy, done_fn then) {
            const auto planned = std::ranges::find_if(
                run.plan.copies, [&copy](const auto &wanted) { return wanted.placed.parts == copy.parts; });
            if (planned == run.plan.copies.end()) {
                return ended(
                    run,
                    outcome::permanent("rolloutd's configuration assigns the parts to other backends than when the "
                                       "task began; post it again"),
                    std::move(then));
            }
            const auto &artifacts = run.environment.config.artifacts;
            fetch_request request;
            request.source = planned->source;
            request.sha256 = planned->sha256;
            request.destination = server.staging_path(copy.model);
            request.allow = artifacts.allow;
            request.max_bytes = artifacts.max_bytes;
            request.max_files = artifacts.max_files;
            request.allow_local = artifacts.allow_local;
            request.ca_file = artifacts.ca_file;
            request.server_config = planned->placed.server_config;
            const auto number = static_cast<std::size_t>(planned - run.plan.copies.begin());
            const std::size_t count = run.plan.copies.size();
            // Nothing of this revision is in the repository before the next step: a model of that name there is not
            // ours.
            return in_order(
                run.environment.time,
                {[&server, name = copy.model](done_fn part) { return server.check_vacant(name, std::move(part)); },
                 [&run, request, number, count](done_fn part) {
                     return std::make_unique<watched_fetch>(run, request, number, count, std::move(part));
                 }},
                std::move(then));
        });
}

} // namespace rollout
