// Guards callbacks that may outlive the object that they call.
#pragma once

#include <memory>
#include <utility>

namespace rollout {

/// The lifetime of the object that holds it as a member. For work that cannot be undone, such as a write to the
/// journal, and that may end after its object is destroyed. Single-threaded.
class lifetime {
  public:
    lifetime() = default;
    ~lifetime() { *lives_ = false; }
    lifetime(const lifetime &) = delete;
    lifetime &operator=(const lifetime &) = delete;

    /// Returns a callback that passes on its arguments, and does nothing once the object is destroyed. `call` may
    /// destroy the object.
    template <typename Call>
    auto bound(Call call) const
    {
        return [lives = lives_, call = std::move(call)](auto &&...values) mutable {
            if (*lives) {
                call(std::forward<decltype(values)>(values)...);
            }
        };
    }

  private:
    std::shared_ptr<bool> lives_ = std::make_shared<bool>(true);
};

} // namespace rollout
