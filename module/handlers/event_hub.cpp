#include "module/handlers/event_hub.hpp"

#include "common/base/json_writer.hpp"
#include "common/base/timestamp.hpp"
#include "module/api/event_text.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"
#include "module/nginx/guard.hpp"
#include "module/tables/change_row.hpp"
#include "module/tables/served_document.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace rollout {

namespace {

/// The interval at which the ring is read: the delay of an event.
constexpr ngx_msec_t interval_ms = 100;

constexpr ngx_msec_t ping_ms = 10000;
constexpr ngx_msec_t sample_ms = 2000;

/// Streams that are sent something in one turn of the event loop, so that other requests are served in between.
constexpr unsigned streams_a_turn = 256;

/// The bytes that a client is sent at a time, but at least one event, and how often in one round.
constexpr std::size_t bytes_at_a_time = 64 * 1024;
constexpr unsigned times_a_round = 4;

/// The texts that are kept for clients that come later.
constexpr std::size_t kept_text_bytes = 1024 * 1024;


/// Returns the index of the form in which a client reads events.
std::uint64_t form_of(const event_stream &stream) noexcept
{
    return (stream.is_of_task() ? 1u : 0u) | (stream.form.words == dialect::standard ? 0u : 2u) |
           (stream.form.identity ? 0u : 4u);
}


std::string key_of(const change &what)
{
    std::string key(1, what.kind == change_kind::task ? 't' : 'r');
    key.append(what.name());
    if (what.kind == change_kind::route) { // a part has its name from its model
        key.append(1, '\0').append(what.model_id());
    }
    return key;
}


shared_text share_text(std::string text)
{
    return std::make_shared<const std::string>(std::move(text));
}


std::int64_t now_us() noexcept
{
    const ngx_time_t &now = *ngx_timeofday();
    return std::int64_t{now.sec} * 1000000 + static_cast<std::int64_t>(now.msec) * 1000;
}

} // namespace


event_hub &event_hub::of_process() noexcept
{
    static event_hub hub;
    return hub;
}


event_hub &event_hub::of_process(shared_zone &zone)
{
    auto &hub = of_process();
    hub.use(zone);
    return hub;
}


void event_hub::use(shared_zone &zone)
{
    if (memory_ != zone.header) {
        while (first_ != nullptr) {
            finish(*first_);
        }
        head_ = 0;
        oldest_ = 1;
        seen_.clear();
        latest_.clear();
    }
    memory_ = zone.header;
    zone_ = &zone;
    read_changes();
}


// The ring.

std::uint64_t event_hub::head() noexcept
{
    return event_ring(zone_->events).head();
}


bool event_hub::can_resume(std::uint64_t sequence) noexcept
{
    return sequence <= head_ && sequence + 1 >= oldest_;
}


/// Reads what is new in the ring. Before the first stream, it reads all of the ring.
void event_hub::read_changes()
{
    const event_ring ring(zone_->events);
    const std::uint64_t entries = ring.entries();
    const std::uint64_t head = ring.head();
    if (head - head_ > entries) { // they are not the next ones
        latest_.clear();
        head_ = head - entries;
        oldest_ = head_ + 1;
    }
    seen_.resize(entries);
    if (head != head_) {
        ping_.reset();
    }
    while (head_ < head) {
        change what;
        if (!ring.read(head_ + 1, what)) {
            what = {}; // overwritten meanwhile
            what.sequence = head_ + 1;
        }
        note(what);
        head_ = what.sequence;
        oldest_ = std::max(oldest_, head_ >= entries ? head_ - entries + 1 : 1);
    }
}


void event_hub::note(const change &what)
{
    auto &entry = seen_[what.sequence % seen_.size()];
    if (entry.what.sequence != 0 && entry.what.kind != change_kind::all) {
        const auto found = latest_.find(key_of(entry.what));
        if (found != latest_.end() && found->second == entry.what.sequence) {
            latest_.erase(found);
        }
    }
    if (what.kind != change_kind::all) {
        auto &latest = latest_[key_of(what)];
        if (latest != 0) {
            seen_[latest % seen_.size()].is_superseded = true;
        }
        latest = what.sequence;
    }
    entry = {what, false};
}


// The texts.

event_id event_hub::id_of(std::uint64_t sequence) const noexcept
{
    return {zone_->gateway(), sequence};
}


bool event_hub::is_linked() const noexcept
{
    const auto *link = link_of_process();
    return link != nullptr && link->up();
}


std::string event_hub::ping_text(std::uint64_t cursor) const
{
    json_writer data;
    data.begin_object().name("now").text(timestamp(now_us()));
    data.name("rolloutd").text(is_linked() ? "up" : "away");
    data.name("tasks_known").boolean(zone_->tasks_brought()).end_object();
    return event_text(id_of(cursor), "ping", {data.take()});
}


std::string event_hub::reset_text(std::uint64_t cursor) const
{
    return event_text(id_of(cursor), "reset", {"{}"});
}


std::string event_hub::task_text(const task_record &task, const event_stream &stream, std::uint64_t cursor) const
{
    if (!stream.is_of_task()) {
        return event_text(id_of(cursor), "task", {row_of(task, stream.form.words)});
    }
    const auto pieces = serve_document(task, stream.form);
    return event_text(id_of(cursor), "task", {pieces[0], pieces[1], pieces[2], pieces[3]});
}


std::string event_hub::end_text(const task_record &task, const event_stream &stream, std::uint64_t cursor) const
{
    json_writer data;
    data.begin_object().name("task_id").text(task.task_id);
    data.name("status").text(status_name(task.status, stream.form.words)).end_object();
    return event_text(id_of(cursor), "end", {data.take()});
}


event_hub::formatted event_hub::text_of(const change &what, const event_stream &stream)
{
    const std::uint64_t key = what.sequence * forms + form_of(stream);
    if (const auto known = texts_.find(key); known != texts_.end()) {
        return known->second;
    }
    auto formatted_event = format(what, stream);
    const std::size_t bytes = formatted_event.text != nullptr ? formatted_event.text->size() : 0;
    texts_.emplace(key, formatted_event);
    text_order_.emplace_back(key, bytes);
    text_bytes_ += bytes;
    while (text_order_.size() > 1 && (text_bytes_ > kept_text_bytes || text_order_.size() > seen_.size())) {
        texts_.erase(text_order_.front().first);
        text_bytes_ -= text_order_.front().second;
        text_order_.pop_front();
    }
    return formatted_event;
}


/// The text has what is in the table now: the event's change, or a later one.
event_hub::formatted event_hub::format(const change &what, const event_stream &stream)
{
    formatted formatted_event;
    if (what.kind == change_kind::route) {
        route found;
        const auto there = read_records(*zone_, [&](record_store &records) {
            return route_table(records).read(what.model_id(), what.name(), found);
        });
        if (there == record_store::found::yes || there == record_store::found::no) {
            found.model_id = what.model_id();
            found.part = what.name();
            formatted_event.text = share_text(event_text(id_of(what.sequence), "model", {row_of(found)}));
        }
        return formatted_event;
    }
    task_record task;
    const auto there = read_records(*zone_, [&](record_store &records) {
        const auto allocate = [this](std::size_t size) {
            scratch_.resize(size);
            return reinterpret_cast<unsigned char *>(scratch_.data());
        };
        return task_table(records).by_id(what.of_task, what.name(), allocate, task);
    });
    if (there == record_store::found::yes) {
        formatted_event.text = share_text(task_text(task, stream, what.sequence));
        if (is_final(task.status)) {
            formatted_event.end = share_text(end_text(task, stream, what.sequence));
        }
    }
    return formatted_event;
}


// The streams.

void event_hub::add(event_stream &stream) noexcept
{
    stream.previous = nullptr;
    stream.next = first_;
    if (first_ != nullptr) {
        first_->previous = &stream;
    }
    first_ = &stream;
    stream.ping_at = ngx_current_msec + ping_ms;
    if (!timer_.timer_set) {
        no_connection_.fd = static_cast<ngx_socket_t>(-1);
        for (auto *event : {&timer_, &turn_}) {
            event->data = &no_connection_;
            event->log = ngx_cycle->log;
        }
        timer_.handler = on_timer;
        turn_.handler = on_turn;
        was_linked_ = is_linked();
        ngx_add_timer(&timer_, interval_ms);
    }
}


void event_hub::remove(event_stream &stream) noexcept
{
    if (&stream != first_ && stream.previous == nullptr) {
        return; // it was never added, or is removed already
    }
    if (walk_ == &stream) {
        walk_ = stream.next;
    }
    (stream.previous != nullptr ? stream.previous->next : first_) = stream.next;
    if (stream.next != nullptr) {
        stream.next->previous = stream.previous;
    }
    stream.previous = stream.next = nullptr;
    if (first_ == nullptr) {
        stop();
    }
}


void event_hub::stop() noexcept
{
    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
    if (turn_.posted) {
        ngx_delete_posted_event(&turn_);
    }
    end_round();
    sampled_requests_.clear();
    texts_.clear();
    text_order_.clear();
    text_bytes_ = 0;
    ping_.reset();
}


void event_hub::finish(event_stream &stream) noexcept
{
    end(stream, stream.output.send(true));
}


void event_hub::end(event_stream &stream, ngx_int_t rc) noexcept
{
    remove(stream);
    // Outside of a request's own handlers, nginx does not run posted requests by itself.
    ngx_connection_t *c = stream.r->connection;
    ngx_http_finalize_request(stream.r, rc);
    ngx_http_run_posted_requests(c);
}


void event_hub::on_timer(ngx_event_t *) noexcept
{
    auto &hub = of_process();
    ngx_add_timer(&hub.timer_, interval_ms); // an exiting process lives as long as there is a timer
    if (hub.in_round_) {
        return;
    }
    guarded(ngx_cycle->log, [&hub] { hub.read_changes(); });
    const bool linked = hub.is_linked();
    hub.pings_all_ = std::exchange(hub.was_linked_, linked) != linked;
    hub.ping_.reset();
    hub.is_sample_round_ = is_past(hub.sample_at_);
    hub.in_round_ = true;
    hub.walk_ = hub.first_;
    hub.serve_some();
}


void event_hub::on_turn(ngx_event_t *) noexcept
{
    of_process().serve_some();
}


void event_hub::serve_some() noexcept
{
    for (unsigned served = 0; walk_ != nullptr;) {
        if (served == streams_a_turn) {
            ngx_post_event(&turn_, &ngx_posted_next_events);
            return;
        }
        auto &stream = *walk_;
        walk_ = stream.next;
        served += serve(stream) ? 1 : 0;
    }
    end_round();
}


void event_hub::end_round() noexcept
{
    in_round_ = false;
    if (is_sample_round_) {
        is_sample_round_ = false;
        sample_at_ = ngx_current_msec + sample_ms;
        sample_.clear();
        whole_sample_.reset();
        changed_sample_.reset();
    }
}


/// Sends the stream what is new, or ends it. Returns whether there was anything to do.
bool event_hub::serve(event_stream &stream) noexcept
{
    if (ngx_exiting || is_past(stream.ends_at)) {
        finish(stream);
        return true;
    }
    if (pings_all_) {
        stream.ping_at = ngx_current_msec - 1;
    }
    const bool has_sample = is_sample_round_ && stream.has_samples;
    if (stream.cursor == head_ && !is_past(stream.ping_at) && !has_sample) {
        return false;
    }
    if (!stream.output.is_idle()) {
        stream.is_sampled = stream.is_sampled && !has_sample; // it misses this one
        return true;
    }
    const auto ended = guarded(stream.r->connection->log, std::optional<ngx_int_t>(NGX_ERROR),
                               [&] { return send_news(stream, has_sample); });
    if (ended) {
        end(stream, *ended);
    }
    return true;
}


void event_hub::on_drained(void *stream) noexcept
{
    of_process().serve(*static_cast<event_stream *>(stream));
}


/// Sends the stream the events after its cursor, as far as the client accepts them, then what is due. Returns how the
/// stream ends, or nothing if it goes on.
std::optional<ngx_int_t> event_hub::send_news(event_stream &stream, bool has_sample)
{
    const bool was_sampled = std::exchange(stream.is_sampled, stream.is_sampled && !has_sample);
    for (unsigned i = 0; i < times_a_round && stream.cursor != head_ && stream.output.is_idle(); ++i) {
        const bool ends = add_changes(stream);
        const ngx_int_t rc = stream.output.send(ends);
        if (ends || rc == NGX_ERROR) {
            return rc;
        }
    }
    if (stream.cursor != head_ || !stream.output.is_idle()) {
        return std::nullopt;
    }
    if (is_past(stream.ping_at)) {
        add_ping(stream);
    }
    if (has_sample) {
        add_sample(stream, !was_sampled);
    }
    const ngx_int_t rc = stream.output.send(false);
    return rc == NGX_ERROR ? std::optional(rc) : std::nullopt;
}


/// Adds the events after the stream's cursor to its output. Returns whether the stream ends with them.
bool event_hub::add_changes(event_stream &stream)
{
    if (!can_resume(stream.cursor)) {
        return add_reset(stream);
    }
    while (stream.cursor != head_ && stream.output.added_bytes() < bytes_at_a_time) {
        const auto &[what, is_superseded] = seen_[(stream.cursor + 1) % seen_.size()];
        if (what.kind == change_kind::all) {
            return add_reset(stream);
        }
        ++stream.cursor;
        if (is_superseded || !stream.concerns(what)) {
            continue;
        }
        const auto formatted_event = text_of(what, stream);
        if (formatted_event.text == nullptr) {
            return add_reset(stream);
        }
        stream.output.add(formatted_event.text);
        if (formatted_event.end != nullptr && stream.is_of_task()) {
            stream.output.add(formatted_event.end);
            return true;
        }
    }
    return false;
}


/// Lets the client begin anew: what it reads from now on has all changes so far. A client of one task gets that at
/// once, unless the task has been evicted: then the stream ends, as the client is answered by rolloutd when it connects
/// again. Returns whether the stream ends.
bool event_hub::add_reset(event_stream &stream)
{
    if (!stream.is_of_task()) {
        stream.cursor = head_;
        stream.output.add(share_text(reset_text(head_)));
        return false;
    }
    change now(change_kind::task, stream.kind, {}, stream.task_id);
    now.sequence = head_;
    const auto formatted_event = format(now, stream);
    if (formatted_event.text == nullptr) {
        return true; // and the client has no id yet of what it misses
    }
    stream.cursor = head_;
    stream.output.add(share_text(reset_text(head_)));
    stream.output.add(formatted_event.text);
    if (formatted_event.end != nullptr) {
        stream.output.add(formatted_event.end);
    }
    return formatted_event.end != nullptr;
}


void event_hub::add_ping(event_stream &stream)
{
    if (ping_ == nullptr) {
        ping_ = share_text(ping_text(head_));
    }
    stream.ping_at = ngx_current_msec + ping_ms;
    stream.output.add(ping_);
}


// Samples of the counters.

void event_hub::begin_sample()
{
    const route_metrics meters(zone_->meters);
    sample_ = meters.read(0, meters.entries());
    std::erase_if(sample_, [](const auto &of) { return of.model_id.empty(); }); // of the routes without their own

    auto before = std::exchange(sampled_requests_, {});
    std::vector<const route_metrics::reading *> changed;
    for (const auto &of : sample_) {
        std::uint64_t requests = 0;
        for (const auto &counted : of.slots) {
            requests = std::accumulate(counted.by_class.begin(), counted.by_class.end(), requests);
        }
        const std::string name = of.model_id + '/' + of.part;
        const auto known = before.find(name);
        if (known == before.end() || known->second != requests) {
            changed.push_back(&of);
        }
        sampled_requests_.emplace(name, requests);
    }
    if (!changed.empty()) {
        changed_sample_ = share_text(sample_text(changed));
    }
}


std::string event_hub::sample_text(const std::vector<const route_metrics::reading *> &of) const
{
    json_writer data;
    data.begin_object().name("now").text(timestamp(now_us())).name("bounds_ms").begin_array();
    for (const auto bound : meter_bounds_ms) {
        data.number(bound);
    }
    data.end_array().name("models").begin_array();
    for (const auto *model : of) {
        data.raw(row_of(*model));
    }
    return event_text(id_of(head_), "sample", {data.end_array().end_object().take()});
}


/// Adds the sample of this round: the whole one for a client that has not got the one before, else what has changed.
void event_hub::add_sample(event_stream &stream, bool is_whole)
{
    if (sample_.empty()) {
        begin_sample();
    }
    stream.is_sampled = true;
    const bool is_of_all = stream.sample_model.empty();
    if (is_of_all && !is_whole) {
        if (changed_sample_ != nullptr) {
            stream.output.add(changed_sample_);
        }
        return;
    }
    if (is_of_all && whole_sample_ != nullptr) {
        stream.output.add(whole_sample_);
        return;
    }
    std::vector<const route_metrics::reading *> wanted;
    for (const auto &model : sample_) {
        if (is_of_all || model.model_id == stream.sample_model) {
            wanted.push_back(&model);
        }
    }
    auto text = share_text(sample_text(wanted));
    if (is_of_all) {
        whole_sample_ = text;
    }
    stream.output.add(std::move(text));
}

} // namespace rollout
