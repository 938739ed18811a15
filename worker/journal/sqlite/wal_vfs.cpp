#include "worker/journal/sqlite/wal_vfs.hpp"

#include <sqlite3.h>

#include <cstddef>
#include <new>
#include <string>

namespace rollout {

namespace {

/// SQLite's own VFS writes no more at once: its `seekAndWriteFd` (os_unix.c) takes 17 bits of the size.
constexpr std::size_t most_gathered = 0x1ffff;


/// In memory of SQLite, which knows no constructors. The file of SQLite's own VFS follows it.
struct wal_file {
    sqlite3_file base;
    std::string *gathered; ///< owned
    sqlite3_int64 offset;  ///< of what is gathered, in the file

    sqlite3_file *real() noexcept { return reinterpret_cast<sqlite3_file *>(this + 1); }
    sqlite3_int64 end() const noexcept { return offset + static_cast<sqlite3_int64>(gathered->size()); }

    /// What cannot be written is dropped, as SQLite goes back to the end of the last commit.
    int flush() noexcept
    {
        if (gathered->empty()) {
            return SQLITE_OK;
        }
        const int rc = real()->pMethods->xWrite(real(), gathered->data(), static_cast<int>(gathered->size()), offset);
        gathered->clear();
        return rc;
    }
};

static_assert(sizeof(wal_file) % alignof(sqlite3_int64) == 0); // as SQLite aligns its files


wal_file &wal_of(sqlite3_file *file) noexcept
{
    return *reinterpret_cast<wal_file *>(file);
}


/// Calls a method of SQLite's own file.
template <auto method, typename... Arguments>
int forward(sqlite3_file *file, Arguments... arguments) noexcept
{
    sqlite3_file *real = wal_of(file).real();
    return (real->pMethods->*method)(real, arguments...);
}


/// The same, after what is gathered has been written. If it cannot be written, SQLite must undo the whole transaction,
/// which a full disk alone does not make it do.
template <auto method, typename... Arguments>
int flush_and_forward(sqlite3_file *file, Arguments... arguments) noexcept
{
    return wal_of(file).flush() == SQLITE_OK ? forward<method>(file, arguments...) : SQLITE_IOERR_WRITE;
}


int sync_wal(sqlite3_file *file, int flags) noexcept
{
    const int rc = wal_of(file).flush();
    return rc == SQLITE_OK ? forward<&sqlite3_io_methods::xSync>(file, flags) : rc;
}


/// What has not been synced is of a transaction that was undone, and another connection may have written in its place.
int close_wal(sqlite3_file *file) noexcept
{
    const int rc = forward<&sqlite3_io_methods::xClose>(file);
    delete wal_of(file).gathered;
    return rc;
}


int write_wal(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset) noexcept
try {
    wal_file &wal = wal_of(file);
    if (wal.end() != offset || wal.gathered->size() + static_cast<std::size_t>(size) > most_gathered) {
        if (const int rc = wal.flush(); rc != SQLITE_OK) {
            return rc;
        }
    }
    if (wal.gathered->empty()) {
        wal.offset = offset;
    }
    wal.gathered->append(static_cast<const char *>(bytes), static_cast<std::size_t>(size));
    return SQLITE_OK;
} catch (const std::bad_alloc &) {
    wal_of(file).gathered->clear();
    return SQLITE_IOERR_NOMEM;
}


const sqlite3_io_methods wal_methods = {
    1,
    close_wal,
    flush_and_forward<&sqlite3_io_methods::xRead, void *, int, sqlite3_int64>,
    write_wal,
    flush_and_forward<&sqlite3_io_methods::xTruncate, sqlite3_int64>,
    sync_wal,
    flush_and_forward<&sqlite3_io_methods::xFileSize, sqlite3_int64 *>,
    forward<&sqlite3_io_methods::xLock, int>,
    forward<&sqlite3_io_methods::xUnlock, int>,
    forward<&sqlite3_io_methods::xCheckReservedLock, int *>,
    forward<&sqlite3_io_methods::xFileControl, int, void *>,
    forward<&sqlite3_io_methods::xSectorSize>,
    forward<&sqlite3_io_methods::xDeviceCharacteristics>,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
};


/// Opens the WAL; all other files are those of SQLite's own VFS.
int open_file(sqlite3_vfs *, const char *name, sqlite3_file *file, int flags, int *flags_out) noexcept
{
    sqlite3_vfs *const real = sqlite3_vfs_find(nullptr);
    if ((flags & SQLITE_OPEN_WAL) == 0) {
        return real->xOpen(real, name, file, flags, flags_out);
    }
    auto *gathered = new (std::nothrow) std::string;
    if (gathered == nullptr) {
        return SQLITE_NOMEM;
    }
    wal_file &wal = *new (file) wal_file{{nullptr}, gathered, 0};
    const int rc = real->xOpen(real, name, wal.real(), flags, flags_out);
    if (wal.real()->pMethods != nullptr) {
        wal.base.pMethods = &wal_methods; // SQLite closes it, even if it is not open
    } else {
        delete gathered;
    }
    return rc;
}

} // namespace


const char *wal_vfs() noexcept
{
    static sqlite3_vfs own;
    static const bool is_registered = [] {
        sqlite3_vfs *const real = sqlite3_vfs_find(nullptr);
        if (real == nullptr) {
            return false;
        }
        own = *real; // its other functions use nothing but what is copied
        own.pNext = nullptr;
        own.zName = "rollout-wal";
        own.szOsFile += static_cast<int>(sizeof(wal_file));
        own.xOpen = open_file;
        return sqlite3_vfs_register(&own, 0) == SQLITE_OK;
    }();
    return is_registered ? own.zName : nullptr;
}

} // namespace rollout
