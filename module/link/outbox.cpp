#include "module/link/outbox.hpp"

#include "common/domain/limits.hpp"
#include "common/link/frame.hpp"

namespace rollout {

bool outbox::add(const json_t *message, std::string_view line)
{
    close_submissions(); // earlier submissions are sent first
    std::string text = json_compact(message);
    if (!line.empty()) {
        text.append(1, '\n').append(line);
    }
    return append_frame(frames_, text);
}


void outbox::add(const submission_line &submission)
{
    if (submissions_.size() > limits::batch_bytes) {
        close_submissions();
    }
    append_line(submissions_, submission);
}


std::string_view outbox::next()
{
    close_submissions();
    return std::string_view(frames_).substr(sent_);
}


void outbox::note_sent(std::size_t bytes) noexcept
{
    sent_ += bytes;
    if (sent_ == frames_.size()) {
        frames_.clear();
        sent_ = 0;
    }
}


void outbox::clear() noexcept
{
    submissions_.clear();
    frames_.clear();
    sent_ = 0;
}


void outbox::close_submissions()
{
    if (!submissions_.empty()) {
        append_frame(frames_, message_text(gateway_frame::submit) + submissions_);
        submissions_.clear();
    }
}

} // namespace rollout
