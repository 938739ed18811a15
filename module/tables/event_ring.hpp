// The latest changes of tasks and routes, in shared memory: what clients that follow them have not received yet.
//
// An event names what has changed, and holds nothing of it: who follows reads the table. Events are numbered from 1
// on. The ring holds the latest of them; older ones are overwritten, and who has not read them by then begins anew.
// Written under the zone's lock, read without one. A writer that is killed leaves no torn event: an entry counts once
// `head` says so, and the next writer overwrites what did not get that far.
#pragma once

#include "common/domain/limits.hpp"
#include "common/domain/task_status.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rollout {

enum class change_kind : std::uint8_t {
    all, ///< anything may have changed
    task,
    route,
};

/// A change, copied from the ring.
class change {
  public:
    change() = default;
    change(change_kind kind, task_kind of_task, std::string_view model_id, std::string_view name) noexcept;

    std::uint64_t sequence = 0;
    change_kind kind = change_kind::all;
    task_kind of_task = task_kind::deploy;

    std::string_view model_id() const noexcept { return {text_.data(), model_id_bytes_}; }

    /// A task's id, or a route's part.
    std::string_view name() const noexcept { return {text_.data() + model_id_bytes_, name_bytes_}; }

  private:
    std::uint8_t model_id_bytes_ = 0;
    std::uint8_t name_bytes_ = 0;
    std::array<char, 2 * limits::model_id_bytes> text_{};
};

class event_ring {
  public:
    static constexpr std::size_t min_entries = 4;
    static constexpr std::size_t max_entries = 4096;

    static std::size_t bytes_for(std::size_t entries) noexcept;
    static void format(void *memory, std::size_t entries) noexcept;

    explicit event_ring(void *memory) noexcept;

    // For a writer that holds the zone's lock, after it has made the change.

    void add_task(task_kind kind, std::string_view model_id, std::string_view task_id) noexcept;
    void add_route(std::string_view model_id, std::string_view part) noexcept;

    /// For changes that are not known one by one.
    void add_all() noexcept;

    // For any process, at any time.

    /// Returns the number of the latest event; 0 if there has been none.
    std::uint64_t head() const noexcept;

    std::size_t entries() const noexcept;

    /// Copies the event of that number. Returns false if it is not in the ring any more, or not yet.
    bool read(std::uint64_t sequence, change &to) const noexcept;

  private:
    struct header;

    void add(change event) noexcept;

    header *header_;
    change *entries_;
};

} // namespace rollout
