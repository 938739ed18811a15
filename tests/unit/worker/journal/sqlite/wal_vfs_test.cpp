// A WAL that is written in one piece, and what other connections see of it.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "worker/journal/sqlite/database.hpp"
#include "worker/journal/sqlite/wal_vfs.hpp"

#include <cerrno>
#include <filesystem>
#include <string>

#include <unistd.h>

namespace {

using rollout::sqlite_database;
using rollout::sqlite_error;
using rollout::sqlite_statement;

constexpr int opens = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
constexpr int page_bytes = 4096;

int writes = 0;       ///< system calls
bool is_full = false; ///< the disk
off_t last_write_bytes = 0;

ssize_t counted_write(int fd, const void *bytes, std::size_t size, off_t offset)
{
    ++writes;
    last_write_bytes = static_cast<off_t>(size);
    if (is_full) {
        errno = ENOSPC;
        return -1;
    }
    return ::pwrite(fd, bytes, size, offset);
}

/// SQLite writes with `counted_write` while this exists.
class counted_writes {
  public:
    counted_writes()
    {
        writes = 0;
        set(reinterpret_cast<sqlite3_syscall_ptr>(counted_write));
    }
    ~counted_writes()
    {
        is_full = false;
        set(nullptr);
    }
    counted_writes(const counted_writes &) = delete;
    counted_writes &operator=(const counted_writes &) = delete;

  private:
    static void set(sqlite3_syscall_ptr call)
    {
        sqlite3_vfs *const vfs = sqlite3_vfs_find(nullptr);
        for (const char *name : {"pwrite", "pwrite64"}) {
            vfs->xSetSystemCall(vfs, name, call); // only those that are in use have an effect
        }
    }
};

/// A database as the journal's writer has it. Its rows take a page each.
class written_database {
  public:
    explicit written_database(const char *vfs = rollout::wal_vfs()) : base(path.native(), opens, vfs)
    {
        base.run("PRAGMA synchronous = FULL");
        base.run("PRAGMA journal_mode = WAL");
        base.run("CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT)");
    }

    void insert(int count)
    {
        sqlite_statement row(base, "INSERT INTO rows (text) VALUES (?)");
        const std::string text(page_bytes - 100, 'x');
        for (int i = 0; i < count; ++i) {
            row.with(std::string_view(text)).run();
        }
    }

    void commit(int count)
    {
        base.run("BEGIN IMMEDIATE");
        insert(count);
        base.run("COMMIT");
    }

    temporary_folder folder;
    std::filesystem::path path = folder / "some.db";
    sqlite_database base;
};

std::int64_t rows_of(sqlite_database &of)
{
    return of.number("SELECT count(*) FROM rows");
}

void check_whole(sqlite_database &of)
{
    sqlite_statement check(of, "PRAGMA integrity_check");
    assert_true(check.step());
    assert_text(check.text(0), "ok");
}

void a_commit_is_one_write(void **)
{
    assert_non_null(rollout::wal_vfs());
    written_database written;
    written.commit(1); // the header of the WAL has been written by now
    const counted_writes counted;
    written.commit(20);
    assert_int_equal(writes, 1);
    assert_true(last_write_bytes >= 20 * (page_bytes + 24));
}

void a_large_commit_is_a_few_writes(void **)
{
    written_database written;
    written.commit(1);
    sqlite_database other(written.path.native(), SQLITE_OPEN_READONLY);
    int rows = 1;
    for (const int count : {30, 31, 32, 33, 62, 63, 64, 65, 500}) { // around what SQLite's own VFS can write at once
        const counted_writes counted;
        written.commit(count);
        assert_true(writes <= 2 + count / 25);
        assert_int_equal(rows_of(other), rows += count);
    }
    check_whole(other);
}

void by_itself_sqlite_writes_each_frame(void **)
{
    written_database written(nullptr);
    written.commit(1);
    const counted_writes counted;
    written.commit(20);
    assert_true(writes >= 20);
}

void a_commit_is_in_the_file_and_seen_by_others(void **)
{
    written_database written;
    sqlite_database other(written.path.native(), SQLITE_OPEN_READONLY);
    for (int i = 1; i <= 10; ++i) {
        written.commit(7);
        assert_int_equal(rows_of(other), 7 * i);

        // As after a loss of power.
        const temporary_folder copies;
        std::filesystem::copy_file(written.path, copies / "copy.db");
        std::filesystem::copy_file(written.path.native() + "-wal", copies / "copy.db-wal");
        sqlite_database copy(copies / "copy.db", SQLITE_OPEN_READWRITE);
        assert_int_equal(rows_of(copy), 7 * i);
        check_whole(copy);
    }
}

void a_transaction_larger_than_the_cache_reads_what_it_has_written(void **)
{
    written_database written;
    written.base.run("PRAGMA cache_size = 10");
    sqlite_database other(written.path.native(), SQLITE_OPEN_READONLY);
    written.base.run("BEGIN IMMEDIATE");
    written.insert(1000);
    written.base.run("UPDATE rows SET text = text || number");
    assert_int_equal(written.base.number("SELECT count(*) FROM rows WHERE text LIKE '%x' || number"), 1000);
    assert_int_equal(rows_of(other), 0);
    written.base.run("COMMIT");
    assert_int_equal(other.number("SELECT count(*) FROM rows WHERE text LIKE '%x' || number"), 1000);
    check_whole(other);
}

void what_is_rolled_back_is_not_there(void **)
{
    written_database written;
    written.base.run("PRAGMA cache_size = 10");
    written.commit(3);
    written.base.run("BEGIN IMMEDIATE");
    written.insert(1000);
    written.base.roll_back();
    written.commit(2);
    sqlite_database other(written.path.native(), SQLITE_OPEN_READONLY);
    assert_int_equal(rows_of(other), 5);
    check_whole(other);
}

void a_write_that_fails_fails_the_commit(void **)
{
    written_database written;
    written.commit(3);
    sqlite_database other(written.path.native(), SQLITE_OPEN_READONLY);
    {
        const counted_writes counted;
        is_full = true;
        std::string sentence;
        try {
            written.commit(20);
        } catch (const sqlite_error &error) {
            sentence = error.what();
            assert_int_equal(error.code & 0xff, SQLITE_FULL);
        }
        assert_holds(sentence, "full");
        written.base.roll_back();
        assert_int_equal(rows_of(other), 3);
    }
    written.commit(2);
    assert_int_equal(rows_of(other), 5);
    check_whole(other);
}

void a_checkpoint_takes_in_what_was_written(void **)
{
    written_database written;
    written.commit(50);
    written.base.run("PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(std::filesystem::file_size(written.path.native() + "-wal"), 0);
    written.commit(5);
    sqlite_database other(written.path.native(), SQLITE_OPEN_READONLY);
    assert_int_equal(rows_of(other), 55);
    check_whole(other);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_is_one_write),
        cmocka_unit_test(a_large_commit_is_a_few_writes),
        cmocka_unit_test(by_itself_sqlite_writes_each_frame),
        cmocka_unit_test(a_commit_is_in_the_file_and_seen_by_others),
        cmocka_unit_test(a_transaction_larger_than_the_cache_reads_what_it_has_written),
        cmocka_unit_test(what_is_rolled_back_is_not_there),
        cmocka_unit_test(a_write_that_fails_fails_the_commit),
        cmocka_unit_test(a_checkpoint_takes_in_what_was_written),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
