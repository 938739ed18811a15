#include "worker/journal/etcd/journal_import.hpp"

#include "common/domain/identifiers.hpp"
#include "worker/base/failpoint.hpp"
#include "worker/base/format.hpp"
#include "worker/journal/etcd/records.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

namespace rollout::cluster {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds resend_pause_of_import = 500ms;

/// More than a batch takes, and no more memory than some batches.
constexpr std::size_t most_waiting_writes = 256;

/// Keys that are removed in one transaction.
constexpr std::int64_t keys_to_remove = 500;

/// All that an import writes but s/meta and s/rev.
constexpr std::string_view imported_kinds[] = {"tasks/", "models/", "series/"};

etcd::range_request read_of_key(std::string key)
{
    etcd::range_request request;
    request.key = std::move(key);
    return request;
}


etcd::range_request all_below(const std::string &prefix)
{
    etcd::range_request request;
    request.key = prefix;
    request.range_end = etcd::end_of_prefix(prefix);
    return request;
}


etcd::range_request count_below(const std::string &prefix)
{
    auto request = all_below(prefix);
    request.count_only = true;
    return request;
}


std::size_t bytes_in(const etcd::txn_request &request)
{
    std::size_t bytes = 0;
    for (const auto &step : request.then) {
        if (const auto *put = std::get_if<etcd::put_request>(&step.is)) {
            bytes += put->key.size() + put->value.size();
        }
    }
    return bytes;
}


std::string wrong_count(std::int64_t found, std::string_view one, std::string_view many, std::uint64_t expected)
{
    return "etcd has " + format_count(static_cast<std::uint64_t>(found), one, many) + " where " +
           std::to_string(expected) + " were written";
}


std::string how_to_remove(const std::string &prefix)
{
    return "etcdctl del --prefix " + prefix;
}

} // namespace


journal_import::journal_import(surroundings around, done_fn done)
    : around_(std::move(around)), done_(std::move(done)), id_(new_instance_id())
{
}


void journal_import::start()
{
    read(read_of_key(around_.names.meta()), &journal_import::on_meta);
}


// The prefix is empty, or has what is left of an import of the same journal.

void journal_import::on_meta(const etcd::range_answer &found)
{
    const auto &prefix = around_.names.prefix();
    if (found.found.empty()) {
        claim(etcd::compare::all_absent(prefix, etcd::end_of_prefix(prefix)));
        return;
    }
    const auto &meta = found.found.front();
    const auto import_of = import_under_way(meta);
    if (import_of.empty()) {
        read(count_below(prefix), &journal_import::refuse_content);
    } else if (import_of != around_.from.id()) {
        fail(outcome::permanent("another journal is being imported below " + prefix +
                                " in etcd. If no import runs any more, remove what it has left, with " +
                                how_to_remove(prefix) + ", and run this one again"));
    } else {
        claim(etcd::compare::holds(meta.key, meta.value)); // the lock on the journal says that no other import runs
    }
}


void journal_import::claim(etcd::compare condition)
{
    wanted_mark_ = next_mark();
    etcd::txn_request request;
    request.compares.push_back(std::move(condition));
    request.then.push_back({etcd::put_request{around_.names.meta(), meta_value(true), 0}});
    request.then.push_back({etcd::put_request{around_.names.position(), wanted_mark_, 0}});
    send(std::move(request), &journal_import::on_claimed);
}


void journal_import::on_claimed()
{
    is_claimed_ = true;
    clear();
}


void journal_import::refuse_content(const etcd::range_answer &found)
{
    const auto &prefix = around_.names.prefix();
    fail(outcome::permanent("a journal is imported only where etcd has nothing, and below " + prefix + " it has " +
                            format_count(static_cast<std::uint64_t>(found.count), "key", "keys") +
                            ". Name another journal.etcd.prefix; or, if nobody needs what is there, stop every "
                            "rolloutd that uses it, remove it, with " +
                            how_to_remove(prefix) + ", and run the import again"));
}


/// Removes what an import that did not end has left.
void journal_import::clear()
{
    if (kind_to_clear_ == std::size(imported_kinds)) {
        next_batch();
        return;
    }
    auto request = all_below(around_.names.shared() + std::string(imported_kinds[kind_to_clear_]));
    request.limit = keys_to_remove;
    request.keys_only = true;
    read(std::move(request), &journal_import::on_old_keys);
}


void journal_import::on_old_keys(const etcd::range_answer &found)
{
    if (found.found.empty()) {
        ++kind_to_clear_;
        clear();
        return;
    }
    std::vector<etcd::txn_step> steps;
    steps.push_back({etcd::delete_request{found.found.front().key, found.found.back().key + '\0'}});
    advance(std::move(steps), &journal_import::clear);
}


// The writes of the journal's past.

void journal_import::next_batch()
{
    try {
        while (!is_read_ && writes_.size() < most_waiting_writes) {
            if (auto next = around_.from.next()) {
                writes_.push_back(std::move(*next));
            } else {
                is_read_ = true;
            }
        }
    } catch (const std::exception &error) {
        fail(outcome::transient(error.what()));
        return;
    }
    if (writes_.empty()) {
        next_series();
        return;
    }
    failpoint({"etcd", "import", "batch"});
    batch_ = make_import_batch(around_.names, writes_, indexes_, id_, bounds_);
    std::vector<etcd::txn_step> steps;
    steps.reserve(batch_.puts.size());
    for (auto &put : std::exchange(batch_.puts, {})) {
        steps.push_back({std::move(put)});
    }
    advance(std::move(steps), &journal_import::on_batch);
}


void journal_import::on_batch()
{
    for (const auto &[sequence, index] : batch_.created) {
        indexes_.add(sequence, index);
    }
    for (; batch_.writes != 0; --batch_.writes) {
        const auto &made = writes_.front();
        tasks_ += made.task && made.task->row.sequence == made.at ? 1 : 0;
        writes_.pop_front();
    }
    if (around_.on_progress) {
        around_.on_progress(tasks_);
    }
    next_batch();
}


void journal_import::next_series()
{
    try {
        while (!are_series_read_ && series_.size() < batch_bounds().puts) {
            if (auto next = around_.from.next_series()) {
                series_.push_back(std::move(*next));
            } else {
                are_series_read_ = true;
            }
        }
    } catch (const std::exception &error) {
        fail(outcome::transient(error.what()));
        return;
    }
    if (series_.empty()) {
        next_of_also();
        return;
    }
    std::vector<etcd::txn_step> steps;
    std::size_t bytes = 0;
    for (const auto &[task_id, content] : series_) {
        bytes += content.size() + task_id.size() + around_.names.shared().size();
        if (!steps.empty() && (steps.size() == bounds_.puts || bytes > bounds_.bytes)) {
            break;
        }
        steps.push_back({etcd::put_request{around_.names.series(task_id), content, 0}});
    }
    series_in_batch_ = steps.size();
    advance(std::move(steps), &journal_import::on_series);
}


void journal_import::on_series()
{
    series_.erase(series_.begin(), series_.begin() + static_cast<std::ptrdiff_t>(series_in_batch_));
    next_series();
}


void journal_import::next_of_also()
{
    const auto &all = around_.also;
    if (also_put_ == all.size()) {
        read(count_below(around_.names.task("")), &journal_import::on_tasks_counted);
        return;
    }
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(also_put_);
    also_in_batch_ = std::min(all.size() - also_put_, bounds_.puts);
    std::vector<etcd::txn_step> steps;
    for (auto put = begin; put != begin + static_cast<std::ptrdiff_t>(also_in_batch_); ++put) {
        steps.push_back({*put});
    }
    advance(std::move(steps), &journal_import::on_also);
}


void journal_import::on_also()
{
    also_put_ += also_in_batch_;
    next_of_also();
}


// The end.

void journal_import::on_tasks_counted(const etcd::range_answer &found)
{
    const auto expected = around_.from.tasks() - around_.from.left_out();
    if (static_cast<std::uint64_t>(found.count) != expected) {
        fail(outcome::permanent(wrong_count(found.count, "task", "tasks", expected)));
    } else {
        read(count_below(around_.names.model("")), &journal_import::on_models_counted);
    }
}


/// From the last transaction on, a rolloutd may use what was imported.
void journal_import::on_models_counted(const etcd::range_answer &found)
{
    const auto expected = around_.from.models();
    if (static_cast<std::uint64_t>(found.count) != expected) {
        fail(outcome::permanent(wrong_count(found.count, "model", "models", expected)));
        return;
    }
    failpoint({"etcd", "import", "end"});
    std::vector<etcd::txn_step> steps;
    steps.push_back({etcd::put_request{around_.names.meta(), meta_value(false), 0}});
    advance(std::move(steps), &journal_import::on_finished);
}


void journal_import::on_finished()
{
    done_(outcome::ok());
}


/// A rolloutd that waited for the end may have written before etcd was asked again whether it has the end.
void journal_import::on_final_meta(const etcd::range_answer &found)
{
    if (!found.found.empty() && found.found.front().value == meta_value(false)) {
        on_finished();
    } else {
        fail(outcome::permanent("something else has written below " + around_.names.prefix() + " in etcd meanwhile"));
    }
}


// Calls.

void journal_import::read(etcd::range_request request, found_fn then)
{
    asked_ = std::move(request);
    then_read_ = then;
    began_ = around_.time.now();
    send_read();
}


void journal_import::send_read()
{
    call_ = around_.etcd.range(asked_, [this](const etcd::answer<etcd::range_answer> &got) { on_read(got); });
}


void journal_import::on_read(const etcd::answer<etcd::range_answer> &got)
{
    call_.reset();
    if (got) {
        (this->*then_read_)(*got);
    } else {
        try_again(got.why(), &journal_import::send_read);
    }
}


/// Carries out the steps if nobody has written since the last transaction.
void journal_import::advance(std::vector<etcd::txn_step> steps, next_fn then)
{
    etcd::txn_request request;
    request.compares.push_back(etcd::compare::holds(around_.names.position(), wanted_mark_));
    wanted_mark_ = next_mark();
    request.then = std::move(steps);
    request.then.push_back({etcd::put_request{around_.names.position(), wanted_mark_, 0}});
    send(std::move(request), then);
}


void journal_import::send(etcd::txn_request request, next_fn then)
{
    request_ = std::move(request);
    then_ = then;
    began_ = around_.time.now();
    send_again();
}


void journal_import::send_again()
{
    call_ = around_.etcd.txn(request_, [this](const etcd::answer<etcd::txn_answer> &got) { on_answer(got); });
}


void journal_import::on_answer(const etcd::answer<etcd::txn_answer> &got)
{
    using cause = etcd::failure::cause;
    call_.reset();
    if (got && got->succeeded) {
        (this->*then_)();
    } else if (got) {
        read(read_of_key(around_.names.position()), &journal_import::on_mark);
    } else if (got.why().because == cause::too_large || got.why().because == cause::too_many_operations) {
        make_smaller(got.why());
    } else {
        is_claimed_ = is_claimed_ || got.why().is == etcd::failure::kind::unknown;
        try_again(got.why(), &journal_import::send_again);
    }
}


/// A compare did not hold: an earlier attempt was carried out, or somebody else has written.
void journal_import::on_mark(const etcd::range_answer &found)
{
    if (!found.found.empty() && found.found.front().value == wanted_mark_) {
        (this->*then_)();
    } else if (then_ == &journal_import::on_claimed) {
        is_claimed_ = false;
        read(count_below(around_.names.prefix()), &journal_import::refuse_content);
    } else {
        read(read_of_key(around_.names.meta()), &journal_import::on_final_meta);
    }
}


/// etcd allows less than it does by default.
void journal_import::make_smaller(const etcd::failure &why)
{
    struct batch_kind {
        next_fn then;
        std::size_t count;
        next_fn again;
    };
    const std::array kinds{batch_kind{&journal_import::on_batch, batch_.writes, &journal_import::next_batch},
                           batch_kind{&journal_import::on_series, series_in_batch_, &journal_import::next_series},
                           batch_kind{&journal_import::on_also, also_in_batch_, &journal_import::next_of_also}};
    const auto *const kind = std::ranges::find(kinds, then_, &batch_kind::then);
    if (kind == kinds.end() || kind->count < 2) {
        fail(outcome::permanent(why.sentence));
        return;
    }
    if (why.because == etcd::failure::cause::too_many_operations || kind->then == &journal_import::on_also) {
        bounds_.puts = std::max<std::size_t>((request_.then.size() - 1) / 2, 1);
    } else {
        bounds_.bytes = std::min(bounds_.bytes, bytes_in(request_)) / 2;
    }
    // The mark that was not put is not compared.
    wanted_mark_ = request_.compares.front().value;
    (this->*kind->again)();
}


void journal_import::try_again(const etcd::failure &why, next_fn what)
{
    if (why.is == etcd::failure::kind::refused) {
        fail(outcome::permanent(why.sentence));
    } else if (around_.time.now() - began_ >= (marks_ == 0 ? first_time : settle_time)) {
        fail(outcome::transient(why.sentence));
    } else {
        call_ = around_.time.after(resend_pause_of_import, [this, what] { (this->*what)(); });
    }
}


void journal_import::fail(outcome why)
{
    why.detail += is_claimed_ ? ". No rolloutd uses what was written so far. Run the import again: it begins anew"
                              : ". Nothing was written";
    done_(std::move(why));
}


std::string journal_import::next_mark()
{
    return write_position({id_ + '-' + std::to_string(++marks_), around_.time.wall_us()});
}


std::string journal_import::meta_value(bool is_under_way) const
{
    meta_record meta{id_};
    meta.import_of = is_under_way ? around_.from.id() : "";
    return write_meta(meta);
}

} // namespace rollout::cluster
