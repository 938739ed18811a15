// Every bound that the gateway and rolloutd share, defined once. A bound that only one of them needs is defined
// there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rollout::limits {

/// A frame's text, in bytes, without the four bytes of its length.
inline constexpr std::size_t frame_bytes = 1024 * 1024;

/// The size up to which a sender fills a frame of several tasks or routes before it starts the next one. Another
/// document of `document_bytes` still fits into `frame_bytes`.
inline constexpr std::size_t batch_bytes = 64 * 1024;

/// The most bytes of documents on a page of a list. A page that would exceed it ends early and says where the next
/// one begins.
inline constexpr std::size_t page_bytes = 768 * 1024;

/// The entries on a page of a list: the default, and the most that a client may ask for.
inline constexpr unsigned page_default = 100;
inline constexpr unsigned page_most = 1000;

/// A task document as compact JSON.
inline constexpr std::size_t document_bytes = 64 * 1024;

/// A deployment's `config`, or a deletion's parameters, as compact JSON.
inline constexpr std::size_t config_bytes = 32 * 1024;

/// A request's body as it arrives, including white space. client_max_body_size, which applies first, is usually less.
inline constexpr std::size_t body_bytes = 8 * 1024 * 1024;

/// The same without white space between its tokens: `config_bytes` with each character written as an escape, and the
/// rest. The parsed body takes up to a hundred times its bytes in memory.
inline constexpr std::size_t packed_body_bytes = 256 * 1024;

/// `detail` of a task, in characters (Unicode code points).
inline constexpr std::size_t detail_characters = 1500;

/// `detail` of one step in a task's metadata, in characters.
inline constexpr std::size_t step_detail_characters = 300;

inline constexpr std::size_t model_id_bytes = 128;
inline constexpr std::size_t task_id_bytes = 64;

/// The parts of a model; each has its own source and route.
inline constexpr std::size_t parts = 16;

/// A model's name on the inference server, which is also the name of a directory (NAME_MAX).
inline constexpr std::size_t backend_model_bytes = 255;

/// The name of an upstream block, or host:port.
inline constexpr std::size_t upstream_bytes = 255;

/// The servers of one backend.
inline constexpr std::size_t backend_servers = 64;

/// A server's address on nginx's side: host:port, or unix: and a path.
inline constexpr std::size_t peer_bytes = 255;

/// All names of the upstreams that a gateway reports to rolloutd. A gateway with more reports none, and is not asked.
inline constexpr std::size_t known_upstreams_bytes = 256 * 1024;

/// The characters that a line of the audit keeps of each value in a client's identity.
inline constexpr std::size_t requester_characters = 256;

/// The most members that one problem names, and the most bytes of a pointer to one: a client's data is not returned
/// at any length.
inline constexpr std::size_t problem_members = 32;
inline constexpr std::size_t pointer_bytes = 256;

/// The depth of nested objects and arrays in a request's body.
inline constexpr int json_depth = 64;

/// Questions of one nginx worker process that rolloutd has not answered yet, whether or not their clients still wait.
/// Beyond that, a post is answered 429, any other request 503. A peer that asks more is disconnected.
inline constexpr std::size_t requests_in_flight = 4096;

/// Clients that wait for news of a task at one nginx worker process: the default of max_waiting, and its greatest
/// value. Beyond that, a read is answered 503, and a post is answered at once. A peer that watches more is
/// disconnected.
inline constexpr std::size_t waiting_clients = 32768;
inline constexpr std::size_t waiting_clients_most = 65536;

/// Links of nginx worker processes that rolloutd serves at a time.
inline constexpr std::size_t gateway_links = 1024;

/// Gateways that rolloutd knows at a time, including those whose last link has just ended.
inline constexpr std::size_t gateways = 64;

/// The longest time that a client may ask to wait with `?wait=` or `Prefer: wait=`.
inline constexpr unsigned wait_s = 300;

} // namespace rollout::limits
