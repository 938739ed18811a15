#include "module/tables/record_layout.hpp"

#include "common/base/hash.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <new>

#include <sched.h>

namespace rollout {

namespace {

/// After this many conflicts with writers, a reader falls back to the lock. A write keeps its bucket for a
/// microsecond.
constexpr unsigned read_attempts = 200;

/// How many steps a reader follows a bucket's chain before it checks that the chain is still valid.
constexpr unsigned steps_between_checks = 64;


/// FNV-1a with a finalizer that spreads the high bits downwards. Keys are chosen by clients that may post anyway; the
/// worst that a flood of colliding keys can cause is a longer chain.
std::uint32_t hash_of(std::string_view key) noexcept
{
    std::uint64_t hash = fnv1a().add(key).value();
    hash ^= hash >> 32;
    hash *= 0x9e3779b97f4a7c15ULL;
    return static_cast<std::uint32_t>(hash >> 32);
}

} // namespace


record_store::record_store(void *memory) noexcept
    : base_(static_cast<unsigned char *>(memory)), header_(static_cast<header *>(memory))
{
}


record_store::bucket &record_store::bucket_of(record_map map, std::uint32_t hash) const noexcept
{
    const auto &region = header_->maps[static_cast<std::size_t>(map)];
    return reinterpret_cast<bucket *>(base_ + region.offset)[hash & region.mask];
}


record_store::head &record_store::head_at(cell_index index) const noexcept
{
    return *reinterpret_cast<head *>(base_ + header_->cells_offset + std::size_t{index} * cell_bytes);
}


bool record_store::is_cell(cell_index index) const noexcept
{
    return index != 0 && index < header_->cell_count;
}


/// Passes the record's bytes from `skip` on to `copy(bytes, size)`, piece by piece. Returns false if the chain of
/// cells ends early, which a reader may see when a writer interferes.
template <class Copy>
bool record_store::walk(cell_index index, std::size_t skip, std::size_t size, Copy copy) const noexcept
{
    const unsigned char *bytes = head_at(index).bytes;
    std::size_t here = sizeof(head::bytes);
    cell_index next = load(head_at(index).next_cell);

    for (;;) {
        if (skip < here) {
            const std::size_t part = std::min(size, here - skip);
            if (!copy(bytes + skip, part)) {
                return false;
            }
            size -= part;
            skip = 0;
        } else {
            skip -= here;
        }
        if (size == 0) {
            return true;
        }
        if (!is_cell(next)) {
            return false;
        }
        const auto &following = reinterpret_cast<const cell &>(head_at(next));
        bytes = following.bytes;
        here = sizeof(cell::bytes);
        next = load(following.next);
    }
}


bool record_store::key_is(cell_index index, std::string_view key) const noexcept
{
    if (load(head_at(index).key_bytes) != key.size()) {
        return false;
    }
    return walk(index, 0, key.size(), [&key](const unsigned char *bytes, std::size_t size) {
        const bool same = key.starts_with(std::string_view(reinterpret_cast<const char *>(bytes), size));
        key.remove_prefix(size);
        return same;
    });
}


void record_store::copy_key(cell_index index, char *to, std::size_t size) const noexcept
{
    walk(index, 0, size, [&to](const unsigned char *bytes, std::size_t part) {
        std::memcpy(to, bytes, part);
        to += part;
        return true;
    });
}


/// A record's cells are mostly adjacent. Requested together, they arrive from a large memory in the time of one.
inline void prefetch_behind(const void *record) noexcept
{
    for (std::size_t i = 1; i < 9; ++i) {
        __builtin_prefetch(static_cast<const unsigned char *>(record) + i * cell_bytes);
    }
}


record_store::expected_key record_store::expect(record_map map, std::string_view key) const noexcept
{
    const std::uint32_t hash = hash_of(key);
    __builtin_prefetch(&bucket_of(map, hash), 1);
    return {map, hash};
}


void record_store::expect_record(expected_key of) const noexcept
{
    if (const cell_index first = load(bucket_of(of.map, of.hash).first); is_cell(first)) {
        const head &record = head_at(first);
        __builtin_prefetch(&record, 1);
        prefetch_behind(&record);
    }
}


record_store::found record_store::read(record_map map, std::string_view key, const allocate_fn &allocate) const
{
    const std::uint32_t hash = hash_of(key);
    const bucket &own = bucket_of(map, hash);

    for (unsigned attempt = 0; attempt < read_attempts; ++attempt) {
        const std::uint32_t sequence = load(own.sequence, std::memory_order_acquire);
        if (sequence & 1) {
            sched_yield();
            continue;
        }
        const auto unchanged = [&own, sequence] {
            std::atomic_thread_fence(std::memory_order_acquire);
            return load(own.sequence) == sequence;
        };

        cell_index index = load(own.first, std::memory_order_acquire);
        bool torn = false;
        for (unsigned steps = 1; is_cell(index); ++steps) {
            const head &record = head_at(index);
            prefetch_behind(&record);
            if (load(record.hash) == hash && load(record.map) == map && key_is(index, key)) {
                break;
            }
            if (steps % steps_between_checks == 0 && !unchanged()) {
                torn = true;
                break;
            }
            index = load(record.chain, std::memory_order_acquire);
        }
        if (torn || !unchanged()) {
            continue;
        }
        if (!is_cell(index)) {
            return found::no;
        }

        const std::size_t size = load(head_at(index).value_bytes);
        if (!unchanged() || size > max_value_bytes) {
            continue;
        }
        unsigned char *to = allocate(size);
        if (to == nullptr) {
            return found::failed;
        }
        const bool whole = walk(index, key.size(), size, [&to](const unsigned char *bytes, std::size_t part) {
            std::memcpy(to, bytes, part);
            to += part;
            return true;
        });
        if (whole && unchanged()) {
            return found::yes;
        }
    }
    return found::busy;
}


/// Copies the keys of a bucket. Returns false if a writer stays at it for longer than a write takes.
bool record_store::copy_keys(const bucket &of, std::vector<std::string> &keys) const
{
    for (unsigned attempt = 0; attempt < read_attempts; ++attempt) {
        const std::uint32_t sequence = load(of.sequence, std::memory_order_acquire);
        if (sequence & 1) {
            sched_yield();
            continue;
        }
        const auto unchanged = [&of, sequence] {
            std::atomic_thread_fence(std::memory_order_acquire);
            return load(of.sequence) == sequence;
        };

        keys.clear();
        bool torn = false;
        cell_index index = load(of.first, std::memory_order_acquire);
        for (unsigned steps = 1; is_cell(index) && !torn; ++steps) {
            const head &record = head_at(index);
            const std::size_t size = load(record.key_bytes);
            std::string key(std::min(size, max_key_bytes), '\0');
            char *to = key.data();
            torn = size > max_key_bytes || !walk(index, 0, size, [&to](const unsigned char *bytes, std::size_t part) {
                       std::memcpy(to, bytes, part);
                       to += part;
                       return true;
                   });
            keys.push_back(std::move(key));
            torn = torn || (steps % steps_between_checks == 0 && !unchanged());
            index = load(record.chain, std::memory_order_acquire);
        }
        if (!torn && unchanged()) {
            return true;
        }
    }
    return false;
}


record_store::found record_store::read_each(record_map map,
                                            const function_ref<void(std::string_view, std::string_view)> &visit) const
{
    std::vector<std::string> keys;
    std::string value;
    const auto &region = header_->maps[static_cast<std::size_t>(map)];
    for (std::uint32_t i = 0; i <= region.mask; ++i) {
        if (!copy_keys(bucket_of(map, i), keys)) {
            return found::busy;
        }
        for (const auto &key : keys) {
            const auto there = read(map, key, [&value](std::size_t size) {
                value.resize(size);
                return reinterpret_cast<unsigned char *>(value.data());
            });
            if (there == found::busy) {
                return found::busy;
            }
            if (there == found::yes) { // otherwise it has been erased since
                visit(key, value);
            }
        }
    }
    return found::yes;
}


bool record_store::begin_write() noexcept
{
    const bool ended = header_->writing == 0;
    store(header_->writing, std::uint32_t{1}, std::memory_order_seq_cst);
    return ended;
}


void record_store::end_write() noexcept
{
    store(header_->writing, std::uint32_t{0}, std::memory_order_seq_cst);
}


record_store::cell_index record_store::allocate_cells(std::size_t count) noexcept
{
    if (header_->free_count < count) {
        return 0;
    }
    const cell_index first = header_->free_first;
    cell_index last = first;
    for (std::size_t i = 1; i < count; ++i) {
        last = head_at(last).next_cell;
    }
    header_->free_first = head_at(last).next_cell;
    header_->free_count -= static_cast<std::uint32_t>(count);
    store(head_at(last).next_cell, cell_index{0});
    return first;
}


void record_store::give_cells(cell_index first) noexcept
{
    std::uint32_t count = 1;
    cell_index last = first;
    while (head_at(last).next_cell != 0) {
        last = head_at(last).next_cell;
        ++count;
    }
    store(head_at(last).next_cell, header_->free_first);
    header_->free_first = first;
    header_->free_count += count;
}


/// Returns the link (a bucket's `first` or a record's `chain`) that leads to the record, or the one at the end of the
/// chain.
record_store::cell_index *record_store::find(record_map map, std::string_view key, std::uint32_t hash) const noexcept
{
    cell_index *link = &bucket_of(map, hash).first;
    while (*link != 0 && !(head_at(*link).hash == hash && key_is(*link, key))) {
        link = &head_at(*link).chain;
    }
    return link;
}


void record_store::unlink(cell_index index) noexcept
{
    head &record = head_at(index);
    if (record.list == age_list::none) {
        return;
    }
    auto &ends = header_->lists[static_cast<std::size_t>(record.list)];
    (record.older != 0 ? head_at(record.older).newer : ends.oldest) = record.newer;
    (record.newer != 0 ? head_at(record.newer).older : ends.newest) = record.older;
}


void record_store::append(cell_index index, age_list list) noexcept
{
    head &record = head_at(index);
    record.list = list;
    record.older = record.newer = 0;
    if (list == age_list::none) {
        return;
    }
    auto &ends = header_->lists[static_cast<std::size_t>(list)];
    record.older = ends.newest;
    (ends.newest != 0 ? head_at(ends.newest).newer : ends.oldest) = index;
    ends.newest = index;
}


/// Makes a change visible to readers, at this single moment. What was linked before may then be overwritten, by this
/// writer or a later one: the fence keeps those writes behind the odd number, so that a reader of torn bytes sees
/// that number too.
void record_store::relink(bucket &where, cell_index &link, cell_index to) noexcept
{
    std::atomic_ref sequence(where.sequence);
    sequence.fetch_add(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    store(link, to, std::memory_order_release);
    sequence.fetch_add(1, std::memory_order_release);
}


bool record_store::put(record_map map, std::string_view key, std::initializer_list<std::string_view> parts,
                       age_list list) noexcept
{
    std::size_t value_bytes = 0;
    for (const auto part : parts) {
        value_bytes += part.size();
    }
    if (key.size() > max_key_bytes || value_bytes > max_value_bytes) {
        return false;
    }
    const cell_index index = allocate_cells(cells_for(key.size(), value_bytes));
    if (index == 0) {
        return false;
    }

    head &record = head_at(index);
    record.hash = hash_of(key);
    record.value_bytes = static_cast<std::uint32_t>(value_bytes);
    record.key_bytes = static_cast<std::uint16_t>(key.size());
    record.map = map;
    record.list = list; // before it is visible: `repair` puts the record into this list

    cell_index filled = index;
    unsigned char *to = record.bytes;
    std::size_t room = sizeof(head::bytes);
    const auto write = [&](std::string_view bytes) {
        while (!bytes.empty()) {
            if (room == 0) {
                filled = head_at(filled).next_cell;
                to = reinterpret_cast<cell &>(head_at(filled)).bytes;
                room = sizeof(cell::bytes);
            }
            const std::size_t part = std::min(room, bytes.size());
            std::memcpy(to, bytes.data(), part);
            to += part;
            room -= part;
            bytes.remove_prefix(part);
        }
    };
    write(key);
    for (const auto part : parts) {
        write(part);
    }

    bucket &where = bucket_of(map, record.hash);
    cell_index *link = find(map, key, record.hash);
    const cell_index before = *link;
    record.chain = before != 0 ? head_at(before).chain : 0;

    relink(where, *link, index);

    append(index, list);
    if (before != 0) {
        unlink(before);
        give_cells(before);
    } else {
        ++header_->maps[static_cast<std::size_t>(map)].count;
    }
    return true;
}


void record_store::drop(record_map map, cell_index *link, std::uint32_t hash) noexcept
{
    bucket &where = bucket_of(map, hash);
    const cell_index index = *link;

    relink(where, *link, head_at(index).chain);

    unlink(index);
    give_cells(index);
    --header_->maps[static_cast<std::size_t>(map)].count;
}


bool record_store::erase(record_map map, std::string_view key) noexcept
{
    const std::uint32_t hash = hash_of(key);
    cell_index *link = find(map, key, hash);
    if (*link == 0) {
        return false;
    }
    drop(map, link, hash);
    return true;
}


bool record_store::holds(record_map map, std::string_view key) const noexcept
{
    return *find(map, key, hash_of(key)) != 0;
}


void record_store::clear(record_map map) noexcept
{
    const auto &region = header_->maps[static_cast<std::size_t>(map)];
    for (std::uint32_t i = 0; i <= region.mask; ++i) {
        while (bucket_of(map, i).first != 0) {
            drop(map, &bucket_of(map, i).first, i);
        }
    }
}


std::string_view record_store::oldest(age_list list, std::span<char> buffer, std::string_view except) const noexcept
{
    cell_index index = header_->lists[static_cast<std::size_t>(list)].oldest;
    if (index != 0 && key_is(index, except)) {
        index = head_at(index).newer;
    }
    if (index == 0 || head_at(index).key_bytes > buffer.size()) {
        return {};
    }
    const std::size_t size = head_at(index).key_bytes;
    copy_key(index, buffer.data(), size);
    return {buffer.data(), size};
}


void record_store::each(record_map map, const function_ref<void(std::string_view)> &visit) const
{
    std::array<char, max_key_bytes> buffer;
    const auto &region = header_->maps[static_cast<std::size_t>(map)];
    for (std::uint32_t i = 0; i <= region.mask; ++i) {
        for (cell_index index = bucket_of(map, i).first; index != 0;) {
            const cell_index next = head_at(index).chain;
            const std::size_t size = head_at(index).key_bytes;
            copy_key(index, buffer.data(), size);
            visit({buffer.data(), size});
            index = next;
        }
    }
}


std::size_t record_store::count(record_map map) const noexcept
{
    return header_->maps[static_cast<std::size_t>(map)].count;
}


std::size_t record_store::cells() const noexcept
{
    return header_->cell_count - 1;
}


std::size_t record_store::free_cells() const noexcept
{
    return header_->free_count;
}


std::size_t record_store::cells_for(std::size_t key_bytes, std::size_t value_bytes) noexcept
{
    const std::size_t bytes = key_bytes + value_bytes;
    return bytes <= sizeof(head::bytes)
               ? 1
               : 1 + (bytes - sizeof(head::bytes) + sizeof(cell::bytes) - 1) / sizeof(cell::bytes);
}


// The memory as a whole: laid out when it is fresh, repaired after a writer has died.

void record_store::format(void *memory, std::size_t bytes) noexcept
{
    static_assert(sizeof(cell) == cell_bytes && sizeof(head) == cell_bytes);
    // One bucket for this many cells: a task of a few hundred bytes takes about nine cells, a route five.
    constexpr std::array<std::size_t, record_maps> cells_per_bucket = {8, 16, 64};

    auto *to = new (memory) header{};
    const std::size_t about = bytes / cell_bytes;
    std::size_t offset = (sizeof(header) + cell_bytes - 1) / cell_bytes * cell_bytes;

    for (std::size_t map = 0; map < record_maps; ++map) {
        const std::size_t buckets = std::bit_floor(std::max<std::size_t>(64, about / cells_per_bucket[map]));
        to->maps[map] = {offset, static_cast<std::uint32_t>(buckets - 1), 0};
        std::memset(static_cast<unsigned char *>(memory) + offset, 0, buckets * sizeof(bucket));
        offset += buckets * sizeof(bucket);
    }

    to->marks_offset = offset;
    offset += (about / 8 + cell_bytes) / cell_bytes * cell_bytes;
    to->cells_offset = offset;
    to->cell_count =
        static_cast<cell_index>(std::min<std::size_t>((bytes - offset) / cell_bytes, std::size_t{1} << 31));

    // Adjacent cells follow each other in the free list, so that a record's cells are mostly adjacent.
    auto *cells = reinterpret_cast<cell *>(static_cast<unsigned char *>(memory) + offset);
    for (cell_index i = 1; i < to->cell_count; ++i) {
        cells[i].next = i + 1 < to->cell_count ? i + 1 : 0;
    }
    to->free_first = to->cell_count > 1 ? 1 : 0;
    to->free_count = to->cell_count - 1;
}


void record_store::repair() noexcept
{
    unsigned char *marks = base_ + header_->marks_offset;
    std::memset(marks, 0, header_->cell_count / 8 + 1);
    const auto mark = [marks](cell_index index) {
        const auto bit = static_cast<unsigned char>(1u << (index % 8));
        const bool fresh = (marks[index / 8] & bit) == 0;
        marks[index / 8] |= bit;
        return fresh;
    };

    header_->lists = {};
    for (std::size_t map = 0; map < record_maps; ++map) {
        auto &region = header_->maps[map];
        region.count = 0;
        for (std::uint32_t i = 0; i <= region.mask; ++i) {
            bucket &where = bucket_of(static_cast<record_map>(map), i);
            // A reader that saw the dead writer's odd number must not take the new even number for its own.
            store(where.sequence, (load(where.sequence) | 1) + 1, std::memory_order_release);

            cell_index *link = &where.first;
            while (*link != 0) {
                const cell_index index = *link;
                bool whole = is_cell(index) && mark(index) && head_at(index).key_bytes <= max_key_bytes &&
                             head_at(index).value_bytes <= max_value_bytes &&
                             static_cast<std::size_t>(head_at(index).list) < age_lists;
                if (whole) {
                    std::size_t more = cells_for(head_at(index).key_bytes, head_at(index).value_bytes) - 1;
                    cell_index next = head_at(index).next_cell;
                    for (; more != 0 && is_cell(next) && mark(next); --more) {
                        next = head_at(next).next_cell;
                    }
                    whole = more == 0 && next == 0;
                }
                if (!whole) {
                    // A writer that was cut short cannot cause this. It is safer to lose the end of the chain than to
                    // follow it.
                    store(*link, cell_index{0}, std::memory_order_release);
                    break;
                }
                append(index, head_at(index).list);
                ++region.count;
                link = &head_at(index).chain;
            }
        }
    }

    header_->free_first = 0;
    header_->free_count = 0;
    for (cell_index index = header_->cell_count - 1; index != 0; --index) {
        if ((marks[index / 8] & (1u << (index % 8))) == 0) {
            store(head_at(index).next_cell, header_->free_first);
            header_->free_first = index;
            ++header_->free_count;
        }
    }
}

} // namespace rollout
