// The result of a piece of work, and the handle of work that is under way.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace rollout {

/// The result of an attempt. A failure carries a sentence for a person: what happened, to what, what to do.
struct outcome {
    enum class kind {
        ok,
        transient, ///< may pass by itself: a connection refused, a 503, a related model that is loading
        permanent, ///< will not pass by itself
        canceled,  ///< stopped by operation::cancel
        lost,      ///< a write to the journal, to another rolloutd: see journal.hpp
    };

    kind is = kind::ok;
    std::string detail;

    static outcome ok(std::string detail = {}) { return {kind::ok, std::move(detail)}; }
    static outcome transient(std::string detail) { return {kind::transient, std::move(detail)}; }
    static outcome permanent(std::string detail) { return {kind::permanent, std::move(detail)}; }
    static outcome canceled() { return {kind::canceled, "canceled"}; }
    static outcome lost(std::string detail) { return {kind::lost, std::move(detail)}; }

    explicit operator bool() const noexcept { return is == kind::ok; }
    bool is_lost() const noexcept { return is == kind::lost; }
};

/// A value, or the sentence that says why there is none.
template <typename T>
class result {
  public:
    result(T value) : value_(std::move(value)) {}
    static result failure(std::string sentence) { return result(std::nullopt, std::move(sentence)); }

    explicit operator bool() const noexcept { return value_.has_value(); }
    T &operator*() noexcept { return *value_; }
    const T &operator*() const noexcept { return *value_; }
    T *operator->() noexcept { return &*value_; }
    const T *operator->() const noexcept { return &*value_; }

    /// Returns the sentence; empty if there is a value.
    const std::string &sentence() const noexcept { return sentence_; }

  private:
    result(std::nullopt_t, std::string sentence) : sentence_(std::move(sentence)) {}

    std::optional<T> value_;
    std::string sentence_;
};

/// Work under way on rolloutd's loop. Its callback runs once, on the loop, and never from inside the call that
/// started it. Destroying the operation before that abandons it: the callback does not run (work on a thread
/// continues to its next stopping point and its result is dropped).
class operation {
  public:
    virtual ~operation() = default;

    /// Asks the work to stop soon; the callback still runs, with `canceled` unless the work had already ended.
    virtual void cancel() = 0;
};

using operation_ptr = std::unique_ptr<operation>;
using done_fn = std::function<void(outcome)>;

} // namespace rollout
