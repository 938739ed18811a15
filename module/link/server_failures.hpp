// The failed requests of revisions under watch, by server, until they are reported to rolloutd: so that a task whose gate
// has failed can name the server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

class server_failures {
  public:
    struct entry {
        std::string model_id;
        std::uint64_t revision = 0;
        std::string peer; ///< as rolloutd knows the server
        std::uint64_t failures = 0;
    };

    /// The most entries between two reports. What goes beyond is not reported: the gate counts it all the same.
    static constexpr std::size_t most = 256;

    void add(std::string_view model_id, std::uint64_t revision, std::string_view peer);

    /// Returns what was added, and is empty then.
    std::vector<entry> take() noexcept;

  private:
    std::vector<entry> entries_;
};

} // namespace rollout
