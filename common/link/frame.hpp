// The frames on the Unix socket between an nginx worker process and rolloutd: the format, once, for both ends.
//
// A frame is its length (4 bytes, big endian, of all that follows, 1 to limits::frame_bytes), a JSON object with `type`,
// and a line for each task that it brings (task_line.hpp), each after a line feed; the object has no line feed inside. Both ends may
// send at any time. A frame that breaks these rules, one of a type that is not here (frame_types.hpp), or a `hello` without a version
// that both ends speak (version.hpp), closes the connection with a reason in both logs. Members that are not here are passed over: a
// later release may say more.
//
//   nginx -> rolloutd
//     hello     {protocol, protocol_oldest, pid, gateway, journal, revision, upstreams?}   who asks (`gateway` names one instance of
//                                                              the shared memory), up to where its table is filled, and the names
//                                                              of upstreams that its configuration has (none: any may be found)
//     submit    {} and a line for each (submission_line.hpp)       `ID` in the line, as `id` below, numbers the question on this
//                                                              connection
//     lookup    {id, kind, task_id | model_id, after?}        with `after`: answered once the task's revision is past it
//     forget    {id}                                          the client of that look-up is gone
//     steer     {id, kind, task_id, verb, new_task_id?} and a line   a client's word to a task (task_verb.hpp); the line says
//                                                              who asks (client_identity.hpp)
//     list      {id, kind, status?, model_id?, before?, limit, in_lines?} tasks, newest first, accepted before that `seq`
//     models    {id, after?, limit, in_lines?}                   models, in the order of their ids, after that one; `in_lines`: the
//                                                              documents shall come behind the answers' messages
//     metrics   {id}                                          what rolloutd says of itself in the metrics
//     applied   {revision}                                    the routes up to here are in force in this gateway
//     counters  {id, in_flight}                               the answer to `sample`
//     measured  {id, counters, last_minute}                   the answer to `measure`: traffic_counters.hpp; and the model's
//                                                              requests of the last minute
//     suspect   {upstream, peer}                              that server has failed a request, or has not got its model; only if the
//                                                              welcome asks for it (`suspects`), once a second for each
//     bye       {}                                            this worker process ends in order
//     pong      {}
//
//   rolloutd -> nginx
//     welcome   {protocol, journal, revision, routes, stream, suspects}   `protocol`: of this link; `routes`: the revision of the newest route;
//                                                              `stream`: this link carries its gateway's updates
//     stream    {}                                            this link shall carry them now; answered by a `hello`
//     accepted  {} and for each an answer's line              durable. ID WORD and the task's line; WORD is `new`, `existed`
//                                                              where the same task was there, or `steered`: as it is now. A link
//                                                              that carries updates hears of its new tasks here alone
//     rejected  {id, status, detail, task_id, errors, retry_after_s}   an RFC 9457 problem
//     found     {id, failed?} and the task, where there is one   `failed`: the journal could not be read
//     listed    {id, more} and tasks, any number of times, then {id, next} and tasks   `next`: the `before` of the next page, or
//                                                              null
//     listed_models {id, more} and documents, then {id, next} and documents   the same for models, a line being a document;
//                                                              `next`: the `after` of the next page, or null
//     listed    {id, tasks | null, next}                      all in one, for who did not ask for lines; null: there is no page
//     listed_models {id, models | null, next}                 now, ask again, which is the answer for who did as well
//     metered   {id, text}                                    in Prometheus' text format
//     update    {revision, filled?, complete} and tasks       `revision`: the table holds all up to here once this is
//                                                              in; `filled`: that was all there is in the journal; `complete`: and no
//                                                              other gateway may know more
//     shared    {}                                            there are other gateways, which may know of a task before
//                                                              this one does: what it holds is not all, until an `update`
//                                                              says so again
//     routes    {routes, revision, begin, end}                `begin` and `end` frame a full set: what is not in it
//                                                              goes; a single change has neither
//     sample    {id, model_id, parts, revision}               how many requests are in flight on that revision?
//     measure   {id, model_id, parts, revisions}              what did the watched requests of these come to?
//     ping      {}
//     refuse    {reason}                                      the last frame before rolloutd closes the connection
//
// A route is described in route.hpp.
#pragma once

#include "common/base/json.hpp"
#include "common/link/frame_types.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace rollout {

/// A message of that type, to be filled.
json_ptr message_of(gateway_frame type);
json_ptr message_of(rolloutd_frame type);

/// The same as text, for what is sent often: `members` as JSON, `"id":7,"next":null`, or none.
std::string message_text(gateway_frame type, std::string_view members = {});
std::string message_text(rolloutd_frame type, std::string_view members = {});

/// Appends `message` as a frame. False, with `out` as it was, when the text is over the bound or cannot be written.
bool append_frame(std::string &out, const json_t *message);

/// The same for a message that is JSON text already: documents go from the journal to the socket as they are.
bool append_frame(std::string &out, std::string_view text);

/// Takes the first line off; empty when there is none left.
std::string_view next_line(std::string_view &lines) noexcept;

/// Cuts a byte stream into frames. Holds at most one frame and what came in behind it with the same read.
class frame_reader {
  public:
    /// Takes the bytes that a read returned.
    void feed(std::string_view bytes);

    enum class state { message, need_more, broken };

    /// The next message, an object with a string `type`. `broken` is final: the stream has no frame's border any more,
    /// and `reason` is a sentence for the log.
    state next(json_ptr &message, std::string &reason);

    /// The lines behind the last message, for `next_line`; until the next call of `feed` or `next`.
    std::string_view lines() const noexcept { return lines_; }

    /// Bytes held back until a frame is whole.
    std::size_t buffered() const noexcept { return buffer_.size() - start_; }

  private:
    std::string buffer_;
    std::size_t start_ = 0;
    std::string_view lines_;
    std::string broken_; ///< why it is
};

} // namespace rollout
