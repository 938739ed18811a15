// A callback that is owed once.
#pragma once

#include <functional>
#include <type_traits>
#include <utility>

namespace rollout {

/// Calls at most once. The call may destroy whoever holds the completion, and the completion with it, so nothing of the
/// holder may be touched after it; `Results` are values for the same reason: what is passed does not go with the holder.
template <typename... Results>
class completion {
  public:
    completion() = default;

    template <typename Call>
    requires std::is_constructible_v<std::function<void(Results...)>, Call> completion(Call call)
        : call_(std::move(call))
    {
    }

    /// It is still owed.
    explicit operator bool() const noexcept { return call_ != nullptr; }

    void operator()(Results... results)
    {
        if (const auto call = std::exchange(call_, nullptr)) {
            call(std::move(results)...);
        }
    }

    /// Nobody wants to know any more.
    void drop() noexcept { call_ = nullptr; }

  private:
    std::function<void(Results...)> call_;
};

} // namespace rollout
