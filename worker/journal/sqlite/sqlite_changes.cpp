// What a replica lacks: the tasks that changed after a revision, in the order of their revisions.
#include "worker/journal/sqlite/sqlite_journal.hpp"
#include "worker/journal/sqlite/rows.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace rollout {

namespace {

/// As they were accepted: no index has their revisions, which are their sequences.
constexpr std::string_view new_ones =
    "INDEXED BY tasks_status WHERE kind = ? AND status = 'pending' AND sequence > ? "
    "AND revision = sequence ORDER BY sequence";

constexpr std::string_view all_others = "INDEXED BY tasks_changed WHERE (status <> 'pending' OR revision > sequence) "
                                        "AND revision > ? ORDER BY revision";


/// What several statements read while this lives is of one moment.
class one_moment {
  public:
    explicit one_moment(sqlite_database &database) : database_(database) { database_.run("BEGIN"); }
    ~one_moment() { database_.roll_back(); }
    one_moment(const one_moment &) = delete;
    one_moment &operator=(const one_moment &) = delete;

  private:
    sqlite_database &database_;
};


/// Rows in the order of their revisions, the next of which can be looked at.
class changes {
  public:
    template <class... Values>
    changes(sqlite_database &database, std::string_view which, const Values &...values) : at_(database, select(which))
    {
        at_.with(values...);
        next();
    }

    /// Of the next row; larger than all where there is none.
    std::uint64_t revision() const noexcept { return revision_; }

    task_row take()
    {
        task_row row = row_of(at_);
        next();
        return row;
    }

  private:
    void next() { revision_ = at_.step() ? static_cast<std::uint64_t>(at_.number(1)) : UINT64_MAX; }

    sqlite_statement at_;
    std::uint64_t revision_ = UINT64_MAX;
};

} // namespace


void sqlite_journal::read_after(std::uint64_t revision, std::size_t max_bytes,
                                std::function<void(outcome, std::vector<task_row>)> done)
{
    auto rows = std::make_shared<std::vector<task_row>>();
    read(
        [rows, revision, max_bytes](sqlite_database &database) {
            const one_moment now(database);
            std::array some{changes(database, new_ones, kind_name(task_kind::deploy), revision),
                            changes(database, new_ones, kind_name(task_kind::remove), revision),
                            changes(database, all_others, revision)};
            for (std::size_t bytes = 0; bytes < max_bytes;) {
                auto &first = *std::ranges::min_element(some, {}, &changes::revision);
                if (first.revision() == UINT64_MAX) {
                    return;
                }
                rows->push_back(first.take());
                bytes += rows->back().document.size();
            }
        },
        [rows, done = std::move(done)](const outcome &ended) { done(ended, std::move(*rows)); });
}

} // namespace rollout
