// A server's answer to POST /v2/repository/index: the state of each model, with all its versions taken together.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace rollout {

enum class index_state {
    absent,    ///< not in the index
    unloaded,  ///< known, but no version is loaded: no state, or UNAVAILABLE with no reason or the reason `unloaded`
    failed,    ///< a version is UNAVAILABLE for another reason, and no version is in a higher state
    loading,   ///< a version is LOADING
    unloading, ///< a version is UNLOADING
    ready,     ///< a version is READY, and none LOADING or UNLOADING
};

struct index_entry {
    index_state is = index_state::absent;
    std::string reason;     ///< of a failed version, cleaned
    std::string versions{}; ///< the READY ones, as the server names them: `1`, or `1, 2`

    /// Returns whether nothing of the model is in the server's memory, or being loaded into it.
    bool is_gone() const noexcept
    {
        return is == index_state::absent || is == index_state::unloaded || is == index_state::failed;
    }
};

/// Returns `LOADING` and the like, for messages.
std::string_view index_state_name(index_state state) noexcept;

/// By model name.
using repository_index = std::map<std::string, index_entry, std::less<>>;

/// Empty if the body is not an index.
std::optional<repository_index> read_index(std::string_view body);

/// Does the same for one model.
std::optional<index_entry> find_in_index(std::string_view body, std::string_view model);

} // namespace rollout
