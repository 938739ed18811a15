// A backend for Triton, in explicit or poll mode, and for every server that speaks KServe v2 with the model repository
// extension (MLServer, …). A server without a repository index is driven by the models' readiness alone, which is logged
// once.
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
    std::string name;                 ///< the backend's name in rolloutd.json, for messages and logs
    std::string url;                  ///< http://host:port
    std::filesystem::path repository; ///< the server's model repository, as mounted on this machine
    std::filesystem::path staging;    ///< on the same file system; empty: `<repository>.staging`
    bool polls = false;               ///< the server polls its repository, and refuses load and unload
    std::function<void(const std::string &)> log = [](const std::string &) {}; ///< for messages outside any task
};

class triton_backend final : public backend {
  public:
    /// The objects that `access` refers to must outlive the backend.
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
    std::string server_; ///< for messages
    model_repository repository_;
    server_access access_;
    bool told_of_no_index_ = false;
};

} // namespace rollout
