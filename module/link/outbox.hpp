// What is to be sent to rolloutd: frames gather here, and submissions share one.
#pragma once

#include "common/base/json.hpp"
#include "common/link/submission_line.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace rollout {

class outbox {
  public:
    /// Appends a frame, with a line behind its message unless that is empty. False when it is too large: nothing of it is sent then.
    bool add(const json_t *message, std::string_view line = {});

    /// Appends a submission to the frame of those that came before it, or to a new one when that is full. What is added next goes
    /// behind it.
    void add(const submission_line &submission);

    /// What is to be sent next; empty when all is sent. Until the next call.
    std::string_view next();

    /// So many bytes of that are sent.
    void note_sent(std::size_t bytes) noexcept;

    std::size_t unsent_bytes() const noexcept { return submissions_.size() + frames_.size() - sent_; }

    void clear() noexcept;

  private:
    void close_submissions();

    std::string submissions_; ///< lines of the next frame
    std::string frames_;
    std::size_t sent_ = 0; ///< of `frames_`
};

} // namespace rollout
