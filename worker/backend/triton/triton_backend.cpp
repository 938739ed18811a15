#include "worker/backend/triton/triton_backend.hpp"

#include "worker/async/combine.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/backend/triton/await_load.hpp"
#include "worker/backend/triton/await_unload.hpp"
#include "worker/backend/triton/error_text.hpp"
#include "worker/backend/triton/kserve.hpp"
#include "worker/backend/triton/probe_models.hpp"
#include "worker/backend/triton/repository_index.hpp"
#include "worker/backend/triton/request_sequence.hpp"

#include <utility>

namespace rollout {
namespace {

/// The time for a polling server to unload a model whose files are gone.
constexpr std::chrono::seconds polled_removal{120};


/// Asks for a model's readiness, and, if it is not ready, for what the index says about it.
class readiness final : public request_sequence {
  public:
    readiness(server_access access, std::string url, std::string server, std::string model, done_fn done)
        : request_sequence(std::move(access), std::move(done)), url_(std::move(url)), server_(std::move(server)),
          model_(std::move(model))
    {
        ask(kserve::ready(url_, model_), [this](const http_answer &answer) { ready_answered(answer); });
    }

  private:
    void ready_answered(const http_answer &answer)
    {
        switch (kserve::readiness_of(answer)) {
        case kserve::readiness::ready:
            finish(outcome::ok());
            return;
        case kserve::readiness::unclear:
            finish(refusal(answer, server_, "say whether " + model_ + " is ready"));
            return;
        case kserve::readiness::not_ready:
            break;
        }
        const std::string words = error_text(answer.body);
        not_yet_ = model_ + " is not ready on " + server_ + " (HTTP " + std::to_string(answer.status) +
                   (words.empty() ? ")" : ", " + words + ")");
        ask(kserve::index(url_), [this](const http_answer &index) { index_answered(index); });
    }

    void index_answered(const http_answer &answer)
    {
        const auto entry = answer.status == 200 ? find_in_index(answer.body, model_) : std::nullopt;
        if (!entry) {
            finish(outcome::transient(not_yet_));
            return;
        }
        switch (entry->is) {
        case index_state::failed:
            finish(outcome::permanent(server_ + " could not load " + model_ + ": " + entry->reason));
            return;
        case index_state::absent:
        case index_state::unloaded:
            finish(outcome::transient(model_ + " is not loaded on " + server_ + " (has it been restarted since?)"));
            return;
        case index_state::loading:
        case index_state::unloading:
        case index_state::ready:
            finish(outcome::transient(model_ + " is " + std::string(index_state_name(entry->is)) + " on " + server_ +
                                      ", and not ready yet"));
            return;
        }
    }

    std::string url_;
    std::string server_;
    std::string model_;
    std::string not_yet_; ///< the sentence if the index adds nothing
};


class inference final : public request_sequence {
  public:
    inference(server_access access, http_request request, std::string server, std::string model, done_fn done)
        : request_sequence(std::move(access), std::move(done)), server_(std::move(server)), model_(std::move(model))
    {
        ask(std::move(request), [this](http_answer answer) { answered(std::move(answer)); });
    }

  private:
    /// Larger answers are parsed on a thread, so as not to block the loop.
    static constexpr std::size_t small_answer = 64 * 1024;

    void answered(http_answer answer)
    {
        if (answer.status != 200) {
            finish(refusal(answer, server_, "infer with " + model_));
            return;
        }
        const bool small = answer.body.size() <= small_answer;
        const auto judge = [what =
                                server_ + " answered an inference with " + model_ + " with 200 and without outputs",
                            body = std::move(answer.body)](const stop_flag &) {
            if (kserve::has_outputs(body)) {
                return outcome::ok();
            }
            const std::string words = error_text(body);
            return outcome::permanent(what + (words.empty() ? "" : ": " + words));
        };
        if (small) {
            finish(judge(stop_flag(false)));
        } else {
            on_thread(judge, [this](outcome result) { finish(std::move(result)); });
        }
    }

    std::string server_;
    std::string model_;
};


/// Returns `<repository>.staging`, whether or not the repository ends with a slash.
std::filesystem::path default_staging(std::filesystem::path repository)
{
    if (!repository.has_filename()) {
        repository = repository.parent_path();
    }
    repository += ".staging";
    return repository;
}

} // namespace


triton_backend::triton_backend(triton_settings settings, server_access access)
    : settings_(std::move(settings)), server_("server " + settings_.name),
      repository_(settings_.repository,
                  settings_.staging.empty() ? default_staging(settings_.repository) : settings_.staging),
      access_(std::move(access))
{
    while (settings_.url.ends_with('/')) {
        settings_.url.pop_back();
    }
}


std::filesystem::path triton_backend::staging_path(const std::string &model) const
{
    return repository_.staged(model);
}


operation_ptr triton_backend::check_vacant(const std::string &model, done_fn done)
{
    return access_.run_on_thread([model, in = repository_](const stop_flag &) { return in.check_vacant(model); },
                                 std::move(done));
}


operation_ptr triton_backend::stage(const server_model &model, done_fn done)
{
    return access_.run_on_thread(
        [name = model.name, in = repository_](const stop_flag &stop) { return in.stage(name, stop); },
        std::move(done));
}


operation_ptr triton_backend::load(const server_model &model, const json_t *config, std::chrono::milliseconds timeout,
                                   done_fn done)
{
    if (settings_.polls) {
        const auto put_in = [name = model.name, in = repository_](const stop_flag &) { return in.put_back(name); };
        return await_load(access_, {{settings_.url, server_, model.name, timeout, tell_of_no_index()}, put_in},
                          std::move(done));
    }
    return access_.http.send(
        kserve::load(settings_.url, model.name, config, timeout),
        [server = server_, name = model.name, done = std::move(done)](const http_answer &answer) {
            done(kserve::is_done(answer) ? outcome::ok() : repository_refusal(answer, server, "load " + name, name));
        });
}


operation_ptr triton_backend::ready(const server_model &model, done_fn done)
{
    return std::make_unique<readiness>(access_, settings_.url, server_, model.name, std::move(done));
}


operation_ptr triton_backend::probe_models(const std::vector<server_model> &models, probed_fn done)
{
    std::vector<std::string> names;
    names.reserve(models.size());
    for (const auto &model : models) {
        names.push_back(model.name);
    }
    return rollout::probe_models(access_, {settings_.url, server_, std::move(names), tell_of_no_index()},
                                 std::move(done));
}


operation_ptr triton_backend::infer(const server_model &model, const json_t *request,
                                    std::chrono::milliseconds timeout, done_fn done)
{
    return std::make_unique<inference>(access_, kserve::infer(settings_.url, model.name, request, timeout), server_,
                                       model.name, std::move(done));
}


operation_ptr triton_backend::unload(const server_model &model, std::chrono::milliseconds timeout, done_fn done)
{
    unload_request request = {{settings_.url, server_, model.name, timeout, tell_of_no_index()}, nullptr};
    if (settings_.polls) {
        request.withdraw = [name = model.name, in = repository_](const stop_flag &) { return in.withdraw(name); };
    }
    return await_unload(access_, request, std::move(done));
}


operation_ptr triton_backend::remove(const server_model &model, done_fn done)
{
    const start_fn files = [this, model](done_fn then) {
        return access_.run_on_thread(
            [name = model.name, in = repository_](const stop_flag &) { return in.remove(name); }, std::move(then));
    };
    if (!settings_.polls) {
        return files(std::move(done));
    }
    // The server may have loaded the model once it was in the repository, even if nobody has waited for that yet.
    const start_fn gone = [this, model](done_fn then) { return unload(model, polled_removal, std::move(then)); };
    return in_order(access_.time, {gone, files}, std::move(done));
}


operation_ptr triton_backend::discard(const std::string &model, done_fn done)
{
    return access_.run_on_thread([model, in = repository_](const stop_flag &) { return in.discard(model); },
                                 std::move(done));
}


/// Logs it once only.
std::function<void()> triton_backend::tell_of_no_index()
{
    return [this] {
        if (!std::exchange(told_of_no_index_, true)) {
            settings_.log(server_ + " (" + settings_.url +
                          ") has no repository index: a model counts as loaded while it is ready, and as unloaded as "
                          "soon as it is not");
        }
    };
}

} // namespace rollout
