// The data to be sent to rolloutd: frames are collected here, and submissions share one.
#pragma once

#include "common/base/json.hpp"
#include "common/link/submission_line.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace rollout {

class outbox {
  public:
    /// Appends a frame: a message, followed by a line unless that is empty. Returns false, and adds nothing, if it is
    /// too large.
    bool add(const json_t *message, std::string_view line = {});

    /// Appends a submission to the frame of those before it, or to a new one if that is full. Anything added later is
    /// sent after it.
    void add(const submission_line &submission);

    /// Returns the data to send next; empty if everything has been sent. Valid until the next call.
    std::string_view next();

    /// Notes that so many bytes of the data have been sent.
    void note_sent(std::size_t bytes) noexcept;

    std::size_t unsent_bytes() const noexcept { return submissions_.size() + frames_.size() - sent_; }

    void clear() noexcept;

  private:
    void close_submissions();

    std::string submissions_; ///< the lines of the next frame
    std::string frames_;
    std::size_t sent_ = 0; ///< of `frames_`
};

} // namespace rollout
