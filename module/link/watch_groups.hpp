// Groups the calls that wait for the same news of the same task: rolloutd is asked once, and its answer is for all of
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace rollout {

/// Calls are known by the numbers that a worker process gives them. The first call of a group gives its number to the
/// question, which stands as long as any call of the group waits, even if the first one does not any more.
class watch_groups {
  public:
    /// Adds a call; `news` names what it waits for. Returns true if no other call waits for that, so that the
    /// question is to be sent under this number. If out of memory, throws and changes nothing.
    bool add(std::uint64_t id, std::string_view news);

    /// Removes a call. Returns the number of its question if no call waits for the answer any more; nothing if others
    /// do, or if this one did not wait.
    std::optional<std::uint64_t> remove(std::uint64_t id) noexcept;

    /// Removes and returns the calls that wait for the answer to that question.
    std::vector<std::uint64_t> take(std::uint64_t question);

    /// Returns one call of each group, whose number the group's question has from now on: for a rolloutd that has not
    /// been asked yet.
    std::vector<std::uint64_t> ask_again();

    /// Returns how many calls wait.
    std::size_t waiting() const noexcept { return of_.size(); }

  private:
    struct group {
        std::uint64_t question;
        std::unordered_set<std::uint64_t> waiting;
    };
    using groups = std::unordered_map<std::string, group>;

    groups groups_;
    std::unordered_map<std::uint64_t, groups::value_type *> of_;    ///< by waiting call; a map's elements do not move
    std::unordered_map<std::uint64_t, groups::value_type *> asked_; ///< by question
};

} // namespace rollout
