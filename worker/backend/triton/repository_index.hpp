// A server's answer to POST /v2/repository/index: where each model stands, all its versions taken together.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace rollout {

enum class index_state {
    absent,    ///< not in the index
    unloaded,  ///< known, but no version is loaded: no state, or UNAVAILABLE without a reason or for being `unloaded`
    failed,    ///< UNAVAILABLE for another reason, and no version is anything more than that
    loading,   ///< a version is LOADING
    unloading, ///< a version is UNLOADING
    ready,     ///< a version is READY, and none LOADING or UNLOADING
};

struct index_entry {
    index_state is = index_state::absent;
    std::string reason; ///< of a version that failed, clean

    /// Nothing of the model is in the server's memory, or on its way there.
    bool is_gone() const noexcept
    {
        return is == index_state::absent || is == index_state::unloaded || is == index_state::failed;
    }
};

/// `LOADING` and the like, for sentences.
std::string_view index_state_name(index_state state) noexcept;

/// By the models' names.
using repository_index = std::map<std::string, index_entry, std::less<>>;

/// Nothing where the body is no index.
std::optional<repository_index> read_index(std::string_view body);

/// The same, of one model.
std::optional<index_entry> find_in_index(std::string_view body, std::string_view model);

} // namespace rollout
