#include "worker/journal/sqlite/writes.hpp"

#include "worker/base/log.hpp"
#include "worker/journal/sqlite/packed_text.hpp"
#include "worker/journal/sqlite/rows.hpp"

#include <optional>
#include <utility>
#include <vector>

namespace rollout {

namespace {

class create_write final : public journal_write {
  public:
    create_write(const task &wanted, bool only_find, journal::created_fn done)
        : row_(row_of(wanted, 0)), updated_us_(wanted.updated_us), only_find_(only_find), done_(std::move(done))
    {
    }

    void apply(write_statements &with) override
    {
        if (!only_find_ && insert(with)) {
            creation_ = journal::creation::created;
            return;
        }
        with.find.with(std::string_view(row_.task_id));
        if (!with.find.step()) {
            creation_ = journal::creation::absent;
            return;
        }
        task_row existing = task_row_at(with.find);
        with.find.reset();
        creation_ = same_request(existing, row_) ? journal::creation::existed : journal::creation::conflict;
        row_ = std::move(existing);
    }

    const char *name() const noexcept override { return only_find_ ? "find" : "create"; }
    void end(const outcome &ended) override { done_(ended, creation_, row_); }
    task_row *news() override { return creation_ == journal::creation::created ? &row_ : nullptr; }

  private:
    /// Returns false if the id is taken.
    bool insert(write_statements &with)
    {
        row_.sequence = row_.revision = with.revision + 1;
        with.insert
            .with(row_.sequence, row_.revision, kind_name(row_.kind), status_name(row_.status),
                  std::string_view(row_.task_id), std::string_view(row_.document), std::string_view(row_.model_id),
                  updated_us_)
            .run();
        const bool is_new = sqlite3_changes(with.database.get()) != 0;
        with.revision += is_new ? 1 : 0;
        return is_new;
    }

    task_row row_; ///< the new task, unless another one with its id is found
    std::int64_t updated_us_;
    bool only_find_;
    journal::created_fn done_;
    journal::creation creation_ = journal::creation::created;
};


/// Writes a task, a model, or both.
class save_write final : public journal_write {
  public:
    save_write(const task *changed, const model *with, journal::saved_fn done) : done_(std::move(done))
    {
        if (changed != nullptr) {
            row_ = row_of(*changed, 0);
            updated_us_ = changed->updated_us;
        }
        if (with != nullptr) {
            model_ = *with;
            model_state_ = json_compact(model_to_json(*with).get());
        }
    }

    void apply(write_statements &with) override
    {
        revision_ = ++with.revision;
        if (has_task()) {
            row_.revision = revision_;
            with.update
                .with(revision_, status_name(row_.status), std::string_view(row_.document), updated_us_,
                      std::string_view(row_.task_id))
                .run();
        }
        if (model_) {
            model_->route_revision = revision_;
            with.put_model.with(std::string_view(model_->model_id), revision_, std::string_view(model_state_)).run();
        }
    }

    const char *name() const noexcept override { return has_task() ? "save" : "save_model"; }
    void end(const outcome &ended) override { done_(ended, revision_); }
    task_row *news() override { return has_task() ? &row_ : nullptr; }
    model *model_news() override { return model_ ? &*model_ : nullptr; }

  private:
    bool has_task() const noexcept { return !row_.task_id.empty(); }

    task_row row_; ///< without a task_id: only the model is written
    std::int64_t updated_us_ = 0;
    std::optional<model> model_; ///< none: only the task is written
    std::string model_state_;
    journal::saved_fn done_;
    std::uint64_t revision_ = 0;
};


class gateway_write final : public journal_write {
  public:
    gateway_write(std::string gateway, std::string processes, bool known)
        : gateway_(std::move(gateway)), processes_(std::move(processes)), known_(known)
    {
    }

    void apply(write_statements &with) override
    {
        if (known_) {
            with.put_gateway.with(std::string_view(gateway_), std::string_view(processes_)).run();
        } else {
            with.drop_gateway.with(std::string_view(gateway_)).run();
        }
    }

    const char *name() const noexcept override { return known_ ? "remember_gateway" : "forget_gateway"; }

    void end(const outcome &ended) override
    {
        if (!ended) {
            log(log_level::error, "A gateway could not be recorded in the journal: " + ended.detail,
                {{"gateway", gateway_}});
        }
    }

  private:
    std::string gateway_;
    std::string processes_;
    bool known_; ///< whether the gateway is known from now on
};


/// The packing is done when the write is made, on the loop: a millisecond, of one rollout, at the end of a hold.
class series_write final : public journal_write {
  public:
    series_write(std::string task_id, std::string model_id, const std::string &document,
                 std::function<void(outcome)> done)
        : task_id_(std::move(task_id)), model_id_(std::move(model_id)), packed_(pack_text(document)),
          done_(std::move(done))
    {
    }

    void apply(write_statements &with) override
    {
        const std::string_view model_id = model_id_;
        with.put_series.with(sqlite_bytes{packed_}, std::string_view(task_id_)).run();
        with.drop_old_of_model.with(model_id, model_id, static_cast<std::int64_t>(journal::series_of_model)).run();
        with.drop_old_series.with(static_cast<std::int64_t>(journal::series_in_all)).run();
    }

    const char *name() const noexcept override { return "save_series"; }
    void end(const outcome &ended) override { done_(ended); }

  private:
    std::string task_id_;
    std::string model_id_;
    std::string packed_;
    std::function<void(outcome)> done_;
};


class purge_write final : public journal_write {
  public:
    purge_write(purge_position from, std::int64_t before_us, std::size_t rows, journal::purged_fn done)
        : from_(from), before_us_(before_us), rows_(rows), done_(std::move(done))
    {
    }

    void apply(write_statements &with) override
    {
        const auto found = with.old.find(from_, before_us_, rows_);
        for (const auto &old : found.to_remove) {
            with.remove.with(old.sequence).run();
            with.remove_series.with(old.sequence).run();
        }
        step_ = {found.scanned_up_to, found.to_remove.size(), found.more};
    }

    const char *name() const noexcept override { return "purge"; }
    void end(const outcome &ended) override { done_(ended, step_); }

  private:
    purge_position from_;
    std::int64_t before_us_;
    std::size_t rows_;
    journal::purged_fn done_;
    purge_step step_;
};

} // namespace


write_statements::write_statements(sqlite_database &of, std::uint64_t last_revision)
    : database(of), revision(last_revision), find(of, select_tasks("WHERE task_id = ?")),
      insert(of, "INSERT INTO tasks (sequence, revision, kind, status, task_id, document, model_id, updated_us) "
                 "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (task_id) DO NOTHING"),
      update(of, "UPDATE tasks SET revision = ?, status = ?, document = ?, updated_us = ? WHERE task_id = ?"),
      put_model(of, "INSERT OR REPLACE INTO models (model_id, revision, state) VALUES (?, ?, ?)"),
      put_gateway(of, "INSERT INTO gateways (gateway, processes) VALUES (?, ?) "
                      "ON CONFLICT (gateway) DO UPDATE SET processes = excluded.processes"),
      drop_gateway(of, "DELETE FROM gateways WHERE gateway = ?"), old(of),
      remove(of, "DELETE FROM tasks WHERE sequence = ?"),
      put_series(of, "INSERT INTO series (sequence, model_id, content) SELECT sequence, model_id, ? FROM tasks "
                     "WHERE task_id = ? ON CONFLICT (sequence) DO UPDATE SET content = excluded.content"),
      drop_old_of_model(of, "DELETE FROM series WHERE model_id = ? AND sequence <= (SELECT sequence FROM series "
                            "WHERE model_id = ? ORDER BY sequence DESC LIMIT 1 OFFSET ?)"),
      drop_old_series(of, "DELETE FROM series WHERE sequence <= (SELECT sequence FROM series ORDER BY sequence DESC "
                          "LIMIT 1 OFFSET ?)"),
      remove_series(of, "DELETE FROM series WHERE sequence = ?")
{
}


namespace writes {

write_ptr create(const task &wanted, bool only_find, journal::created_fn done)
{
    return std::make_unique<create_write>(wanted, only_find, std::move(done));
}


write_ptr save(const task &changed, const model *with, journal::saved_fn done)
{
    return std::make_unique<save_write>(&changed, with, std::move(done));
}


write_ptr save_model(const model &changed, journal::saved_fn done)
{
    return std::make_unique<save_write>(nullptr, &changed, std::move(done));
}


write_ptr remember_gateway(const std::string &gateway, const std::string &processes)
{
    return std::make_unique<gateway_write>(gateway, processes, true);
}


write_ptr forget_gateway(const std::string &gateway)
{
    return std::make_unique<gateway_write>(gateway, "", false);
}


write_ptr save_series(const std::string &task_id, const std::string &model_id, const std::string &document,
                      std::function<void(outcome)> done)
{
    return std::make_unique<series_write>(task_id, model_id, document, std::move(done));
}


write_ptr purge(purge_position from, std::int64_t before_us, std::size_t rows, journal::purged_fn done)
{
    return std::make_unique<purge_write>(from, before_us, rows, std::move(done));
}

} // namespace writes

} // namespace rollout
