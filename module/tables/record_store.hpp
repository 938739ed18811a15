// Keyed records in shared memory: read without a lock, written by one process at a time, whole after any crash.
//
// The memory is cut into cells of 64 bytes. A record is a chain of cells, its first one (the head) hangs in a bucket of
// one of a few hash maps. A record never changes once it can be seen: a new version is written into free cells and
// linked in with a single store. A reader notes its bucket's sequence number (odd while a writer is at that bucket),
// copies, and looks again: when the number changed, what it copied may be torn, and it starts over.
//
// A writer that is killed leaves the `writing` flag behind. The next writer calls `repair`, which keeps every record
// that a bucket leads to, and makes the free list and the lists of ages anew from that.
//
// Offsets only, no pointers: the processes may map the memory where they like. No nginx here: a plain block of memory
// will do, so that all of this can be tested by itself.
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

/// A record may stand in one list, in the order of its last writing.
enum class age_list : std::uint8_t { none, final_tasks, active_tasks };
inline constexpr std::size_t age_lists = 3;

class record_store {
  public:
    using cell_index = std::uint32_t; ///< 0 is none

    static constexpr std::size_t bytes_per_cell = 64;

    /// The least memory that `format` takes.
    static constexpr std::size_t min_bytes = 96 * 1024;

    /// A record's value at most: a task document with what the table keeps beside it.
    static constexpr std::size_t max_value_bytes = 80 * 1024;

    /// Lays an empty store into the memory, which must be aligned to 64 bytes and stay for as long as the store.
    static void format(void *memory, std::size_t bytes) noexcept;

    /// A view of a formatted store; cheap to make and to copy, one for each process.
    explicit record_store(void *memory) noexcept;

    // Reading: any process, any time, no lock.

    enum class found {
        yes,
        no,
        busy,  ///< a killed writer is in the way
        failed ///< it is there, and cannot be had
    };

    /// Where to copy a value of that many bytes; null gives up (`failed`). May be asked again when a writer was met.
    using allocate_fn = function_ref<unsigned char *(std::size_t size)>;

    /// Copies a record's value. `busy`: a writer stayed at the bucket for longer than a write takes, as a killed one
    /// does; the caller takes the writers' lock, repairs and reads again.
    found read(record_map map, std::string_view key, const allocate_fn &allocate) const;

    /// Calls `visit` with a copy of each record that is there all the while, as it was or as it is now. `busy`, as above, ends it:
    /// then not all have been visited. Throws std::bad_alloc, and whatever `visit` does.
    found read_each(record_map map,
                    const function_ref<void(std::string_view key, std::string_view value)> &visit) const;

    // Writing: one process at a time, with a lock of the caller's around `begin_write` … `end_write`.

    /// False when the writer before did not come to its end: call `repair` before anything else.
    [[nodiscard]] bool begin_write() noexcept;
    void end_write() noexcept;

    /// Keeps what can be reached, frees the rest. Takes no memory, as all that follows a killed writer.
    void repair() noexcept;

    /// Writes a record, whose value is the parts one after the other, new or in place of the one with that key. False
    /// when there are too few free cells: then nothing changed.
    bool put(record_map map, std::string_view key, std::initializer_list<std::string_view> parts,
             age_list list) noexcept;

    /// False when there is no such record.
    bool erase(record_map map, std::string_view key) noexcept;

    void clear(record_map map) noexcept;

    /// The key of the record in that list whose last writing is longest ago, leaving out `except`, copied into `buffer`;
    /// empty when none.
    std::string_view oldest(age_list list, std::span<char> buffer, std::string_view except = {}) const noexcept;

    /// By a writer.
    bool holds(record_map map, std::string_view key) const noexcept;

    /// Calls `visit` with each key. The records must not be changed meanwhile, except that the one visited may be
    /// erased.
    void each(record_map map, const function_ref<void(std::string_view key)> &visit) const;

    std::size_t count(record_map map) const noexcept;
    std::size_t cells() const noexcept;
    std::size_t free_cells() const noexcept;

    /// How many cells a record of these sizes takes.
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
