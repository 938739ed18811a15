// Keyed records in shared memory: read without a lock, written by one process at a time, consistent after any crash.
//
// The memory is divided into cells of 64 bytes. A record is a chain of cells, whose first one (the head) is linked
// into a bucket of one of a few hash maps. A record never changes once it is visible: a new version is written into
// free cells and linked in with a single store. A reader notes its bucket's sequence number (odd while a writer is at
// that bucket), copies, and checks the number again: if it has changed, the copy may be torn, and the reader starts
// over.
//
// A writer that is killed leaves the `writing` flag set. The next writer calls `repair`, which keeps every record
// that is reachable from a bucket, and rebuilds the free list and the age lists from these.
//
// There are only offsets, no pointers: processes may map the memory at different addresses. Independent of nginx: any
// block of memory will do, so that the store can be tested by itself.
#pragma once

#include "common/base/function_ref.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

/// The hash maps of a store.
enum class record_map : std::uint8_t { tasks, models, routes };
inline constexpr std::size_t record_maps = 3;

/// A record may be in one list, which is ordered by the records' last writes.
enum class age_list : std::uint8_t { none, final_tasks, active_tasks };
inline constexpr std::size_t age_lists = 3;

class record_store {
  public:
    using cell_index = std::uint32_t; ///< 0 means none

    static constexpr std::size_t bytes_per_cell = 64;

    /// The least memory that `format` accepts.
    static constexpr std::size_t min_bytes = 96 * 1024;

    /// The largest value of a record: a task document with the data that the table keeps with it.
    static constexpr std::size_t max_value_bytes = 80 * 1024;

    /// Creates an empty store in the memory, which must be aligned to 64 bytes and outlive the store.
    static void format(void *memory, std::size_t bytes) noexcept;

    /// Creates a view of a formatted store; cheap to make and to copy, one for each process.
    explicit record_store(void *memory) noexcept;

    // Reading: by any process, at any time, without a lock.

    enum class found {
        yes,
        no,
        busy,  ///< a killed writer is in the way
        failed ///< the record exists but cannot be read
    };

    /// Returns memory for a value of that many bytes; null makes the read fail (`failed`). May be called again if a
    /// writer interfered.
    using allocate_fn = function_ref<unsigned char *(std::size_t size)>;

    /// Copies a record's value. Returns `busy` if a writer stays at the bucket for longer than a write takes, as a
    /// killed one does; the caller then takes the writers' lock, repairs, and reads again.
    found read(record_map map, std::string_view key, const allocate_fn &allocate) const;

    /// A key whose record is about to be read or written.
    struct expected_key {
        record_map map;
        std::uint32_t hash;
    };

    /// Lets the processor fetch what leads to the key's record, and, called later with what was returned, the record
    /// itself. In a large memory each takes as long as a thousand instructions: several keys are fetched in the time of
    /// one.
    expected_key expect(record_map map, std::string_view key) const noexcept;
    void expect_record(expected_key of) const noexcept;

    /// Calls `visit` with a copy of each record that exists throughout the call, in its state at some moment of it.
    /// `busy`, as above, ends the call before all records have been visited. Throws std::bad_alloc, and whatever
    /// `visit` throws.
    found read_each(record_map map,
                    const function_ref<void(std::string_view key, std::string_view value)> &visit) const;

    // Writing: by one process at a time, under a lock that the caller holds from `begin_write` to `end_write`.

    /// Returns false if the previous writer did not finish: call `repair` before anything else.
    [[nodiscard]] bool begin_write() noexcept;
    void end_write() noexcept;

    /// Keeps all reachable records and frees the rest. Like everything that runs after a writer was killed, it
    /// allocates no memory.
    void repair() noexcept;

    /// Writes a record, whose value is the parts one after the other. It is new, or replaces the one with that key.
    /// Returns false, and changes nothing, if there are too few free cells.
    bool put(record_map map, std::string_view key, std::initializer_list<std::string_view> parts,
             age_list list) noexcept;

    /// Returns false if there is no such record.
    bool erase(record_map map, std::string_view key) noexcept;

    void clear(record_map map) noexcept;

    /// Returns the key of the least recently written record in that list, other than `except`, copied into `buffer`;
    /// empty if there is none.
    std::string_view oldest(age_list list, std::span<char> buffer, std::string_view except = {}) const noexcept;

    /// For a writer.
    bool holds(record_map map, std::string_view key) const noexcept;

    /// Calls `visit` with each key. The records must not change during the call, except that `visit` may erase the
    /// one that it gets.
    void each(record_map map, const function_ref<void(std::string_view key)> &visit) const;

    std::size_t count(record_map map) const noexcept;
    std::size_t cells() const noexcept;
    std::size_t free_cells() const noexcept;

    /// Returns how many cells a record of these sizes takes.
    static std::size_t cells_for(std::size_t key_bytes, std::size_t value_bytes) noexcept;

  private:
    struct header;
    struct bucket;
    struct cell;
    struct head;

    bucket &bucket_of(record_map map, std::uint32_t hash) const noexcept;
    bool copy_keys(const bucket &of, std::vector<std::string> &keys) const;
    head &head_at(cell_index index) const noexcept;
    bool is_cell(cell_index index) const noexcept;
    bool key_is(cell_index index, std::string_view key) const noexcept;
    void copy_key(cell_index index, char *to, std::size_t size) const noexcept;
    template <class Copy>
    bool walk(cell_index index, std::size_t skip, std::size_t size, Copy copy) const noexcept;
    cell_index *find(record_map map, std::string_view key, std::uint32_t hash) const noexcept;
    cell_index allocate_cells(std::size_t count) noexcept;
    void give_cells(cell_index first) noexcept;
    void unlink(cell_index index) noexcept;
    void append(cell_index index, age_list list) noexcept;
    void relink(bucket &where, cell_index &link, cell_index to) noexcept;
    void drop(record_map map, cell_index *link, std::uint32_t hash) noexcept;

    unsigned char *base_;
    header *header_;
};

} // namespace rollout
