#include "worker/backend/failing_backend.hpp"

#ifdef ROLLOUT_FAILPOINTS

#include "worker/async/compound_operation.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/base/failpoint.hpp"

#include <utility>

namespace rollout {
namespace {

class failing_backend final : public backend {
  public:
    failing_backend(uv_loop_t *loop, std::shared_ptr<backend> of) : loop_(loop), of_(std::move(of)) {}

    std::filesystem::path staging_path(const std::string &model) const override { return of_->staging_path(model); }

    operation_ptr check_vacant(const std::string &model, done_fn done) override
    {
        return pass(
            "check_vacant", [&](done_fn then) { return of_->check_vacant(model, std::move(then)); }, std::move(done));
    }

    operation_ptr stage(const server_model &model, done_fn done) override
    {
        return pass(
            "stage", [&](done_fn then) { return of_->stage(model, std::move(then)); }, std::move(done));
    }

    operation_ptr load(const server_model &model, const json_t *config, std::chrono::milliseconds timeout,
                       done_fn done) override
    {
        return pass(
            "load", [&](done_fn then) { return of_->load(model, config, timeout, std::move(then)); },
            std::move(done));
    }

    operation_ptr ready(const server_model &model, done_fn done) override
    {
        return pass(
            "ready", [&](done_fn then) { return of_->ready(model, std::move(then)); }, std::move(done));
    }

    /// Not one of a task's calls: it runs at times that no task decides.
    operation_ptr probe_models(const std::vector<server_model> &models, probed_fn done) override
    {
        return of_->probe_models(models, std::move(done));
    }

    operation_ptr infer(const server_model &model, const json_t *request, std::chrono::milliseconds timeout,
                        done_fn done) override
    {
        return pass(
            "infer", [&](done_fn then) { return of_->infer(model, request, timeout, std::move(then)); },
            std::move(done));
    }

    operation_ptr unload(const server_model &model, std::chrono::milliseconds timeout, done_fn done) override
    {
        return pass(
            "unload", [&](done_fn then) { return of_->unload(model, timeout, std::move(then)); }, std::move(done));
    }

    operation_ptr remove(const server_model &model, done_fn done) override
    {
        return pass(
            "remove", [&](done_fn then) { return of_->remove(model, std::move(then)); }, std::move(done));
    }

    operation_ptr discard(const std::string &model, done_fn done) override
    {
        return pass(
            "discard", [&](done_fn then) { return of_->discard(model, std::move(then)); }, std::move(done));
    }

    std::vector<std::string> servers() const override { return of_->servers(); }

    backend *server(const std::string &peer) override
    {
        return peer.empty() && of_->servers().empty() ? this : of_->server(peer);
    }

    std::optional<standing> standing_of(const std::string &model) const override { return of_->standing_of(model); }
    std::vector<std::string> owing(const std::string &model) const override { return of_->owing(model); }
    operation_ptr supply(const std::string &peer, const server_model &model, done_fn done) override
    {
        return of_->supply(peer, model, std::move(done));
    }

    std::string progress_of(const std::string &model) const override { return of_->progress_of(model); }

  private:
    static outcome outcome_of(const char *call, fault of)
    {
        const std::string sentence = std::string("a test lets ") + call + " fail";
        return of == fault::permanent ? outcome::permanent(sentence) : outcome::transient(sentence);
    }

    operation_ptr pass(const char *call, const start_fn &work, done_fn done)
    {
        if (const auto of = failpoint({"backend", call, "before"}, {fault::transient, fault::permanent});
            of != fault::none) {
            return run_on_thread(
                loop_, [call, of](const stop_flag &) { return outcome_of(call, of); }, std::move(done));
        }
        return work([call, done = std::move(done)](const outcome &result) {
            const auto of = failpoint({"backend", call, "after"}, {fault::transient});
            done(of == fault::none ? result : outcome_of(call, of));
        });
    }

    uv_loop_t *loop_;
    std::shared_ptr<backend> of_;
};

} // namespace


std::shared_ptr<backend> with_failpoints(uv_loop_t *loop, std::shared_ptr<backend> of)
{
    return std::make_shared<failing_backend>(loop, std::move(of));
}

} // namespace rollout

#endif
