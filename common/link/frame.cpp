#include "common/link/frame.hpp"

#include "common/base/text.hpp"
#include "common/domain/limits.hpp"

#include <utility>

namespace rollout {

namespace {

constexpr std::size_t length_bytes = 4;


json_ptr message_named(std::string_view type)
{
    json_ptr message = json_make_object();
    json_put(message.get(), "type", type);
    return message;
}


std::string text_named(std::string_view type, std::string_view members)
{
    std::string text = R"({"type":")";
    text.append(type).append(1, '"');
    if (!members.empty()) {
        text.append(1, ',').append(members);
    }
    return text.append(1, '}');
}

} // namespace


json_ptr message_of(gateway_frame type)
{
    return message_named(frame_name(type));
}


json_ptr message_of(rolloutd_frame type)
{
    return message_named(frame_name(type));
}


std::string message_text(gateway_frame type, std::string_view members)
{
    return text_named(frame_name(type), members);
}


std::string message_text(rolloutd_frame type, std::string_view members)
{
    return text_named(frame_name(type), members);
}


bool append_frame(std::string &out, const json_t *message)
{
    return append_frame(out, json_compact(message));
}


bool append_frame(std::string &out, std::string_view text)
{
    if (text.empty() || text.size() > limits::frame_bytes) {
        return false;
    }

    const auto size = static_cast<std::uint32_t>(text.size());
    const char length[length_bytes] = {static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                                       static_cast<char>(size >> 8), static_cast<char>(size)};
    out.reserve(out.size() + length_bytes + text.size());
    out.append(length, length_bytes);
    out.append(text);
    return true;
}


std::string_view next_line(std::string_view &lines) noexcept
{
    return next_part(lines, '\n');
}


void frame_reader::feed(std::string_view bytes)
{
    lines_ = {};
    // Data that has been read is removed only when moving the rest is worthwhile: many frames arrive at a time.
    if (start_ == buffer_.size()) {
        buffer_.clear();
        start_ = 0;
    } else if (start_ > limits::batch_bytes) {
        buffer_.erase(0, start_);
        start_ = 0;
    }
    buffer_.append(bytes);
}


frame_reader::state frame_reader::next(json_ptr &message, std::string &reason)
{
    const auto broken = [&](std::string why) {
        message.reset();
        lines_ = {};
        reason = broken_ = std::move(why);
        return state::broken;
    };
    if (!broken_.empty()) {
        return broken(broken_);
    }
    if (buffered() < length_bytes) {
        return state::need_more;
    }

    const auto *head = reinterpret_cast<const unsigned char *>(buffer_.data() + start_);
    const std::size_t size =
        std::size_t{head[0]} << 24 | std::size_t{head[1]} << 16 | std::size_t{head[2]} << 8 | std::size_t{head[3]};
    if (size == 0 || size > limits::frame_bytes) {
        return broken("a frame of " + std::to_string(size) + " bytes, the bounds are 1 and " +
                      std::to_string(limits::frame_bytes));
    }
    if (buffered() - length_bytes < size) {
        return state::need_more;
    }

    json_error_t error;
    lines_ = {buffer_.data() + start_ + length_bytes, size};
    const auto head_line = next_line(lines_);
    start_ += length_bytes + size;
    message = json_read(head_line, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, error);

    if (!message) {
        return broken(std::string("a frame that is not JSON: ") + error.text);
    }
    if (json_text(message.get(), "type").empty()) {
        return broken("a frame that is not an object with a \"type\"");
    }
    return state::message;
}

} // namespace rollout
