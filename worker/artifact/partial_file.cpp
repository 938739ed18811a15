#include "worker/artifact/partial_file.hpp"

#include "worker/base/format.hpp"
#include "worker/fs/copy_file.hpp"
#include "worker/fs/io_failure.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>

namespace rollout {

outcome partial_file::open(bool keep, const stop_flag &stop)
{
    file_.reset(::open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | (keep ? 0 : O_TRUNC), 0644));
    if (!file_ || ::fchmod(file_.get(), 0644) != 0) {
        return io_failure(shown(path_) + " cannot be created", errno);
    }
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) {
        return io_failure(shown(path_) + " cannot be looked at", errno);
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
    began_earlier_ = size_ > 0;
    return digest_file(file_.get(), shown(path_), stop, *digest_);
}


outcome partial_file::append(const char *bytes, std::size_t size)
{
    const std::size_t written = write_all(file_.get(), bytes, size);
    const int error = errno;
    digest_->feed(bytes, written); // what is missing is downloaded again, and is digested then
    size_ += written;
    return written == size ? outcome::ok() : io_failure(shown(path_) + " cannot be written", error);
}


outcome partial_file::start_over()
{
    size_ = 0;
    began_earlier_ = false;
    digest_.emplace();
    if (::ftruncate(file_.get(), 0) != 0 || ::lseek(file_.get(), 0, SEEK_SET) != 0) {
        return io_failure(shown(path_) + " cannot be emptied", errno);
    }
    return outcome::ok();
}

} // namespace rollout
