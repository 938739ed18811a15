// The progress of a call for one model on each server of a group. Pure: no clock, no I/O.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

class model_progress {
  public:
    enum class state : unsigned char {
        waiting, ///< for its turn
        under_way,
        good,
        failed,
    };

    /// Starts a call on these servers. `step` is, for example, "load"; `doing` is used as in "10.0.0.4:8000 is loading".
    void begin(std::string step, std::string doing, std::vector<std::string> servers);

    void begin_server(const std::string &server, std::chrono::milliseconds now);
    void end_server(const std::string &server, bool good);

    /// Ends the call.
    void end() { servers_.clear(); }

    /// Returns, for example, "load: 3 of 4 servers; 10.0.0.4:8000 is loading since 41 s"; empty between calls.
    std::string sentence(std::chrono::milliseconds now) const;

  private:
    struct server_call {
        std::string name;
        state is = state::waiting;
        std::chrono::milliseconds since{0};
    };

    server_call *find(const std::string &name);

    std::string step_;
    std::string doing_;
    std::vector<server_call> servers_;
};

} // namespace rollout
