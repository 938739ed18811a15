#include "module/tables/route_metrics.hpp"

#include "common/base/hash.hpp"
#include "common/domain/limits.hpp"
#include "module/tables/shared_counter.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <utility>

namespace rollout {

namespace {

/// The last minute is made of this many buckets, the last of which has only begun.
constexpr std::uint32_t seconds_a_bucket = 10;
constexpr std::uint32_t minute_buckets = 6;

} // namespace


std::string_view slot_name(slot which) noexcept
{
    return which == slot::blue ? "blue" : "green";
}


struct alignas(cache_line_bytes) route_metrics::header {
    std::uint64_t entries;
    std::uint64_t stripes;
};

struct route_metrics::entry {
    std::uint32_t generation; ///< odd: taken by a route; even: free
    std::uint8_t model_id_bytes;
    std::uint8_t part_bytes;
    std::uint16_t unused;
    char name[2 * limits::model_id_bytes]; ///< the model's id, then the part's

    bool is(std::string_view model_id, std::string_view part) const noexcept
    {
        return generation % 2 != 0 && model_id == std::string_view(name, model_id_bytes) &&
               part == std::string_view(name + model_id_bytes, part_bytes);
    }

    void set_generation(std::uint32_t to) noexcept
    {
        std::atomic_ref(generation).store(to, std::memory_order_release);
    }
};

/// What the processes of one stripe have counted for an entry.
struct alignas(cache_line_bytes) route_metrics::entry_counts {
    slot_reading slots[2];
    std::uint64_t minute[minute_buckets + 1]; ///< which ten seconds, counted from 1, above their inferences
};


route_metrics::entry_counts &route_metrics::counts(std::size_t index, std::size_t stripe) const noexcept
{
    return counts_[index * header_->stripes + stripe];
}


void route_metrics::to_zero(std::size_t index) noexcept
{
    auto *number = reinterpret_cast<std::uint64_t *>(&counts(index, 0));
    for (const auto *end = reinterpret_cast<std::uint64_t *>(&counts(index + 1, 0)); number != end; ++number) {
        std::atomic_ref(*number).store(0, relaxed);
    }
}


bool route_metrics::slot_reading::any() const noexcept
{
    return std::any_of(by_class.begin(), by_class.end(), [](std::uint64_t n) { return n != 0; });
}


void route_metrics::slot_reading::add_from(const slot_reading &shared) noexcept
{
    const auto sum = [](std::uint64_t known, const std::uint64_t &more) { return known + peek(more); };
    std::transform(by_class.begin(), by_class.end(), shared.by_class.begin(), by_class.begin(), sum);
    std::transform(buckets.begin(), buckets.end(), shared.buckets.begin(), buckets.begin(), sum);
    sum_ms += peek(shared.sum_ms);
}


std::size_t route_metrics::bytes_for(std::size_t entries, std::size_t stripes) noexcept
{
    return whole_lines(sizeof(header) + entries * sizeof(entry)) + entries * stripes * sizeof(entry_counts);
}


void route_metrics::format(void *memory, std::size_t entries, std::size_t stripes) noexcept
{
    std::memset(memory, 0, bytes_for(entries, stripes));
    new (memory) header{entries, stripes};
}


route_metrics::route_metrics(void *memory, std::size_t process) noexcept
    : header_(static_cast<header *>(memory)), entries_(reinterpret_cast<entry *>(header_ + 1)),
      counts_(reinterpret_cast<entry_counts *>(static_cast<unsigned char *>(memory) +
                                               whole_lines(sizeof(header) + header_->entries * sizeof(entry)))),
      stripe_(process % header_->stripes)
{
}


/// Visits the entries where the route may be, until `visit` accepts one.
template <class Visit>
route_metrics::entry *route_metrics::probe(std::string_view model_id, std::string_view part,
                                           Visit visit) const noexcept
{
    const std::uint64_t hash = fnv1a().add(model_id).add("/").add(part).value();
    const std::uint64_t own = header_->entries - 1;
    for (std::size_t i = 0; i < std::min<std::uint64_t>(probes, own); ++i) {
        entry &candidate = entries_[1 + (hash + i) % own];
        if (visit(candidate)) {
            return &candidate;
        }
    }
    return nullptr;
}


route_metrics_entry route_metrics::take(std::string_view model_id, std::string_view part) noexcept
{
    if (model_id.size() > limits::model_id_bytes || part.size() > limits::model_id_bytes) {
        return {};
    }
    entry *found = probe(model_id, part, [&](const entry &candidate) { return candidate.is(model_id, part); });
    if (found == nullptr) {
        found = probe(model_id, part, [](const entry &candidate) { return candidate.generation % 2 == 0; });
        if (found == nullptr) {
            return {};
        }
        to_zero(static_cast<std::size_t>(found - entries_));
        found->model_id_bytes = static_cast<std::uint8_t>(model_id.copy(found->name, model_id.size()));
        found->part_bytes = static_cast<std::uint8_t>(part.copy(found->name + model_id.size(), part.size()));
        found->set_generation(found->generation + 1);
    }
    return {static_cast<std::uint32_t>(found - entries_), found->generation};
}


void route_metrics::release(std::string_view model_id, std::string_view part) noexcept
{
    if (entry *found = probe(model_id, part, [&](const entry &candidate) { return candidate.is(model_id, part); })) {
        found->set_generation(found->generation + 1);
    }
}


void route_metrics::retain(const function_ref<bool(std::string_view, std::string_view)> &keep)
{
    for (std::size_t i = 1; i < header_->entries; ++i) {
        entry &candidate = entries_[i];
        if (candidate.generation % 2 != 0 &&
            !keep({candidate.name, candidate.model_id_bytes},
                  {candidate.name + candidate.model_id_bytes, candidate.part_bytes})) {
            candidate.set_generation(candidate.generation + 1);
        }
    }
}


bool route_metrics::is_of(route_metrics_entry where) const noexcept
{
    return where.index < header_->entries &&
           std::atomic_ref(entries_[where.index].generation).load(std::memory_order_acquire) == where.generation;
}


void route_metrics::count(route_metrics_entry where, slot which, unsigned status, std::uint64_t latency_ms) noexcept
{
    auto &to = counts(is_of(where) ? where.index : 0, stripe_).slots[static_cast<std::size_t>(which)];
    add(to.by_class[std::clamp(status / 100, 1u, 5u) - 1], 1);
    add(to.sum_ms, latency_ms);
    const auto bound = std::lower_bound(meter_bounds_ms.begin(), meter_bounds_ms.end(), latency_ms);
    add(to.buckets[static_cast<std::size_t>(bound - meter_bounds_ms.begin())], 1);
}


void route_metrics::count_inference(route_metrics_entry where, std::uint32_t now_s) noexcept
{
    if (where.index == 0 || !is_of(where)) {
        return;
    }
    const std::uint32_t now = now_s / seconds_a_bucket;
    std::atomic_ref bucket(counts(where.index, stripe_).minute[now % (minute_buckets + 1)]);
    const std::uint64_t mark = (std::uint64_t{now} + 1) << 32;
    std::uint64_t before = bucket.load(relaxed);
    while (!bucket.compare_exchange_weak(before, before >> 32 == mark >> 32 ? before + 1 : mark + 1, relaxed)) {
    }
}


std::optional<std::uint64_t> route_metrics::last_minute(std::string_view model_id, std::string_view part,
                                                        std::uint32_t now_s) const noexcept
{
    std::uint32_t generation = 0;
    entry *found = probe(model_id, part, [&](const entry &candidate) {
        generation =
            std::atomic_ref(const_cast<std::uint32_t &>(candidate.generation)).load(std::memory_order_acquire);
        return candidate.is(model_id, part);
    });
    if (found == nullptr) {
        return std::nullopt;
    }
    const std::uint64_t now = std::uint64_t{now_s / seconds_a_bucket} + 1;
    std::uint64_t sum = 0;
    for (std::size_t stripe = 0; stripe < header_->stripes; ++stripe) {
        for (const auto &bucket : counts(static_cast<std::size_t>(found - entries_), stripe).minute) {
            const std::uint64_t counted = peek(bucket);
            if (counted >> 32 <= now && (counted >> 32) + minute_buckets > now) {
                sum += counted & UINT32_MAX;
            }
        }
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (std::atomic_ref(found->generation).load(relaxed) != generation) {
        return std::nullopt; // it belongs to another route by now
    }
    return sum;
}


std::size_t route_metrics::entries() const noexcept
{
    return header_->entries;
}


std::vector<route_metrics::reading> route_metrics::read(std::size_t first, std::size_t count) const
{
    std::vector<reading> all;
    const std::size_t end = std::min<std::size_t>(header_->entries, first + count);
    for (std::size_t i = first; i < end; ++i) {
        entry &candidate = entries_[i];
        const auto generation = std::atomic_ref(candidate.generation).load(std::memory_order_acquire);
        if (i != 0 && generation % 2 == 0) {
            continue;
        }
        const std::size_t model_id_bytes = std::min<std::size_t>(candidate.model_id_bytes, limits::model_id_bytes);
        const std::size_t part_bytes = std::min<std::size_t>(candidate.part_bytes, limits::model_id_bytes);
        reading now{std::string(candidate.name, model_id_bytes),
                    std::string(candidate.name + model_id_bytes, part_bytes),
                    {}};
        for (std::size_t stripe = 0; stripe < header_->stripes; ++stripe) {
            for (std::size_t which = 0; which < now.slots.size(); ++which) {
                now.slots[which].add_from(counts(i, stripe).slots[which]);
            }
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        if (std::atomic_ref(candidate.generation).load(relaxed) == generation) {
            all.push_back(std::move(now)); // otherwise it belongs to another route by now
        }
    }
    return all;
}

} // namespace rollout
