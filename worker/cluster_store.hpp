// Tasks in etcd, which several rolloutd share: one of them leads and carries them out.
#pragma once

#include "worker/etcd/access.hpp"
#include "worker/etcd/client.hpp"
#include "worker/etcd/rpc_thread.hpp"
#include "worker/etcd/upkeep_watch.hpp"
#include "worker/fleet/fleet_control.hpp"
#include "worker/fleet/fleet_view.hpp"
#include "worker/fleet/gateway_reporter.hpp"
#include "worker/journal/etcd/etcd_journal.hpp"
#include "worker/leadership/etcd/change_watch.hpp"
#include "worker/leadership/etcd/config_comparison.hpp"
#include "worker/leadership/etcd/etcd_leadership.hpp"
#include "worker/leadership/etcd/word_receiver.hpp"
#include "worker/leadership/etcd/word_sender.hpp"
#include "worker/remote_verb.hpp"
#include "worker/task_store.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// Returns how the cluster's etcd is reached.
etcd::access_settings access_of(const cluster_settings &from);

class cluster_store final : public task_store {
  public:
    /// Returns why the cluster cannot be used that way, with pointers into the configuration. Asks nobody.
    static std::vector<json_fault> check(const cluster_settings &wanted);

    /// Returns what is wrong with the files of its certificates now, in the same form.
    static std::vector<json_fault> check_files(const cluster_settings &wanted);

    /// Throws std::runtime_error if the cluster cannot be used that way.
    cluster_store(uv_loop_t *loop, clock &time, const settings &config, events told);

    void open() override;
    bool was_replaced() const override { return was_replaced_; }
    rollout::journal &journal() override { return *journal_; }
    gateway_control &control_of(gateway_server &own, std::function<void()> on_progress) override;
    void stand() override;
    void check_integrity() override {} ///< of a replica: what is damaged is read from etcd anew
    void set_carries_out(bool carries_out) override;
    void pass_on(steer_request wanted, answer_fn answer) override;
    std::optional<rolloutd_metrics::cluster> cluster() const override;
    void use(const settings &from) override;
    void resign(std::function<void()> done) override;
    void stop() override;
    bool busy() const override { return is_resigning_ || (journal_ && journal_->busy()); }

  private:
    /// Of the gateways of all hosts.
    struct fleet {
        fleet(cluster_store &of, gateway_server &own);

        gateway_server &own;
        gateway_reporter reporter;
        fleet_view view;
        fleet_control control;
        std::unique_ptr<change_watch> gateways_watch; ///< while this rolloutd leads
        std::unique_ptr<change_watch> hosts_watch;    ///< the same
    };

    void await_content();
    void wait_for_content();
    void on_leadership_change();
    void lead(leader_token token);
    void on_replaced(bool is_other);
    void on_elected(leader_token token);
    void await_current(leader_token token);
    void on_deposed(const std::string &why);
    void on_verb(const std::string &text, const word_receiver::answer_word_fn &answer) const;
    void on_answer(const outcome &result, const std::string &text, const answer_fn &answer) const;
    std::string trouble() const;
    void check_health();
    void withdraw_if_stuck();
    void compact_later();
    void compact();

    uv_loop_t *loop_;
    clock &time_;
    events told_;
    std::string path_; ///< of the replica
    cluster_settings settings_;
    std::string process_; ///< of this start of rolloutd

    etcd::rpc_thread thread_;
    std::shared_ptr<const etcd::access> access_;
    etcd::client client_;
    std::unique_ptr<etcd_journal> journal_;
    etcd_leadership leadership_;
    config_comparison comparison_;
    etcd::upkeep_watch upkeep_;
    std::unique_ptr<fleet> fleet_;
    std::int64_t lease_ = 0; ///< this host's, when it was looked at last
    std::unique_ptr<word_sender> sender_;
    std::unique_ptr<word_receiver> receiver_; ///< while the engine runs here
    std::unique_ptr<change_watch> leader_watch_;
    std::unique_ptr<change_watch> words_watch_;
    std::unique_ptr<change_watch> answers_watch_;

    std::chrono::milliseconds began_{0}; ///< by the clock: to open
    bool is_open_ = false;               ///< on_open has been called
    bool was_replaced_ = false;          ///< the replica, until then
    std::string waits_for_;              ///< what on_wait was called with last
    bool is_resigning_ = false;
    bool stopped_ = false;
    std::int64_t seen_revision_ = 0;           ///< etcd's, when compact() was called last
    operation_ptr opening_;                    ///< the pause before await_content
    operation_ptr catching_up_;                ///< the pause before await_current
    operation_ptr compaction_;                 ///< under way, or the pause before it
    operation_ptr health_;                     ///< the pause before check_health
    std::chrono::milliseconds followed_at_{0}; ///< by the clock: when the replica was last known to follow
    std::shared_ptr<int> lives_ = std::make_shared<int>(0);
};

} // namespace rollout
