#include "module/messages/json_name.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

namespace rollout {

namespace {

constexpr message_fault not_json = {400, 3, "The body is not a JSON object."};
constexpr message_fault cut = {400, 3, "The body ends before its JSON does."};
constexpr message_fault no_model = {422, 3, "The body has no member \"model\"; give the model's name there."};
constexpr message_fault twice = {422, 3, "The body has the member \"model\" more than once; give it once."};
constexpr message_fault misspelled = {
    422, 3, "The body has a member that some servers read as \"model\"; write the name of the member exactly so."};
constexpr message_fault no_string = {422, 3, "The member \"model\" is not a string; give the model's name as one."};
constexpr message_fault escaped = {422, 3,
                                   "The member \"model\" has an escape in it; write the model's name without."};
constexpr message_fault too_long = {422, 3, "The member \"model\" is longer than a model's name may be."};
constexpr message_fault too_deep = {422, 3, "The body's JSON is nested too deeply."};

bool is_space(char c) noexcept
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}


bool is_of_scalar(char c) noexcept
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '+' ||
           c == '.';
}


/// Sixteen bytes as a vector, in GCC's and clang's notation: comparing them takes a few instructions.
using lanes = unsigned char __attribute__((vector_size(16)));


/// The bytes that end a run of plain bytes below the top level: brackets and quotes. Only the bit 0x20 distinguishes
/// [ and ] from { and }.
struct mark {
    static bool is(char c) noexcept { return c == '"' || (c | 0x20) == '{' || (c | 0x20) == '}'; }
    static auto are(lanes bytes) noexcept
    {
        return (bytes == '"') | ((bytes | 0x20) == '{') | ((bytes | 0x20) == '}');
    }
};


/// The bytes that end a string or begin an escape.
struct string_end {
    static bool is(char c) noexcept { return c == '"' || c == '\\'; }
    static auto are(lanes bytes) noexcept { return (bytes == '"') | (bytes == '\\'); }
};


/// Returns the first byte that is all ones, among bytes that are all ones or zero; 8 if there is none.
std::size_t first_of(std::uint64_t bytes) noexcept
{
    const int bits = std::endian::native == std::endian::little ? std::countr_zero(bytes) : std::countl_zero(bytes);
    return static_cast<std::size_t>(bits) / 8;
}


lanes load(const char *bytes) noexcept
{
    lanes loaded;
    std::memcpy(&loaded, bytes, sizeof(loaded));
    return loaded;
}


template <class Found>
std::array<std::uint64_t, 2> halves_of(Found found) noexcept
{
    std::array<std::uint64_t, 2> halves;
    std::memcpy(halves.data(), &found, sizeof(halves));
    return halves;
}


constexpr std::size_t width = sizeof(lanes);


/// Returns the first of the wanted bytes among sixteen; `width` if there is none.
template <class Wanted>
std::size_t find_in_lanes(const char *bytes) noexcept
{
    const auto halves = halves_of(Wanted::are(load(bytes)));
    return halves[0] != 0 ? first_of(halves[0]) : 8 + first_of(halves[1]);
}


/// Returns where the first of the wanted bytes is, or the end of the text. Often one is near, and often there is none
/// for a long stretch.
template <class Wanted>
std::size_t find(std::string_view text) noexcept
{
    std::size_t position = 0;
    for (; position + width <= text.size(); position += width) {
        if (const auto found = find_in_lanes<Wanted>(text.data() + position); found != width) {
            return position + found;
        }
        for (; position + 5 * width <= text.size(); position += 4 * width) {
            const char *bytes = text.data() + position + width;
            const auto found = (Wanted::are(load(bytes)) | Wanted::are(load(bytes + width))) |
                               (Wanted::are(load(bytes + 2 * width)) | Wanted::are(load(bytes + 3 * width)));
            if (const auto halves = halves_of(found); (halves[0] | halves[1]) != 0) {
                break;
            }
        }
    }
    while (position < text.size() && !Wanted::is(text[position])) {
        ++position;
    }
    return position;
}


char lower(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}


/// Returns a key's characters in lower case, with escapes decoded; nothing if one of them is not ASCII.
std::optional<std::string_view> decode_key(std::string_view raw, std::array<char, 32> &into) noexcept
{
    std::size_t size = 0;
    for (std::size_t i = 0; i < raw.size(); ++i) {
        char c = raw[i];
        if (c == '\\') {
            if (++i == raw.size()) {
                return std::nullopt;
            }
            c = raw[i];
            if (c == 'u') {
                unsigned code = 0;
                for (const auto end = i + 4; i < end;) {
                    const char digit = ++i < raw.size() ? lower(raw[i]) : 'x';
                    const bool is_letter = digit >= 'a' && digit <= 'f';
                    if (!is_letter && (digit < '0' || digit > '9')) {
                        return std::nullopt;
                    }
                    code = code * 16 + static_cast<unsigned>(is_letter ? digit - 'a' + 10 : digit - '0');
                }
                if (code >= 0x80) {
                    return std::nullopt;
                }
                c = static_cast<char>(code);
            }
        }
        into[size++] = lower(c);
    }
    return std::string_view(into.data(), size);
}

} // namespace


bool json_name_reader::refuse(const message_fault &why) noexcept
{
    fault_ = &why;
    state_ = state::broken;
    return false;
}


/// Checks the key that has just been read. A server may accept a key in another case (Go's encoding/json does), or
/// with escapes, as the same.
bool json_name_reader::is_wanted_key() noexcept
{
    is_wanted_ = false;
    if (key_size_ > key_.size()) {
        return true;
    }
    const std::string_view raw(key_.data(), key_size_);
    if (kind_ == json_kind::kserve) {
        is_wanted_ = raw == "model_name" || raw == "name";
        return true;
    }
    is_wanted_ = raw == "model";
    if (kind_ == json_kind::answer) {
        return true;
    }
    std::array<char, 32> memory;
    const auto decoded = decode_key(raw, memory);
    if (!decoded || *decoded != "model") {
        return true;
    }
    if (is_found_) {
        return refuse(twice);
    }
    return is_wanted_ || refuse(misspelled);
}


bool json_name_reader::open(char bracket) noexcept
{
    if (depth_ == depth_most) {
        return refuse(too_deep);
    }
    auto &bits = is_array_[depth_ / 8];
    const auto bit = static_cast<std::uint8_t>(1U << (depth_ % 8));
    bits = static_cast<std::uint8_t>(bracket == '[' ? bits | bit : bits & ~bit);
    ++depth_;
    return true;
}


bool json_name_reader::close(char bracket) noexcept
{
    --depth_;
    const bool is_array = (is_array_[depth_ / 8] >> (depth_ % 8) & 1U) != 0;
    return is_array == (bracket == ']') || refuse(not_json);
}


bool json_name_reader::begin_value(char c) noexcept
{
    if (is_wanted_ && c != '"' && kind_ == json_kind::request) {
        return refuse(no_string);
    }
    if (c == '"') {
        state_ = is_wanted_ ? state::held_value : state::string;
        return true;
    }
    if (c == '[' || c == '{') {
        state_ = state::nested;
        return open(c);
    }
    state_ = state::scalar;
    return is_of_scalar(c) || refuse(not_json);
}


/// Reads one byte outside of values.
bool json_name_reader::read_plain(char c) noexcept
{
    switch (state_) {
    case state::scalar:
        if (is_of_scalar(c)) {
            return true;
        }
        state_ = state::next;
        [[fallthrough]];
    case state::next:
        if (is_space(c)) {
            return true;
        }
        state_ = c == '}' ? state::over : state::member;
        return c == '}' || c == ',' || refuse(not_json);
    case state::start:
        if (is_space(c)) {
            return true;
        }
        state_ = state::first_member;
        return c == '{' || refuse(not_json);
    case state::first_member:
        if (c == '}') {
            state_ = state::over;
            return true;
        }
        [[fallthrough]];
    case state::member:
        if (is_space(c)) {
            return true;
        }
        state_ = state::key;
        key_size_ = 0;
        return c == '"' || refuse(not_json);
    case state::key:
    case state::key_escape:
        if (c == '"' && state_ == state::key) {
            state_ = state::colon;
            return is_wanted_key();
        }
        if (key_size_ < key_.size()) {
            key_[key_size_] = c;
        }
        key_size_ += key_size_ <= key_.size() ? 1 : 0;
        state_ = c == '\\' && state_ == state::key ? state::key_escape : state::key;
        return true;
    case state::colon:
        if (is_space(c)) {
            return true;
        }
        state_ = state::value;
        return c == ':' || refuse(not_json);
    case state::value:
        return is_space(c) || begin_value(c);
    case state::over:
        return is_space(c) || refuse(not_json);
    case state::string_escape:
        state_ = state::string;
        return true;
    case state::nested_escape:
        state_ = state::nested_string;
        return true;
    case state::held_value:
    case state::string:
    case state::nested:
    case state::nested_string:
    case state::broken:
        break;
    }
    return false;
}


/// Skips the bytes inside of a string or a nested value that need not be read one by one, and the byte that ends
/// them.
std::size_t json_name_reader::skip(std::string_view rest) noexcept
{
    const bool is_string = state_ == state::string || state_ == state::nested_string;
    const std::size_t position = is_string ? find<string_end>(rest) : find<mark>(rest);
    if (position == rest.size()) {
        return position;
    }
    const char mark = rest[position];
    if (is_string) {
        if (mark == '\\') {
            state_ = state_ == state::string ? state::string_escape : state::nested_escape;
        } else {
            state_ = state_ == state::string ? state::next : state::nested;
        }
    } else if (mark == '"') {
        state_ = state::nested_string;
    } else if (mark == '[' || mark == '{') {
        open(mark);
    } else if (close(mark) && depth_ == 0) {
        state_ = state::next;
    }
    return position + 1;
}


/// Holds the value of the wanted member, from its opening quote at `from` on.
name_reader::step json_name_reader::hold_value(std::string_view piece, std::size_t from) noexcept
{
    step result{from, 0, found::more};
    while (from + result.hold < piece.size()) {
        const char c = piece[from + result.hold];
        if (value_size_ == value_.size() || c == '\\') {
            if (kind_ == json_kind::request) {
                refuse(c == '\\' ? escaped : too_long);
                result.what = found::refuse;
                return result;
            }
            // It is not a name of ours: the held bytes are passed on as they are, and the string is like any other.
            state_ = state::string;
            result.what = found::name;
            was_given_ = true;
            return result;
        }
        value_[value_size_++] = c;
        ++result.hold;
        if (c == '"' && value_size_ > 1) {
            state_ = state::next;
            is_found_ = true;
            was_given_ = true;
            result.what = found::name;
            return result;
        }
    }
    return result;
}


name_reader::step json_name_reader::read(std::string_view piece) noexcept
{
    if (was_given_) {
        was_given_ = false;
        value_size_ = 0;
    }
    std::size_t position = 0;
    while (position < piece.size() && state_ != state::broken) {
        switch (state_) {
        case state::held_value:
            return hold_value(piece, position);
        case state::string:
        case state::nested:
        case state::nested_string:
            position += skip(piece.substr(position));
            break;
        default:
            if (read_plain(piece[position]) && state_ != state::held_value) {
                ++position;
            }
        }
    }
    return {position, 0, state_ == state::broken ? found::refuse : found::more};
}


const message_fault *json_name_reader::finish() noexcept
{
    if (fault_ == nullptr && state_ != state::over) {
        refuse(state_ == state::start ? not_json : cut);
    }
    if (fault_ == nullptr && !is_found_) {
        refuse(no_model);
    }
    return fault_;
}


std::string_view json_name_reader::name() const noexcept
{
    const auto text = held();
    return text.size() >= 2 && text.ends_with('"') ? text.substr(1, text.size() - 2) : std::string_view();
}


std::size_t json_name_reader::write(std::string_view name, char *into) const noexcept
{
    char *cursor = into;
    *cursor++ = '"';
    cursor = std::copy(name.begin(), name.end(), cursor);
    *cursor++ = '"';
    if (kind_ != json_kind::request) {
        while (static_cast<std::size_t>(cursor - into) < value_size_) {
            *cursor++ = ' ';
        }
    }
    return static_cast<std::size_t>(cursor - into);
}


bool json_name_reader::give_up() noexcept
{
    if (state_ != state::held_value || value_size_ == 0) {
        return false;
    }
    state_ = state::broken;
    was_given_ = true;
    return true;
}


/// Reads the bytes of a line before its data. Returns whether the line is a data line.
bool event_name_reader::enter_line(char c) noexcept
{
    static constexpr std::string_view data = "data:";
    const bool is_second = c == '\n' && after_return_;
    after_return_ = c == '\r';
    if (is_second) {
        return false;
    }
    if (c == '\n' || c == '\r') {
        if (field_ == 0) { // an empty line ends the event
            object_.restart();
            is_refused_ = false;
        }
        field_ = 0;
        return false;
    }
    if (field_ < data.size() && c == data[field_]) {
        ++field_;
        return field_ == data.size();
    }
    state_ = state::other;
    return false;
}


name_reader::step event_name_reader::read(std::string_view piece) noexcept
{
    std::size_t position = 0;
    while (position < piece.size()) {
        if (state_ == state::line) {
            state_ = enter_line(piece[position]) ? state::data : state_;
            ++position;
            continue;
        }
        const auto rest = piece.substr(position);
        const auto line = rest.substr(0, std::min(rest.find_first_of("\r\n"), rest.size()));
        if (state_ == state::data && !is_refused_ && !line.empty()) {
            const step inner = object_.read(line);
            if (inner.what == found::name) {
                return {position + inner.pass, inner.hold, found::name};
            }
            if (inner.hold != 0) {
                return {position + inner.pass, inner.hold, found::more};
            }
            is_refused_ = inner.what == found::refuse;
            position += is_refused_ ? line.size() : inner.pass;
            continue;
        }
        position += line.size();
        if (position < piece.size()) {
            if (object_
                    .give_up()) { // a line ends within a name: at the start of the piece, as held bytes are not passed
                is_refused_ = true;
                return {position, 0, found::name};
            }
            state_ = state::line;
            field_ = 1; // this byte ends a line that was not empty
        }
    }
    return {position, 0, found::more};
}

} // namespace rollout
