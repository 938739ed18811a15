// A backend for any server: for each operation rolloutd runs a program provided by the operator, which gets a JSON object
// on its standard input and answers by its exit status (0: ok; 75: try again later; for `ready`, 1: not yet; anything
// else: failed).
#pragma once

#include "worker/async/clock.hpp"
#include "worker/backend/backend.hpp"
#include "worker/backend/model_repository.hpp"
#include "worker/os/subprocess.hpp"

#include <uv.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

struct command_settings {
    std::string name;                 ///< the backend's name in rolloutd.json, for messages and for the program
    std::vector<std::string> command; ///< the program, an absolute path, and its arguments
    std::chrono::milliseconds timeout{600000}; ///< for one run; the callers' timeouts are for servers
    std::filesystem::path staging;             ///< the folder that files are fetched into
    std::filesystem::path
        repository; ///< empty: no repository, and the files stay in the staging folder until they are removed
    std::string server = {};     ///< the peer of the server that this is for, if the backend has several
    std::string server_url = {}; ///< its URL
};

/// With a repository, `stage` renames the prepared files into it before running the program, and `remove` takes them out
/// of it after running the program. Without one, the program finds the files where they were fetched to.
class command_backend final : public backend {
  public:
    /// The loop and its clock must outlive the backend and its operations.
    command_backend(uv_loop_t *loop, clock &time, command_settings settings);

    std::filesystem::path staging_path(const std::string &model) const override;
    operation_ptr check_vacant(const std::string &model, done_fn done) override;
    operation_ptr stage(const server_model &model, done_fn done) override;
    operation_ptr load(const server_model &model, const json_t *config, std::chrono::milliseconds timeout,
                       done_fn done) override;
    operation_ptr ready(const server_model &model, done_fn done) override;

    /// Runs `ready` for one model after the other.
    operation_ptr probe_models(const std::vector<server_model> &models, probed_fn done) override;

    /// Fails permanently: a program is not an inference server. Plans with a smoke test are refused before they get here.
    operation_ptr infer(const server_model &model, const json_t *request, std::chrono::milliseconds timeout,
                        done_fn done) override;
    operation_ptr unload(const server_model &model, std::chrono::milliseconds timeout, done_fn done) override;
    operation_ptr remove(const server_model &model, done_fn done) override;
    operation_ptr discard(const std::string &model, done_fn done) override;

  private:
    operation_ptr run(const std::string &operation_name, const server_model &model, const json_t *config,
                      done_fn done);
    operation_ptr start(const std::string &operation_name, const server_model &model, const json_t *config,
                        std::function<void(const command_end &)> done);

    uv_loop_t *loop_;
    clock &time_;
    command_settings settings_;
    model_repository files_;
};

} // namespace rollout
