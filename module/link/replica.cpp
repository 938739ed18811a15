// What rolloutd says: each frame that comes in, and what it does to the shared memory and to those who asked. Routes are in
// link_routes.cpp.
#include "common/base/text.hpp"
#include "common/domain/names.hpp"
#include "common/link/protocol.hpp"
#include "common/link/task_line.hpp"
#include "module/link/worker_link.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

namespace {

/// The parts that a question is about.
template <class Visit>
void each_part(const json_t *message, Visit visit)
{
    const json_t *parts = json_object_get(message, "parts");
    for (std::size_t i = 0; i < json_array_size(parts); ++i) {
        visit(json_text(json_array_get(parts, i)));
    }
}


/// Documents are rolloutd's, and not parsed here: an object by its ends, with the status where an answer in other words
/// looks for it.
bool is_document_of(const task_record &task)
{
    const auto at = task.status_at();
    return task.document.starts_with('{') && task.document.ends_with('}') && at != std::string_view::npos &&
           task.document.substr(at).starts_with(std::string(status_name(task.status)) + '"');
}


/// A task's line; the record points into it.
bool read_task(std::string_view line, task_record &task)
{
    const auto read = read_task_line(line);
    if (!read) {
        return false;
    }
    task = {read->kind, read->status, read->sequence, read->revision, read->task_id, read->model_id, read->document};
    return is_document_of(task);
}

} // namespace


void worker_link::take(const json_t *message)
{
    const auto type = rolloutd_frame_from(json_text(message, "type"));
    if (!type) {
        disconnect("a frame of an unknown type");
        return;
    }
    switch (*type) {
    case rolloutd_frame::welcome:
        take_welcome(message);
        break;
    case rolloutd_frame::accepted:
        take_accepted();
        break;
    case rolloutd_frame::rejected:
        take_rejection(message);
        break;
    case rolloutd_frame::found:
        take_found(message);
        break;
    case rolloutd_frame::listed:
    case rolloutd_frame::listed_models:
    case rolloutd_frame::metered:
        take_page(message, *type);
        break;
    case rolloutd_frame::update:
        take_update(message);
        break;
    case rolloutd_frame::shared:
        zone_.doubt_tasks();
        break;
    case rolloutd_frame::routes:
        take_routes(message);
        break;
    case rolloutd_frame::sample:
        take_sample(message);
        break;
    case rolloutd_frame::measure:
        take_measure(message);
        break;
    case rolloutd_frame::stream:
        send_hello();
        break;
    case rolloutd_frame::ping:
        send(message_of(gateway_frame::pong).get());
        if (ngx_exiting) {
            end_calls(true, link_result::late); // who only waits for news does not keep an old process alive
        }
        break;
    case rolloutd_frame::refuse:
        take_refusal(message);
        break;
    }
}


void worker_link::take_welcome(const json_t *message)
{
    const auto journal = json_text(message, "journal");
    const auto protocol = json_number(message, "protocol");
    if (!common_protocol(spoken_protocols, {protocol, protocol})) {
        const std::string reason = "rolloutd answers in version " + std::to_string(protocol) +
                                   " of the protocol, this module speaks " + protocol_words(spoken_protocols) +
                                   "; upgrade the older of the two";
        refused(reason);
        return;
    }
    if (journal.size() != sizeof(zone_header::journal)) {
        disconnect("a welcome without a journal");
        return;
    }
    welcomed_at_ = json_count(message, "revision");
    bool is_put_back = false;
    {
        zone_writer writer(zone_);
        if (!writer) {
            disconnect("the zone is locked");
            return;
        }
        // A journal that is behind what it was told: it was put back from a copy, and gives the same numbers again. Unless
        // another process has heard it before.
        const bool is_same = zone_.journal() == journal;
        is_put_back = is_same && welcomed_at_ < brought_ && welcomed_at_ < zone_.header->revision;
        if (!is_same || is_put_back) {
            // Another journal: these tasks are not its tasks. The routes stay in force until it has sent its own.
            zone_.forget_tasks();
            writer.tasks().clear();
            zone_.header->routes_revision = 0;
            zone_.header->evicted = 0;
            ngx_memcpy(zone_.header->journal, journal.data(), journal.size());
            brought_ = 0;
        }
    }
    if (is_put_back) {
        ngx_log_error(
            NGX_LOG_WARN, log_, 0,
            "rollout: rolloutd's journal is at revision %uL, before what zone \"%V\" holds: it was put back "
            "from a copy, and all tasks and routes are fetched anew",
            welcomed_at_, &zone_.name);
    }
    streams_ = json_is_true(json_object_get(message, "stream"));
    awaits_welcome_ = false;
    awaited_routes_ = json_count(message, "routes");

    if (state_ == state::up) {
        return;
    }
    state_ = state::up;
    backoff_ = settings_.reconnect;
    const ngx_uint_t level = told_down_ ? NGX_LOG_NOTICE : NGX_LOG_INFO;
    ngx_log_error(level, log_, 0, "rollout: linked to rolloutd at \"unix:%V\"", &settings_.path);
    told_down_ = false;
    told_refused_ = false;
    for (const auto id : groups_.ask_again()) {
        send_lookup(*calls_.at(id));
    }
}


void worker_link::take_refusal(const json_t *message)
{
    denied_ = json_text(message, "reason").find("allow_users") != std::string_view::npos;
    refused("rolloutd refused it: " + std::string(json_text(message, "reason").substr(0, 300)));
}


/// What rolloutd objects to is told also where it was told before that there is none.
void worker_link::refused(const std::string &reason)
{
    if (!std::exchange(told_refused_, true)) {
        told_down_ = false;
    }
    disconnect(reason.c_str());
}


void worker_link::take_rejection(const json_t *message)
{
    const auto id = json_count(message, "id");
    unanswered_.erase(id);
    answer(id, link_result::rejected, nullptr, message);
}


void worker_link::take_found(const json_t *message)
{
    const auto id = json_count(message, "id");
    unanswered_.erase(id);
    if (json_is_true(json_object_get(message, "failed"))) {
        answer(id, link_result::lost, nullptr, nullptr);
        return;
    }

    auto lines = reader_.lines();
    const std::string line(next_line(lines)); // its client's end may end the connection that it came by
    if (line.empty()) {
        answer(id, link_result::none, nullptr, nullptr);
        return;
    }
    task_record task;
    if (!read_task(line, task)) {
        disconnect("an answer without a readable task");
        return;
    }
    // What was looked up is not in the table because it had to go, or because the stream is about to bring it. But that comes
    // over another process's link, and later: who has seen this shall not see an older state next.
    const bool stored = task.revision <= zone_.tasks_revision() || store(task, true);
    answer(id, link_result::task, &task, nullptr);
    if (!stored) {
        disconnect("the zone is locked");
    }
}


/// A list comes in several frames, the last of which says where the next page begins.
void worker_link::take_page(const json_t *message, rolloutd_frame type)
{
    const auto id = json_count(message, "id");
    if (!take_documents(id, type == rolloutd_frame::listed)) {
        disconnect("a list without readable documents");
        return;
    }
    if (json_is_true(json_object_get(message, "more"))) {
        return;
    }
    unanswered_.erase(id);
    answer(id, link_result::page, nullptr, message);
}


bool worker_link::take_documents(std::uint64_t id, bool are_tasks)
{
    const auto asked = calls_.find(id);
    link_call *call = asked != calls_.end() && asked->second->document != nullptr ? asked->second : nullptr;
    for (auto lines = reader_.lines(); !lines.empty();) {
        const auto line = next_line(lines);
        task_record task;
        if (are_tasks ? !read_task(line, task) : !line.starts_with('{') || !line.ends_with('}')) {
            return false;
        }
        if (call != nullptr) {
            call->document(*call, are_tasks ? task.document : line, are_tasks ? &task : nullptr);
        }
    }
    return true;
}


void worker_link::take_accepted()
{
    const std::string lines(reader_.lines()); // a client's end may end the connection that they came by
    for (std::string_view rest = lines; !rest.empty();) {
        auto line = next_line(rest);
        std::uint64_t id = 0;
        const bool numbered = read_number(next_part(line, ' '), id);
        const auto how = next_part(line, ' ');
        task_record task;
        if (!numbered || (how != "new" && how != "existed" && how != "steered") || !read_task(line, task)) {
            disconnect("an answer without a readable task");
            return;
        }
        take_accepted(id, how, task);
    }
}


void worker_link::take_accepted(std::uint64_t id, std::string_view how, const task_record &task)
{
    unanswered_.erase(id);
    bool stored = true;
    if (how != "existed") {
        // A new task goes into the table also when its client has gone; the stream does not bring it again. What a client's
        // word has changed goes in at once: who asked next shall see it.
        stored = store(task, false);
    } else if (task.revision > zone_.tasks_revision()) {
        // Posted before, by a worker process that was killed before the answer came: the stream will bring it, but who
        // reads it now shall find it.
        zone_.doubt_tasks();
    }
    answer(id, link_result::task, &task, nullptr);
    if (!stored) {
        disconnect("the zone is locked");
    }
}


/// False, and logged, where the zone cannot be written: the table lacks it until the next hello's stream brings it.
bool worker_link::store(const task_record &task, bool only_over_older)
{
    zone_writer writer(zone_);
    if (!writer) {
        zone_.doubt_tasks();
        return false;
    }
    if (only_over_older && !writer.tasks().holds(task.task_id)) {
        return true;
    }
    std::uint64_t &evicted = zone_.header->evicted;
    const std::uint64_t before = evicted;
    writer.tasks().put(task, evicted);
    if (evicted != before && !std::exchange(told_full_, true)) {
        ngx_log_error(NGX_LOG_NOTICE, log_, 0,
                      "rollout: zone \"%V\" is full; its oldest tasks are answered by rolloutd from now on",
                      &zone_.name);
    }
    return true;
}


void worker_link::take_update(const json_t *message)
{
    for (auto lines = reader_.lines(); !lines.empty();) {
        task_record task;
        if (!read_task(next_line(lines), task)) {
            disconnect("an update without a readable task");
            return;
        }
        if (!store(task, false)) {
            disconnect("the zone is locked");
            return;
        }
    }

    bool is_to_greet = false;
    bool filled = false;
    std::size_t count = 0;
    {
        zone_writer writer(zone_);
        if (!writer) {
            disconnect("the zone is locked");
            return;
        }
        if (awaits_welcome_) {
            return; // rolloutd has sent it before it heard what the table lacks
        }
        // Or another process has emptied the table since, for another journal: what this stream has brought is gone.
        is_to_greet = zone_.header->repairs != repairs_at_hello_ || zone_.header->revision < brought_;
        if (streams_ && !is_to_greet) {
            zone_.header->revision = std::max(zone_.header->revision, json_count(message, "revision"));
            brought_ = zone_.header->revision;
            if (json_is_true(json_object_get(message, "filled"))) {
                zone_.note_brought_tasks();
            }
            if (json_is_true(json_object_get(message, "complete"))) {
                const bool was_filled = zone_.tasks_filled();
                is_to_greet = !zone_.fill_tasks(doubts_at_hello_);
                filled = !is_to_greet && !was_filled;
                count = writer.tasks().count();
            }
        }
    }
    if (filled && zone_.header->evicted == 0) {
        ngx_log_error(NGX_LOG_NOTICE, log_, 0, "rollout: zone \"%V\" holds all tasks of rolloutd's journal, %uz",
                      &zone_.name, count);
    }
    if (is_to_greet) {
        send_hello(); // asks for what the table lacks, or for a stream that can dispel the doubts
    }
}


void worker_link::take_sample(const json_t *message)
{
    const in_flight_table flights(zone_.in_flight);
    std::uint64_t requests = 0;
    each_part(message, [&](std::string_view part) {
        requests += flights.count(
            in_flight_key(json_text(message, "model_id"), part, json_count(message, "revision")), is_alive);
    });
    json_ptr answer = message_of(gateway_frame::counters);
    json_put(answer.get(), "id", json_make_number(json_count(message, "id")));
    json_put(answer.get(), "in_flight", json_make_number(requests));
    send(answer.get());
}


void worker_link::take_measure(const json_t *message)
{
    const auto model_id = json_text(message, "model_id");
    const traffic_table traffic(zone_.traffic);
    const in_flight_table flights(zone_.in_flight);
    json_ptr counters = json_make_array();
    const json_t *revisions = json_object_get(message, "revisions");
    for (std::size_t i = 0; i < json_array_size(revisions); ++i) {
        const auto revision = static_cast<std::uint64_t>(json_integer_value(json_array_get(revisions, i)));
        traffic_counters sum;
        each_part(message, [&](std::string_view part) {
            // What waits comes first: who ends meanwhile is found twice, but never missing.
            const auto key = in_flight_key(model_id, part, revision);
            const auto waiting = flights.waiting(key, is_alive);
            auto one = traffic.read(key);
            one.waiting = waiting;
            sum += one;
            sum.since += one.since;
        });
        json_add(counters.get(), counters_to_json(sum, revision));
    }
    json_ptr answer = message_of(gateway_frame::measured);
    json_put(answer.get(), "id", json_make_number(json_count(message, "id")));
    json_put(answer.get(), "counters", std::move(counters));
    const meter_table meters(zone_.meters);
    std::optional<std::uint64_t> last_minute = 0;
    each_part(message, [&](std::string_view part) {
        const auto one = meters.last_minute(model_id, part, static_cast<std::uint32_t>(ngx_current_msec / 1000));
        last_minute = one && last_minute ? std::optional(*last_minute + *one) : std::nullopt;
    });
    if (last_minute) {
        json_put(answer.get(), "last_minute", json_make_number(*last_minute));
    }
    send(answer.get());
}

} // namespace rollout
