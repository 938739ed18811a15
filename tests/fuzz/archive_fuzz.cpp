// Archives of models, looked through and unpacked. Input: a byte that chooses the kind, the archive.
#include "tests/fuzz/fuzzing.hpp"

#include "worker/artifact/archive.hpp"
#include "worker/base/format.hpp"

#include <array>
#include <filesystem>
#include <string>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace rollout;
namespace fs = std::filesystem;

namespace {

constexpr tree_bounds bounds{256 * 1024, 64};

/// A folder in memory with one in it for the model, and a file beside it that nobody may touch.
class place {
  public:
    place()
    {
        std::string pattern = "/dev/shm/rollout-fuzz.XXXXXX";
        outer_ = mkdtemp(pattern.data());
        fs::create_directory(model());
        fs::create_symlink("/nowhere", outer_ / "beside");
    }
    ~place() { fs::remove_all(outer_); }
    place(const place &) = delete;
    place &operator=(const place &) = delete;

    fs::path model() const { return outer_ / "model"; }

    void check_outside() const
    {
        std::size_t there = 0;
        for ([[maybe_unused]] const auto &entry : fs::directory_iterator(outer_)) {
            ++there;
        }
        always(there == 2 && fs::read_symlink(outer_ / "beside") == "/nowhere",
               "nothing outside of the model's folder is made or changed");
    }

    /// Files, folders and bytes that are there, each of them plain.
    void check_inside(std::uint64_t &files, std::uint64_t &bytes) const
    {
        for (const auto &entry : fs::recursive_directory_iterator(model())) {
            struct stat info {};
            always(lstat(entry.path().c_str(), &info) == 0, "what was made is there");
            always(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode), "only files and folders are made");
            const auto mode = info.st_mode & 07777U;
            always(mode == 0755U || (S_ISREG(info.st_mode) && mode == 0644U),
                   "of modes, only what can be run is taken over");
            ++files;
            bytes += S_ISREG(info.st_mode) && info.st_nlink == 1 ? static_cast<std::uint64_t>(info.st_size) : 0;
        }
    }

  private:
    fs::path outer_;
};


void check_sentence(const outcome &refused)
{
    always(!refused.detail.empty() && valid_utf8(refused.detail) == refused.detail,
           "a refusal has a sentence in UTF-8");
}

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    static constexpr std::array kinds = {"m.tar", "m.zip", "m.tar.gz", "m.tar.zst"};
    pieces input(data, size);
    const std::string name = kinds[input.byte() % kinds.size()];
    const auto bytes = input.rest();

    static const int file = memfd_create("archive", MFD_CLOEXEC);
    always(ftruncate(file, 0) == 0 &&
               pwrite(file, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
           "a file in memory can be written");
    const archive_source source{file, name, "the archive " + name};
    const stop_flag stop{false};
    archive_contents contents;
    if (const auto inspected = inspect_archive(source, bounds, stop, contents); !inspected) {
        check_sentence(inspected);
        return 0;
    }
    always(contents.files <= bounds.max_files && contents.bytes <= bounds.max_bytes,
           "an archive is within its bounds");

    const place to;
    const auto unpacked = unpack(source, bounds, to.model(), stop);
    to.check_outside();
    std::uint64_t files_there = 0;
    std::uint64_t bytes_there = 0;
    to.check_inside(files_there, bytes_there);
    always(bytes_there <= bounds.max_bytes, "no more is written than may be");
    if (!unpacked) {
        check_sentence(unpacked);
        return 0;
    }
    always(files_there <= bounds.max_files, "no more is made than may be");
    return 0;
}
