// Callbacks that may outlive whom they call.
#pragma once

#include <memory>
#include <utility>

namespace rollout {

/// The life of the object that holds it as a member. For work that cannot be taken back, as a write to the journal, and that ends
/// when its object may be gone. One thread.
class lifetime {
  public:
    lifetime() = default;
    ~lifetime() { *lives_ = false; }
    lifetime(const lifetime &) = delete;
    lifetime &operator=(const lifetime &) = delete;

    /// A callback that passes on what it is given, and does nothing once the object is gone. `call` may destroy the object.
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
