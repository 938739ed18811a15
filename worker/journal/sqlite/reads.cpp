#include "worker/journal/sqlite/reads.hpp"

#include "worker/base/log.hpp"
#include "worker/journal/sqlite/packed_text.hpp"
#include "worker/journal/sqlite/rows.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <span>
#include <string_view>
#include <utility>

namespace rollout::reads {

namespace {

/// The highest revision that the journal can count to: SQLite's integers are signed.
constexpr std::uint64_t no_end = INT64_MAX;

/// Tasks that are as they were accepted: no index has their revisions, which are equal to their sequences.
constexpr std::string_view new_ones =
    "INDEXED BY tasks_status WHERE kind = ? AND status = 'pending' AND sequence > ? "
    "AND revision = sequence ORDER BY sequence";

/// A series of the longest marks takes less.
constexpr std::size_t series_bytes = 512 * 1024;

constexpr std::string_view all_others = "INDEXED BY tasks_changed WHERE (status <> 'pending' OR revision > sequence) "
                                        "AND revision > ? ORDER BY revision";


/// While this exists, several statements read the same state of the journal.
class one_moment {
  public:
    explicit one_moment(sqlite_database &database) : database_(database) { database_.run("BEGIN"); }
    ~one_moment() { database_.roll_back(); }
    one_moment(const one_moment &) = delete;
    one_moment &operator=(const one_moment &) = delete;

  private:
    sqlite_database &database_;
};


/// Rows in the order of a number, of which the next one can be examined before it is taken.
class ordered_rows {
  public:
    /// The number's column, as select_tasks has them.
    enum class by { sequence, revision };

    template <class... Values>
    ordered_rows(sqlite_database &database, by order, std::string_view which, const Values &...values)
        : column_(order == by::sequence ? 0 : 1), rows_(database, select_tasks(which))
    {
        rows_.with(values...);
        next();
    }

    /// Returns the next row's number; larger than all if there is none.
    std::uint64_t number() const noexcept { return number_; }

    task_row take()
    {
        task_row row = task_row_at(rows_);
        next();
        return row;
    }

  private:
    void next() { number_ = rows_.step() ? static_cast<std::uint64_t>(rows_.number(column_)) : UINT64_MAX; }

    int column_;
    sqlite_statement rows_;
    std::uint64_t number_ = UINT64_MAX;
};


/// Takes rows from all of these, in the order of their numbers, up to about `max_bytes` of documents.
std::vector<task_row> take_in_order(std::span<ordered_rows> all, std::size_t max_bytes)
{
    std::vector<task_row> rows;
    for (std::size_t bytes = 0; bytes < max_bytes;) {
        auto &first = *std::ranges::min_element(all, {}, &ordered_rows::number);
        if (first.number() == UINT64_MAX) {
            break;
        }
        rows.push_back(first.take());
        bytes += rows.back().document.size();
    }
    return rows;
}


/// The sequences of tasks that may be on the page, newest first: at least the newest `most` of those that are on it.
class candidates {
  public:
    candidates(sqlite_database &database, const task_filter &which, std::uint64_t before, std::size_t most)
        : database_(database), kind_(kind_name(which.kind)), before_(before), most_(most)
    {
    }

    /// Adds those that were unfinished a moment ago.
    void add_open(const std::vector<std::uint64_t> &open)
    {
        all_.insert(open.begin(), std::ranges::lower_bound(open, before_));
    }

    /// Adds a model's finished tasks.
    void add_ended(std::string_view model_id, std::optional<task_status> status)
    {
        sqlite_statement ended(
            database_, "SELECT sequence FROM tasks INDEXED BY tasks_ended WHERE model_id = ? AND kind = ? AND "
                       "status NOT IN ('pending', 'in_progress') AND sequence < ? " +
                           std::string(status ? "AND status = ? " : "") + "ORDER BY sequence DESC LIMIT ?");
        if (status) {
            add(ended.with(model_id, kind_, before_, status_name(*status), most_));
        } else {
            add(ended.with(model_id, kind_, before_, most_));
        }
    }

    /// Adds the tasks of all models with that status.
    void add_all(task_status status)
    {
        sqlite_statement of_status(database_,
                                   "SELECT sequence FROM tasks INDEXED BY tasks_status WHERE kind = ? AND status = ? "
                                   "AND sequence < ? ORDER BY sequence DESC LIMIT ?");
        add(of_status.with(kind_, status_name(status), before_, most_));
    }

    const auto &newest_first() const noexcept { return all_; }

  private:
    void add(sqlite_statement &found)
    {
        while (found.step()) {
            all_.insert(static_cast<std::uint64_t>(found.number(0)));
        }
    }

    sqlite_database &database_;
    std::string_view kind_;
    std::uint64_t before_;
    std::size_t most_;
    std::set<std::uint64_t, std::greater<>> all_;
};


candidates find_candidates(sqlite_database &database, const task_filter &which, std::size_t most,
                           const std::vector<std::uint64_t> &open)
{
    const auto before = which.before == 0 || which.before > no_end ? no_end : which.before;
    candidates found(database, which, before, most);
    if (!which.model_id.empty()) {
        found.add_open(open);
        found.add_ended(which.model_id, which.status);
        return found;
    }
    // In the order in which a task goes through the states: one that changes during the search is found the second
    // time.
    for (std::size_t i = 0; i < task_statuses; ++i) {
        const auto status = static_cast<task_status>(i);
        if (!which.status || *which.status == status) {
            found.add_all(status);
        }
    }
    return found;
}

} // namespace


std::optional<task_row> find(sqlite_database &database, const std::string &task_id)
{
    sqlite_statement found(database, select_tasks("WHERE task_id = ?"));
    if (!found.with(std::string_view(task_id)).step()) {
        return std::nullopt;
    }
    return task_row_at(found);
}


std::optional<task_row> find_latest(sqlite_database &database, task_kind kind, const std::string &model_id,
                                    std::uint64_t last_open)
{
    std::optional<task_row> latest;
    sqlite_statement ended(database, select_tasks("INDEXED BY tasks_ended WHERE model_id = ? AND kind = ? AND "
                                                  "status NOT IN ('pending', 'in_progress') "
                                                  "ORDER BY sequence DESC LIMIT 1"));
    if (ended.with(std::string_view(model_id), kind_name(kind)).step()) {
        latest = task_row_at(ended);
    }
    // A later task that waited may have ended, by cancellation, before an earlier one.
    sqlite_statement open(database, select_tasks("WHERE sequence = ?"));
    if ((!latest || latest->sequence < last_open) && open.with(last_open).step()) {
        latest = task_row_at(open);
    }
    return latest;
}


std::optional<stored_series> find_series(sqlite_database &database, const std::string &task_id)
{
    sqlite_statement found(database, "SELECT t.model_id, s.content FROM tasks t LEFT JOIN series s USING (sequence) "
                                     "WHERE t.task_id = ? AND t.kind = ?");
    if (!found.with(std::string_view(task_id), kind_name(task_kind::deploy)).step()) {
        return std::nullopt;
    }
    stored_series series{found.text(0), {}};
    if (const auto packed = found.bytes(1); !packed.empty()) {
        auto document = unpack_text(packed, series_bytes);
        if (!document) {
            log(log_level::warning, "The journal's series of a task cannot be read and is left out",
                {{"task_id", task_id}});
        }
        series.document = std::move(document).value_or("");
    }
    return series;
}


std::vector<std::string> series_beyond(sqlite_database &database, const std::string &model_id, std::size_t most)
{
    std::set<std::string> beyond;
    const auto add = [&](sqlite_statement &found) {
        while (beyond.size() < most && found.step()) {
            beyond.insert(found.text(0));
        }
    };
    sqlite_statement of_model(database, "SELECT t.task_id FROM series s JOIN tasks t USING (sequence) "
                                        "WHERE s.model_id = ? ORDER BY s.sequence DESC LIMIT -1 OFFSET ?");
    add(of_model.with(std::string_view(model_id), static_cast<std::int64_t>(journal::series_of_model)));
    sqlite_statement in_all(database, "SELECT t.task_id FROM series s JOIN tasks t USING (sequence) "
                                      "ORDER BY s.sequence DESC LIMIT -1 OFFSET ?");
    add(in_all.with(static_cast<std::int64_t>(journal::series_in_all)));
    return {beyond.begin(), beyond.end()};
}


std::vector<task_row> changes_after(sqlite_database &database, std::uint64_t revision, std::size_t max_bytes)
{
    using by = ordered_rows::by;
    const one_moment now(database);
    std::array changes{ordered_rows(database, by::revision, new_ones, kind_name(task_kind::deploy), revision),
                       ordered_rows(database, by::revision, new_ones, kind_name(task_kind::remove), revision),
                       ordered_rows(database, by::revision, all_others, revision)};
    return take_in_order(changes, max_bytes);
}


task_page unfinished(sqlite_database &database, std::uint64_t after, std::size_t max_bytes)
{
    const auto of = [&](task_kind kind, task_status status) {
        return ordered_rows(
            database, ordered_rows::by::sequence,
            "INDEXED BY tasks_status WHERE kind = ? AND status = ? AND sequence > ? ORDER BY sequence",
            kind_name(kind), status_name(status), after);
    };
    const one_moment now(database);
    std::array open{of(task_kind::deploy, task_status::pending), of(task_kind::deploy, task_status::in_progress),
                    of(task_kind::remove, task_status::pending), of(task_kind::remove, task_status::in_progress)};
    task_page page;
    page.rows = take_in_order(open, max_bytes);
    page.more = !page.rows.empty();
    return page;
}


task_page list(sqlite_database &database, const task_filter &which, std::size_t limit, std::size_t max_bytes,
               const std::vector<std::uint64_t> &open)
{
    task_page page;
    const auto candidates = find_candidates(database, which, limit + 1, open);
    sqlite_statement found(database, select_tasks("WHERE sequence = ?"));
    std::size_t bytes = 0;
    for (const auto sequence : candidates.newest_first()) {
        found.reset();
        if (!found.with(sequence).step()) {
            continue; // purged a moment ago
        }
        auto row = task_row_at(found);
        if (which.status && row.status != *which.status) {
            continue;
        }
        bytes += row.document.size();
        if (page.rows.size() == limit || (!page.rows.empty() && bytes > max_bytes)) {
            page.more = true;
            break;
        }
        page.rows.push_back(std::move(row));
    }
    return page;
}


model_page list_models(sqlite_database &database, const std::string &after, std::size_t limit)
{
    model_page page;
    sqlite_statement found(database, select_models("WHERE model_id > ? ORDER BY model_id"));
    found.with(std::string_view(after));
    while (found.step()) {
        auto read = model_at(found);
        if (!is_placed(read)) {
            continue; // deleted, and remembered only for its last revision
        }
        if (page.models.size() == limit) {
            page.more = true;
            break;
        }
        page.models.push_back(std::move(read));
    }
    return page;
}


model_page list_all_models(sqlite_database &database, const std::string &after, std::size_t limit)
{
    model_page page;
    sqlite_statement found(database, select_models("WHERE model_id > ? ORDER BY model_id LIMIT ?"));
    found.with(std::string_view(after), static_cast<std::int64_t>(limit));
    while (found.step()) {
        page.models.push_back(model_at(found));
    }
    page.more = page.models.size() == limit;
    return page;
}


std::vector<known_gateway> gateways(sqlite_database &database)
{
    std::vector<known_gateway> all;
    sqlite_statement found(database, "SELECT gateway, processes FROM gateways");
    while (found.step()) {
        all.push_back({found.text(0), found.text(1)});
    }
    return all;
}


std::uint64_t count_tasks(sqlite_database &database)
{
    return static_cast<std::uint64_t>(database.number("SELECT count(*) FROM tasks"));
}

} // namespace rollout::reads
