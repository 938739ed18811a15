#include "worker/journal/etcd/etcd_journal.hpp"

#include "common/domain/identifiers.hpp"
#include "worker/base/log.hpp"
#include "worker/journal/etcd/records.hpp"
#include "worker/journal/etcd/revision.hpp"
#include "worker/journal/sqlite/old_tasks.hpp"
#include "worker/journal/sqlite/reads.hpp"

#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto tick_pause = 2s;

/// Removed after one was written.
constexpr std::size_t most_series_dropped = 100;

class watch_of_etcd final : public cluster::open_watch {
  public:
    watch_of_etcd(etcd::rpc_thread &thread, clock &time, std::shared_ptr<const etcd::access> to,
                  etcd::watched_range range, etcd::watcher &told)
        : watch_(thread, time, std::move(to), std::move(range), told)
    {
    }

    void applied(std::int64_t mod_revision) override { watch_.applied(mod_revision); }

  private:
    etcd::watch watch_;
};


/// Several removals as one step of a purge.
struct purge_under_way {
    purge_step step;
    outcome result;
    std::size_t left = 0;
    journal::purged_fn done;

    void on_removed(const outcome &ended, bool removed)
    {
        step.removed += removed ? 1 : 0;
        if (!ended && result) {
            result = ended;
        }
        if (--left == 0) {
            done(result, step);
        }
    }
};

/// A miss is an answer only if the replica is known to have everything.
template <typename Found>
std::function<void(outcome, std::optional<Found>)>
or_not_known(std::function<void(outcome, std::optional<Found>)> done)
{
    return [done = std::move(done)](outcome ended, std::optional<Found> found) {
        if (ended && !found) {
            ended = outcome::transient("etcd does not answer, and the replica of the journal does not have it");
        }
        done(std::move(ended), std::move(found));
    };
}

} // namespace


etcd_journal::etcd_journal(uv_loop_t *loop, clock &time, etcd::rpc_thread &thread, const place &where)
    : time_(time), names_(where.prefix), client_(thread, time, where.access), replica_(loop, where.path),
      own_(new_instance_id(), where.access->host()), writer_(around_writer()),
      index_(cluster::store_of(client_), time, names_), random_(std::random_device{}()),
      follower_(around_follower(thread, where))
{
    index_.on_applied(cluster::mod_revision_of(revision()));
}


etcd_journal::~etcd_journal() = default;


cluster::writer::surroundings etcd_journal::around_writer()
{
    return {.etcd = cluster::store_of(client_),
            .time = time_,
            .names = names_,
            .own = own_,
            .on_attempt =
                [this](std::chrono::nanoseconds took, bool ok) {
                    if (on_attempt) {
                        on_attempt(took, ok);
                    }
                },
            .on_other_meta = [this] { follower_.rejoin(); }};
}


cluster::follower::surroundings etcd_journal::around_follower(etcd::rpc_thread &thread, const place &where)
{
    return {.etcd = cluster::store_of(client_),
            .watch =
                [this, &thread, access = where.access](etcd::watched_range range, etcd::watcher &told) {
                    return std::make_unique<watch_of_etcd>(thread, time_, access, std::move(range), told);
                },
            .time = time_,
            .names = names_,
            .replica = replica_,
            .random = [this] { return std::uniform_real_distribution<>()(random_); },
            .writer = own_.writer(),
            .on_joined = [this](const cluster::meta_record &, const std::string &value) { writer_.open(value); },
            .on_refused = [this](const std::string &why) { writer_.close(why); },
            .on_applied =
                [this](const journal_news &news) {
                    index_.on_applied(cluster::mod_revision_of(news.now));
                    if (on_commit) {
                        on_commit(news);
                    }
                },
            .on_resynchronised =
                [this](bool is_other) {
                    index_.on_applied(cluster::mod_revision_of(revision()));
                    if (on_resynchronised) {
                        on_resynchronised(is_other);
                    }
                    if (on_commit) {
                        on_commit({.before = revision(), .now = revision()});
                    }
                }};
}


void etcd_journal::start()
{
    follower_.start();
}


void etcd_journal::stop()
{
    follower_.stop();
    tick_.reset();
    writer_.end("rolloutd stops");
}


bool etcd_journal::busy() const noexcept
{
    return writer_.busy() || index_.busy() || !reads_.empty() || replica_.busy();
}


void etcd_journal::lead(std::int64_t token)
{
    own_.lead(token);
    tick_.reset();
    if (token != 0) {
        tick();
    }
}


void etcd_journal::tick()
{
    etcd::txn_request request;
    request.compares.push_back(etcd::compare::created_at(names_.leader(), own_.token()));
    request.then.push_back({cluster::writes::position(names_, own_, time_.wall_us())});
    tick_ = client_.txn(std::move(request), [this](const etcd::answer<etcd::txn_answer> &got) {
        if (!got) {
            log(log_level::debug, "A tick could not be written to etcd: " + got.why().sentence);
        }
        tick_ = time_.after(tick_pause, [this] { tick(); });
    });
}


void etcd_journal::current(std::function<void(bool)> done)
{
    index_.ask([this, done = std::move(done)](bool is_current) { done(is_current && is_following()); });
}


// Writing.

void etcd_journal::add(cluster::write_ptr wanted)
{
    if (!writer_.is_open() && follower_.is() != cluster::follower::state::stopped) {
        writer_.close(follower_.trouble());
    }
    writer_.add(std::move(wanted));
}


void etcd_journal::create(const task &wanted, bool only_find, created_fn done)
{
    if (!only_find) {
        add(cluster::writes::create(names_, own_, wanted, std::move(done)));
        return;
    }
    read_in_etcd(wanted.task_id, [row = row_of(wanted, 0),
                                  done = std::move(done)](const etcd::answer<etcd::range_answer> &got) mutable {
        outcome result;
        auto found = creation::absent;
        if (got) {
            found = cluster::creation_of(*got, row, result);
        } else {
            result = outcome::transient(got.why().sentence);
        }
        done(result, found, row);
    });
}


void etcd_journal::save(const task &changed, const model *with, saved_fn done)
{
    add(cluster::writes::save(names_, own_, changed, with, std::move(done)));
}


void etcd_journal::save_model(const model &changed, saved_fn done)
{
    add(cluster::writes::save_model(names_, own_, changed, std::move(done)));
}


void etcd_journal::purge(purge_position from, std::int64_t before_us, std::size_t rows, purged_fn done)
{
    replica_.read().ask<old_tasks::found>(
        [from, before_us, rows](sqlite_database &database) {
            return old_tasks(database).find(from, before_us, rows);
        },
        [this, from, done = std::move(done)](const outcome &ended, const old_tasks::found &found) {
            if (!ended || found.to_remove.empty()) {
                done(ended, ended ? purge_step{found.scanned_up_to, 0, found.more} : purge_step{from, 0, false});
                return;
            }
            const auto all = std::make_shared<purge_under_way>();
            all->step = {found.scanned_up_to, 0, found.more};
            all->left = found.to_remove.size();
            all->done = done;
            for (const auto &old : found.to_remove) {
                add(cluster::writes::remove(
                    names_, own_, old.task_id, old.revision,
                    [all](const outcome &result, bool removed) { all->on_removed(result, removed); }));
            }
        });
}


void etcd_journal::remember_gateway(const std::string &gateway, const std::string &processes)
{
    replica_.remember_gateway(gateway, processes);
}


void etcd_journal::forget_gateway(const std::string &gateway)
{
    replica_.forget_gateway(gateway);
}


void etcd_journal::save_series(const std::string &task_id, const std::string &model_id, std::string document,
                               std::function<void(outcome)> done)
{
    add(cluster::writes::save_series(names_, own_, task_id, document,
                                     [this, model_id, done = std::move(done)](const outcome &ended) {
                                         if (ended) {
                                             drop_old_series(model_id);
                                         }
                                         done(ended);
                                     }));
}


/// By what the replica has, which may lack the last ones: then there are more than should be, until the next is written.
void etcd_journal::drop_old_series(const std::string &model_id)
{
    replica_.read().ask<std::vector<std::string>>(
        [model_id](sqlite_database &database) {
            return reads::series_beyond(database, model_id, most_series_dropped);
        },
        [this](const outcome &ended, const std::vector<std::string> &beyond) {
            for (const auto &task_id : ended ? beyond : std::vector<std::string>()) {
                add(cluster::writes::remove_series(names_, own_, task_id));
            }
        });
}


// Reading.

void etcd_journal::find(const std::string &task_id, found_fn done)
{
    if (!is_following() && !index_.is_away()) {
        find_in_etcd(task_id, std::move(done));
        return;
    }
    index_.ask([this, task_id, done = std::move(done)](bool is_current) {
        if (is_current) {
            replica_.read().find(task_id, done);
        } else if (index_.is_away()) {
            find_known(task_id, done);
        } else {
            find_in_etcd(task_id, done); // the replica lags
        }
    });
}


/// While etcd is away: what the replica has is there, but what it has not may be there too.
void etcd_journal::find_known(const std::string &task_id, found_fn done)
{
    replica_.read().find(task_id, or_not_known(std::move(done)));
}


/// For while the replica is filled, or lags: the answer is etcd's own.
void etcd_journal::find_in_etcd(const std::string &task_id, found_fn done)
{
    read_in_etcd(task_id, [this, task_id, done = std::move(done)](const etcd::answer<etcd::range_answer> &got) {
        if (!got) {
            index_.on_away();
            find_known(task_id, done);
            return;
        }
        if (got->found.empty()) {
            done(outcome::ok(), std::nullopt);
            return;
        }
        auto read = cluster::read_task(got->found.front(), task_id);
        if (read) {
            done(outcome::ok(), std::move(read->row));
        } else {
            done(outcome::permanent(read.sentence()), std::nullopt);
        }
    });
}


void etcd_journal::read_in_etcd(const std::string &task_id, read_fn done)
{
    etcd::range_request request;
    request.key = names_.task(task_id);
    const auto number = ++last_read_;
    reads_[number] = client_.range(
        std::move(request), [this, number, done = std::move(done)](const etcd::answer<etcd::range_answer> &got) {
            const auto ended = reads_.extract(number); // lives until the callback has run
            done(got);
        });
}


void etcd_journal::find_latest(task_kind kind, const std::string &model_id, found_fn done)
{
    index_.ask([this, kind, model_id, done = std::move(done)](bool is_current) {
        if (is_current && is_following()) {
            replica_.read().find_latest(kind, model_id, done);
        } else if (index_.is_away()) {
            replica_.read().find_latest(kind, model_id, or_not_known(done));
        } else {
            done(outcome::transient("the replica of the journal lags behind etcd; try again soon"), std::nullopt);
        }
    });
}


void etcd_journal::find_series(const std::string &task_id, series_fn done)
{
    index_.ask([this, task_id, done = std::move(done)](bool is_current) {
        if (is_current && is_following()) {
            replica_.read().find_series(task_id, done);
        } else if (index_.is_away()) {
            replica_.read().find_series(task_id, or_not_known(done));
        } else {
            done(outcome::transient("the replica of the journal lags behind etcd; try again soon"), std::nullopt);
        }
    });
}


void etcd_journal::read_after(std::uint64_t revision, std::size_t max_bytes,
                              std::function<void(outcome, std::vector<task_row>)> done)
{
    replica_.read().read_after(revision, max_bytes, std::move(done));
}


void etcd_journal::list(const task_filter &which, std::size_t limit, std::size_t max_bytes, listed_fn done)
{
    replica_.read().list(which, limit, max_bytes, std::move(done));
}


void etcd_journal::list_models(const std::string &after, std::size_t limit, models_fn done)
{
    replica_.read().list_models(after, limit, std::move(done));
}


void etcd_journal::list_unfinished(std::uint64_t after, std::size_t max_bytes, listed_fn done)
{
    replica_.read().list_unfinished(after, max_bytes, std::move(done));
}


void etcd_journal::list_all_models(const std::string &after, std::size_t limit, models_fn done)
{
    replica_.read().list_all_models(after, limit, std::move(done));
}


void etcd_journal::list_gateways(std::function<void(outcome, std::vector<known_gateway>)> done)
{
    replica_.read().list_gateways(std::move(done));
}


void etcd_journal::count_tasks(std::function<void(outcome, std::uint64_t)> done)
{
    replica_.read().count_tasks(std::move(done));
}

} // namespace rollout
