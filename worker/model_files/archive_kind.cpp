#include "worker/model_files/archive_kind.hpp"

#include "worker/base/format.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>

#include <unistd.h>

namespace rollout {

namespace {

constexpr std::size_t block_bytes = 65536;

struct suffix {
    std::string_view text;
    packing kind;
};

/// The longest suffix that matches counts.
constexpr suffix suffixes[] = {
    {".tar", packing::tar},      {".tar.gz", packing::tar},    {".tgz", packing::tar},
    {".taz", packing::tar},      {".tar.bz2", packing::tar},   {".tbz", packing::tar},
    {".tbz2", packing::tar},     {".tar.xz", packing::tar},    {".txz", packing::tar},
    {".tar.zst", packing::tar},  {".tzst", packing::tar},      {".tar.lz4", packing::tar},
    {".tlz4", packing::tar},     {".tar.lzma", packing::tar},  {".tlz", packing::tar},
    {".tar.lz", packing::tar},   {".tar.z", packing::tar},     {".zip", packing::zip},
    {".7z", packing::other},     {".rar", packing::other},     {".cpio", packing::other},
    {".iso", packing::other},    {".cab", packing::other},     {".lha", packing::other},
    {".lzh", packing::other},    {".xar", packing::other},     {".ar", packing::other},
    {".deb", packing::other},    {".rpm", packing::other},     {".warc", packing::other},
    {".gz", packing::other},     {".bz2", packing::other},     {".xz", packing::other},
    {".zst", packing::other},    {".lz4", packing::other},     {".lzma", packing::other},
    {".lz", packing::other},     {".z", packing::other},       {".lzo", packing::other},
    {".lrz", packing::other},    {".grz", packing::other},     {".uu", packing::other},
    {".zipx", packing::other},   {".z01", packing::other},     {".zip.001", packing::other},
    {".7z.001", packing::other}, {".rar.001", packing::other}, {".tar.001", packing::other},
    {".gz.001", packing::other}, {".gz.aa", packing::other},   {".tar.aa", packing::other},
    {".zip.aa", packing::other}, {".r00", packing::other},     {".sit", packing::other},
    {".dmg", packing::other},    {".ace", packing::other},     {".arj", packing::other},
};

/// Extensions of model formats that are themselves a zip archive, a tar archive or compressed.
constexpr std::string_view packed_formats[] = {
    ".pt",    ".pth",  ".pt2",  ".ts",       ".torchscript", ".ckpt",        ".bin",    ".npz",     ".keras", ".mar",
    ".jar",   ".mojo", ".nemo", ".joblib",   ".pkl",         ".zae",         ".pickle", ".mlmodel", ".skops", ".whl",
    ".model", ".ptl",  ".pte",  ".pdparams", ".dill",        ".cloudpickle", ".rds",    ".rdata",
};


std::string low(std::string_view name)
{
    std::string folded(name);
    std::ranges::transform(folded, folded.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return folded;
}


struct release {
    void operator()(archive *held) const noexcept { archive_read_free(held); }
};


/// Enables every kind that is read without running another program. Not enabled are formats that accept any text as an
/// archive (mtree, raw).
bool support_all(archive *reader)
{
    using support = int (*)(archive *);
    constexpr support formats[] = {
        archive_read_support_format_tar, archive_read_support_format_zip,  archive_read_support_format_7zip,
        archive_read_support_format_rar, archive_read_support_format_rar5, archive_read_support_format_cpio,
        archive_read_support_format_cab, archive_read_support_format_lha,  archive_read_support_format_xar,
        archive_read_support_format_ar,  archive_read_support_format_warc, archive_read_support_format_iso9660,
    };
    constexpr support filters[] = {
        archive_read_support_filter_gzip,     archive_read_support_filter_bzip2, archive_read_support_filter_xz,
        archive_read_support_filter_zstd,     archive_read_support_filter_lz4,   archive_read_support_filter_lzip,
        archive_read_support_filter_compress, archive_read_support_filter_rpm,
    };
    return std::ranges::all_of(formats, [reader](support supports) { return supports(reader) >= ARCHIVE_WARN; }) &&
           std::ranges::all_of(filters, [reader](support supports) { return support_built_in(reader, supports); });
}


/// Returns what libarchive recognizes the file as; empty if it recognizes nothing.
result<std::string> kind_of(int fd)
{
    const std::unique_ptr<archive, release> reader(archive_read_new());
    if (!reader || !support_all(reader.get())) {
        return result<std::string>::failure("no memory to look into");
    }
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    archive_entry *entry = nullptr;
    int read = archive_read_open_filename(reader.get(), path.c_str(), block_bytes);
    if (read == ARCHIVE_OK) {
        read = archive_read_next_header(reader.get(), &entry);
    }
    const bool is_compressed = archive_filter_count(reader.get()) > 1;
    if (read == ARCHIVE_OK || read == ARCHIVE_WARN) {
        const char *format = archive_format_name(reader.get());
        return "an archive (" + std::string(format == nullptr ? "of a kind without a name" : format) + ")";
    }
    if (is_compressed) {
        return std::string("compressed (") + archive_filter_name(reader.get(), 0) + ")";
    }
    // The file was not recognized, or it is recognized but damaged; an empty file is not an archive.
    const std::string_view why =
        archive_error_string(reader.get()) == nullptr ? "" : archive_error_string(reader.get());
    return std::string(read == ARCHIVE_EOF || why == "Unrecognized archive format" ? "" : "a damaged archive");
}

} // namespace


bool support_built_in(archive *reader, int (*filter)(archive *))
{
    const std::unique_ptr<archive, release> scratch(archive_read_new());
    if (!scratch) {
        return false;
    }
    const int known = filter(scratch.get());
    return known == ARCHIVE_WARN || (known == ARCHIVE_OK && filter(reader) == ARCHIVE_OK);
}


packing packing_of(std::string_view name) noexcept
{
    try {
        const std::string lower = low(name);
        packing found = packing::none;
        std::size_t longest = 0;
        for (const auto &[text, kind] : suffixes) {
            if (lower.size() > text.size() && lower.ends_with(text) && text.size() > longest) {
                longest = text.size();
                found = kind;
            }
        }
        return found;
    } catch (const std::bad_alloc &) {
        return packing::other;
    }
}


bool is_archive_name(std::string_view name) noexcept
{
    return packing_of(name) != packing::none;
}


outcome check_can_be_unpacked(std::string_view name, const std::string &shown)
{
    return packing_of(name) != packing::other
               ? outcome::ok()
               : outcome::permanent(shown +
                                    " has the name of an archive format that is not supported: pack the model as "
                                    ".tar.gz or .zip, in one piece, or unpack it");
}


outcome check_is_no_archive(int fd, std::string_view name, const std::string &shown)
{
    const std::string lower = low(name);
    if (std::ranges::any_of(packed_formats, [&lower](auto ending) { return lower.ends_with(ending); })) {
        return outcome::ok();
    }
    const auto kind = kind_of(fd);
    if (!kind) {
        return outcome::transient(kind.sentence() + " " + shown);
    }
    return kind->empty() ? outcome::ok()
                         : outcome::permanent(shown + " is " + *kind +
                                              " by its content, and not a file of a model: give it the matching name "
                                              "(.tar.gz, .zip) to have it unpacked, or unpack it");
}

} // namespace rollout
