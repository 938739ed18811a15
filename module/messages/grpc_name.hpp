// A model's name in gRPC messages of KServe's protocol (inference.GRPCInferenceService): a prefix of five bytes,
// which are a flag and a length, and a protobuf message, of which only the top-level fields are parsed.
#pragma once

#include "module/messages/name_reader.hpp"

#include <array>

namespace rollout {

/// Reads the varints of protobuf.
class varint_reader {
  public:
    static constexpr std::size_t bytes_most = 10;

    /// Adds a byte. Returns false if the number has more bytes.
    bool take(unsigned char byte) noexcept;

    /// Returns whether the number has more bytes than a varint may have.
    bool is_too_long() const noexcept { return size_ > bytes_most; }

    /// Returns the number, and starts a new one.
    std::uint64_t finish() noexcept;

  private:
    std::uint64_t value_ = 0;
    unsigned size_ = 0;
};

/// Whether a call has one request message, or a stream of them.
enum class grpc_call : std::uint8_t { unary, stream };

/// Requests: field 1 of each message is the model's name. Of several fields with one number protobuf uses the last,
/// so each message is parsed to its end, and a message that has the name twice is refused; so is anything that might
/// hide the name.
class grpc_request_reader final : public name_reader {
  public:
    /// The most bytes that may come before the name; they are passed on after it.
    static constexpr std::size_t before_name_most = 4096;

    explicit grpc_request_reader(grpc_call call) noexcept : call_(call) {}

    step read(std::string_view piece) noexcept override;
    const message_fault *finish() noexcept override;
    std::string_view held() const noexcept override { return {held_.data(), held_size_}; }
    std::string_view name() const noexcept override { return held().substr(name_from_, name_size_); }
    std::size_t room() const noexcept override { return held_size_ + varint_reader::bytes_most; }
    std::size_t write(std::string_view name, char *into) const noexcept override;

  private:
    enum class state : std::uint8_t { prefix, tag, varint, length, payload, broken };

    static constexpr std::size_t prefix_size = 5;

    bool refuse(const message_fault &why) noexcept;
    bool read_prefix() noexcept;
    bool read_tag() noexcept;
    bool read_length() noexcept;
    bool begin_payload(std::uint64_t size) noexcept;
    void end_field() noexcept;
    bool read_byte(unsigned char byte) noexcept;
    bool is_in_name() const noexcept { return field_ == 1; }

    grpc_call call_;
    state state_ = state::prefix;
    bool is_named_ = false;  ///< this message's name has been found
    bool was_given_ = false; ///< the held bytes belong to the caller
    bool is_begun_ = false;  ///< a message has begun
    std::uint64_t field_ = 0;
    std::uint64_t message_left_ = 0; ///< bytes of the message that are still to be read
    std::uint64_t payload_left_ = 0; ///< of the field
    std::uint64_t message_size_ = 0;
    varint_reader number_;
    std::size_t held_size_ = 0;
    std::size_t field_from_ = 0; ///< in the held bytes, where the current field begins
    std::size_t name_field_from_ = 0;
    std::size_t name_from_ = 0;
    std::size_t name_size_ = 0;
    std::array<char, prefix_size + before_name_most + limits::backend_model_bytes + 24> held_{};
};

/// Answers: the name is field 1 of the one message of a call or, in a stream, field 1 of field 2 of each message. A
/// message that does not begin so is passed on unchanged.
class grpc_answer_reader final : public name_reader {
  public:
    explicit grpc_answer_reader(grpc_call call) noexcept : call_(call) {}

    step read(std::string_view piece) noexcept override;
    const message_fault *finish() noexcept override { return nullptr; }
    std::string_view held() const noexcept override { return {held_.data(), held_size_}; }
    std::string_view name() const noexcept override { return held().substr(held_size_ - name_size_); }
    std::size_t room() const noexcept override { return 5 + 2 + 3 * varint_reader::bytes_most; }

    /// Returns, in a stream, once the head of a message has been read, whether it has an error instead of an answer.
    bool is_error() const noexcept { return held_size_ > prefix_size && held_[prefix_size] == error_tag; }
    std::size_t write(std::string_view name, char *into) const noexcept override;

  private:
    enum class state : std::uint8_t { prefix, outer_tag, outer_length, tag, length, name, rest };
    enum class head : std::uint8_t { goes_on, is_name, is_other };

    static constexpr char error_tag = 0x0a; ///< error_message is field 1, infer_response field 2

    static constexpr std::size_t prefix_size = 5;

    head read_byte(unsigned char byte) noexcept;
    head read_prefix() noexcept;
    step end_head(step result, bool is_name) noexcept;

    grpc_call call_;
    state state_ = state::prefix;
    bool was_given_ = false;
    std::uint64_t message_size_ = 0;
    std::uint64_t message_left_ = 0;
    std::uint64_t outer_size_ = 0; ///< of field 2, in a stream
    std::size_t name_size_ = 0;
    std::size_t payload_left_ = 0; ///< of the name
    std::size_t tag_from_ = 0;     ///< in the held bytes, where the name's field begins
    varint_reader number_;
    std::size_t held_size_ = 0;
    std::array<char, prefix_size + 2 + 2 * varint_reader::bytes_most + limits::backend_model_bytes> held_{};
};

} // namespace rollout
