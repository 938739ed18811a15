// A model's name as a string member at the top level of a JSON object, or of each object in an event stream.
//
// The tokenizer parses the top level only. Below it, it distinguishes only strings and brackets, in blocks of bytes,
// so that a body of numbers costs little more than a copy.
#pragma once

#include "module/messages/name_reader.hpp"

#include <array>

namespace rollout {

/// Where the name comes from, and how far the body is trusted.
enum class json_kind : std::uint8_t {
    request, ///< of a client: the member `model`, once, a plain string; anything a server might read as it is refused
    answer,  ///< of a server with OpenAI's API: the member `model`
    kserve,  ///< of a server with KServe's API: `model_name` of an inference, `name` of a model's metadata
};

class json_name_reader final : public name_reader {
  public:
    explicit json_name_reader(json_kind kind) noexcept : kind_(kind) {}

    step read(std::string_view piece) noexcept override;
    const message_fault *finish() noexcept override;
    std::string_view held() const noexcept override { return {value_.data(), value_size_}; }
    std::string_view name() const noexcept override;
    std::size_t room() const noexcept override { return value_.size() + 2; }

    /// Pads a name with spaces if it is shorter, so that the body keeps its length.
    std::size_t write(std::string_view name, char *into) const noexcept override;

    bool keeps_size(std::string_view name) const noexcept override
    {
        return kind_ != json_kind::request && name.size() + 2 <= value_size_;
    }

    /// Starts to read another object.
    void restart() noexcept { *this = json_name_reader(kind_); }

    /// If the beginning of a name is held, gives it up: the caller writes the held bytes, and the rest of the object
    /// is broken. Returns false if nothing is held.
    bool give_up() noexcept;

  private:
    enum class state : std::uint8_t {
        start,
        first_member, ///< after the opening bracket
        member,       ///< after a comma
        key,
        key_escape,
        colon,
        value,
        held_value,
        string,
        string_escape,
        scalar,
        nested,
        nested_string,
        nested_escape,
        next, ///< after a member
        over,
        broken,
    };

    bool refuse(const message_fault &why) noexcept;
    bool is_wanted_key() noexcept;
    bool begin_value(char c) noexcept;
    bool open(char bracket) noexcept;
    bool close(char bracket) noexcept;
    bool read_plain(char c) noexcept;
    std::size_t skip(std::string_view rest) noexcept;
    step hold_value(std::string_view piece, std::size_t from) noexcept;

    static constexpr std::size_t key_most = 30; ///< the size of `model` with each character as \uXXXX
    static constexpr unsigned depth_most = 256; ///< of brackets

    json_kind kind_;
    state state_ = state::start;
    bool is_wanted_ = false;
    bool is_found_ = false;
    bool was_given_ = false; ///< the held name belongs to the caller
    unsigned depth_ = 0;     ///< of the brackets below the top level
    std::size_t key_size_ = 0;
    std::size_t value_size_ = 0;
    std::array<char, key_most> key_{};
    std::array<char, limits::backend_model_bytes + 2> value_{}; ///< with its quotes
    std::array<std::uint8_t, depth_most / 8> is_array_{};
};

/// The same in server-sent events: reads each event whose data is a JSON object. Holds back nothing else.
class event_name_reader final : public name_reader {
  public:
    /// `kind` must be one for answers.
    explicit event_name_reader(json_kind kind) noexcept : object_(kind) {}

    step read(std::string_view piece) noexcept override;
    const message_fault *finish() noexcept override { return nullptr; }
    std::string_view held() const noexcept override { return object_.held(); }
    std::string_view name() const noexcept override { return object_.name(); }
    std::size_t room() const noexcept override { return object_.room(); }
    std::size_t write(std::string_view name, char *into) const noexcept override { return object_.write(name, into); }
    bool keeps_size(std::string_view name) const noexcept override { return object_.keeps_size(name); }

  private:
    enum class state : std::uint8_t { line, other, data };

    bool enter_line(char c) noexcept;

    json_name_reader object_;
    state state_ = state::line;
    std::size_t field_ = 0; ///< characters of "data:" that have been read in this line
    bool after_return_ = false;
    bool is_refused_ = false; ///< the event's data is not an object, or its name has been read
};

} // namespace rollout
