// SQLite's C interface with RAII, and errors as exceptions that carry a sentence.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace rollout {

struct sqlite_error : std::runtime_error {
    explicit sqlite_error(const std::string &words, int of_sqlite = SQLITE_ERROR)
        : std::runtime_error(words), code(of_sqlite)
    {
    }

    /// Returns whether the file is damaged or not a database of SQLite: retrying does not help then.
    bool is_permanent() const noexcept
    {
        const int kind = code & 0xff;
        return kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB;
    }

    int code; ///< SQLite's extended code
};

class sqlite_database {
  public:
    /// `flags` and the VFS's name as for sqlite3_open_v2. Throws sqlite_error.
    sqlite_database(const std::string &path, int flags, const char *vfs = nullptr);
    sqlite_database(const sqlite_database &) = delete;
    sqlite_database &operator=(const sqlite_database &) = delete;

    sqlite3 *get() const noexcept { return handle_.get(); }
    void run(const char *sql);

    /// Restores the state from before the transaction, if one is open.
    void roll_back() noexcept;

    /// Calls `called` repeatedly, many times a second, while a statement runs, until another function, or none, is
    /// set. If it returns false, the statement fails with SQLITE_INTERRUPT.
    void while_at_work(std::function<bool()> called);

    /// Runs a statement that returns one value, such as a PRAGMA.
    std::int64_t number(const char *sql);

    [[noreturn]] void fail(std::string_view doing) const;

  private:
    struct release {
        void operator()(sqlite3 *handle) const noexcept { sqlite3_close_v2(handle); }
    };

    std::string path_;
    std::function<bool()> at_work_; ///< outlives the handle that calls it
    std::unique_ptr<sqlite3, release> handle_;
};

/// A value to be stored as it is, not as text.
struct sqlite_bytes {
    std::string_view value;
};

/// A prepared statement, used repeatedly: bind, step, read, reset. The database must outlive it.
class sqlite_statement {
  public:
    sqlite_statement(sqlite_database &database, std::string_view sql);

    /// Binds all parameters, starting with the first.
    template <class... Values>
    sqlite_statement &with(const Values &...values)
    {
        reset();
        int index = 0;
        (bind(++index, values), ...);
        return *this;
    }

    /// Returns true for a row, false at the end (which resets).
    bool step();
    void run()
    {
        while (step()) {
        }
    }
    void reset() noexcept { sqlite3_reset(handle_.get()); }

    std::int64_t number(int column) const noexcept { return sqlite3_column_int64(handle_.get(), column); }
    std::string text(int column) const;

    /// Returns a blob's bytes, until the next step.
    std::string_view bytes(int column) const noexcept;

  private:
    struct release {
        void operator()(sqlite3_stmt *handle) const noexcept { sqlite3_finalize(handle); }
    };

    void bind(int index, std::int64_t value);
    void bind(int index, std::uint64_t value) { bind(index, static_cast<std::int64_t>(value)); }
    void bind(int index, std::string_view value);
    void bind(int index, sqlite_bytes value);

    sqlite_database &database_;
    std::unique_ptr<sqlite3_stmt, release> handle_;
};

} // namespace rollout
