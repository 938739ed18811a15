// A callback that must be called once.
#pragma once

#include <functional>
#include <type_traits>
#include <utility>

namespace rollout {

/// Calls at most once. The call may destroy the completion's owner and the completion with it, so nothing of the
/// owner may be used afterwards; for the same reason `Results` are values: the arguments are not destroyed with the
/// owner.
template <typename... Results>
class completion {
  public:
    completion() = default;

    template <typename Call>
    requires std::is_constructible_v<std::function<void(Results...)>, Call> completion(Call call)
        : call_(std::move(call))
    {
    }

    /// Returns whether the call is still to be made.
    explicit operator bool() const noexcept { return call_ != nullptr; }

    void operator()(Results... results)
    {
        if (const auto call = std::exchange(call_, nullptr)) {
            call(std::move(results)...);
        }
    }

    /// Drops the callback: nothing is called any more.
    void drop() noexcept { call_ = nullptr; }

  private:
    std::function<void(Results...)> call_;
};

} // namespace rollout
