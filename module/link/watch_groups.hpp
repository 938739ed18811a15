// Who waits for the same news of the same task: rolloutd is asked once for all of them, and its answer is for all of them.
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

/// By the numbers that a worker process gives its calls. The first of a group gives its number to the question, which stands
/// for as long as anybody waits, whether that one still does or not.
class watch_groups {
  public:
    /// `news` names what is waited for. True: nobody has waited for it, so that it is to be asked under this number. Where
    /// memory is out all is as before.
    bool add(std::uint64_t id, std::string_view news);

    /// The number of a question that nobody waits for any more; nothing where others do, or this one did not wait.
    std::optional<std::uint64_t> remove(std::uint64_t id) noexcept;

    /// Those who waited for that question's answer: they do not any more.
    std::vector<std::uint64_t> take(std::uint64_t question);

    /// One of each group, whose number its question has from now on: for a rolloutd that has not been asked yet.
    std::vector<std::uint64_t> ask_again();

    /// How many wait.
    std::size_t waiting() const noexcept { return of_.size(); }

  private:
    struct group {
        std::uint64_t question;
        std::unordered_set<std::uint64_t> waiting;
    };
    using groups = std::unordered_map<std::string, group>;

    groups groups_;
    std::unordered_map<std::uint64_t, groups::value_type *>
        of_; ///< by who waits; a map's elements stay where they are
    std::unordered_map<std::uint64_t, groups::value_type *> asked_; ///< by the question
};

} // namespace rollout
