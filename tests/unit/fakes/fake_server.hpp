// An inference server and its repository in memory, and the fetch that fills its staging folder. It notes whatever is asked of
// it that rolloutd must never ask.
#pragma once

#include "tests/unit/fakes/fake_gateways.hpp"
#include "worker/artifact/fetch_request.hpp"
#include "worker/backend/backend.hpp"

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

/// What stays when rolloutd dies.
struct server_memory {
    std::set<std::string> staged;
    std::set<std::string> repository;
    std::set<std::string> loaded;
    std::vector<std::string> violations;

    /// By "load 123__r2", or by "load" for every model: what the next attempts come to. The last one stands for all after it
    /// where it is permanent; otherwise all is well afterwards.
    std::map<std::string, std::deque<rollout::outcome>> answers;
    std::set<std::string> held;               ///< calls that do not end by themselves
    std::map<std::string, std::string> loads; ///< the configuration that came with a model's load

    bool silent = false; ///< to a survey
    rollout::model_status::kind not_loaded =
        rollout::model_status::kind::lost; ///< what a survey finds of a model that is not

    std::vector<std::string> hook_bodies; ///< what hooks were given

    void fail(const std::string &call, const rollout::outcome &how, unsigned times = 1);

    void mend(const std::string &call);
};

class fake_server final : public rollout::backend {
  public:
    fake_server(server_memory &memory, const gateway_memory &gateway, fake_clock &time,
                std::vector<std::string> &story)
        : memory_(memory), gateway_(gateway), time_(time), story_(story)
    {
    }

    std::filesystem::path staging_path(const std::string &model) const override;

    rollout::operation_ptr fetch(const rollout::fetch_request &request, rollout::done_fn done);

    /// A hook, which is no server's: its story and its failures are those of a call "hook before_stage".
    rollout::operation_ptr hook(const std::string &name, const std::string &body, rollout::done_fn done);

    rollout::operation_ptr check_vacant(const std::string &model, rollout::done_fn done) override;

    rollout::operation_ptr stage(const rollout::server_model &which, rollout::done_fn done) override;

    rollout::operation_ptr load(const rollout::server_model &which, const json_t *config, std::chrono::milliseconds,
                                rollout::done_fn done) override;

    rollout::operation_ptr ready(const rollout::server_model &which, rollout::done_fn done) override;

    rollout::operation_ptr probe_models(const std::vector<rollout::server_model> &models,
                                        rollout::probed_fn done) override;

    rollout::operation_ptr infer(const rollout::server_model &which, const json_t *, std::chrono::milliseconds,
                                 rollout::done_fn done) override;

    rollout::operation_ptr unload(const rollout::server_model &which, std::chrono::milliseconds,
                                  rollout::done_fn done) override;

    rollout::operation_ptr remove(const rollout::server_model &which, rollout::done_fn done) override;

    rollout::operation_ptr discard(const std::string &model, rollout::done_fn done) override;

  private:
    static std::string list_of(const std::vector<rollout::server_model> &models);

    void violation(const std::string &words);

    rollout::operation_ptr work(const std::string &call, const std::string &model, rollout::done_fn done,
                                fake_work::effect_fn effect);

    server_memory &memory_;
    const gateway_memory &gateway_;
    fake_clock &time_;
    std::vector<std::string> &story_;
};
