#include "worker/backend/command/command_backend.hpp"

#include "worker/async/combine.hpp"
#include "worker/async/completion.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/os/subprocess.hpp"

#include <utility>

namespace rollout {
namespace {

/// Exit status of `ready`: not ready yet, which is not a failure.
constexpr int exit_not_yet = 1;


using ended_fn = std::function<void(const command_end &)>;

/// Runs the program for one model after the other.
class asking_each final : public operation {
  public:
    using ask_fn = std::function<operation_ptr(const server_model &model, ended_fn)>;

    asking_each(std::vector<server_model> models, ask_fn ask, probed_fn done)
        : models_(std::move(models)), ask_(std::move(ask)), done_(std::move(done)), found_(models_.size())
    {
        ask_next();
    }

    void cancel() override
    {
        canceled_ = true;
        run_->cancel();
    }

  private:
    void ask_next()
    {
        run_ = ask_(models_[next_], [this](const command_end &ended) {
            model_status &status = found_[next_];
            status.words = ended.words.empty() ? ended.error : ended.words;
            if (ended.status == 0) {
                status = {model_status::kind::loaded, {}};
            } else if (ended.status == exit_not_yet && !ended.canceled) {
                status.is = model_status::kind::not_ready;
            }
            if (++next_ < models_.size() && !canceled_) {
                ask_next();
            } else {
                done_(std::move(found_));
            }
        });
    }

    const std::vector<server_model> models_;
    const ask_fn ask_;
    completion<std::vector<model_status>> done_;
    std::vector<model_status> found_;
    std::size_t next_ = 0;
    operation_ptr run_;
    bool canceled_ = false;
};

} // namespace


command_backend::command_backend(uv_loop_t *loop, clock &time, command_settings settings)
    : loop_(loop), time_(time), settings_(std::move(settings)), files_(settings_.repository, settings_.staging)
{
}


std::filesystem::path command_backend::staging_path(const std::string &model) const
{
    return files_.staged(model);
}


operation_ptr command_backend::check_vacant(const std::string &model, done_fn done)
{
    const bool has_repository = !settings_.repository.empty();
    return run_on_thread(
        loop_,
        [model, in = files_, has_repository](const stop_flag &) {
            return has_repository ? in.check_vacant(model) : outcome::ok();
        },
        std::move(done));
}


operation_ptr command_backend::stage(const server_model &model, done_fn done)
{
    const start_fn program = [this, model](done_fn then) { return run("stage", model, nullptr, std::move(then)); };
    if (settings_.repository.empty()) {
        return program(std::move(done));
    }
    const start_fn files = [this, model](done_fn then) {
        return run_on_thread(
            loop_, [name = model.name, in = files_](const stop_flag &stop) { return in.stage(name, stop); },
            std::move(then));
    };
    return in_order(time_, {files, program}, std::move(done));
}


operation_ptr command_backend::load(const server_model &model, const json_t *config, std::chrono::milliseconds,
                                    done_fn done)
{
    return run("load", model, config, std::move(done));
}


operation_ptr command_backend::ready(const server_model &model, done_fn done)
{
    return run("ready", model, nullptr, std::move(done));
}


operation_ptr command_backend::probe_models(const std::vector<server_model> &models, probed_fn done)
{
    const auto ask = [this](const server_model &model, ended_fn then) {
        return start("ready", model, nullptr, std::move(then));
    };
    return std::make_unique<asking_each>(models, ask, std::move(done));
}


operation_ptr command_backend::infer(const server_model &, const json_t *, std::chrono::milliseconds, done_fn done)
{
    return run_on_thread(
        loop_,
        [name = settings_.name](const stop_flag &) {
            return outcome::permanent("backend " + name + " runs a command, which cannot be asked for an inference");
        },
        std::move(done));
}


operation_ptr command_backend::unload(const server_model &model, std::chrono::milliseconds, done_fn done)
{
    return run("unload", model, nullptr, std::move(done));
}


operation_ptr command_backend::remove(const server_model &model, done_fn done)
{
    const start_fn program = [this, model](done_fn then) { return run("remove", model, nullptr, std::move(then)); };
    const bool has_repository = !settings_.repository.empty();
    const start_fn files = [this, model, has_repository](done_fn then) {
        return run_on_thread(
            loop_,
            [name = model.name, in = files_, has_repository](const stop_flag &) {
                return has_repository ? in.remove(name) : in.discard(name);
            },
            std::move(then));
    };
    return in_order(time_, {program, files}, std::move(done));
}


operation_ptr command_backend::discard(const std::string &model, done_fn done)
{
    return run_on_thread(
        loop_, [model, in = files_](const stop_flag &) { return in.discard(model); }, std::move(done));
}


operation_ptr command_backend::run(const std::string &operation_name, const server_model &model, const json_t *config,
                                   done_fn done)
{
    return start(operation_name, model, config,
                 [operation_name, name = model.name, program = settings_.command.front(),
                  on_server = settings_.server.empty() ? "" : " on server " + settings_.server,
                  done = std::move(done)](const command_end &ended) {
                     if (operation_name == "ready" && ended.status == exit_not_yet && !ended.canceled) {
                         done(outcome::transient(name + " is not ready" + on_server +
                                                 (ended.words.empty() ? "" : ": " + ended.words)));
                         return;
                     }
                     done(outcome_of(ended, operation_name + " " + name + on_server + " by " + program));
                 });
}


operation_ptr command_backend::start(const std::string &operation_name, const server_model &model,
                                     const json_t *config, std::function<void(const command_end &)> done)
{
    const std::string &name = model.name;
    const json_ptr question = json_make_object();
    json_put(question.get(), "operation", operation_name);
    json_put(question.get(), "backend", settings_.name);
    if (!settings_.server.empty()) {
        json_put(question.get(), "server", settings_.server);
        json_put(question.get(), "url", settings_.server_url);
    }
    json_put(question.get(), "model", name);
    json_put(question.get(), "model_id", model.model_id);
    json_put(question.get(), "revision", json_make_number(model.revision));
    if (!model.parts.empty()) {
        json_put(question.get(), "parts", json_make_array(model.parts));
    }
    json_put(question.get(), "path",
             (settings_.repository.empty() ? files_.staged(name) : files_.in_place(name)).native());
    if (config != nullptr) {
        json_put(question.get(), "config", json_made(json_deep_copy(config)));
    }
    command_request request;
    request.command = settings_.command;
    request.input = json_compact(question.get()) + '\n';
    request.timeout = settings_.timeout;
    return run_command(loop_, std::move(request), std::move(done));
}

} // namespace rollout
