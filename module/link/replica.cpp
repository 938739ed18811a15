#include "module/link/replica.hpp"

#include "common/link/frame.hpp"
#include "module/link/record_of.hpp"
#include "module/zone/shared_zone.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

namespace {

constexpr char zone_is_locked[] = "the zone is locked";


std::string name_of(std::string_view model_id, std::string_view part)
{
    return std::string(model_id) + '/' + std::string(part);
}

} // namespace


// The stream.

replica::position replica::greet()
{
    position reached;
    reached.journal.reserve(sizeof(zone_header::journal)); // nothing under the lock may throw
    {
        const zone_writer writer(
            zone_); // a consistent pair of journal and revision; also repairs the zone, if that is needed
        reached.journal = zone_.journal();
        reached.revision = zone_.header->revision;
        repairs_at_hello_ = zone_.header->repairs;
        epoch_at_hello_ = zone_.completeness_epoch();
    }
    brought_ = reached.revision;
    stream_ = stream_state::greeting;
    return reached;
}


void replica::end_stream() noexcept
{
    stream_ = stream_state::off;
    set_ = route_set::none;
    names_in_set_.clear();
}


link_fault replica::on_welcome(const json_t *message)
{
    const auto journal = json_text(message, "journal");
    if (journal.size() != sizeof(zone_header::journal)) {
        return "a welcome without a journal";
    }
    welcomed_at_ = json_count(message, "revision");
    bool is_put_back = false;
    {
        zone_writer writer(zone_);
        if (!writer) {
            return zone_is_locked;
        }
        // A journal that is behind what it has already sent was restored from a backup, and will use the same numbers
        // again. This does not apply if another process has heard of that before.
        const bool is_same = zone_.journal() == journal;
        is_put_back = is_same && welcomed_at_ < brought_ && welcomed_at_ < zone_.header->revision;
        if (!is_same || is_put_back) {
            // The tasks are those of another journal. The routes stay in force until rolloutd has sent its own.
            zone_.forget_tasks();
            writer.tasks().clear();
            writer.note_all_changed();
            zone_.header->routes_revision = 0;
            zone_.header->evicted = 0;
            ngx_memcpy(zone_.header->journal, journal.data(), journal.size());
            brought_ = 0;
        }
    }
    if (is_put_back) {
        ngx_log_error(NGX_LOG_WARN, log_, 0,
                      "rollout: rolloutd's journal is at revision %uL, before what zone \"%V\" holds: it looks "
                      "restored from a backup, and all tasks and routes are fetched again",
                      welcomed_at_, &zone_.name);
    }
    stream_ = json_is_true(json_object_get(message, "stream")) ? stream_state::streaming : stream_state::off;
    return std::nullopt;
}


// Tasks.

replica::update_result replica::on_update(const json_t *message, std::string_view lines)
{
    while (!lines.empty()) {
        const auto task = record_of(next_line(lines));
        if (!task) {
            return {"an update without a readable task"};
        }
        if (auto fault = store(*task, false)) {
            return {std::move(fault)};
        }
    }

    bool is_to_greet = false;
    bool filled = false;
    std::size_t count = 0;
    {
        zone_writer writer(zone_);
        if (!writer) {
            return {zone_is_locked};
        }
        if (stream_ == stream_state::greeting) {
            return {}; // rolloutd sent it before it received the hello
        }
        // Alternatively, another process has emptied the table since, for another journal: what this stream has
        // brought is gone.
        is_to_greet = zone_.header->repairs != repairs_at_hello_ || zone_.header->revision < brought_;
        if (stream_ == stream_state::streaming && !is_to_greet) {
            zone_.header->revision = std::max(zone_.header->revision, json_count(message, "revision"));
            const bool was_brought = zone_.tasks_brought();
            brought_ = zone_.header->revision;
            if (json_is_true(json_object_get(message, "filled"))) {
                zone_.note_brought_tasks();
            }
            if (json_is_true(json_object_get(message, "complete"))) {
                const bool was_filled = zone_.tasks_filled();
                is_to_greet = !zone_.fill_tasks(epoch_at_hello_);
                filled = !is_to_greet && !was_filled;
                count = writer.tasks().count();
            }
            if (!was_brought && zone_.tasks_brought()) {
                writer.note_all_changed();
            }
        }
    }
    if (filled && zone_.header->evicted == 0) {
        ngx_log_error(NGX_LOG_NOTICE, log_, 0, "rollout: zone \"%V\" holds all tasks of rolloutd's journal, %uz",
                      &zone_.name, count);
    }
    return {std::nullopt,
            is_to_greet}; // asks for what the table lacks, or for a stream that makes the table complete again
}


void replica::expect(std::span<const task_record> next) const
{
    record_store store(zone_.records);
    task_table(store).expect(next);
}


link_fault replica::on_accepted(const task_record &task)
{
    // The task is stored even if its client has gone, since the stream does not bring it again. A client's change is
    // stored at once, so that the next reader sees it.
    return store(task, false);
}


void replica::on_existing(const task_record &task) noexcept
{
    if (task.revision > zone_.tasks_revision()) {
        zone_.mark_incomplete();
    }
}


link_fault replica::on_found(const task_record &task)
{
    // The task is not in the table because it was evicted, or because the stream is about to bring it. But the stream
    // arrives over another process's link, and later: a client that has seen this state must not see an older one
    // next.
    return task.revision <= zone_.tasks_revision() ? std::nullopt : store(task, true);
}


/// If the zone cannot be written, the table is marked as incomplete.
link_fault replica::store(const task_record &task, bool only_over_older)
{
    zone_writer writer(zone_);
    if (!writer) {
        zone_.mark_incomplete();
        return zone_is_locked;
    }
    if (only_over_older && !writer.tasks().holds(task.task_id)) {
        return std::nullopt;
    }
    std::uint64_t &evicted = zone_.header->evicted;
    const std::uint64_t before = evicted;
    writer.tasks().put(task, evicted);
    if (evicted != before && !std::exchange(full_logged_, true)) {
        ngx_log_error(NGX_LOG_NOTICE, log_, 0,
                      "rollout: zone \"%V\" is full; its oldest tasks are answered by rolloutd from now on",
                      &zone_.name);
    }
    return std::nullopt;
}


// Routes.

replica::routes_result replica::on_routes(const json_t *message)
{
    if (json_is_true(json_object_get(message, "begin"))) {
        set_ = route_set::receiving;
        names_in_set_.clear();
    }
    const bool ends = json_is_true(json_object_get(message, "end"));
    const json_t *list = json_object_get(message, "routes");
    const auto revision = json_count(message, "revision");
    // Parsed before the lock is taken: a malformed frame changes nothing.
    routes_result result;
    for (std::size_t i = 0; i < json_array_size(list); ++i) {
        std::string reason;
        auto read = route_from_json(json_array_get(list, i), reason);
        if (!read) {
            return {std::move(reason)};
        }
        result.routes.push_back(std::move(*read));
    }
    bool stale = false;
    bool whole = true;
    {
        zone_writer writer(zone_);
        if (!writer) {
            return {zone_is_locked};
        }
        stale = is_stale(revision);
        if (set_ != route_set::none) {
            set_ = stale ? route_set::receiving_stale : route_set::receiving;
        }
        if (!stale) {
            whole = put_in_force(writer, result.routes, ends);
        }
        if (ends) {
            set_ = route_set::none;
        }
        if (!stale && set_ == route_set::none) {
            zone_.header->routes_revision = std::max(zone_.header->routes_revision, revision);
        }
    }
    if (stale) {
        ngx_log_error(NGX_LOG_NOTICE, log_, 0,
                      "rollout: routes of revision %uL are ignored: another process has put newer ones in force",
                      revision);
        return {};
    }
    if (set_ == route_set::none) {
        result.in_force = revision;
    }
    if (!whole) {
        result.fault = "zone is too small for the routes: give rollout_zone more memory";
    }
    return result;
}


/// Returns whether routes are older than those in force. A process that was held up for long reads what was sent to
/// it before another process took over the stream and put newer routes in force. If one part of a full set is too
/// old, so is the rest.
bool replica::is_stale(std::uint64_t revision) noexcept
{
    // A full set follows the welcome and is as new as that, even if the route that changed last has been removed.
    const auto as_of = set_ == route_set::none ? revision : std::max(revision, welcomed_at_);
    return as_of < zone_.header->routes_revision || set_ == route_set::receiving_stale;
}


/// Returns false if the zone does not have room for all of them.
bool replica::put_in_force(zone_writer &writer, const std::vector<route> &routes, bool ends)
{
    bool whole = true;
    for (const auto &changed : routes) {
        if (set_ != route_set::none) {
            names_in_set_.insert(name_of(changed.model_id, changed.part));
        }
        // Routes take precedence over tasks: a task can be looked up in rolloutd, a route cannot.
        auto table = writer.routes();
        while (!table.put(changed)) {
            ++zone_.header->evicted;
            if (!writer.tasks().evict_one()) {
                whole = false;
                break;
            }
        }
    }
    if (ends) {
        writer.routes().retain([this](std::string_view model_id, std::string_view part) {
            return names_in_set_.contains(name_of(model_id, part));
        });
        zone_.set_route_source(route_source::rolloutd);
        names_in_set_.clear();
    }
    return whole;
}

} // namespace rollout
