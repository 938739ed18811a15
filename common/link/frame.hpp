// The frames on the Unix socket between an nginx worker process and rolloutd: the format, defined once for both ends.
//
// A frame consists of its length (4 bytes, big endian, of all that follows, 1 to limits::frame_bytes), a JSON object
// with `type`, and a line for each task that it carries (task_line.hpp), each after a line feed; the object contains
// no line feed. Both ends may send at any time. A frame that breaks these rules, a frame of an unknown type
// (frame_types.hpp), or a `hello` without a version that both ends speak (version.hpp) closes the connection, with a
// reason in both logs. Unknown members are ignored: a later release may send more.
//
//   nginx -> rolloutd
//     hello     {protocol, protocol_oldest, pid, gateway, journal, revision, upstreams?, servers?}
//                                                 introduces the sender: `gateway` identifies one instance of the shared
//                                                 memory; `journal` and `revision` say up to where its table is filled;
//                                                 `upstreams` are the names in its configuration (omitted: any may exist);
//                                                 `servers` has, by the name of each block with rollout_ready, its servers
//                                                 as they are written there and their addresses
//     submit    {} and a line for each (submission_line.hpp)
//                                                 `ID` in the line, like `id` below, numbers the question on this
//                                                 connection
//     lookup    {id, kind, task_id | model_id, after?}
//                                                 with `after`: answered once the task's revision is past it
//     forget    {id}                              the client of that look-up has gone
//     steer     {id, kind, task_id, verb, new_task_id?} and a line
//                                                 a client's verb for a task (task_verb.hpp); the line identifies the
//                                                 client (client_identity.hpp)
//     list      {id, kind, status?, model_id?, before?, limit, in_lines?}
//                                                 tasks, newest first, accepted before that `seq`
//     models    {id, after?, limit, in_lines?}    models, in the order of their ids, after that one; `in_lines`: the
//                                                 documents are to be sent as lines after the answers' messages
//     metrics   {id}                              asks for rolloutd's own metrics
//     series    {id, task_id}                     asks for the series of a deployment; sent only if the welcome says that
//                                                 there are any (`series`)
//     applied   {revision}                        the routes up to this revision are in force in this gateway
//     counters  {id, in_flight}                   the answer to `sample`
//     measured  {id, counters, last_minute}       the answer to `measure`: traffic_counters.hpp, and the number of the
//                                                 model's requests in the last minute
//     suspect   {upstream, peer}                  that server has failed a request, or lacks its model; sent only if the
//                                                 welcome asks for it (`suspects`), at most once a second for each server
//     failures  {servers: [{model_id, revision, peer, failures}]}
//                                                 failed requests of revisions under watch since the last such frame, by
//                                                 server; sent only if the welcome asks for it (`failures`), at most ten
//                                                 times a second
//     bye       {}                                this worker process exits normally
//     pong      {}
//
//   rolloutd -> nginx
//     welcome   {protocol, journal, revision, routes, stream, suspects, failures, series, trouble?, routes_until?}
//                                                 `protocol`: the version for this link; `routes`: the revision of the
//                                                 newest route; `stream`: this link carries its gateway's updates
//     stream    {}                                this link is to carry the updates from now on; answered by a `hello`
//     accepted  {} and an answer's line for each  the task is durable. The line is ID WORD and the task's line; WORD is
//                                                 `new`, `existed` if the same task was there, or `steered`: the task as
//                                                 it is now. A link that carries updates gets its new tasks only here
//     rejected  {id, status, detail, task_id, errors, retry_after_s}
//                                                 an RFC 9457 problem
//     found     {id, failed?} and the task, if there is one
//                                                 `failed`: the journal could not be read
//     listed    {id, more} and tasks, any number of times, then {id, next} and tasks
//                                                 `next`: the `before` of the next page, or null
//     listed_models {id, more} and documents, any number of times, then {id, next} and documents
//                                                 the same for models, each line being a document; `next`: the `after`
//                                                 of the next page, or null
//     listed    {id, tasks | null, next}          all in one message, if the question did not ask for lines; null: there
//                                                 is no page now, ask again, which is also the answer if it did
//     listed_models {id, models | null, next}     the same for models
//     metered   {id, text}                        in Prometheus' text format
//     series_found {id, failed?} and the document, if there is such a deployment
//                                                 `failed`: the journal could not be read
//     update    {revision, filled?, complete} and tasks
//                                                 `revision`: with this, the table holds everything up to here;
//                                                 `filled`: that is all that the journal has; `complete`: and no other
//                                                 gateway may know more
//     shared    {}                                there are other gateways, which may know of a task before this one:
//                                                 its table is incomplete until an `update` says otherwise
//     routes    {routes, revision, begin, end}    `begin` and `end` mark the first and the last part of a full set: a
//                                                 route that is not in it is removed; a single change has neither
//     sample    {id, model_id, parts, revision}   how many requests are in flight for that revision?
//     measure   {id, model_id, parts, revisions}  what are the results of the watched requests of these revisions?
//     ping      {trouble?, routes_until?}         `trouble`, also in the welcome: why rolloutd cannot do its work fully, a
//                                                 sentence for people; missing: it can. `routes_until`, the same: when
//                                                 nginx is to route no more unless it is told a later time, in
//                                                 milliseconds of CLOCK_MONOTONIC; missing: never
//     refuse    {reason}                          the last frame before rolloutd closes; `reason` ends a sentence for people
//
// A route is described in route.hpp.
#pragma once

#include "common/base/json.hpp"
#include "common/link/frame_types.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace rollout {

/// Returns a message of that type, to be filled in.
json_ptr message_of(gateway_frame type);
json_ptr message_of(rolloutd_frame type);

/// The same as text, for messages that are sent often: `members` is JSON, such as `"id":7,"next":null`, or empty.
std::string message_text(gateway_frame type, std::string_view members = {});
std::string message_text(rolloutd_frame type, std::string_view members = {});

/// Appends `message` as a frame. Returns false, and leaves `out` unchanged, if the text is over the bound or cannot
/// be written.
bool append_frame(std::string &out, const json_t *message);

/// The same for a message that is JSON text already: documents go from the journal to the socket unchanged.
bool append_frame(std::string &out, std::string_view text);

/// Removes and returns the first line; empty if there is none left.
std::string_view next_line(std::string_view &lines) noexcept;

/// Splits a byte stream into frames. Holds at most one frame and the data that arrived after it in the same read.
class frame_reader {
  public:
    /// Adds the bytes that a read returned.
    void feed(std::string_view bytes);

    enum class state { message, need_more, broken };

    /// Returns the next message, an object with a string `type`. `broken` is final: the borders of the stream's
    /// frames are lost, and `reason` is a sentence for the log.
    state next(json_ptr &message, std::string &reason);

    /// Returns the lines after the last message, for `next_line`; valid until the next call of `feed` or `next`.
    std::string_view lines() const noexcept { return lines_; }

    /// Returns how many bytes are held until a frame is complete.
    std::size_t buffered() const noexcept { return buffer_.size() - start_; }

  private:
    std::string buffer_;
    std::size_t start_ = 0;
    std::string_view lines_;
    std::string broken_; ///< why the stream is broken
};

} // namespace rollout
