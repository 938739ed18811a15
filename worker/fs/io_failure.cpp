#include "worker/fs/io_failure.hpp"

#include "worker/base/format.hpp"

#include <cerrno>

namespace rollout {

outcome io_failure(const std::string &what, int error)
{
    const std::string sentence = what + " (" + format_errno(error) + ")";
    switch (error) {
    case EAGAIN:
    case EBUSY:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EINTR:
    case EIO:
    case EMFILE:
    case ENFILE:
    case ENOLINK:
    case ENOMEM:
    case EREMOTEIO:
    case ESTALE:
    case ETIMEDOUT:
        return outcome::transient(sentence);
    case ENOSPC:
    case EDQUOT:
        return outcome::permanent(sentence + ": make room on that disk and deploy again");
    default:
        return outcome::permanent(sentence);
    }
}

} // namespace rollout
