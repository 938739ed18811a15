// Every bound that the gateway and rolloutd share, once. A bound that only one of them needs stands with its owner.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rollout::limits {

/// A frame's text, in bytes, without the four of its length.
inline constexpr std::size_t frame_bytes = 1024 * 1024;

/// What a sender puts into one frame of many tasks or routes before it starts the next. A document of
/// `document_bytes` on top still fits `frame_bytes`.
inline constexpr std::size_t batch_bytes = 64 * 1024;

/// What a page of a list holds at most, in bytes of documents: it ends early and says where the next one begins.
inline constexpr std::size_t page_bytes = 768 * 1024;

/// What a page of a list holds unless the client says how many it wants, and at most.
inline constexpr unsigned page_default = 100;
inline constexpr unsigned page_most = 1000;

/// A task document as compact JSON.
inline constexpr std::size_t document_bytes = 64 * 1024;

/// A deployment's `config`, or a deletion's parameters, as compact JSON.
inline constexpr std::size_t config_bytes = 32 * 1024;

/// A request's body as it comes, white space and all; client_max_body_size bounds it before, usually by less.
inline constexpr std::size_t body_bytes = 8 * 1024 * 1024;

/// The same without white space between its tokens: `config_bytes` with each character written as an escape, and the rest.
/// What is parsed takes up to a hundred times its bytes in memory.
inline constexpr std::size_t packed_body_bytes = 256 * 1024;

/// `detail` of a task, in characters (Unicode code points).
inline constexpr std::size_t detail_characters = 1500;

/// `detail` of one step in a task's metadata, in characters.
inline constexpr std::size_t step_detail_characters = 300;

inline constexpr std::size_t model_id_bytes = 128;
inline constexpr std::size_t task_id_bytes = 64;

/// Parts of a model, each with a source and a route of its own.
inline constexpr std::size_t parts = 16;

/// A model's name on the inference server: it is a directory's name too (NAME_MAX).
inline constexpr std::size_t backend_model_bytes = 255;

/// The name of an upstream block, or host:port.
inline constexpr std::size_t upstream_bytes = 255;

/// The servers of one backend.
inline constexpr std::size_t backend_servers = 64;

/// A server's address on nginx's side: host:port, or unix: and a path.
inline constexpr std::size_t peer_bytes = 255;

/// The upstreams that a gateway tells rolloutd of, all names together; one with more tells of none, and is not asked.
inline constexpr std::size_t known_upstreams_bytes = 256 * 1024;

/// What a line of the audit holds of each thing that is known about who asked, in characters.
inline constexpr std::size_t requester_characters = 256;

/// Members at fault that one problem names, and the bytes of a pointer to one: what a client sent is not sent back at any
/// length.
inline constexpr std::size_t problem_members = 32;
inline constexpr std::size_t pointer_bytes = 256;

/// Objects and arrays inside each other in a request's body.
inline constexpr int json_depth = 64;

/// Questions of one nginx worker process that rolloutd has not answered yet, whether their clients still wait or not: one
/// more post is answered 429, one more of the others 503. A peer that asks more is cut off.
inline constexpr std::size_t requests_in_flight = 4096;

/// Clients that wait for news of a task at one nginx worker process: unless max_waiting says otherwise, and the most that
/// it may say. One more read is answered 503; one more post is answered at once. A peer that watches more is cut off.
inline constexpr std::size_t waiting_clients = 32768;
inline constexpr std::size_t waiting_clients_most = 65536;

/// Links of nginx worker processes that rolloutd serves at a time.
inline constexpr std::size_t gateway_links = 1024;

/// Gateways that rolloutd knows at a time, with those whose last link has just ended.
inline constexpr std::size_t gateways = 64;

/// The longest that a client may ask to wait with `?wait=` or `Prefer: wait=`.
inline constexpr unsigned wait_s = 300;

} // namespace rollout::limits
