// The lists: pages of tasks and of models, read beside the commits.
#include "worker/journal/sqlite/sqlite_journal.hpp"
#include "worker/journal/sqlite/rows.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <string>

namespace rollout {

namespace {

/// The largest that the journal counts to: SQLite's integers have a sign.
constexpr std::uint64_t no_end = INT64_MAX;


/// The sequences of tasks that may be on the page, newest first: at least the newest `most` of those that are on it.
class candidates {
  public:
    candidates(sqlite_database &database, const task_filter &which, std::uint64_t before, std::size_t most)
        : database_(database), kind_(kind_name(which.kind)), before_(before), most_(most)
    {
    }

    /// Those that had not ended a moment ago.
    void add_open(const std::vector<std::uint64_t> &open)
    {
        all_.insert(open.begin(), std::ranges::lower_bound(open, before_));
    }

    /// Those of a model that have ended.
    void add_ended(std::string_view model_id, std::optional<task_status> status)
    {
        sqlite_statement at(database_,
                            "SELECT sequence FROM tasks INDEXED BY tasks_ended WHERE model_id = ? AND kind = ? AND "
                            "status NOT IN ('pending', 'in_progress') AND sequence < ? " +
                                std::string(status ? "AND status = ? " : "") + "ORDER BY sequence DESC LIMIT ?");
        if (status) {
            add(at.with(model_id, kind_, before_, status_name(*status), most_));
        } else {
            add(at.with(model_id, kind_, before_, most_));
        }
    }

    void add_all(task_status status)
    {
        sqlite_statement at(database_,
                            "SELECT sequence FROM tasks INDEXED BY tasks_status WHERE kind = ? AND status = ? AND "
                            "sequence < ? ORDER BY sequence DESC LIMIT ?");
        add(at.with(kind_, status_name(status), before_, most_));
    }

    const auto &newest_first() const noexcept { return all_; }

  private:
    void add(sqlite_statement &at)
    {
        while (at.step()) {
            all_.insert(static_cast<std::uint64_t>(at.number(0)));
        }
    }

    sqlite_database &database_;
    std::string_view kind_;
    std::uint64_t before_;
    std::size_t most_;
    std::set<std::uint64_t, std::greater<>> all_;
};

} // namespace


model model_at(const sqlite_statement &at)
{
    const std::string text = at.text(2);
    json_error_t error;
    const json_ptr state(json_loadb(text.data(), text.size(), 0, &error));
    auto one = model_from_json(state.get());
    if (!one) {
        throw sqlite_error("the journal's entry of model " + at.text(0) + " cannot be read: " +
                               (state ? "a weight, an upstream or a name in it is none" : error.text),
                           SQLITE_CORRUPT);
    }
    one->model_id = at.text(0);
    one->route_revision = static_cast<std::uint64_t>(at.number(1));
    return std::move(*one);
}


void sqlite_journal::list(const task_filter &which, std::size_t limit, std::size_t max_bytes, listed_fn done)
{
    struct page {
        std::vector<task_row> rows;
        bool more = false;
    };
    auto found = std::make_shared<page>();
    const bool of_model = !which.model_id.empty();
    const bool may_be_open = !which.status || !is_final(*which.status);
    const auto open = of_model && may_be_open ? open_tasks(which.kind, which.model_id) : sequences();
    read(
        [found, which, limit, max_bytes, of_model, open](sqlite_database &database) {
            const auto before = which.before == 0 || which.before > no_end ? no_end : which.before;
            candidates some(database, which, before, limit + 1);
            if (of_model) {
                some.add_open(open);
                some.add_ended(which.model_id, which.status);
            } else {
                // In the order in which a task goes through them: one that goes on meanwhile is found the second time.
                for (std::size_t i = 0; i < task_statuses; ++i) {
                    const auto status = static_cast<task_status>(i);
                    if (!which.status || *which.status == status) {
                        some.add_all(status);
                    }
                }
            }
            sqlite_statement at(database, select("WHERE sequence = ?"));
            std::size_t bytes = 0;
            for (const auto sequence : some.newest_first()) {
                at.reset();
                if (!at.with(sequence).step()) {
                    continue; // purged a moment ago
                }
                auto row = row_of(at);
                if (which.status && row.status != *which.status) {
                    continue;
                }
                bytes += row.document.size();
                if (found->rows.size() == limit || (!found->rows.empty() && bytes > max_bytes)) {
                    found->more = true;
                    return;
                }
                found->rows.push_back(std::move(row));
            }
        },
        [found, done = std::move(done)](const outcome &ended) { done(ended, std::move(found->rows), found->more); });
}


void sqlite_journal::list_models(const std::string &after, std::size_t limit, models_fn done)
{
    struct page {
        std::vector<model> models;
        bool more = false;
    };
    auto found = std::make_shared<page>();
    read(
        [found, after, limit](sqlite_database &database) {
            sqlite_statement at(database, select_models("WHERE model_id > ? ORDER BY model_id"));
            at.with(std::string_view(after));
            while (at.step()) {
                auto one = model_at(at);
                if (!is_placed(one)) {
                    continue; // deleted, and remembered for its last revision alone
                }
                if (found->models.size() == limit) {
                    found->more = true;
                    return;
                }
                found->models.push_back(std::move(one));
            }
        },
        [found, done = std::move(done)](const outcome &ended) {
            done(ended, std::move(found->models), found->more);
        });
}

} // namespace rollout
