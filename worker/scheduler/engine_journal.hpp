// The journal as one engine uses it: notices when a write is lost, and when nothing is under way any more, so that the
// engine can end while others go on using the journal.
#pragma once

#include "worker/async/lifetime.hpp"
#include "worker/journal/journal.hpp"

#include <cstddef>
#include <functional>
#include <string>

namespace rollout {

/// Passes everything on. The journal outlives it. Callbacks that come after its destruction are dropped; `when_idle` says
/// when there are none.
class engine_journal final : public journal {
  public:
    explicit engine_journal(journal &to) : to_(to) {}

    /// Called after the callback of a write that was lost. May be null.
    std::function<void()> on_lost;

    /// Calls `call` once nothing is under way: now, or after the callback of what is last.
    void when_idle(std::function<void()> call);

    const std::string &id() const override { return to_.id(); }
    std::uint64_t revision() const override { return to_.revision(); }
    bool is_shared() const override { return to_.is_shared(); }
    bool is_current() const override { return to_.is_current(); }

    void create(const task &wanted, bool only_find, created_fn done) override;
    void save(const task &changed, const model *with, saved_fn done) override;
    void save_model(const model &changed, saved_fn done) override;
    void remember_gateway(const std::string &gateway, const std::string &processes) override;
    void forget_gateway(const std::string &gateway) override;
    void purge(purge_position from, std::int64_t before_us, std::size_t rows, purged_fn done) override;
    void save_series(const std::string &task_id, const std::string &model_id, std::string document,
                     std::function<void(outcome)> done) override;

    void find(const std::string &task_id, found_fn done) override;
    void find_latest(task_kind kind, const std::string &model_id, found_fn done) override;
    void find_series(const std::string &task_id, series_fn done) override;
    void read_after(std::uint64_t revision, std::size_t max_bytes,
                    std::function<void(outcome, std::vector<task_row>)> done) override;
    void list(const task_filter &which, std::size_t limit, std::size_t max_bytes, listed_fn done) override;
    void list_models(const std::string &after, std::size_t limit, models_fn done) override;
    std::size_t count_unfinished() const override { return to_.count_unfinished(); }
    void list_unfinished(std::uint64_t after, std::size_t max_bytes, listed_fn done) override;
    void list_all_models(const std::string &after, std::size_t limit, models_fn done) override;
    void list_gateways(std::function<void(outcome, std::vector<known_gateway>)> done) override;
    void count_tasks(std::function<void(outcome, std::uint64_t)> done) override;

  private:
    template <class Done>
    auto watched(Done done);
    void on_ended(bool is_lost);

    journal &to_;
    std::size_t under_way_ = 0;
    std::function<void()> when_idle_;
    lifetime lifetime_;
};

} // namespace rollout
