#include "worker/journal/sqlite/database.hpp"

#include <utility>

namespace rollout {

sqlite_database::sqlite_database(const std::string &path, int flags, const char *vfs) : path_(path)
{
    sqlite3 *handle = nullptr;
    const int rc = sqlite3_open_v2(path.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
    handle_.reset(handle);
    if (rc != SQLITE_OK) {
        fail("opening it");
    }
    sqlite3_busy_timeout(handle, 5000);
}


void sqlite_database::fail(std::string_view doing) const
{
    throw sqlite_error("the journal " + path_ + ": " + std::string(doing) +
                           " failed: " + (handle_ ? sqlite3_errmsg(handle_.get()) : "out of memory"),
                       handle_ ? sqlite3_extended_errcode(handle_.get()) : SQLITE_NOMEM);
}


void sqlite_database::run(const char *sql)
{
    if (sqlite3_exec(get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
        fail(sql);
    }
}


void sqlite_database::roll_back() noexcept
{
    if (sqlite3_get_autocommit(get()) == 0) {
        sqlite3_exec(get(), "ROLLBACK", nullptr, nullptr, nullptr);
    }
}


void sqlite_database::while_at_work(std::function<bool()> called)
{
    constexpr int instructions_between_calls = 10000;
    at_work_ = std::move(called);
    sqlite3_progress_handler(
        get(), at_work_ ? instructions_between_calls : 0,
        [](void *to_call) noexcept { return (*static_cast<std::function<bool()> *>(to_call))() ? 0 : 1; }, &at_work_);
}


std::int64_t sqlite_database::number(const char *sql)
{
    sqlite_statement statement(*this, sql);
    return statement.step() ? statement.number(0) : 0;
}


sqlite_statement::sqlite_statement(sqlite_database &database, std::string_view sql) : database_(database)
{
    sqlite3_stmt *handle = nullptr;
    if (sqlite3_prepare_v3(database.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                           &handle, nullptr) != SQLITE_OK) {
        database.fail(sql);
    }
    handle_.reset(handle);
}


void sqlite_statement::bind(int index, std::int64_t value)
{
    if (sqlite3_bind_int64(handle_.get(), index, value) != SQLITE_OK) {
        database_.fail("binding a number");
    }
}


void sqlite_statement::bind(int index, std::string_view value)
{
    // SQLITE_STATIC: the value outlives the step, as in `with(…).run()` and similar calls.
    if (sqlite3_bind_text64(handle_.get(), index, value.data() != nullptr ? value.data() : "", value.size(),
                            SQLITE_STATIC, SQLITE_UTF8) != SQLITE_OK) {
        database_.fail("binding a text");
    }
}


void sqlite_statement::bind(int index, sqlite_bytes bytes)
{
    if (sqlite3_bind_blob64(handle_.get(), index, bytes.value.data(), bytes.value.size(), SQLITE_STATIC) !=
        SQLITE_OK) {
        database_.fail("binding bytes");
    }
}


bool sqlite_statement::step()
{
    const int rc = sqlite3_step(handle_.get());
    if (rc == SQLITE_ROW) {
        return true;
    }
    if (rc == SQLITE_DONE) {
        reset();
        return false;
    }
    const std::string sql = sqlite3_sql(handle_.get());
    try {
        database_.fail(sql);
    } catch (...) {
        reset();
        throw;
    }
}


std::string sqlite_statement::text(int column) const
{
    const auto *bytes = reinterpret_cast<const char *>(sqlite3_column_text(handle_.get(), column));
    return bytes == nullptr
               ? std::string()
               : std::string(bytes, static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column)));
}


std::string_view sqlite_statement::bytes(int column) const noexcept
{
    const auto *first = static_cast<const char *>(sqlite3_column_blob(handle_.get(), column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column));
    return first == nullptr ? std::string_view() : std::string_view(first, size);
}

} // namespace rollout
