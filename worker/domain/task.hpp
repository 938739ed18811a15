// A task as rolloutd works on it, and the document that the world sees of it. The document is also what the journal keeps:
// a task can be read back from it, whole.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/client_identity.hpp"
#include "common/domain/task_status.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

enum class step_state : std::uint8_t { pending, running, done, failed, skipped };

std::string_view step_state_name(step_state state) noexcept;

/// What a task waits for: `metadata.waits_for`.
enum class wait_reason : std::uint8_t {
    none,     ///< it works, or is final
    time,     ///< a hold, a watch or the pause before another attempt ends
    requests, ///< enough of them come for the gate to judge by, or those in flight end
    person,   ///< somebody posts promote or resume
    gateway,  ///< a gateway connects, or follows a route
    server,   ///< an inference server loads, gets ready, answers or unloads
    turn,     ///< other tasks make room
};

std::string_view wait_reason_name(wait_reason reason) noexcept;

/// What a task waits for, how its document says it, and when the hold under way ends at the earliest (since 1970, UTC; 0: no
/// hold is under way).
struct wait_state {
    wait_reason reason = wait_reason::none;
    std::int64_t hold_ends_us = 0;
    std::string sentence;
};

/// One step of a task, as `metadata.steps` shows it.
struct step_record {
    std::string name;
    step_state state = step_state::pending;
    unsigned attempts = 0;
    std::int64_t started_us = 0; ///< since 1970, UTC; 0: not yet
    std::int64_t ended_us = 0;
    std::string detail;
};

struct task {
    std::uint64_t sequence = 0; ///< its place in the order of acceptance; the journal gives it
    std::uint64_t revision = 0; ///< the journal's counter at the last change
    task_kind kind = task_kind::deploy;
    task_status status = task_status::pending;
    std::string task_id;
    std::string model_id;
    std::string parent_id;
    client_identity created_by; ///< all empty: not known
    std::string detail;
    std::int64_t created_us = 0;
    std::int64_t updated_us = 0;

    std::uint64_t model_revision =
        0;            ///< the deployment's own, or the one that a deletion takes away; 0: not known yet
    std::string step; ///< the one that runs, or ran last
    double progress = 0;
    bool paused = false;                ///< a client holds the shift where it is
    bool cancel_asked = false;          ///< a client wants it undone
    bool promote_asked = false;         ///< a client wants the hold under way to end
    std::shared_ptr<const json_t> gate; ///< what the gate saw last: `metadata.gate`; null: nothing yet
    wait_reason waits_for = wait_reason::none;
    std::int64_t hold_ends_us = 0;      ///< since 1970, UTC; 0: no hold is under way
    std::shared_ptr<const json_t> plan; ///< what it will do: `metadata.plan`; null: it has not begun
    unsigned traffic_weight = 0;        ///< percent
    std::uint64_t elapsed_ms = 0;       ///< worked on so far, over restarts
    std::uint64_t rollback_to =
        0; ///< a revision of the model's that this deployment brings back; 0: it brings a new one
    std::vector<step_record> steps;
    std::shared_ptr<const json_t> config; ///< as requested

    step_record *find_step(std::string_view name) noexcept;

    /// Of what it waits for, the reason and the end of its hold; `detail` is not changed.
    void set_waiting(const wait_state &what) noexcept;
};

/// The document of the contract as JSON text, within limits::document_bytes whatever the texts hold: they are cut to their bounds.
std::string document_of(const task &from);

/// Reads a document back. Nothing where it is not one; `sequence` and `revision` are the journal's, not the document's.
std::optional<task> task_from_document(const json_t *document);

} // namespace rollout
