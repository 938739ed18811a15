// The clients of this worker process that follow events, and the timer that brings the events to them.
//
// The timer runs only while there are such clients. It looks at the ring in shared memory ten times a second; each
// event is formatted once, in each form that clients want, whoever asks. A client is a number in the ring: one that
// does not accept what it was sent is left out, and goes on from its number, or begins anew (`reset`) if the ring has
// lost that. So the memory is bounded by the clients, not by the events.
//
// The timer keeps an exiting process until it has ended the streams, so that each client gets an end that is one, and
// continues at the next process.
#pragma once

#include "module/api/event_text.hpp"
#include "module/handlers/event_stream.hpp"
#include "module/tables/event_ring.hpp"
#include "module/zone/shared_zone.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rollout {

class event_hub {
  public:
    /// Returns this process's hub, for the memory of that zone. Streams of another memory end: a process has two only
    /// if it is nginx's one and only process, and a reload has resized the zone.
    static event_hub &of_process(shared_zone &zone);
    static event_hub &of_process() noexcept;

    event_hub() = default;
    event_hub(const event_hub &) = delete;
    event_hub &operator=(const event_hub &) = delete;

    /// The events that a new stream can begin with.
    std::uint64_t head() noexcept;

    /// Returns whether a client that has got the event of that number can go on from there.
    bool can_resume(std::uint64_t sequence) noexcept;

    /// Return the text of an event for one client alone.
    std::string ping_text(std::uint64_t cursor) const;
    std::string reset_text(std::uint64_t cursor) const;
    std::string task_text(const task_record &task, const event_stream &stream, std::uint64_t cursor) const;
    std::string end_text(const task_record &task, const event_stream &stream, std::uint64_t cursor) const;

    /// Adds a stream whose beginning has been sent, and which must be removed before its memory is released.
    void add(event_stream &stream) noexcept;
    void remove(event_stream &stream) noexcept;

    /// Sends the client what is new. For a stream_output, whose owner is an event_stream.
    static void on_drained(void *stream) noexcept;

  private:
    /// How an event reads.
    struct formatted {
        shared_text text; ///< null: the table does not have it any more
        shared_text end;  ///< of a task that is final
    };

    struct seen_change {
        change what;
        bool is_superseded = false; ///< there is a later one of the same task or route
    };

    static constexpr std::size_t forms = 8;

    static void on_timer(ngx_event_t *event) noexcept;
    static void on_turn(ngx_event_t *event) noexcept;
    void use(shared_zone &zone);
    void stop() noexcept;
    void read_changes();
    void note(const change &what);
    void serve_some() noexcept;
    bool serve(event_stream &stream) noexcept;
    std::optional<ngx_int_t> send_news(event_stream &stream, bool has_sample);
    bool add_changes(event_stream &stream);
    bool add_reset(event_stream &stream);
    void add_ping(event_stream &stream);
    void begin_sample();
    void add_sample(event_stream &stream, bool is_whole);
    std::string sample_text(const std::vector<const route_metrics::reading *> &of) const;
    void end_round() noexcept;
    formatted text_of(const change &what, const event_stream &stream);
    formatted format(const change &what, const event_stream &stream);
    void finish(event_stream &stream) noexcept;
    void end(event_stream &stream, ngx_int_t rc) noexcept;
    event_id id_of(std::uint64_t sequence) const noexcept;
    bool is_linked() const noexcept;

    const zone_header *memory_ = nullptr;
    shared_zone *zone_ = nullptr; ///< of the configuration that was used last
    event_stream *first_ = nullptr;
    event_stream *walk_ = nullptr; ///< the next one to be served in this round
    bool in_round_ = false;
    bool was_linked_ = false;
    bool pings_all_ = false; ///< in this round
    ngx_event_t timer_{};
    ngx_event_t turn_{};
    ngx_connection_t no_connection_{}; ///< nginx's debug log names a timer by its data's socket

    // The ring as this process has read it.
    std::uint64_t head_ = 0;
    std::uint64_t oldest_ = 1; ///< the first event that is known
    std::vector<seen_change> seen_;
    std::unordered_map<std::string, std::uint64_t> latest_; ///< event of each task and route

    // Texts of the latest events, by event and form.
    std::unordered_map<std::uint64_t, formatted> texts_;
    std::deque<std::pair<std::uint64_t, std::size_t>> text_order_; ///< with their bytes
    std::size_t text_bytes_ = 0;
    shared_text ping_; ///< at `head_`

    // The sample of this round, if it is one with a sample.
    bool is_sample_round_ = false;
    ngx_msec_t sample_at_ = 0;
    std::vector<route_metrics::reading> sample_;
    std::unordered_map<std::string, std::uint64_t> sampled_requests_; ///< of each route, at the sample before
    shared_text whole_sample_;
    shared_text changed_sample_; ///< of the routes that have had requests since the sample before; null: none has

    std::string scratch_;
};

} // namespace rollout
