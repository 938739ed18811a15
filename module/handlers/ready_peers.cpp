#include "module/handlers/ready_peers.hpp"

#include "module/handlers/request_accounting.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"
#include "module/tables/peer_list.hpp"
#include "module/tables/route_table.hpp"

#include <algorithm>
#include <climits>
#include <span>

namespace rollout {

namespace {

constexpr std::size_t word_bits = sizeof(std::uintptr_t) * CHAR_BIT;

/// The initial capacity for a list's text; most lists are short.
constexpr std::size_t least_capacity = 256;

/// The index of no address of the block.
constexpr std::size_t no_address = SIZE_MAX;


bool has_bit(const std::uintptr_t *bits, std::size_t i) noexcept
{
    return ((bits[i / word_bits] >> (i % word_bits)) & 1) != 0;
}


// The meaning of a list of peers for a block.

/// Returns whether the block writes that `server` as the peer, or as the peer without its default port.
bool is_written_so(const ngx_str_t &server, std::string_view peer) noexcept
{
    const auto text = view_of(server);
    return same_word(text, peer) ||
           (peer.ends_with(":80") && same_word(text, peer.substr(0, peer.size() - std::string_view(":80").size())));
}


bool is_same_address(const ngx_addr_t &one, const sockaddr *other, socklen_t bytes) noexcept
{
    return one.sockaddr == other ||
           ngx_cmp_sockaddr(one.sockaddr, one.socklen, const_cast<sockaddr *>(other), bytes, 1) == NGX_OK;
}


/// Parses a peer that is an IP address. Returns false if it is a host name.
bool parse_peer(std::string_view peer, ngx_addr_t &to, ngx_sockaddr_t &memory) noexcept
{
    static constexpr std::string_view scheme = "unix:";
    ngx_memzero(&memory, sizeof(memory));
    to.sockaddr = &memory.sockaddr;
    if (peer.starts_with(scheme)) {
        const auto path = peer.substr(scheme.size());
        if (path.size() >= sizeof(memory.sockaddr_un.sun_path)) {
            return false;
        }
        memory.sockaddr_un.sun_family = AF_UNIX;
        path.copy(memory.sockaddr_un.sun_path, path.size());
        to.socklen = sizeof(sockaddr_un);
        return true;
    }
    const auto colon = peer.rfind(':');
    if (colon == std::string_view::npos) {
        return false;
    }
    const ngx_int_t port = ngx_atoi(str_of(peer.substr(colon + 1)).data, peer.size() - colon - 1);
    auto host = peer.substr(0, colon);
    if (port < 1 || port > 65535) {
        return false;
    }
    const auto net_port = htons(static_cast<in_port_t>(port));
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
        memory.sockaddr_in6.sin6_family = AF_INET6;
        memory.sockaddr_in6.sin6_port = net_port;
        to.socklen = sizeof(sockaddr_in6);
        return ngx_inet6_addr(str_of(host).data, host.size(), memory.sockaddr_in6.sin6_addr.s6_addr) == NGX_OK;
    }
    memory.sockaddr_in.sin_family = AF_INET;
    memory.sockaddr_in.sin_port = net_port;
    memory.sockaddr_in.sin_addr.s_addr = ngx_inet_addr(str_of(host).data, host.size());
    to.socklen = sizeof(sockaddr_in);
    return memory.sockaddr_in.sin_addr.s_addr != INADDR_NONE;
}


/// Returns the block that has the servers as rolloutd knows them.
const ngx_str_t *known_block(const ready_settings &block) noexcept
{
    return block.as.data != nullptr ? &block.as : &block.block->host;
}


bool is_known_as(const ngx_http_upstream_server_t &server, std::string_view peer, const ngx_addr_t *address) noexcept
{
    if (is_written_so(server.name, peer)) {
        return true;
    }
    const auto addresses = std::span(server.addrs, server.naddrs);
    return address != nullptr && std::ranges::any_of(addresses, [address](const ngx_addr_t &known) {
               return is_same_address(known, address->sockaddr, address->socklen);
           });
}


/// Returns whether the block's address is one of the peer. `address` is the peer's, or null if that is a host name.
bool is_peer(const ready_settings &block, const ready_settings::address &known, std::string_view peer,
             const ngx_addr_t *address) noexcept
{
    if (block.as.data != nullptr) {
        return is_known_as(*known.known_as, peer, address);
    }
    return is_written_so(known.server->name, peer) ||
           (address != nullptr && is_same_address(*known.is, address->sockaddr, address->socklen));
}


/// Marks the block's addresses that are this peer. Returns false if there are none.
bool mark_peer(const ready_settings &block, std::string_view peer, std::uintptr_t *bits) noexcept
{
    ngx_sockaddr_t memory;
    ngx_addr_t address{};
    const bool is_numeric = parse_peer(peer, address, memory);
    bool found = false;
    for (std::size_t i = 0; i < block.count; ++i) {
        if (is_peer(block, block.addresses[i], peer, is_numeric ? &address : nullptr)) {
            bits[i / word_bits] |= std::uintptr_t{1} << (i % word_bits);
            found = true;
        }
    }
    return found;
}


/// Returns null if out of memory.
const ready_settings::reading *read_list(ready_settings &block, const route_choice &route, ngx_log_t *log) noexcept
{
    auto &entry = block.readings[route.peers_hash % ready_settings::max_readings];
    if (entry.hash == route.peers_hash && entry.text.data != nullptr && view_of(entry.text) == route.peers) {
        return &entry;
    }
    if (entry.capacity < route.peers.size()) {
        // The capacity at least doubles, so the smaller buffers left behind take less memory than the new one.
        const std::size_t capacity = std::max({least_capacity, 2 * entry.capacity, route.peers.size()});
        auto *text = static_cast<u_char *>(ngx_pnalloc(block.pool, capacity));
        if (text == nullptr) {
            return nullptr;
        }
        entry.text = {0, text};
        entry.capacity = capacity;
    }
    if (entry.bits == nullptr) {
        entry.bits = static_cast<std::uintptr_t *>(ngx_palloc(block.pool, block.words() * sizeof(std::uintptr_t)));
        if (entry.bits == nullptr) {
            return nullptr;
        }
    }
    entry.hash = route.peers_hash;
    entry.text.len = route.peers.copy(reinterpret_cast<char *>(entry.text.data), route.peers.size());
    std::fill_n(entry.bits, block.words(), 0);
    entry.tries = 0;
    peer_list::each(route.peers, [&](std::string_view peer) {
        if (mark_peer(block, peer, entry.bits)) {
            return;
        }
        if (block.resolves && block.as.data == nullptr) {
            ++entry.tries; // it may be one of the addresses that nginx finds at run time
        } else {
            const ngx_str_t text = str_of(peer);
            ngx_log_error(
                NGX_LOG_WARN, log, 0,
                "rollout: upstream \"%V\" has no server \"%V\", which a backend of rolloutd.json has: add it "
                "to the block, or write the address that the block has as the server's \"peer\"",
                known_block(block), &text);
        }
    });
    for (std::size_t i = 0; i < block.count; ++i) {
        entry.tries += has_bit(entry.bits, i) && !block.addresses[i].is_down ? 1 : 0;
    }
    return &entry;
}


// A request.

struct ready_peers {
    const ready_settings *block;
    ngx_http_request_t *request;
    const counted_request *choice;
    std::uintptr_t *bits;  ///< the block's addresses that have the revision; null: all
    ngx_uint_t picks_left; ///< the picks that may still be undone: a method may pick the same server repeatedly
    bool is_logged;

    void *data; ///< the balancing method's, for the functions below
    ngx_event_get_peer_pt get;
    ngx_event_free_peer_pt free;
    ngx_event_notify_peer_pt notify;
#if (NGX_HTTP_SSL)
    ngx_event_set_peer_session_pt set_session;
    ngx_event_save_peer_session_pt save_session;
#endif
};


#if (NGX_HTTP_UPSTREAM_ZONE) && nginx_version >= 1027003

/// Calls `visit` with each server that nginx has found at run time and calls `name`.
template <class Visit>
void each_resolved(const ready_settings &block, const ngx_str_t &name, Visit visit) noexcept
{
    if (!block.resolves) {
        return;
    }
    // nginx's own: a block with names to be resolved is in shared memory, and of a method that keeps its peers so.
    auto *peers = static_cast<ngx_http_upstream_rr_peers_t *>(block.block->peer.data);
    ngx_http_upstream_rr_peers_rlock(peers);
    for (const auto *list = peers; list != nullptr;
         list = list->next) { // those of backup servers are in a second one
        for (const auto *peer = list->peer; peer != nullptr; peer = peer->next) {
            if (peer->host != nullptr && view_of(peer->name) == view_of(name)) {
                visit(*peer);
            }
        }
    }
    ngx_http_upstream_rr_peers_unlock(peers);
}


/// Returns the index of the server whose host name nginx has found this address for; no_address if there is none.
std::size_t find_resolved(const ready_settings &block, const ngx_str_t &name) noexcept
{
    std::size_t found = no_address;
    each_resolved(block, name, [&](const ngx_http_upstream_rr_peer_t &peer) {
        for (std::size_t i = 0; found == no_address && i < block.count; ++i) {
            const auto &server = *block.addresses[i].server;
            found = is_resolved(server) && view_of(server.name) == view_of(peer.server) ? i : no_address;
        }
    });
    return found;
}


/// Returns whether the peer is a host that nginx has found this address for, as an SRV record names it.
bool is_found_for(const ready_settings &block, const ngx_str_t &name, std::string_view peer) noexcept
{
    bool found = false;
    each_resolved(block, name, [&](const ngx_http_upstream_rr_peer_t &known) {
        const auto host = view_of(known.server);
        const auto port = view_of(known.name).substr(view_of(known.name).rfind(':') + 1);
        found =
            found || (peer.size() == host.size() + 1 + port.size() && same_word(peer.substr(0, host.size()), host) &&
                      peer[host.size()] == ':' && peer.ends_with(port));
    });
    return found;
}

#else

std::size_t find_resolved(const ready_settings & /*block*/, const ngx_str_t & /*name*/) noexcept
{
    return no_address;
}


bool is_found_for(const ready_settings & /*block*/, const ngx_str_t & /*name*/, std::string_view /*peer*/) noexcept
{
    return false;
}

#endif


/// Returns the index of an address of the block; no_address if it is none.
std::size_t find_address(const ready_settings &block, const ngx_peer_connection_t &pc) noexcept
{
    for (std::size_t i = 0; i < block.count; ++i) {
        const auto &[is, server, known_as, is_down] = block.addresses[i];
        if (!is_resolved(*server) && is_same_address(*is, pc.sockaddr, pc.socklen)) {
            return i;
        }
    }
    return find_resolved(block, *pc.name);
}


bool is_listed(const ready_peers &request, const ngx_peer_connection_t &pc) noexcept
{
    const auto &block = *request.block;
    const auto i = find_address(block, pc);
    if (i != no_address && has_bit(request.bits, i)) {
        return true;
    }
    if (!block.resolves || block.as.data != nullptr) {
        return false;
    }
    // A server that nginx has found at run time may be listed by its address, or by the name that an SRV record gives it.
    bool found = false;
    peer_list::each(request.choice->route->peers, [&](std::string_view peer) {
        ngx_sockaddr_t memory;
        ngx_addr_t parsed{};
        found = found || (parse_peer(peer, parsed, memory) ? is_same_address(parsed, pc.sockaddr, pc.socklen)
                                                           : is_found_for(block, *pc.name, peer));
    });
    return found;
}


void log_none(ready_peers &request, const ngx_log_t *log) noexcept
{
    if (request.is_logged) {
        return;
    }
    request.is_logged = true;
    const auto &route = *request.choice->route;
    u_char *text = static_cast<u_char *>(ngx_pnalloc(request.request->pool, route.peers.size() * 2 + 1));
    ngx_str_t servers = {0, text};
    peer_list::each(text == nullptr ? std::string_view() : route.peers, [&](std::string_view peer) {
        if (servers.len != 0) {
            text[servers.len++] = ',';
            text[servers.len++] = ' ';
        }
        servers.len += peer.copy(reinterpret_cast<char *>(text) + servers.len, peer.size());
    });
    const ngx_str_t model = str_of(request.choice->model_id);
    if (servers.len == 0) {
        ngx_log_error(NGX_LOG_ERR, const_cast<ngx_log_t *>(log), 0,
                      "rollout: no server of upstream \"%V\" has revision %uL of model \"%V\" loaded",
                      &request.block->block->host, route.revision, &model);
    } else {
        ngx_log_error(
            NGX_LOG_ERR, const_cast<ngx_log_t *>(log), 0,
            "rollout: none of the servers of upstream \"%V\" that have revision %uL of model \"%V\" loaded can "
            "be tried: %V",
            &request.block->block->host, route.revision, &model, &servers);
    }
}


ngx_int_t find_none(ngx_peer_connection_t *pc, ready_peers &request) noexcept
{
    log_none(request, pc->log);
    pc->name = const_cast<ngx_str_t *>(&request.block->block->host);
    return NGX_BUSY;
}


/// Undoes a pick as if it had not been made.
void give_back(ngx_peer_connection_t *pc, ready_peers &request) noexcept
{
    if (pc->connection != nullptr) { // from a connection cache between the method and this
        ngx_close_connection(pc->connection);
        pc->connection = nullptr;
        pc->cached = 0;
    }
    const ngx_uint_t tries = pc->tries;
    request.free(pc, request.data, 0);
    pc->tries = tries;
    pc->sockaddr = nullptr; // otherwise nginx would free the pick again
}


ngx_int_t get_ready_peer(ngx_peer_connection_t *pc, void *data)
{
    auto &request = *static_cast<ready_peers *>(data);
    for (;;) {
        const ngx_int_t rc = request.get(pc, request.data);
        if (request.bits == nullptr) {
            return rc;
        }
        if (rc == NGX_BUSY) {
            return find_none(pc, request);
        }
        if ((rc != NGX_OK && rc != NGX_DONE) || is_listed(request, *pc)) {
            return rc;
        }
        give_back(pc, request);
        if (request.picks_left == 0) {
            return find_none(pc, request);
        }
        --request.picks_left;
    }
}


/// Returns whether the request is for green, a preview, or from a mirror: its failure is not evidence against a
/// server that others need.
bool is_forgiven(const ready_peers &request) noexcept
{
    const auto *r = request.request;
    return request.choice->which == slot::green || (r != r->main && r->background);
}


/// Returns whether nginx has found this address at run time for a peer that no server of the block is written as.
bool is_found_as(const ready_settings &block, const ngx_str_t &name, std::string_view peer) noexcept
{
    return view_of(name) == peer || (block.as.data == nullptr && is_found_for(block, name, peer));
}


/// Returns the name by which rolloutd knows the server that nginx calls `name`.
std::string_view known_peer(const ready_settings &block, const ngx_str_t &name, std::string_view peers) noexcept
{
    std::size_t i = 0;
    while (i < block.count &&
           (is_resolved(*block.addresses[i].server) || view_of(block.addresses[i].is->name) != view_of(name))) {
        ++i;
    }
    i = i < block.count ? i : find_resolved(block, name);
    std::string_view known = view_of(name);
    if (i != no_address && block.as.data != nullptr && block.addresses[i].known_as->naddrs != 0 &&
        !is_resolved(*block.addresses[i].known_as)) {
        known = view_of(block.addresses[i].known_as->addrs->name);
    }
    peer_list::each(peers, [&](std::string_view peer) {
        ngx_sockaddr_t memory;
        ngx_addr_t address{};
        const bool is_numeric = parse_peer(peer, address, memory);
        if (i != no_address ? is_peer(block, block.addresses[i], peer, is_numeric ? &address : nullptr)
                            : is_found_as(block, name, peer)) {
            known = peer;
        }
    });
    return known;
}


/// Reports a server that cannot be reached, or that says it has no such model: it may have lost the model.
void note_suspect(const ngx_peer_connection_t *pc, const ready_peers &request, ngx_uint_t state) noexcept
{
    const auto *upstream = request.request->upstream;
    const auto status = upstream->state != nullptr ? upstream->headers_in.status_n : 0;
    const bool failed = (state & NGX_PEER_FAILED) != 0 && status == 0;
    const bool denies = status == NGX_HTTP_BAD_REQUEST || status == NGX_HTTP_NOT_FOUND;
    auto *link = link_of_process();
    if ((failed || denies) && link != nullptr && pc->name != nullptr && request.bits != nullptr) {
        const auto &route = *request.choice->route;
        link->report_suspect(route.upstream, known_peer(*request.block, *pc->name, route.peers));
    }
}


void free_ready_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t state)
{
    auto &request = *static_cast<ready_peers *>(data);
    note_suspect(pc, request, state);
    if (is_forgiven(request)) {
        state &= ~static_cast<ngx_uint_t>(NGX_PEER_FAILED);
    }
    request.free(pc, request.data, state);
}


void notify_ready_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t kind)
{
    auto &request = *static_cast<ready_peers *>(data);
    request.notify(pc, request.data, kind);
}


#if (NGX_HTTP_SSL)

ngx_int_t set_ready_session(ngx_peer_connection_t *pc, void *data)
{
    auto &request = *static_cast<ready_peers *>(data);
    return request.set_session(pc, request.data);
}


void save_ready_session(ngx_peer_connection_t *pc, void *data)
{
    auto &request = *static_cast<ready_peers *>(data);
    request.save_session(pc, request.data);
}

#endif


ngx_int_t init_ready_peer(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *block)
{
    auto &settings = ready_settings_of(block);
    if (settings.init_peer(r, block) != NGX_OK) {
        return NGX_ERROR;
    }
    const auto *choice = choice_of_upstream(r);
    if (choice == nullptr || choice->route == nullptr) {
        return NGX_OK;
    }
    auto *request = make_in_pool<ready_peers>(r->pool);
    if (request == nullptr) {
        return NGX_ERROR;
    }
    auto &peer = r->upstream->peer;
    request->block = &settings;
    request->request = r;
    request->choice = choice;
    request->picks_left = peer.tries;
    if (!choice->route->peers.empty()) {
        const auto *reading = read_list(settings, *choice->route, r->connection->log);
        request->bits = static_cast<std::uintptr_t *>(ngx_palloc(r->pool, settings.words() * sizeof(std::uintptr_t)));
        if (reading == nullptr || request->bits == nullptr) {
            return NGX_ERROR;
        }
        std::copy_n(reading->bits, settings.words(), request->bits);
        // The number of servers that can be tried: nginx must not withhold an answer to try another server if there
        // is none.
        peer.tries = std::min(peer.tries, std::max<ngx_uint_t>(reading->tries, 1));
    }

    request->data = peer.data;
    request->get = peer.get;
    request->free = peer.free;
    peer.data = request;
    peer.get = get_ready_peer;
    peer.free = free_ready_peer;
    if (peer.notify != nullptr) {
        request->notify = peer.notify;
        peer.notify = notify_ready_peer;
    }
#if (NGX_HTTP_SSL)
    request->set_session = peer.set_session;
    request->save_session = peer.save_session;
    peer.set_session = set_ready_session;
    peer.save_session = save_ready_session;
#endif
    return NGX_OK;
}


// The configuration.

/// Returns the servers, as rolloutd knows them, of a block; null, with a line in the log, if there is no such block or
/// it has not as many.
const ngx_array_t *known_servers(ngx_conf_t *cf, const ready_settings &settings,
                                 const ngx_http_upstream_srv_conf_t &block) noexcept
{
    if (settings.as.data == nullptr) {
        return block.servers;
    }
    const auto *all = static_cast<ngx_http_upstream_main_conf_t *>(
        ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module));
    auto *const *blocks = static_cast<ngx_http_upstream_srv_conf_t **>(all->upstreams.elts);
    for (ngx_uint_t i = 0; i < all->upstreams.nelts; ++i) {
        const auto &other = *blocks[i];
        if (other.srv_conf == nullptr || other.servers == nullptr ||
            !same_word(view_of(other.host), view_of(settings.as))) {
            continue;
        }
        if (other.servers->nelts != block.servers->nelts) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "upstream \"%V\" has %ui servers and upstream \"%V\" %ui: with \"rollout_ready as=%V\" "
                          "both name the same servers in the same order, in %s:%ui",
                          &block.host, block.servers->nelts, &other.host, other.servers->nelts, &settings.as,
                          settings.file, settings.line);
            return nullptr;
        }
        return other.servers;
    }
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "no upstream \"%V\" for \"rollout_ready as=%V\" in %s:%ui", &settings.as,
                  &settings.as, settings.file, settings.line);
    return nullptr;
}


ngx_int_t note_addresses(ngx_conf_t *cf, ready_settings &settings, const ngx_http_upstream_srv_conf_t &block) noexcept
{
    const auto *known = known_servers(cf, settings, block);
    if (known == nullptr) {
        return NGX_ERROR;
    }
    const auto *known_as = static_cast<const ngx_http_upstream_server_t *>(known->elts);
    const auto *servers = static_cast<const ngx_http_upstream_server_t *>(block.servers->elts);
    for (ngx_uint_t i = 0; i < block.servers->nelts; ++i) {
        settings.count += servers[i].naddrs;
    }
    if (settings.count > ready_settings::max_addresses) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "upstream \"%V\" has more than %uz addresses for \"rollout_ready\" in %s:%ui", &block.host,
                      ready_settings::max_addresses, settings.file, settings.line);
        return NGX_ERROR;
    }
    settings.addresses = static_cast<ready_settings::address *>(
        ngx_palloc(cf->pool, settings.count * sizeof(ready_settings::address)));
    settings.readings = static_cast<ready_settings::reading *>(
        ngx_pcalloc(cf->pool, ready_settings::max_readings * sizeof(ready_settings::reading)));
    if (settings.addresses == nullptr || settings.readings == nullptr) {
        return NGX_ERROR;
    }
    auto *to = settings.addresses;
    for (ngx_uint_t i = 0; i < block.servers->nelts; ++i) {
        for (ngx_uint_t j = 0; j < servers[i].naddrs; ++j) {
            *to++ = {&servers[i].addrs[j], &servers[i], &known_as[i], servers[i].down != 0};
            settings.resolves = settings.resolves || is_resolved(servers[i]);
        }
    }
    return NGX_OK;
}


ngx_int_t init_ready_upstream(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *block)
{
    auto &settings = ready_settings_of(block);
    if (settings.init_upstream(cf, block) != NGX_OK) {
        return NGX_ERROR;
    }
    settings.is_wrapped = true;
    settings.pool = cf->pool;
    settings.block = block;
    settings.init_peer = block->peer.init;
    block->peer.init = init_ready_peer;
    return note_addresses(cf, settings, *block);
}


/// Returns whether the block has nginx's keepalive already, which would then keep connections below this one. The
/// first member of its settings is the number of connections that it keeps.
bool has_keepalive(const ngx_conf_t *cf, const ngx_http_upstream_srv_conf_t *block) noexcept
{
    for (ngx_uint_t i = 0; cf->cycle->modules[i] != nullptr; ++i) {
        const ngx_module_t *module = cf->cycle->modules[i];
        if (module->type == NGX_HTTP_MODULE && module->name != nullptr &&
            std::string_view(module->name) == "ngx_http_upstream_keepalive_module") {
            const auto *kept = static_cast<const ngx_uint_t *>(block->srv_conf[module->ctx_index]);
            return kept != nullptr && *kept != 0 && *kept != NGX_CONF_UNSET_UINT;
        }
    }
    return false;
}

} // namespace


std::size_t ready_settings::words() const noexcept
{
    return (count + word_bits - 1) / word_bits;
}


bool is_resolved(const ngx_http_upstream_server_t &server) noexcept
{
#if (NGX_HTTP_UPSTREAM_ZONE) && nginx_version >= 1027003
    return server.host.len != 0;
#else
    static_cast<void>(server);
    return false;
#endif
}


std::string_view known_peer_of(const ngx_http_upstream_t &upstream, const ngx_str_t &name,
                               std::string_view peers) noexcept
{
    const auto *block = upstream.upstream;
    if (block == nullptr || block->srv_conf == nullptr || !ready_settings_of(block).is_wrapped) {
        return {};
    }
    return known_peer(ready_settings_of(block), name, peers);
}


const char *wrap_balancing(ngx_conf_t *cf, ready_settings &settings, ngx_str_t as) noexcept
{
    if (settings.file != nullptr) {
        return "is duplicate";
    }
    auto *block =
        static_cast<ngx_http_upstream_srv_conf_t *>(ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module));
    if (has_keepalive(cf, block)) {
        return "must be before the \"keepalive\" directive";
    }
    settings.as = as;
    settings.file = cf->conf_file->file.name.data;
    settings.line = cf->conf_file->line;
    settings.init_upstream =
        block->peer.init_upstream != nullptr ? block->peer.init_upstream : ngx_http_upstream_init_round_robin;
    block->peer.init_upstream = init_ready_upstream;
    return nullptr;
}


ngx_int_t check_balancing(ngx_conf_t *cf) noexcept
{
    const auto *all = static_cast<ngx_http_upstream_main_conf_t *>(
        ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module));
    auto *const *blocks = static_cast<ngx_http_upstream_srv_conf_t **>(all->upstreams.elts);
    for (ngx_uint_t i = 0; i < all->upstreams.nelts; ++i) {
        if (blocks[i]->srv_conf == nullptr) {
            continue; // implicit, made by a proxy_pass
        }
        const auto &settings = ready_settings_of(blocks[i]);
        if (settings.file != nullptr && !settings.is_wrapped) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"rollout_ready\" directive must be after the load balancing method in %s:%ui",
                          settings.file, settings.line);
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}

} // namespace rollout
