#include "module/nginx/request_turns.hpp"

namespace rollout {

namespace {

/// Never elapses: after a reload, an old worker process does not exit while it has a timer that keeps it.
constexpr ngx_msec_t long_ms = 60000;


void stop(request_turns &turns) noexcept
{
    if (turns.event.posted) {
        ngx_delete_posted_event(&turns.event);
    }
    if (turns.event.timer_set) {
        ngx_del_timer(&turns.event);
    }
}


void on_end_of_request(void *data)
{
    stop(*static_cast<request_turns *>(data));
}


void on_turn(ngx_event_t *event)
{
    auto &turns = *static_cast<request_turns *>(event->data);
    stop(turns); // a step may begin other work
    const auto rc = turns.step(turns);
    if (!rc) {
        ngx_add_timer(event, long_ms);
        ngx_post_event(event, &ngx_posted_next_events);
        return;
    }
    if (*rc != NGX_DONE) {
        // Outside of a request's own handlers, nginx does not run posted requests by itself.
        ngx_connection_t *c = turns.r->connection;
        ngx_http_finalize_request(turns.r, *rc);
        ngx_http_run_posted_requests(c);
    }
}

} // namespace


bool begin_turns(request_turns &turns, ngx_http_request_t *r, void *work, request_turns::step_fn step) noexcept
{
    if (!turns.ends_with_request) {
        ngx_http_cleanup_t *cleanup = ngx_http_cleanup_add(r, 0);
        if (cleanup == nullptr) {
            return false;
        }
        cleanup->handler = on_end_of_request;
        cleanup->data = &turns;
        turns.ends_with_request = true;
    }
    turns.r = r;
    turns.work = work;
    turns.step = step;
    turns.event.handler = on_turn;
    turns.event.data = &turns;
    turns.event.log = r->connection->log;
    ngx_add_timer(&turns.event, long_ms);
    ngx_post_event(&turns.event, &ngx_posted_next_events);
    return true;
}

} // namespace rollout
