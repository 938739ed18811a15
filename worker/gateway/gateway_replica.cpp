#include "worker/gateway/gateway_replica.hpp"

#include "common/domain/limits.hpp"
#include "common/domain/upstream_name.hpp"
#include "common/link/frame.hpp"
#include "worker/base/log.hpp"
#include "worker/gateway/line_of.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

namespace {

/// Pages of the stream wait while this much is unsent.
constexpr std::size_t page_below_bytes = 1024 * 1024;

} // namespace


gateway_replica::gateway_replica(std::string id, surroundings around) : id_(std::move(id)), around_(std::move(around))
{
}


// The links, and which of them carries the stream.

void gateway_replica::add(const session_ptr &link)
{
    links_.push_back(link);
    if (!stream_) {
        stream_ = link;
        state_ = stream_state::greeting;
    }
}


void gateway_replica::remove(const session_ptr &link)
{
    links_.remove(link);
    if (link != stream_) {
        return;
    }
    run_.reset();
    told_.clear();
    if (links_.empty()) {
        state_ = stream_state::offline;
        stream_.reset();
        return;
    }
    state_ = stream_state::greeting;
    stream_ = links_.front();
    stream_->send(message_of(rolloutd_frame::stream));
}


void gateway_replica::start_stream(std::uint64_t position)
{
    sent_ = position;
    state_ = stream_state::catching_up;
    run_ = std::make_shared<char>();
    reading_ = false;
    const auto to = stream_;
    for (const auto &frame : around_.routes.full_set()) {
        to->send(frame);
    }
    pump();
}


void gateway_replica::on_replaced(bool is_other)
{
    told_.clear(); // other tasks may get these revisions
    if (is_other) {
        confirmed_ = 0;
    } else if (is_streaming()) {
        start_stream(sent_);
    }
}


// Routes.

void gateway_replica::send_routes(std::string_view frame)
{
    if (is_streaming()) {
        stream_->send(frame);
    }
}


void gateway_replica::confirm(std::uint64_t routes_revision) noexcept
{
    confirmed_ = std::max(confirmed_, routes_revision);
}


/// While nginx reloads, worker processes of both configurations are linked, and the old ones soon take no new
/// requests (nginx tells them to end 100 ms after it started the new ones): an upstream that any of them has counts
/// as known.
bool gateway_replica::has_upstream(const std::string &upstream) const
{
    return is_upstream_address(upstream) || std::ranges::any_of(links_, [&upstream](const session_ptr &link) {
               return !link->peer.upstreams || link->peer.upstreams->has(upstream);
           });
}


bool gateway_replica::has_server(const std::string &upstream, const std::string &peer) const
{
    return links_.empty() || std::ranges::any_of(links_, [&upstream, &peer](const session_ptr &link) {
               return !link->peer.servers.lacks(upstream, peer);
           });
}


// Tasks.

void gateway_replica::note_told(const session &by, std::uint64_t revision)
{
    if (stream_.get() == &by) {
        told_.push_back(revision);
    }
}


/// Takes the revisions up to that one out of those that the gateway was told of. In a cluster the news of a task come after
/// its answer, so that there may be later ones, and answers overtake each other.
std::vector<std::uint64_t> gateway_replica::take_told(std::uint64_t up_to)
{
    std::ranges::sort(told_);
    const auto later = std::ranges::upper_bound(told_, up_to);
    std::vector<std::uint64_t> taken(told_.begin(), later);
    told_.erase(told_.begin(), later);
    return taken;
}


void gateway_replica::send_tasks(const std::vector<task_row> &rows, std::uint64_t before, std::uint64_t now)
{
    const auto told = take_told(now);
    if (!is_streaming() || reading_) {
        return;
    }
    if (state_ == stream_state::live && sent_ == before && stream_->unsent() < page_below_bytes) {
        send_update(rows, now, state_of_full_table(), told);
        sent_ = now;
    } else {
        pump();
    }
}


void gateway_replica::tell_shared(bool shared)
{
    if (shared) {
        for (const auto &link : links_) {
            link->send(message_of(rolloutd_frame::shared));
        }
    } else if (state_ == stream_state::live && !reading_) {
        send_update({}, sent_, table_state::complete);
    }
}


void gateway_replica::pump()
{
    const bool has_all = state_ == stream_state::live && sent_ >= around_.journal.revision();
    if (!is_streaming() || reading_ || has_all || stream_->unsent() > page_below_bytes) {
        return;
    }
    reading_ = true;
    around_.journal.read_after(sent_, limits::batch_bytes,
                               [this, head = around_.journal.revision(),
                                run = std::weak_ptr(run_)](const outcome &ended, const std::vector<task_row> &rows) {
                                   if (!run.expired()) {
                                       on_page(head, ended, rows);
                                   }
                               });
}


/// `head`: the journal's revision when the page was requested.
void gateway_replica::on_page(std::uint64_t head, const outcome &ended, const std::vector<task_row> &rows)
{
    reading_ = false;
    if (!ended) {
        log(log_level::error, "The tasks for a gateway could not be read and are tried again: " + ended.detail,
            {{"gateway", id_}});
        around_.pump_later();
        return;
    }
    sent_ = rows.empty() ? std::max(sent_, head) : rows.back().revision;
    const bool has_all = rows.empty() && sent_ >= around_.journal.revision();
    state_ = has_all ? stream_state::live : stream_state::catching_up;
    send_update(rows, sent_, has_all ? state_of_full_table() : table_state::partial);
    pump();
}


gateway_replica::table_state gateway_replica::state_of_full_table() const
{
    return around_.is_shared() ? table_state::filled : table_state::complete;
}


/// `told`: revisions of rows that the gateway already has, in order.
void gateway_replica::send_update(const std::vector<task_row> &rows, std::uint64_t revision, table_state then,
                                  std::span<const std::uint64_t> told)
{
    std::string lines;
    const auto send_part = [&, to = stream_](std::uint64_t up_to, table_state state) {
        to->send(message_text(rolloutd_frame::update,
                              "\"revision\":" + std::to_string(up_to) +
                                  (state == table_state::filled ? ",\"filled\":true" : "") +
                                  ",\"complete\":" + (state == table_state::complete ? "true" : "false")) +
                 lines);
        lines.clear();
    };
    for (const auto &row : rows) {
        if (std::ranges::binary_search(told, row.revision)) {
            continue;
        }
        append_task_line(lines += '\n', line_of(row));
        if (lines.size() > limits::batch_bytes) {
            send_part(row.revision, table_state::partial);
        }
    }
    send_part(revision, then);
}

} // namespace rollout
