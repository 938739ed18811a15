#include "worker/journal/etcd/follower.hpp"

#include "common/domain/identifiers.hpp"
#include "worker/base/failpoint.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/journal/etcd/revision.hpp"

#include <algorithm>
#include <utility>

namespace rollout::cluster {

namespace {

etcd::range_request read_of(std::string key)
{
    etcd::range_request request;
    request.key = std::move(key);
    return request;
}


constexpr std::size_t most_faults_logged = 20;
constexpr std::size_t most_clocks_known = 1000;
constexpr std::chrono::milliseconds log_pause = std::chrono::seconds(10);


/// What cannot be read has been left out before.
std::optional<model> model_of(const replica_model &entry)
{
    json_error_t error;
    auto read = model_from_json(json_read(entry.state, 0, error).get());
    if (read) {
        read->model_id = entry.model_id;
        read->route_revision = entry.revision;
    }
    return read;
}


/// Takes the rows out of the changes.
journal_news take_news(followed_changes &of, std::uint64_t before)
{
    journal_news news{.before = before, .now = revision_after(of.up_to)};
    news.rows.reserve(of.changes.tasks.size());
    for (auto &task : of.changes.tasks) {
        news.rows.push_back(std::move(task.row));
    }
    for (const auto &entry : of.changes.models) {
        if (auto read = model_of(entry)) {
            news.models.push_back(std::move(*read));
        }
    }
    return news;
}

} // namespace


follower::follower(surroundings around) : around_(std::move(around)) {}


follower::~follower() = default;


void follower::start()
{
    join();
}


std::string follower::trouble() const
{
    const bool is_asked = is_unanswered_ || (trouble_.empty() && state_ != state::following);
    return is_asked && around_.etcd.progress ? around_.etcd.progress() : trouble_;
}


void follower::stop()
{
    drop_changes();
    call_.reset();
    joins_then_ = false;
    state_ = state::stopped;
}


void follower::rejoin()
{
    if (state_ == state::stopped) {
        return;
    }
    drop_changes();
    join();
}


// What the cluster is, and whether the replica is a part of its history.

void follower::join()
{
    state_ = watch_ ? state::checking : state::joining;
    if (unapplied_ != 0) {
        joins_then_ = true;
        return;
    }
    call_ = around_.etcd.range(read_of(around_.names.meta()),
                               [this](const etcd::answer<etcd::range_answer> &got) { on_meta(got); });
}


void follower::on_meta(const etcd::answer<etcd::range_answer> &got)
{
    call_.reset();
    is_unanswered_ = false;
    if (!got) {
        say(got.why().sentence);
        retry([this] { join(); });
        return;
    }
    if (got->found.empty()) {
        create_meta();
        return;
    }
    const auto meta = read_meta(got->found.front());
    if (!meta) {
        watch_.reset();
        say(meta.sentence());
        if (around_.on_refused) {
            around_.on_refused(meta.sentence());
        }
        retry([this] { join(); });
        return;
    }
    meta_ = *meta;
    meta_value_ = got->found.front().value;
    const auto newest = got->header.revision;
    const auto cluster = got->header.cluster_id;
    if (around_.on_joined) {
        around_.on_joined(meta_, meta_value_);
    }
    check_history(newest, cluster);
}


void follower::create_meta()
{
    const auto key = around_.names.meta();
    const meta_record fresh{new_instance_id()};
    etcd::txn_request request;
    request.compares.push_back(etcd::compare::absent(key));
    request.then.push_back({etcd::put_request{key, write_meta(fresh), 0}});
    request.then.push_back(
        {etcd::put_request{around_.names.position(), write_position({fresh.id, around_.time.wall_us()}), 0}});
    call_ = around_.etcd.txn(std::move(request), [this](const etcd::answer<etcd::txn_answer> &got) {
        call_.reset();
        if (got) {
            join(); // another one may have been first
            return;
        }
        say(got.why().sentence);
        if (around_.on_refused && got.why().is == etcd::failure::kind::refused) {
            around_.on_refused(got.why().sentence);
        }
        retry([this] { join(); });
    });
}


/// The history that the replica knows has the same mark at its revision: each transaction of ours puts one of its own.
void follower::check_history(std::int64_t newest, std::uint64_t cluster)
{
    const auto &position = around_.replica.position();
    newest_ = newest;
    cluster_ = cluster;
    const auto known = mod_revision_of(position.revision);
    is_other_ = false;
    if (position.journal_id.empty()) {
        resynchronise("the replica is new", std::chrono::milliseconds(0));
        return;
    }
    is_other_ = true;
    if (position.journal_id != meta_.id) {
        resynchronise("the replica is of another cluster", std::chrono::milliseconds(0));
        return;
    }
    if (position.cluster != cluster || known > newest) {
        resynchronise("etcd looks restored from an older copy", std::chrono::milliseconds(0));
        return;
    }
    checked_mark_ = position.mark;
    auto request = read_of(around_.names.position());
    request.revision = known;
    call_ =
        around_.etcd.range(std::move(request), [this](const etcd::answer<etcd::range_answer> &got) { on_mark(got); });
}


void follower::on_mark(const etcd::answer<etcd::range_answer> &got)
{
    using cause = etcd::failure::cause;
    call_.reset();
    if (!got && got.why().because == cause::compacted) {
        is_other_ = false;
        resynchronise("etcd does not keep the changes since the replica's last any more",
                      std::chrono::milliseconds(
                          static_cast<std::int64_t>(around_.random() * static_cast<double>(spread.count()))));
        return;
    }
    if (!got && got.why().because != cause::future_revision) {
        say(got.why().sentence);
        retry([this] { join(); });
        return;
    }
    if (!got || got->found.empty() || got->found.front().value != checked_mark_) {
        resynchronise("etcd looks restored from an older copy", std::chrono::milliseconds(0));
        return;
    }
    history_is_ours();
}


void follower::history_is_ours()
{
    if (!watch_) {
        follow();
        return;
    }
    state_ = state::following;
    if (!unwritable_since_) {
        trouble_.clear();
    }
    if (!held_.empty()) {
        take(std::exchange(held_, {}));
    }
}


// The watch.

void follower::follow()
{
    state_ = state::following;
    queued_ = around_.replica.position();
    if (!trouble_.empty() && !unwritable_since_) { // else it has yet to take what it could not
        trouble_.clear();
        log(log_level::info, "Following etcd");
    }
    const auto all = around_.names.shared();
    watch_ = around_.watch({all, etcd::end_of_prefix(all), mod_revision_of(queued_.revision), silence}, *this);
}


void follower::on_events(std::vector<etcd::watch_event> events)
{
    failpoint({"etcd", "watch", "events"});
    heard_at_ = around_.time.now();
    if (std::exchange(is_silent_, false)) {
        log(log_level::info, "etcd tells of changes again");
    }
    if (state_ == state::checking) {
        held_ = std::move(events);
        return;
    }
    take(events);
}


void follower::take(const std::vector<etcd::watch_event> &events)
{
    auto read = read_events(around_.names, events);
    say_faults(read.faults);
    if (read.meta_removed || (!read.meta.empty() && read.meta != meta_value_)) {
        rejoin();
        return;
    }
    if (!read.mark.empty() && read.up_to > newest_) { // not of what was missed
        check_clock(read.mark);
    }
    apply(std::move(read));
}


/// Clocks that differ harm no order, but dates, and what is removed for its age.
void follower::check_clock(const std::string &mark)
{
    etcd::key_value entry;
    entry.key = around_.names.position();
    entry.value = mark;
    const auto written = read_position(entry);
    if (!written) {
        return; // which read_events has reported, or another version's
    }
    const auto apart = std::chrono::microseconds(around_.time.wall_us() - written->wall_us);
    if (written->writer == around_.writer) {
        return;
    }
    if (std::chrono::abs(apart) <= clock_tolerance) {
        wrong_clocks_.erase(written->writer);
        return;
    }
    if (wrong_clocks_.size() == most_clocks_known) {
        wrong_clocks_.clear();
    }
    if (wrong_clocks_.insert(written->writer).second) {
        log(log_level::warning,
            "This host's clock is " +
                format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::abs(apart))) +
                (apart.count() > 0 ? " ahead of that of " : " behind that of ") +
                (written->host.empty() ? "the host that wrote to etcd last" : "host " + written->host) +
                ": dates of tasks are wrong, and tasks may be removed too early or too late. Synchronise the clocks "
                "of all hosts (NTP)");
    }
}


/// The watch goes on before the replica has answered: a restart begins from what the replica has, whatever the watch was
/// told.
void follower::apply(followed_changes changes)
{
    const auto before = queued_.revision;
    queued_.revision = revision_after(changes.up_to);
    queued_.mark = changes.mark.empty() ? queued_.mark : changes.mark;
    ++unapplied_;
    owed_ = changes.up_to;
    if (unapplied_ < most_unapplied) {
        watch_->applied(std::exchange(owed_, 0));
    }
    const auto shared = std::make_shared<followed_changes>(std::move(changes));
    around_.replica.apply(std::shared_ptr<const replica_changes>(shared, &shared->changes), before, queued_,
                          [this, shared, before, round = round_](const outcome &result) {
                              --unapplied_;
                              on_answer(result, *shared, before, round);
                              if (unapplied_ == 0 && std::exchange(joins_then_, false)) {
                                  join();
                              }
                          });
}


void follower::on_answer(const outcome &result, followed_changes &changes, std::uint64_t before, std::uint64_t round)
{
    if (!result) {
        if (round == round_) { // else those that build on it
            note_unwritable(result);
            drop_changes();
            state_ = state::joining;
            retry([this] { join(); });
        }
        return;
    }
    if (std::exchange(unwritable_since_, std::nullopt) && state_ == state::following) {
        trouble_.clear();
        log(log_level::info, "Following etcd");
    }
    if (watch_ && owed_ != 0) {
        watch_->applied(std::exchange(owed_, 0));
    }
    if (around_.on_applied) {
        around_.on_applied(take_news(changes, before));
    }
}


void follower::on_compacted(std::int64_t)
{
    drop_changes();
    join(); // which finds the same, and reads everything
}


/// While the stream was broken, etcd may have been put back from a copy, whose revisions would come to be the replica's
/// by and by: nothing is taken in until its history is known to be ours.
///
/// A watch that is silent may have nothing to tell, as nobody leads: that is logged once, until a change comes.
void follower::on_trouble(const etcd::failure &why)
{
    if (why.because != etcd::failure::cause::timed_out) {
        say(why.sentence);
    } else {
        trouble_ = why.sentence;
        if (!std::exchange(is_silent_, true)) {
            log(log_level::warning, why.sentence + ". Either nobody leads, or the member keeps the changes back");
        }
    }
    call_.reset();
    join();
}


// Everything anew.

void follower::resynchronise(const std::string &why, std::chrono::milliseconds after)
{
    drop_changes();
    state_ = state::resynchronising;
    log(log_level::info, "Reading everything from etcd: " + why);
    trouble_ = "everything is read from etcd, as " + why;
    fixed_ = newest_;
    next_key_ = around_.names.shared();
    mark_.clear();
    read_ = 0;
    call_ = around_.time.after(after, [this] {
        around_.replica.begin_shadow([this, round = round_](const outcome &result) {
            if (round != round_) {
                return;
            }
            result ? read_page() : shadow_failed(result);
        });
    });
}


/// Pages from the member's own state: all of one revision, whoever answers.
void follower::read_page()
{
    auto request = read_of(next_key_);
    request.range_end = etcd::end_of_prefix(around_.names.shared());
    request.limit = page;
    request.revision = fixed_;
    request.serializable = true;
    call_ =
        around_.etcd.range(std::move(request), [this](const etcd::answer<etcd::range_answer> &got) { on_page(got); });
}


void follower::on_page(const etcd::answer<etcd::range_answer> &got)
{
    call_.reset();
    if (!got) {
        say(got.why().sentence);
        if (got.why().because == etcd::failure::cause::compacted) {
            retry([this] { join(); });
        } else {
            retry([this] { read_page(); });
        }
        return;
    }
    const bool more = got->more && !got->found.empty();
    auto read = read_entries(around_.names, got->found);
    say_faults(read.faults);
    mark_ = read.mark.empty() ? mark_ : read.mark;
    read_ += got->found.size();
    if (more) {
        next_key_ = got->found.back().key + '\0';
    }
    around_.replica.add_to_shadow(std::move(read.changes), [this, more, round = round_](const outcome &result) {
        if (round != round_) {
            return;
        }
        if (!result) {
            shadow_failed(result);
        } else if (more) {
            read_page();
        } else {
            swap();
        }
    });
}


void follower::shadow_failed(const outcome &why)
{
    note_unwritable(why);
    retry([this] { join(); });
}


void follower::note_unwritable(const outcome &why)
{
    say("The replica could not be written and is tried again: " + why.detail);
    if (!unwritable_since_) {
        unwritable_since_ = around_.time.now();
    }
}


void follower::swap()
{
    replica_position to{meta_.id, cluster_, revision_after(fixed_), mark_};
    around_.replica.swap_shadow(std::move(to), [this, round = round_](const outcome &result) {
        if (round != round_) {
            return;
        }
        if (!result) {
            shadow_failed(result);
            return;
        }
        log(log_level::info, "The replica has everything from etcd: " + format_count(read_, "entry", "entries"));
        heard_at_ = around_.time.now();
        unwritable_since_.reset();
        follow();
        if (around_.on_resynchronised) {
            around_.on_resynchronised(is_other_);
        }
    });
}


/// Logs a trouble when it begins, and when it becomes another one: members fail in turn, each with a sentence of its own.
void follower::say(const std::string &why)
{
    const bool is_first = trouble_.empty() || said_at_.count() == 0;
    const bool is_other = trouble_ != why && around_.time.now() - said_at_ >= log_pause;
    trouble_ = why;
    if (is_first || is_other) {
        said_at_ = around_.time.now();
        log(log_level::warning, why);
    }
}


void follower::say_faults(const std::vector<std::string> &faults) const
{
    for (std::size_t i = 0; i < std::min(faults.size(), most_faults_logged); ++i) {
        log(log_level::error, "Skipping an entry: " + faults[i]);
    }
    if (faults.size() > most_faults_logged) {
        log(log_level::error,
            "Skipping " + format_count(faults.size() - most_faults_logged, "more entry", "more entries"));
    }
}


/// What the watch has told, and is not in the replica yet, is told anew or read anew.
void follower::drop_changes()
{
    watch_.reset();
    held_.clear();
    owed_ = 0;
    ++round_;
}


void follower::retry(std::function<void()> what)
{
    call_ = around_.time.after(retry_pause, std::move(what));
}

} // namespace rollout::cluster
