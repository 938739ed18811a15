// Triton in explicit mode, and every server that speaks KServe v2 with the model repository extension (MLServer, …). A
// server without the repository's index is driven by the models' readiness alone, and the log says so once.
#pragma once

#include "worker/backend/backend.hpp"
#include "worker/http_client.hpp"

#include <filesystem>
#include <string>

namespace rollout {

struct triton_settings {
    std::string name;                 ///< the backend's name in rolloutd.json, for sentences and logs
    std::string url;                  ///< http://host:port, without a slash at the end
    std::filesystem::path repository; ///< the server's model repository, as this machine sees it
    std::filesystem::path staging;    ///< on the same file system; by default `<repository>.staging`
};

class triton_backend final : public backend {
  public:
    /// `http` and its loop must outlive the backend.
    triton_backend(triton_settings settings, http_client &http);

    std::filesystem::path staging_path(const std::string &model) const override;
    operation_ptr check_vacant(const std::string &model, done_fn done) override;
    operation_ptr stage(const std::string &model, done_fn done) override;
    operation_ptr load(const std::string &model, const json_t *config, std::chrono::milliseconds timeout,
                       done_fn done) override;
    operation_ptr ready(const std::string &model, done_fn done) override;
    operation_ptr infer(const std::string &model, const json_t *request, std::chrono::milliseconds timeout,
                        done_fn done) override;
    operation_ptr unload(const std::string &model, std::chrono::milliseconds timeout, done_fn done) override;
    operation_ptr remove(const std::string &model, done_fn done) override;

  private:
    triton_settings settings_;
    http_client &http_;
};

} // namespace rollout
