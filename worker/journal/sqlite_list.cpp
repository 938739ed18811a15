// The lists: pages of tasks and of models, read beside the commits.
#include "worker/journal/sqlite_journal.hpp"
#include "worker/journal/sqlite_rows.hpp"

namespace rollout {

namespace {

/// The largest that the journal counts to: SQLite's integers have a sign.
constexpr std::uint64_t no_end = INT64_MAX;


/// Each combination has an index that gives the rows in their order.
sqlite_statement statement_for(sqlite_database &database, const task_filter &which)
{
    const std::string order = " AND sequence < ? ORDER BY sequence DESC";
    if (!which.model_id.empty()) {
        return {database, select("INDEXED BY tasks_model WHERE kind = ? AND model_id = ?" +
                                 std::string(which.status ? " AND status = ?" : "") + order)};
    }
    return {database, select(which.status ? "INDEXED BY tasks_status WHERE kind = ? AND status = ?" + order
                                          : "INDEXED BY tasks_kind WHERE kind = ?" + order)};
}

} // namespace


model model_at(const sqlite_statement &at)
{
    const std::string text = at.text(2);
    json_error_t error;
    const json_ptr state(json_loadb(text.data(), text.size(), 0, &error));
    auto one = model_from_json(state.get());
    if (!one) {
        throw sqlite_error("the journal's entry of model " + at.text(0) + " cannot be read: " +
                           (state ? "a weight, an upstream or a name in it is none" : error.text));
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
    read(
        [found, which, limit, max_bytes](sqlite_database &database) {
            const auto before = which.before == 0 || which.before > no_end ? no_end : which.before;
            const auto kind = kind_name(which.kind);
            const auto status = which.status ? status_name(*which.status) : std::string_view();
            const std::string_view model_id = which.model_id;

            auto at = statement_for(database, which);
            if (!model_id.empty() && which.status) {
                at.with(kind, model_id, status, before);
            } else if (!model_id.empty()) {
                at.with(kind, model_id, before);
            } else if (which.status) {
                at.with(kind, status, before);
            } else {
                at.with(kind, before);
            }
            std::size_t bytes = 0;
            while (at.step()) {
                auto row = row_of(at);
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
