// What the module's files call of nginx, for a process without it: a connection whose other end is the fuzzer, timers and
// posted events that it runs, a zone in plain memory, requests whose answers are looked at and dropped.
#pragma once

#include "module/configuration.hpp"
#include "module/handlers/pending_request.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"
#include "module/zone/shared_zone.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stand_in {

/// What the other end of the link does.
struct peer {
    std::string to_read; ///< what the link's next reads get
    bool ended = false;  ///< and then the end of the stream
    std::string written; ///< what the link has written
};
peer &the_peer();

/// The link's connection; null while it has none.
ngx_connection_t *connection();

/// Lets the link read what the peer has sent, as an event would.
void let_read();
void run_posted();

/// Runs every timer that is set now, but those of the connection.
void run_timers();

/// Is the zone's mutex held?
bool is_locked();

/// The link that `link_of_process` gives; null for none.
void use_link(rollout::worker_link *link);

/// A zone's memory, formatted by the module, with a state file where a path is given.
class zone_memory {
  public:
    explicit zone_memory(const std::string &state_path = {});
    ~zone_memory();

    rollout::shared_zone zone;

  private:
    std::string state_path_;
    ngx_slab_pool_t pool_{};
};

/// A request to the API. It ends once, by an answer, or because the client went away.
class request {
  public:
    request(rollout::dialect words, std::string args, std::string body);
    ~request();
    request(const request &) = delete;
    request &operator=(const request &) = delete;

    /// What a handler gave back: anything but NGX_DONE ends the request.
    void returned(ngx_int_t rc);

    /// The client goes away.
    void abort();

    bool ended() const noexcept { return ended_; }
    const std::string &answer() const noexcept { return answer_; }

    ngx_http_request_t r{};
    rollout::pending_request api{};

  private:
    friend struct access;

    void end();

    ngx_connection_t connection_{};
    ngx_event_t read_{};
    ngx_http_request_body_t body_{};
    ngx_chain_t chain_{};
    ngx_buf_t buffer_{};
    rollout::location_settings location_;
    void *location_pointer_ = &location_;
    std::string args_;
    std::string text_;
    std::string answer_;
    std::vector<std::unique_ptr<u_char[]>> pool_;
    std::vector<std::unique_ptr<ngx_http_cleanup_t>> cleanups_;
    bool ended_ = false;
};

} // namespace stand_in
