// Finds a model's name in a body that arrives in pieces, and replaces it. There is one interface for all formats: the
// reader passes bytes on unchanged, holds back those that contain the name, and says what to write in their place.
//
// A reader lives in a request's pool and needs no destructor. It holds back a bounded number of bytes, in itself.
#pragma once

#include "common/domain/limits.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rollout {

/// Why a body is refused.
struct message_fault {
    unsigned http_status = 400;
    unsigned grpc_status = 3; ///< INVALID_ARGUMENT
    std::string_view sentence;
};

class name_reader {
  public:
    enum class found : std::uint8_t {
        more,   ///< nothing yet: the whole piece is passed or held
        name,   ///< a whole name is held; `write` or `held` returns what to send in its place
        refuse, ///< the body does not have this format; `fault` says why. Held bytes may be passed on unchanged
    };

    /// The result for a piece: the number of bytes to pass on first, and then the number that is held (together with
    /// those of earlier pieces) or, if the piece is refused, left unread.
    struct step {
        std::size_t pass = 0;
        std::size_t hold = 0;
        found what = found::more;
    };

    /// Continues where the last step ended. After `name`, the caller must write what was held before the next call.
    virtual step read(std::string_view piece) noexcept = 0;

    /// Handles the end of the body. Returns null if the body is well-formed.
    virtual const message_fault *finish() noexcept = 0;

    /// Returns the held bytes, unchanged.
    virtual std::string_view held() const noexcept = 0;

    /// Returns the name, once it has been found.
    virtual std::string_view name() const noexcept = 0;

    /// Returns the most bytes that `write` writes in addition to the name.
    virtual std::size_t room() const noexcept = 0;

    /// Writes the held bytes with another name in place of the one found. Returns the number of bytes written.
    virtual std::size_t write(std::string_view name, char *into) const noexcept = 0;

    /// Returns whether `write` would write as many bytes as are held.
    virtual bool keeps_size(std::string_view) const noexcept { return false; }

    const message_fault *fault() const noexcept { return fault_; }

  protected:
    name_reader() = default;
    ~name_reader() = default;
    name_reader(const name_reader &) = default;
    name_reader &operator=(const name_reader &) = default;

    const message_fault *fault_ = nullptr;
};

} // namespace rollout
