#include "tests/fuzz/nginx_stand_in.hpp"

#include "module/handlers/task_etag.hpp"
#include "module/nginx/client_identity_of.hpp"
#include "tests/fuzz/fuzzing.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>

#include <unistd.h>

using namespace rollout;

namespace stand_in {

/// The request behind what nginx hands around.
struct access {
    static request &of(ngx_http_request_t *r) { return *static_cast<request *>(r->ctx[0]); }
    static request &of(ngx_pool_t *pool) { return *reinterpret_cast<request *>(pool); }

    static void *allocate(request &from, std::size_t size)
    {
        from.pool_.push_back(std::make_unique<u_char[]>(size));
        return from.pool_.back().get();
    }

    static ngx_http_cleanup_t *add_cleanup(request &to)
    {
        to.cleanups_.push_back(std::make_unique<ngx_http_cleanup_t>());
        return to.cleanups_.back().get();
    }

    static ngx_int_t answer(request &to, std::string_view text)
    {
        always(to.answer_.empty(), "a request is answered once");
        to.answer_ = text;
        return NGX_OK;
    }

    static void end(request &which) { which.end(); }
};

namespace {

peer the_other_end;
bool has_connection = false;
bool locked = false;
worker_link *link_in_use = nullptr;
ngx_connection_t the_connection;
ngx_event_t read_event;
ngx_event_t write_event;
std::set<ngx_event_t *> timers;
ngx_log_t silent; // level 0: nothing is logged
ngx_cycle_t the_cycle;
ngx_core_conf_t core;
alignas(4096) u_char memory[40 * 4096];

ngx_event_t *event_of(ngx_rbtree_node_t *node)
{
    return reinterpret_cast<ngx_event_t *>(reinterpret_cast<u_char *>(node) - offsetof(ngx_event_t, timer));
}


ssize_t receive(ngx_connection_t *c, u_char *to, std::size_t size)
{
    always(c == &the_connection && has_connection, "only an open connection is read");
    peer &from = the_other_end;
    if (from.to_read.empty()) {
        return from.ended ? 0 : NGX_AGAIN;
    }
    const std::size_t n = std::min(size, from.to_read.size());
    std::memcpy(to, from.to_read.data(), n);
    from.to_read.erase(0, n);
    return static_cast<ssize_t>(n);
}


ssize_t send_bytes(ngx_connection_t *c, u_char *bytes, std::size_t size)
{
    always(c == &the_connection && has_connection, "only an open connection is written to");
    the_other_end.written.append(reinterpret_cast<char *>(bytes), size);
    return static_cast<ssize_t>(size);
}

} // namespace


peer &the_peer()
{
    return the_other_end;
}


ngx_connection_t *connection()
{
    return has_connection ? &the_connection : nullptr;
}


void let_read()
{
    if (has_connection) {
        read_event.handler(&read_event);
    }
    run_posted();
}


void run_posted()
{
    for (auto *queue : {&ngx_posted_events, &ngx_posted_next_events}) {
        while (!ngx_queue_empty(queue)) {
            auto *event = ngx_queue_data(ngx_queue_head(queue), ngx_event_t, queue);
            ngx_delete_posted_event(event);
            event->handler(event);
        }
    }
    if (!ngx_queue_empty(&ngx_posted_events)) {
        run_posted();
    }
}


void run_timers()
{
    const std::set<ngx_event_t *> due = timers;
    for (auto *event : due) {
        if (event != &read_event && timers.contains(event)) {
            ngx_del_timer(event);
            event->timedout = 1;
            event->handler(event);
            run_posted();
        }
    }
}


bool is_locked()
{
    return locked;
}


void use_link(worker_link *link)
{
    link_in_use = link;
}


zone_memory::zone_memory(const std::string &state_path) : state_path_(state_path)
{
    ngx_io.recv = receive;
    ngx_io.send = send_bytes;
    ngx_queue_init(&ngx_posted_events);
    ngx_queue_init(&ngx_posted_next_events);
    timers.clear();
    the_other_end = {};
    the_cycle.log = &silent;
    ngx_cycle = &the_cycle;
    core.worker_processes = 1;
    locked = false;

    pool_.pfree = sizeof(memory) / 4096;
    zone.name = str_of("rollout");
    zone.state_file = str_of(state_path_);
    zone.core = &core;
    ngx_shm_zone_t of{};
    of.data = &zone;
    of.shm.addr = reinterpret_cast<u_char *>(&pool_);
    of.shm.log = &silent;
    always(shared_zone::init(&of, nullptr) == NGX_OK, "a zone can be formatted");
}


zone_memory::~zone_memory()
{
    always(!locked, "the zone's mutex is given back");
}


request::request(dialect words, std::string args, std::string body) : args_(std::move(args)), text_(std::move(body))
{
    r.ctx = static_cast<void **>(access::allocate(*this, sizeof(void *)));
    r.ctx[0] = this;
    r.main = &r;
    r.count = 1;
    r.pool = reinterpret_cast<ngx_pool_t *>(this);
    r.connection = &connection_;
    r.loc_conf = &location_pointer_;
    r.args = str_of(args_);
    connection_.read = &read_;
    connection_.log = &silent;
    read_.log = &silent;
    location_.documents.words = words;

    buffer_.start = buffer_.pos = reinterpret_cast<u_char *>(text_.data());
    buffer_.end = buffer_.last = buffer_.pos + text_.size();
    buffer_.memory = 1;
    chain_.buf = &buffer_;
    body_.bufs = &chain_;
    r.request_body = &body_;
    api.r = &r;
}


request::~request()
{
    always(ended_, "a request ends");
}


void request::returned(ngx_int_t rc)
{
    if (rc != NGX_DONE) {
        ngx_http_finalize_request(&r, rc);
    }
}


void request::abort()
{
    if (!ended_) {
        end();
    }
}


void request::end()
{
    always(!ended_, "a request ends once");
    ended_ = true;
    for (const auto &cleanup : cleanups_) {
        cleanup->handler(cleanup->data);
    }
    always(api.call.id == 0, "what has ended asks nothing any more");
}

} // namespace stand_in

using stand_in::access;


// nginx's own names.

ngx_module_t ngx_http_rollout_module;
ngx_uint_t ngx_pagesize = 4096;
ngx_pid_t ngx_pid = 1;
volatile ngx_msec_t ngx_current_msec = 1;
ngx_uint_t ngx_exiting = 0;
volatile ngx_cycle_t *ngx_cycle;
ngx_os_io_t ngx_io;
ngx_queue_t ngx_posted_events;
ngx_queue_t ngx_posted_next_events;
ngx_rbtree_t ngx_event_timer_rbtree;
static ngx_atomic_t connections;
ngx_atomic_t *ngx_connection_counter = &connections;

extern "C" {

void ngx_log_error_core(ngx_uint_t, ngx_log_t *, ngx_err_t, const char *, ...) {}

void ngx_rbtree_insert(ngx_rbtree_t *, ngx_rbtree_node_t *node)
{
    stand_in::timers.insert(stand_in::event_of(node));
}

void ngx_rbtree_delete(ngx_rbtree_t *, ngx_rbtree_node_t *node)
{
    always(stand_in::timers.erase(stand_in::event_of(node)) == 1, "only a timer that is set is taken away");
}

ngx_uint_t ngx_shmtx_trylock(ngx_shmtx_t *)
{
    always(!stand_in::locked, "the zone's mutex is not taken by a process that holds it");
    stand_in::locked = true;
    return 1;
}

void ngx_shmtx_unlock(ngx_shmtx_t *)
{
    stand_in::locked = false;
}

ngx_uint_t ngx_shmtx_force_unlock(ngx_shmtx_t *, ngx_pid_t)
{
    return 0;
}

void *ngx_slab_alloc(ngx_slab_pool_t *, size_t size)
{
    return size <= sizeof(stand_in::memory) ? stand_in::memory : nullptr;
}

/// rolloutd takes every connection: the linker puts this in the place of the system's.
int __wrap_connect(int, const sockaddr *, socklen_t)
{
    return 0;
}

ngx_connection_t *ngx_get_connection(ngx_socket_t fd, ngx_log_t *)
{
    always(!stand_in::has_connection, "a link has one connection");
    stand_in::has_connection = true;
    stand_in::the_other_end = {};
    stand_in::the_connection = {};
    stand_in::read_event = {};
    stand_in::write_event = {};
    stand_in::the_connection.fd = fd;
    stand_in::the_connection.read = &stand_in::read_event;
    stand_in::the_connection.write = &stand_in::write_event;
    stand_in::read_event.data = stand_in::write_event.data = &stand_in::the_connection;
    return &stand_in::the_connection;
}

void ngx_close_connection(ngx_connection_t *c)
{
    always(stand_in::has_connection, "a connection is closed once");
    stand_in::has_connection = false;
    for (auto *event : {c->read, c->write}) {
        if (event->timer_set) {
            ngx_del_timer(event);
        }
        if (event->posted) {
            ngx_delete_posted_event(event);
        }
    }
    ::close(c->fd);
}

ngx_int_t ngx_handle_read_event(ngx_event_t *, ngx_uint_t)
{
    return NGX_OK;
}

ngx_int_t ngx_handle_write_event(ngx_event_t *, size_t)
{
    return NGX_OK;
}

void *ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return access::allocate(access::of(pool), size);
}

void *ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void *memory = ngx_pnalloc(pool, size);
    return memory == nullptr ? nullptr : std::memset(memory, 0, size);
}

ngx_buf_t *ngx_create_temp_buf(ngx_pool_t *pool, size_t size)
{
    auto *buffer = static_cast<ngx_buf_t *>(access::allocate(access::of(pool), sizeof(ngx_buf_t)));
    *buffer = {};
    buffer->start = buffer->pos = buffer->last = static_cast<u_char *>(ngx_pnalloc(pool, size));
    buffer->end = buffer->start + size;
    return buffer;
}

ngx_chain_t *ngx_alloc_chain_link(ngx_pool_t *pool)
{
    return static_cast<ngx_chain_t *>(access::allocate(access::of(pool), sizeof(ngx_chain_t)));
}

ngx_int_t ngx_pfree(ngx_pool_t *, void *)
{
    return NGX_DECLINED;
}

ngx_int_t ngx_strncasecmp(u_char *one, u_char *other, size_t size)
{
    return strncasecmp(reinterpret_cast<char *>(one), reinterpret_cast<char *>(other), size);
}

ngx_int_t ngx_http_arg(ngx_http_request_t *r, u_char *name, size_t size, ngx_str_t *value)
{
    std::string_view args = view_of(r->args);
    while (!args.empty()) {
        const auto one = args.substr(0, args.find('&'));
        args.remove_prefix(std::min(args.size(), one.size() + 1));
        if (one.size() > size && one[size] == '=' && ngx_strncasecmp(str_of(one).data, name, size) == 0) {
            *value = str_of(one.substr(size + 1));
            return NGX_OK;
        }
    }
    return NGX_DECLINED;
}

ssize_t ngx_read_file(ngx_file_t *, u_char *, size_t, off_t)
{
    return NGX_ERROR;
}

ngx_http_cleanup_t *ngx_http_cleanup_add(ngx_http_request_t *r, size_t)
{
    return access::add_cleanup(access::of(r));
}

void ngx_http_request_empty_handler(ngx_http_request_t *) {}
void ngx_http_test_reading(ngx_http_request_t *) {}
void ngx_http_run_posted_requests(ngx_connection_t *) {}

void ngx_http_finalize_request(ngx_http_request_t *r, ngx_int_t)
{
    always(!stand_in::locked, "no request is ended while the zone's mutex is held");
    access::end(access::of(r));
}
}

namespace rollout {

worker_link *link_of_process() noexcept
{
    return stand_in::link_in_use;
}

client_identity client_identity_of(ngx_http_request_t *)
{
    return {"127.0.0.1", "somebody", ""};
}

ngx_int_t send_problem(ngx_http_request_t *r, const problem &what) noexcept
{
    const auto text = what.to_json();
    always(what.status >= 400 && what.status <= 599, "a problem has an error's status");
    always(is_whole_json(text), "a problem is JSON");
    return access::answer(access::of(r), text);
}

ngx_int_t send_task(ngx_http_request_t *r, ngx_uint_t, const task_record &task, std::string_view,
                    const document_form &) noexcept
{
    always(task.document.starts_with('{') && task.document.ends_with('}'), "a document looks like one");
    return access::answer(access::of(r), task.document);
}

ngx_int_t send_long(ngx_http_request_t *r, std::string_view, long_answer &what) noexcept
{
    std::string body;
    while (const ngx_chain_t *piece = what.body.take()) {
        body.append(piece->buf->pos, piece->buf->last);
    }
    always(what.body.whole() && body.size() == what.body.size(), "an answer is as long as it says");
    // Documents are rolloutd's: who sends others has them passed on.
    always(body.starts_with("{\"tasks\":[") || body.starts_with("{\"models\":["), "a list begins as one");
    always(body.ends_with("}") && body.find("],\"next_page_token\":") != std::string::npos, "and ends as one");
    return access::answer(access::of(r), body);
}

bool add_header(ngx_http_request_t *, std::string_view, std::string_view value) noexcept
{
    always(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos, "a header is one line");
    return true;
}

ngx_str_t find_header(ngx_http_request_t *, std::string_view) noexcept
{
    return {0, nullptr};
}

etag_text etag_of(ngx_http_request_t *, const task_record &) noexcept
{
    return {{'"', '1', '"'}, 3};
}

std::optional<std::uint64_t> revision_of(ngx_http_request_t *, std::string_view) noexcept
{
    return std::nullopt;
}

condition condition_of(const ngx_http_request_t *, std::string_view) noexcept
{
    return condition::met;
}

bool matches_etag(const ngx_http_request_t *, std::string_view) noexcept
{
    return true;
}

} // namespace rollout
