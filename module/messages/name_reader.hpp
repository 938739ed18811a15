// Where a model's name stands in a body that comes in pieces, and what stands there instead. One interface for every format: the
// reader passes bytes on as they are, holds back those that the name is among, and says what to write in their place.
//
// A reader lives in a request's pool: it needs no end. It holds back a bounded number of bytes, in itself.
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
        more,   ///< nothing yet: all of the piece is passed or held
        name,   ///< a whole name is held; `write` or `held` gives what goes on in its place
        refuse, ///< the body is not one of this format's; `fault` says why. What is held may be passed on as it was
    };

    /// Of a piece: first so many bytes to pass on, then so many that are held (with those of earlier pieces) or, of a piece that is
    /// refused, looked at no further.
    struct step {
        std::size_t pass = 0;
        std::size_t hold = 0;
        found what = found::more;
    };

    /// Reads from where the last step ended. After `name`, what was held is the caller's to write, before the next read.
    virtual step read(std::string_view piece) noexcept = 0;

    /// The body's end. Null: it is as it should be.
    virtual const message_fault *finish() noexcept = 0;

    /// The bytes that are held, as they came.
    virtual std::string_view held() const noexcept = 0;

    /// The name, once it is found.
    virtual std::string_view name() const noexcept = 0;

    /// What `write` writes at most, beside the name.
    virtual std::size_t room() const noexcept = 0;

    /// Writes what was held, with another name in the place of the one found. Returns its size.
    virtual std::size_t write(std::string_view name, char *into) const noexcept = 0;

    /// Whether `write` would write as many bytes as are held.
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
