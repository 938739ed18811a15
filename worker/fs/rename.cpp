#include "worker/fs/rename.hpp"

#include "worker/base/failpoint.hpp"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>

namespace rollout {
namespace {

template <typename Rename>
int pass(const char *point, Rename rename)
{
    if (failpoint({"rename", point, "before"}, {fault::error}) != fault::none) {
        return EIO;
    }
    const int failed = rename();
    failpoint({"rename", point, "after"});
    return failed;
}


int rename_now(const std::filesystem::path &from, const std::filesystem::path &to)
{
    return std::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

} // namespace


int rename_over(const std::filesystem::path &from, const std::filesystem::path &to, const char *point)
{
    return pass(point, [&] { return rename_now(from, to); });
}


int rename_probe(const std::filesystem::path &from, const std::filesystem::path &to)
{
    return rename_now(from, to);
}


int rename_to_nothing(const std::filesystem::path &from, const std::filesystem::path &to, const char *point)
{
    return pass(point, [&] {
        if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
            return 0;
        }
        // NFS and some other file systems do not support the flag. There an empty folder is replaced, but a non-empty one
        // is not.
        return errno == EINVAL || errno == ENOSYS ? rename_now(from, to) : errno;
    });
}

} // namespace rollout
