#include "worker/fs/left_behind.hpp"

#include <algorithm>
#include <cctype>

namespace rollout {

namespace {

/// Compared ignoring case.
constexpr std::string_view names[] = {
    // macOS
    "__macosx",
    ".ds_store",
    ".spotlight-v100",
    ".fseventsd",
    ".trashes",
    ".temporaryitems",
    ".documentrevisions-v100",
    ".appledouble",
    ".appledb",
    ".appledesktop",
    ".lsoverride",
    ".apdisk",
    ".volumeicon.icns",
    ".com.apple.timemachine.donotpresent",
    "icon\r",
    // Windows
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "$recycle.bin",
    "recycler",
    "system volume information",
    // Linux and its desktops
    "lost+found",
    ".directory",
    // file servers
    "@eadir",
    ".@__thumb",
    "#recycle",
    ".snapshot",
    ".zfs",
    // tar: an old one took its extended headers for files
    "paxheader",
    "paxheaders",
    "pax_global_header",
};

/// Prefixes, for names that continue after them.
constexpr std::string_view beginnings[] = {"._", ".fuse_hidden", ".trash-", "paxheaders."};


char low(char c) noexcept
{
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}


bool begins_with(std::string_view name, std::string_view beginning) noexcept
{
    return name.size() > beginning.size() && std::ranges::equal(name.substr(0, beginning.size()), beginning, {}, low);
}


/// Recognizes `.nfs` and digits: a file that was deleted while it was open.
bool is_silly_renamed(std::string_view name) noexcept
{
    constexpr std::string_view beginning = ".nfs";
    return name.size() >= beginning.size() + 8 && name.starts_with(beginning) &&
           std::ranges::all_of(name.substr(beginning.size()), [](unsigned char c) { return std::isxdigit(c) != 0; });
}


/// Recognizes the entries of a volume written by Kubernetes: `..data`, and the folder, named after a time, that it links
/// to. The volume's other entries link into that folder.
bool is_kubernetes_own(std::string_view name) noexcept
{
    return name == "..data" || name == "..data_tmp" ||
           (name.size() > 3 && name.starts_with("..") && std::isdigit(static_cast<unsigned char>(name[2])) != 0);
}

} // namespace


bool is_left_behind(std::string_view name) noexcept
{
    return std::ranges::any_of(names, [name](auto left) { return std::ranges::equal(name, left, {}, low); }) ||
           std::ranges::any_of(beginnings, [name](auto left) { return begins_with(name, left); }) ||
           is_silly_renamed(name) || is_kubernetes_own(name);
}

} // namespace rollout
