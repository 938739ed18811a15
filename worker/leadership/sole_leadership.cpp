#include "worker/leadership/sole_leadership.hpp"

#include <chrono>
#include <utility>

namespace rollout {

using std::chrono::milliseconds;


void sole_leadership::start()
{
    soon_ = time_.after(milliseconds(0), [this] {
        leads_ = true;
        if (const auto call = on_elected) {
            call(only);
        }
    });
}


std::optional<leader_token> sole_leadership::token() const
{
    return leads_ ? std::optional(only) : std::nullopt;
}


std::optional<known_leader> sole_leadership::leader() const
{
    return leads_ ? std::optional(known_leader{host_, only}) : std::nullopt;
}


void sole_leadership::resign(std::function<void()> done)
{
    leads_ = false;
    soon_ = time_.after(milliseconds(0), std::move(done));
}

} // namespace rollout
