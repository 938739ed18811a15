#include "module/handlers/waiting_watch.hpp"

#include "module/nginx/ngx.hpp"
#include "module/zone/process_in_flight.hpp"

#include <algorithm>
#include <bit>

namespace rollout {

namespace {

/// The interval of checks: ages are known with this delay.
constexpr ngx_msec_t look_ms = 50;

struct {
    waiting_request ends; ///< holds the first and the last element of the ring, once `waited` is set
    waited_fn waited = nullptr;
    ngx_event_t timer;
    ngx_connection_t no_connection; ///< nginx's debug log names a timer by its data's socket
} watched;


void on_timer(ngx_event_t *) noexcept
{
    auto *flights = in_flight_of_process();
    for (auto *request = watched.ends.next; request != &watched.ends;) {
        auto &now = *request;
        request = request->next;
        const auto waited = watched.waited(now);
        if (!waited || flights == nullptr) {
            unwatch_waiting(now);
            continue;
        }
        const int rung = *waited == 0 ? in_flight_table::not_on_it
                                      : std::min(static_cast<int>(std::bit_width(*waited)) - 1,
                                                 static_cast<int>(waiting_ages) - 1);
        if (now.ladder == in_flight_table::no_ladder && rung != in_flight_table::not_on_it) {
            now.ladder = flights->get_on(now.revision_key);
        }
        flights->move(now.ladder, now.rung, rung);
        now.rung = now.ladder == in_flight_table::no_ladder ? in_flight_table::not_on_it : rung;
    }
    if (watched.ends.next != &watched.ends) {
        ngx_add_timer(&watched.timer, look_ms);
    }
}


void begin(waited_fn waited) noexcept
{
    watched.ends.next = watched.ends.previous = &watched.ends;
    watched.waited = waited;
    watched.no_connection.fd = static_cast<ngx_socket_t>(-1);
    watched.timer.handler = on_timer;
    watched.timer.data = &watched.no_connection;
    watched.timer.cancelable = 1;
}

} // namespace


void watch_waiting(waiting_request &request, waited_fn waited) noexcept
{
    if (request.next != nullptr) {
        return;
    }
    if (watched.waited == nullptr) {
        begin(waited);
    }
    // Most requests end before the first check, and need no ladder.
    request.ladder = in_flight_table::no_ladder;
    request.rung = in_flight_table::not_on_it;
    request.previous = watched.ends.previous;
    request.next = &watched.ends;
    request.previous->next = &request;
    watched.ends.previous = &request;
    if (!watched.timer.timer_set) {
        watched.timer.log = ngx_cycle->log;
        ngx_add_timer(&watched.timer, look_ms);
    }
}


void unwatch_waiting(waiting_request &request) noexcept
{
    if (request.next == nullptr) {
        return;
    }
    request.previous->next = request.next;
    request.next->previous = request.previous;
    request.previous = request.next = nullptr;
    if (auto *flights = in_flight_of_process()) {
        flights->get_off(request.ladder, request.rung);
    }
}

} // namespace rollout
