// A task as rolloutd works on it, and its public document. The journal keeps the document too: a task can be restored
// from it completely.
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
    none,     ///< it is working, or final
    time,     ///< the end of a hold, a watch or the pause before a retry
    requests, ///< enough of them for the gate to judge, or the end of those in flight
    person,   ///< somebody to post promote or resume
    gateway,  ///< a gateway to connect, or to follow a route
    server,   ///< an inference server to load, get ready, answer or unload
    turn,     ///< other tasks to make room
};

std::string_view wait_reason_name(wait_reason reason) noexcept;

/// What a task waits for, the sentence for its document, and the earliest end of the hold under way (since 1970, UTC; 0:
/// no hold is under way).
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
    std::uint64_t sequence = 0; ///< its position in the order of acceptance, set by the journal
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

    std::uint64_t model_revision = 0; ///< the deployment's, or the one being deleted; 0: not known yet
    std::string step;                 ///< the current or the last one
    double progress = 0;
    bool paused = false;                ///< a client has paused the shift
    bool cancel_asked = false;          ///< a client wants to cancel it
    bool promote_asked = false;         ///< a client wants to end the hold under way
    std::shared_ptr<const json_t> gate; ///< the gate's last view: `metadata.gate`; null: none yet
    wait_reason waits_for = wait_reason::none;
    std::int64_t hold_ends_us = 0;      ///< since 1970, UTC; 0: no hold is under way
    std::shared_ptr<const json_t> plan; ///< what it will do: `metadata.plan`; null: it has not started
    unsigned traffic_weight = 0;        ///< percent
    std::uint64_t elapsed_ms = 0;       ///< working time so far, across restarts
    std::uint64_t rollback_to =
        0; ///< the revision of the model that this deployment restores; 0: it brings a new one
    std::vector<step_record> steps;
    std::shared_ptr<const json_t> config; ///< as requested

    step_record *find_step(std::string_view name) noexcept;

    /// Sets the reason and the end of the hold; `detail` is not changed.
    void set_waiting(const wait_state &what) noexcept;
};

/// Returns the document of the API's contract as JSON text, within limits::document_bytes whatever its texts: they are
/// cut to their bounds.
std::string document_of(const task &from);

/// Restores a task from a document. Empty if it is not one; `sequence` and `revision` belong to the journal, not to the
/// document.
std::optional<task> task_from_document(const json_t *document);

} // namespace rollout
