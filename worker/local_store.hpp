// Tasks in a file of this machine, which this rolloutd alone carries out.
#pragma once

#include "worker/journal/sqlite/sqlite_journal.hpp"
#include "worker/task_store.hpp"

#include <memory>
#include <string>

namespace rollout {

class local_store final : public task_store {
  public:
    local_store(uv_loop_t *loop, clock &time, std::string path, events told);

    void open() override;
    rollout::journal &journal() override { return *journal_; }
    gateway_control &control_of(gateway_server &own, std::function<void()> on_progress) override;
    void stand() override;
    void check_integrity() override;
    void set_carries_out(bool) override {} ///< there is nobody else who could
    void pass_on(steer_request wanted, answer_fn answer) override;
    void use(const settings &) override {}
    void resign(std::function<void()> done) override;
    void stop() override;
    bool busy() const override;

  private:
    uv_loop_t *loop_;
    clock &time_;
    std::string path_;
    events told_;
    std::unique_ptr<sqlite_journal> journal_;
    operation_ptr opening_;
    operation_ptr soon_;
    bool stopped_ = false;
};

} // namespace rollout
