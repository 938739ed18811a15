// A record_store's memory as a whole: laid out when it is fresh, made whole again after a writer's death.
#include "module/tables/record_layout.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

namespace rollout {

void record_store::format(void *memory, std::size_t bytes) noexcept
{
    static_assert(sizeof(cell) == cell_bytes && sizeof(head) == cell_bytes);
    // One bucket for so many cells: a task of a few hundred bytes takes about nine, a route five.
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

    // Neighbours follow each other in the free list, so that a record's cells mostly lie side by side.
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
        auto &place = header_->maps[map];
        place.count = 0;
        for (std::uint32_t i = 0; i <= place.mask; ++i) {
            bucket &where = bucket_of(static_cast<record_map>(map), i);
            // A reader that came upon the dead writer's odd number must not take the even one for its own.
            store(where.sequence, (load(where.sequence) | 1) + 1, std::memory_order_release);

            cell_index *link = &where.first;
            while (*link != 0) {
                const cell_index index = *link;
                bool whole = is_cell(index) && mark(index) && head_at(index).key_bytes <= max_key_bytes &&
                             head_at(index).value_bytes <= max_value_bytes &&
                             static_cast<std::size_t>(head_at(index).list) < age_lists;
                if (whole) {
                    std::size_t more = cells_for(head_at(index).key_bytes, head_at(index).value_bytes) - 1;
                    cell_index at = head_at(index).next_cell;
                    for (; more != 0 && is_cell(at) && mark(at); --more) {
                        at = head_at(at).next_cell;
                    }
                    whole = more == 0 && at == 0;
                }
                if (!whole) {
                    // Cannot come from a writer cut short; rather lose the chain's end than follow it.
                    store(*link, cell_index{0}, std::memory_order_release);
                    break;
                }
                append(index, head_at(index).list);
                ++place.count;
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
