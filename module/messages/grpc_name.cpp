#include "module/messages/grpc_name.hpp"

#include <algorithm>

namespace rollout {

namespace {

constexpr unsigned unimplemented = 12;

constexpr message_fault compressed = {
    415, unimplemented,
    "The message is compressed, and the gateway has to read the model's name in it; send it uncompressed."};
constexpr message_fault bad_prefix = {400, 3, "The request is not a sequence of gRPC messages."};
constexpr message_fault too_large = {413, 8, "The message is larger than 2 GiB."};
constexpr message_fault no_name = {400, 3, "The message has no model name in its field 1; give the model's name."};
constexpr message_fault name_twice = {
    400, 3, "The message has the model's name in its field 1 more than once; give it once."};
constexpr message_fault name_type = {400, 3, "Field 1 of the message is not a string; it must be the model's name."};
constexpr message_fault name_long = {400, 3, "The model's name in the message is longer than any model's."};
constexpr message_fault name_late = {
    400, 3, "The model's name does not come in the first 4 KiB of the message; write it first."};
constexpr message_fault bad_message = {400, 3, "The message is not a protobuf message."};
constexpr message_fault has_group = {400, 3,
                                     "The message has a protobuf group in it, which the gateway does not read."};
constexpr message_fault cut_message = {400, 3, "The request ends before its message does."};
constexpr message_fault no_message = {400, 3, "The request has no message, and so no model name."};
constexpr message_fault second_message = {400, 3,
                                          "The request has more than one message; a call of this method has one."};

std::uint64_t big_endian(const char *bytes) noexcept
{
    std::uint64_t value = 0;
    for (int i = 0; i < 4; ++i) {
        value = value << 8 | static_cast<unsigned char>(bytes[i]);
    }
    return value;
}


char *write_prefix(char *cursor, std::uint64_t size) noexcept
{
    *cursor++ = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        *cursor++ = static_cast<char>(size >> shift);
    }
    return cursor;
}


std::size_t varint_size(std::uint64_t value) noexcept
{
    std::size_t size = 1;
    for (; value >= 0x80; value >>= 7) {
        ++size;
    }
    return size;
}


char *write_varint(char *cursor, std::uint64_t value) noexcept
{
    for (; value >= 0x80; value >>= 7) {
        *cursor++ = static_cast<char>(value | 0x80);
    }
    *cursor++ = static_cast<char>(value);
    return cursor;
}


constexpr char name_tag = 0x0a;
constexpr char answer_tag = 0x12;

std::size_t name_field_size(std::size_t name) noexcept
{
    return 1 + varint_size(name) + name;
}


char *write_name_field(char *cursor, std::string_view name) noexcept
{
    *cursor++ = name_tag;
    return std::copy(name.begin(), name.end(), write_varint(cursor, name.size()));
}

} // namespace


bool varint_reader::take(unsigned char byte) noexcept
{
    if (size_ < bytes_most) {
        value_ |= static_cast<std::uint64_t>(byte & 0x7fU) << (7 * size_);
    }
    ++size_;
    return (byte & 0x80U) == 0 || size_ > bytes_most;
}


std::uint64_t varint_reader::finish() noexcept
{
    const auto value = value_;
    *this = {};
    return value;
}


bool grpc_request_reader::refuse(const message_fault &why) noexcept
{
    fault_ = &why;
    state_ = state::broken;
    return false;
}


/// Parses a prefix, whose last byte has just been added to the held bytes.
bool grpc_request_reader::read_prefix() noexcept
{
    if (held_[0] != 0) {
        return refuse(held_[0] == 1 ? compressed : bad_prefix);
    }
    message_size_ = big_endian(&held_[1]);
    if (message_size_ > INT32_MAX) {
        return refuse(too_large);
    }
    if (is_begun_ && call_ == grpc_call::unary) {
        return refuse(second_message);
    }
    is_begun_ = true;
    is_named_ = false;
    name_from_ = 0;
    name_size_ = 0;
    message_left_ = message_size_;
    state_ = state::tag;
    return message_size_ != 0 || refuse(no_name);
}


/// Handles a tag that has been read. It is an ordinary varint, and may have more bytes than it needs.
bool grpc_request_reader::read_tag() noexcept
{
    const std::uint64_t tag = number_.finish();
    field_ = tag >> 3;
    if (field_ == 0 || field_ >= 1U << 29) {
        return refuse(bad_message);
    }
    const auto type = tag & 7;
    if (is_in_name() && type != 2) {
        return refuse(name_type);
    }
    if (is_in_name() && is_named_) {
        return refuse(name_twice);
    }
    switch (type) {
    case 0:
        state_ = state::varint;
        return true;
    case 1:
        return begin_payload(8);
    case 2:
        state_ = state::length;
        return true;
    case 5:
        return begin_payload(4);
    default:
        return refuse(type < 5 ? has_group : bad_message);
    }
}


bool grpc_request_reader::read_length() noexcept
{
    const std::uint64_t size = number_.finish();
    if (is_in_name()) {
        if (size == 0) {
            return refuse(no_name);
        }
        if (size > limits::backend_model_bytes) {
            return refuse(name_long);
        }
        name_field_from_ = field_from_;
        name_from_ = held_size_;
        name_size_ = static_cast<std::size_t>(size);
    }
    return begin_payload(size);
}


bool grpc_request_reader::begin_payload(std::uint64_t size) noexcept
{
    if (size > message_left_) {
        return refuse(bad_message);
    }
    state_ = state::payload;
    payload_left_ = size;
    if (size == 0) {
        end_field();
    }
    return state_ != state::broken;
}


void grpc_request_reader::end_field() noexcept
{
    if (is_in_name()) {
        is_named_ = true;
    }
    if (message_left_ != 0) {
        state_ = state::tag;
        field_from_ = held_size_;
        return;
    }
    state_ = state::prefix;
    if (!is_named_) {
        refuse(no_name);
    }
}


/// Reads a byte that is not part of a payload.
bool grpc_request_reader::read_byte(unsigned char byte) noexcept
{
    if (!number_.take(byte)) {
        return message_left_ != 0 || refuse(bad_message);
    }
    if (number_.is_too_long()) {
        return refuse(bad_message);
    }
    switch (state_) {
    case state::tag:
        return read_tag() && (message_left_ != 0 || state_ == state::prefix || refuse(bad_message));
    case state::length:
        return read_length();
    default:
        number_.finish();
        end_field();
        return state_ != state::broken;
    }
}


name_reader::step grpc_request_reader::read(std::string_view piece) noexcept
{
    if (was_given_) {
        was_given_ = false;
        held_size_ = 0;
    }
    step result;
    while (result.pass + result.hold < piece.size() && state_ != state::broken) {
        const auto rest = piece.substr(result.pass + result.hold);
        if (state_ == state::prefix) {
            if (held_size_ == 0) {
                field_from_ = prefix_size;
            }
            held_[held_size_++] = rest[0];
            ++result.hold;
            if (held_size_ == prefix_size) {
                read_prefix();
            }
            continue;
        }
        std::uint64_t size = state_ == state::payload ? std::min<std::uint64_t>(payload_left_, rest.size()) : 1;
        if (!is_named_) {
            const std::size_t most =
                is_in_name() && state_ == state::payload ? held_.size() : prefix_size + before_name_most;
            size = std::min<std::uint64_t>(size, most - std::min(held_size_, most));
            if (size == 0) {
                refuse(name_late);
                break;
            }
            rest.copy(held_.data() + held_size_, static_cast<std::size_t>(size));
            held_size_ += static_cast<std::size_t>(size);
            result.hold += static_cast<std::size_t>(size);
        } else {
            result.pass += static_cast<std::size_t>(size);
        }
        message_left_ -= size;
        if (state_ != state::payload) {
            read_byte(static_cast<unsigned char>(rest[0]));
            continue;
        }
        payload_left_ -= size;
        if (payload_left_ == 0) {
            const bool was_named = is_named_;
            end_field();
            if (is_named_ && !was_named) {
                was_given_ = true;
                result.what = found::name;
                return result;
            }
        }
    }
    result.what = state_ == state::broken ? found::refuse : found::more;
    return result;
}


const message_fault *grpc_request_reader::finish() noexcept
{
    if (fault_ == nullptr && (state_ != state::prefix || (held_size_ != 0 && !was_given_))) {
        refuse(cut_message);
    }
    if (fault_ == nullptr && !is_begun_) {
        refuse(no_message);
    }
    return fault_;
}


std::size_t grpc_request_reader::write(std::string_view name, char *into) const noexcept
{
    const auto before = held().substr(prefix_size, name_field_from_ - prefix_size);
    const std::size_t field_size = name_from_ + name_size_ - prefix_size - before.size();
    char *cursor = write_prefix(into, message_size_ - field_size + name_field_size(name.size()));
    cursor = write_name_field(cursor, name);
    return static_cast<std::size_t>(std::copy(before.begin(), before.end(), cursor) - into);
}


/// Parses the prefix of an answer, whose last byte has just been added to the held bytes.
grpc_answer_reader::head grpc_answer_reader::read_prefix() noexcept
{
    message_size_ = big_endian(&held_[1]);
    message_left_ = message_size_;
    name_size_ = 0;
    outer_size_ = 0;
    state_ = call_ == grpc_call::stream ? state::outer_tag : state::tag;
    return held_[0] == 0 && message_size_ != 0 ? head::goes_on : head::is_other;
}


grpc_answer_reader::head grpc_answer_reader::read_byte(unsigned char byte) noexcept
{
    const auto is = [](bool so) { return so ? head::goes_on : head::is_other; };
    switch (state_) {
    case state::outer_tag:
        state_ = state::outer_length;
        return is(byte == answer_tag);
    case state::outer_length:
        if (number_.take(byte)) {
            if (number_.is_too_long()) {
                return head::is_other;
            }
            outer_size_ = number_.finish();
            state_ = state::tag;
            return is(outer_size_ != 0 && outer_size_ <= message_left_);
        }
        return head::goes_on;
    case state::tag:
        tag_from_ = held_size_ - 1;
        state_ = state::length;
        return is(byte == name_tag);
    case state::length:
        if (number_.take(byte)) {
            const auto size = number_.is_too_long() ? 0 : number_.finish();
            name_size_ = static_cast<std::size_t>(size <= limits::backend_model_bytes ? size : 0);
            payload_left_ = name_size_;
            state_ = state::name;
            return is(name_size_ != 0 && name_size_ <= message_left_);
        }
        return head::goes_on;
    case state::name:
        return --payload_left_ == 0 ? head::is_name : head::goes_on;
    case state::prefix:
        return held_size_ == prefix_size ? read_prefix() : head::goes_on;
    case state::rest:
        break;
    }
    return head::is_other;
}


name_reader::step grpc_answer_reader::read(std::string_view piece) noexcept
{
    step result;
    if (was_given_) {
        was_given_ = false;
        held_size_ = 0;
    }
    if (state_ == state::rest) {
        result.pass = static_cast<std::size_t>(
            call_ == grpc_call::unary ? piece.size() : std::min<std::uint64_t>(message_left_, piece.size()));
        message_left_ -= std::min<std::uint64_t>(message_left_, result.pass);
        state_ = message_left_ == 0 && call_ == grpc_call::stream ? state::prefix : state::rest;
    }
    while (result.pass + result.hold < piece.size()) {
        const char byte = piece[result.pass + result.hold];
        if (state_ != state::prefix) {
            if (message_left_ == 0) { // a message that ends within its head
                return end_head(result, false);
            }
            --message_left_;
        }
        held_[held_size_++] = byte;
        ++result.hold;
        const head next = read_byte(static_cast<unsigned char>(byte));
        if (next != head::goes_on) {
            return end_head(result, next == head::is_name);
        }
    }
    return result;
}


/// Hands the held bytes to the caller; the rest of the message is passed on.
name_reader::step grpc_answer_reader::end_head(step result, bool is_name) noexcept
{
    name_size_ = is_name ? name_size_ : 0;
    number_ = {};
    was_given_ = true;
    state_ = message_left_ == 0 && call_ == grpc_call::stream ? state::prefix : state::rest;
    result.what = found::name;
    return result;
}


std::size_t grpc_answer_reader::write(std::string_view name, char *into) const noexcept
{
    const std::size_t field_size = held_size_ - tag_from_;
    const std::size_t inner_change = name_field_size(name.size()) - field_size;
    if (call_ == grpc_call::unary) {
        char *cursor = write_prefix(into, message_size_ + inner_change);
        return static_cast<std::size_t>(write_name_field(cursor, name) - into);
    }
    const std::uint64_t outer = outer_size_ + inner_change;
    const std::size_t head_size = tag_from_ - prefix_size; // the outer tag and length
    char *cursor = write_prefix(into, message_size_ - head_size - outer_size_ + 1 + varint_size(outer) + outer);
    *cursor++ = answer_tag;
    cursor = write_varint(cursor, outer);
    return static_cast<std::size_t>(write_name_field(cursor, name) - into);
}

} // namespace rollout
