// An archive for a test, entry by entry, good or not.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

class made_archive {
  public:
    /// The kind follows from the name.
    explicit made_archive(const std::filesystem::path &path) : writer_(archive_write_new())
    {
        const std::string name = path.filename().native();
        if (name.ends_with(".zip") || name.ends_with(".pt")) {
            archive_write_set_format_zip(writer_);
            if (name.starts_with("encrypted")) {
                must(archive_write_set_options(writer_, "zip:encryption=zipcrypt"));
                must(archive_write_set_passphrase(writer_, "secret"));
            }
        } else if (name.ends_with(".7z")) {
            archive_write_set_format_7zip(writer_);
        } else if (name.ends_with(".cpio")) {
            archive_write_set_format_cpio(writer_);
        } else if (name.ends_with(".iso")) {
            archive_write_set_format_iso9660(writer_);
        } else {
            archive_write_set_format_pax_restricted(writer_);
            if (name.ends_with("gz")) {
                archive_write_add_filter_gzip(writer_);
            } else if (name.ends_with(".zst")) {
                archive_write_add_filter_zstd(writer_);
            } else if (name.ends_with(".bz2")) {
                archive_write_add_filter_bzip2(writer_);
            } else if (name.ends_with(".xz")) {
                archive_write_add_filter_xz(writer_);
            } else if (name.ends_with(".lz4")) {
                archive_write_add_filter_lz4(writer_);
            }
        }
        must(archive_write_open_filename(writer_, path.c_str()));
    }
    ~made_archive()
    {
        archive_write_close(writer_);
        archive_write_free(writer_);
    }
    made_archive(const made_archive &) = delete;
    made_archive &operator=(const made_archive &) = delete;

    made_archive &file(const std::string &path, std::string_view bytes, unsigned mode = 0644)
    {
        add(path, AE_IFREG, static_cast<la_int64_t>(bytes.size()), nullptr, mode);
        archive_write_data(writer_, bytes.data(), bytes.size());
        return *this;
    }

    /// So many zeros.
    made_archive &zeros(const std::string &path, std::size_t count)
    {
        add(path, AE_IFREG, static_cast<la_int64_t>(count), nullptr);
        const std::string block(65536, '\0');
        for (; count > 0; count -= std::min(count, block.size())) {
            archive_write_data(writer_, block.data(), std::min(count, block.size()));
        }
        return *this;
    }

    made_archive &folder(const std::string &path) { return add(path, AE_IFDIR, 0, nullptr); }
    made_archive &link(const std::string &path, const char *target) { return add(path, AE_IFLNK, 0, target); }
    made_archive &special(const std::string &path, unsigned type) { return add(path, type, 0, nullptr); }

    made_archive &hard_link(const std::string &path, const char *target)
    {
        archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, path.c_str());
        archive_entry_set_hardlink(entry, target);
        archive_entry_set_perm(entry, 0644);
        must(archive_write_header(writer_, entry));
        archive_entry_free(entry);
        return *this;
    }

  private:
    made_archive &add(const std::string &path, unsigned type, la_int64_t size, const char *link, unsigned mode = 0755)
    {
        archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, path.c_str());
        archive_entry_set_filetype(entry, type);
        archive_entry_set_perm(entry, mode);
        archive_entry_set_size(entry, size);
        if (link != nullptr) {
            archive_entry_set_symlink(entry, link);
        }
        must(archive_write_header(writer_, entry));
        archive_entry_free(entry);
        return *this;
    }

    void must(int result)
    {
        if (result != ARCHIVE_OK) {
            throw std::runtime_error(archive_error_string(writer_));
        }
    }

    archive *writer_;
};
