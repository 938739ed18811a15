// SQLite's file system with a WAL that is written in one piece: SQLite itself writes the header and the page of each
// frame with a system call of their own, some forty a commit.
#pragma once

namespace rollout {

/// Returns the name of the VFS for sqlite3_open_v2: SQLite's own, whose WAL keeps in memory what is appended to it until
/// it is synced, read, or something else is done to it. It is for connections that sync each commit (synchronous=FULL):
/// SQLite shows a commit to other connections after its sync
/// (unless it is built without power-safe overwrites: it then writes behind that sync). A write that fails makes the sync fail, and so the commit.
/// May be called by any thread. Null, which is SQLite's own VFS, if it cannot be registered.
const char *wal_vfs() noexcept;

} // namespace rollout
