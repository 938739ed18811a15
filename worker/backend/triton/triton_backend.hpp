// Triton in explicit mode or polling, and every server that speaks KServe v2 with the model repository extension (MLServer, …). A
// server without the repository's index is driven by the models' readiness alone, and the log says so once.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/backend/backend.hpp"
#include "worker/backend/model_repository.hpp"
#include "worker/backend/triton/request_sequence.hpp"

#include <filesystem>
#include <functional>
#include <string>

namespace rollout {

struct triton_settings {
    std::string name;                 ///< the backend's name in rolloutd.json, for sentences and logs
    std::string url;                  ///< http://host:port
    std::filesystem::path repository; ///< the server's model repository, as this machine sees it
    std::filesystem::path staging;    ///< on the same file system; empty for `<repository>.staging`
    bool polls = false;               ///< the server looks at its repository by itself, and refuses load and unload
    std::function<void(const std::string &)> log = [](const std::string &) {}; ///< for what is no task's outcome
};

class triton_backend final : public backend {
  public:
    /// What `access` refers to must outlive the backend.
    triton_backend(triton_settings settings, server_access access);

    std::filesystem::path staging_path(const std::string &model) const override;
    operation_ptr check_vacant(const std::string &model, done_fn done) override;
    operation_ptr stage(const server_model &model, done_fn done) override;
    operation_ptr load(const server_model &model, const json_t *config, std::chrono::milliseconds timeout,
                       done_fn done) override;
    operation_ptr ready(const server_model &model, done_fn done) override;
    operation_ptr probe_models(const std::vector<server_model> &models, probed_fn done) override;
    operation_ptr infer(const server_model &model, const json_t *request, std::chrono::milliseconds timeout,
                        done_fn done) override;
    operation_ptr unload(const server_model &model, std::chrono::milliseconds timeout, done_fn done) override;
    operation_ptr remove(const server_model &model, done_fn done) override;
    operation_ptr discard(const std::string &model, done_fn done) override;

  private:
    std::function<void()> tell_of_no_index();

    triton_settings settings_;
    std::string server_; ///< for sentences
    model_repository repository_;
    server_access access_;
    bool told_of_no_index_ = false;
};

} // namespace rollout
