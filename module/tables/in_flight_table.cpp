#include "module/tables/in_flight_table.hpp"

#include "common/base/hash.hpp"
#include "module/tables/shared_counter.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <new>

namespace rollout {

namespace {

/// Returned by `enter` for a request that found no entry of its own.
constexpr std::uint32_t in_shared = UINT32_MAX;
constexpr std::uint32_t in_overflow = UINT32_MAX - 1;
constexpr std::uint32_t in_overflow_counter = UINT32_MAX - 2;

constexpr std::size_t overflow_counters_per_slot = 4;

using order = std::memory_order;


/// Two revisions of each rollout need one; few of the revisions in flight are watched. The smallest zones have none.
constexpr std::size_t ladders_for(std::size_t revisions) noexcept
{
    return revisions < 5 ? 0 : std::clamp<std::size_t>(revisions / 3, 2, 64);
}


/// Makes `pid` the owner if there is none, or if the owner is dead.
bool claim(std::int32_t &of, pid_t pid, const in_flight_table::alive_fn &alive) noexcept
{
    std::atomic_ref owner(of);
    std::int32_t before = owner.load();
    return (before == 0 || before == pid || !alive(before)) && owner.compare_exchange_strong(before, pid);
}

} // namespace


struct alignas(cache_line_bytes) in_flight_table::header {
    std::uint32_t processes;
    std::uint32_t revisions;
    std::uint32_t
        shared; ///< requests of processes with neither a slot nor an overflow counter; stays raised after a kill
};

struct in_flight_table::process_slot {
    std::int32_t pid;       ///< 0: free
    std::uint32_t overflow; ///< requests of this process while all its entries were in use
};

struct in_flight_table::entry {
    std::uint64_t key;
    std::uint32_t requests;
    std::uint32_t unused;
};

struct in_flight_table::ladder {
    std::uint64_t key;
    std::uint32_t requests; ///< requests that hold the ladder; 0: free
    std::uint32_t rungs[waiting_ages];
};

struct in_flight_table::overflow_counter {
    std::int32_t pid; ///< 0: free
    std::uint32_t requests;
};


std::uint64_t in_flight_key(std::string_view model_id, std::string_view part, std::uint64_t revision) noexcept
{
    constexpr std::string_view end("\0", 1);
    return fnv1a()
        .add(model_id)
        .add(end)
        .add(part)
        .add(end)
        .add({reinterpret_cast<const char *>(&revision), sizeof(revision)})
        .value();
}


/// Returns a process's bytes with its entries and ladders, in cache lines that it shares with no other.
std::size_t in_flight_table::slot_bytes(std::size_t revisions) noexcept
{
    return whole_lines(sizeof(process_slot) + revisions * sizeof(entry) + ladders_for(revisions) * sizeof(ladder));
}


std::size_t in_flight_table::bytes_for(std::size_t processes, std::size_t revisions) noexcept
{
    return sizeof(header) +
           processes * (slot_bytes(revisions) + overflow_counters_per_slot * sizeof(overflow_counter));
}


void in_flight_table::format(void *memory, std::size_t processes, std::size_t revisions) noexcept
{
    std::memset(memory, 0, bytes_for(processes, revisions));
    new (memory) header{static_cast<std::uint32_t>(processes), static_cast<std::uint32_t>(revisions), 0};
}


in_flight_table::in_flight_table(void *memory) noexcept
    : base_(static_cast<unsigned char *>(memory)), header_(static_cast<header *>(memory))
{
}


in_flight_table::process_slot &in_flight_table::process_slot_at(std::size_t index) const noexcept
{
    return *reinterpret_cast<process_slot *>(base_ + sizeof(header) + index * slot_bytes(header_->revisions));
}


/// The overflow counters follow the process slots.
in_flight_table::overflow_counter &in_flight_table::overflow_counter_at(std::size_t index) const noexcept
{
    return *(reinterpret_cast<overflow_counter *>(&process_slot_at(header_->processes)) + index);
}


in_flight_table::entry *in_flight_table::entries_of(process_slot &of) const noexcept
{
    return reinterpret_cast<entry *>(&of + 1);
}


in_flight_table::ladder *in_flight_table::ladders_of(process_slot &of) const noexcept
{
    return reinterpret_cast<ladder *>(entries_of(of) + header_->revisions);
}


std::size_t in_flight_table::processes() const noexcept
{
    return header_->processes;
}


bool in_flight_table::join(pid_t pid, const alive_fn &alive) noexcept
{
    for (std::size_t i = 0; i < header_->processes && slot_ == nullptr; ++i) {
        process_slot &slot = process_slot_at(i);
        if (claim(slot.pid, pid, alive)) {
            slot_ = &slot;
            slot.overflow = 0;
            std::memset(entries_of(slot), 0, header_->revisions * sizeof(entry));
            std::memset(ladders_of(slot), 0, ladders_for(header_->revisions) * sizeof(ladder));
        }
    }
    if (slot_ == nullptr && overflow_counter_ == nullptr) {
        claim_overflow_counter(pid, alive);
    }
    return slot_ != nullptr;
}


void in_flight_table::claim_overflow_counter(pid_t pid, const alive_fn &alive) noexcept
{
    for (std::size_t i = 0; i < header_->processes * overflow_counters_per_slot && overflow_counter_ == nullptr;
         ++i) {
        overflow_counter &counter = overflow_counter_at(i);
        if (claim(counter.pid, pid, alive)) {
            overflow_counter_ = &counter;
            std::atomic_ref(counter.requests).store(0);
        }
    }
}


void in_flight_table::leave() noexcept
{
    if (slot_ != nullptr) {
        std::atomic_ref(slot_->pid).store(0);
        slot_ = nullptr;
    }
    if (overflow_counter_ != nullptr) {
        std::atomic_ref(overflow_counter_->pid).store(0);
        overflow_counter_ = nullptr;
    }
}


std::uint32_t in_flight_table::enter(std::uint64_t key) noexcept
{
    if (slot_ == nullptr) {
        std::atomic_ref(overflow_counter_ != nullptr ? overflow_counter_->requests : header_->shared).fetch_add(1);
        return overflow_counter_ != nullptr ? in_overflow_counter : in_shared;
    }

    // Only this process writes here, others only read: an entry can be used for another key when its count is zero.
    entry *entries = entries_of(*slot_);
    const std::uint32_t size = header_->revisions;
    auto index = static_cast<std::uint32_t>(key % size);
    std::uint32_t free_index = in_overflow;
    for (std::uint32_t probes = 0; probes < size && probes < 64; ++probes) {
        const std::uint32_t requests = std::atomic_ref(entries[index].requests).load(order::relaxed);
        if (requests != 0 && entries[index].key == key) {
            std::atomic_ref(entries[index].requests).store(requests + 1);
            return index;
        }
        if (requests == 0 && free_index == in_overflow) {
            free_index = index;
        }
        index = index + 1 == size ? 0 : index + 1;
    }
    if (free_index == in_overflow) {
        std::atomic_ref(slot_->overflow).fetch_add(1);
        return in_overflow;
    }
    std::atomic_ref(entries[free_index].key).store(key);
    std::atomic_ref(entries[free_index].requests).store(1);
    return free_index;
}


void in_flight_table::exit(std::uint32_t index) noexcept
{
    if (index == in_shared) {
        std::atomic_ref(header_->shared).fetch_sub(1);
    } else if (index == in_overflow_counter ? overflow_counter_ == nullptr : slot_ == nullptr) {
        return; // the slot was released with all its counts
    } else if (index == in_overflow_counter) {
        std::atomic_ref(overflow_counter_->requests).fetch_sub(1);
    } else if (index == in_overflow) {
        std::atomic_ref(slot_->overflow).fetch_sub(1);
    } else {
        std::atomic_ref(entries_of(*slot_)[index].requests).fetch_sub(1);
    }
}


std::uint64_t in_flight_table::count(std::uint64_t key, const alive_fn &alive) const noexcept
{
    std::uint64_t requests = std::atomic_ref(header_->shared).load();
    for (std::size_t i = 0; i < header_->processes; ++i) {
        process_slot &slot = process_slot_at(i);
        const std::int32_t pid = std::atomic_ref(slot.pid).load();
        if (pid == 0) {
            continue;
        }
        std::uint64_t here = std::atomic_ref(slot.overflow).load();
        entry *entries = entries_of(slot);
        for (std::uint32_t index = 0; index < header_->revisions; ++index) {
            if (std::atomic_ref(entries[index].key).load() == key) {
                here += std::atomic_ref(entries[index].requests).load();
            }
        }
        if (here != 0 && alive(pid)) {
            requests += here;
        }
    }
    for (std::size_t i = 0; i < header_->processes * overflow_counters_per_slot; ++i) {
        overflow_counter &counter = overflow_counter_at(i);
        const std::int32_t pid = std::atomic_ref(counter.pid).load();
        const std::uint32_t here = std::atomic_ref(counter.requests).load();
        if (pid != 0 && here != 0 && alive(pid)) {
            requests += here;
        }
    }
    return requests;
}


std::uint32_t in_flight_table::get_on(std::uint64_t key) noexcept
{
    if (slot_ == nullptr) {
        return no_ladder;
    }
    ladder *ladders = ladders_of(*slot_);
    std::uint32_t free_ladder = no_ladder;
    for (std::uint32_t i = 0; i < ladders_for(header_->revisions); ++i) {
        if (ladders[i].requests != 0 && ladders[i].key == key) {
            ++ladders[i].requests;
            return i;
        }
        if (ladders[i].requests == 0 && free_ladder == no_ladder) {
            free_ladder = i;
        }
    }
    if (free_ladder != no_ladder) {
        std::atomic_ref(ladders[free_ladder].key).store(key);
        ladders[free_ladder].requests = 1;
    }
    return free_ladder;
}


void in_flight_table::move(std::uint32_t on, int from, int to) noexcept
{
    if (on == no_ladder || slot_ == nullptr || from == to) {
        return;
    }
    auto &rungs = ladders_of(*slot_)[on].rungs;
    // Incremented first: a concurrent reader sees the request twice, but never misses it.
    if (to != not_on_it) {
        std::atomic_ref(rungs[to]).fetch_add(1);
    }
    if (from != not_on_it) {
        std::atomic_ref(rungs[from]).fetch_sub(1);
    }
}


void in_flight_table::get_off(std::uint32_t on, int from) noexcept
{
    move(on, from, not_on_it);
    if (on != no_ladder && slot_ != nullptr) {
        --ladders_of(*slot_)[on].requests;
    }
}


std::array<std::uint64_t, waiting_ages> in_flight_table::waiting(std::uint64_t key,
                                                                 const alive_fn &alive) const noexcept
{
    std::array<std::uint64_t, waiting_ages> sum{};
    for (std::size_t i = 0; i < header_->processes; ++i) {
        process_slot &slot = process_slot_at(i);
        const std::int32_t pid = std::atomic_ref(slot.pid).load();
        if (pid == 0) {
            continue;
        }
        ladder *ladders = ladders_of(slot);
        for (std::uint32_t number = 0; number < ladders_for(header_->revisions); ++number) {
            if (std::atomic_ref(ladders[number].key).load() != key) {
                continue;
            }
            std::array<std::uint64_t, waiting_ages> here{};
            std::uint64_t any = 0;
            for (std::size_t age = 0; age < waiting_ages; ++age) {
                here[age] = std::atomic_ref(ladders[number].rungs[age]).load();
                any += here[age];
            }
            if (any != 0 && alive(pid)) {
                std::transform(here.begin(), here.end(), sum.begin(), sum.begin(), std::plus<>());
            }
        }
    }
    return sum;
}

} // namespace rollout
