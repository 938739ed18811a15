#include "module/tables/gate_counters.hpp"

#include "module/tables/shared_counter.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

namespace rollout {

struct alignas(cache_line_bytes) gate_counters::header {
    std::uint64_t buckets;
    std::uint64_t stripes;
    std::uint64_t claims; ///< how many times a bucket was claimed: the `since` of the next one
};

struct gate_counters::traffic_bucket {
    std::uint64_t key; ///< 0: free
    std::uint64_t since;
    std::uint32_t used_s;
};

/// What the processes of one stripe have counted for a bucket.
struct alignas(cache_line_bytes) gate_counters::traffic_counts {
    std::uint64_t requests;
    std::uint64_t failures;
    std::uint64_t client_errors;
    std::uint64_t left_out;
    std::uint64_t sum_ms;
    std::uint32_t buckets[latency_buckets];
    std::uint32_t first_byte[latency_buckets];
    std::uint32_t abandoned[latency_buckets];

    void to_zero() noexcept
    {
        for (auto *number : {&requests, &failures, &client_errors, &left_out, &sum_ms}) {
            std::atomic_ref(*number).store(0, relaxed);
        }
        for (auto *histogram : {&buckets, &first_byte, &abandoned}) {
            for (auto &bucket : *histogram) {
                std::atomic_ref(bucket).store(0, relaxed);
            }
        }
    }

    void add_to(traffic_counters &sum) const noexcept
    {
        sum.requests += peek(requests);
        sum.failures += peek(failures);
        sum.client_errors += peek(client_errors);
        sum.left_out += peek(left_out);
        sum.sum_ms += peek(sum_ms);
        for (std::size_t i = 0; i < latency_buckets; ++i) {
            sum.buckets[i] += peek(buckets[i]);
            sum.first_byte[i] += peek(first_byte[i]);
            sum.abandoned[i] += peek(abandoned[i]);
        }
    }
};


std::size_t gate_counters::bytes_for(std::size_t buckets, std::size_t stripes) noexcept
{
    return whole_lines(sizeof(header) + buckets * sizeof(traffic_bucket)) +
           buckets * stripes * sizeof(traffic_counts);
}


void gate_counters::format(void *memory, std::size_t buckets, std::size_t stripes) noexcept
{
    std::memset(memory, 0, bytes_for(buckets, stripes));
    new (memory) header{buckets, stripes, 0};
}


gate_counters::gate_counters(void *memory, std::size_t process) noexcept
    : header_(static_cast<header *>(memory)), buckets_(reinterpret_cast<traffic_bucket *>(header_ + 1)),
      counts_(reinterpret_cast<traffic_counts *>(
          static_cast<unsigned char *>(memory) +
          whole_lines(sizeof(header) + header_->buckets * sizeof(traffic_bucket)))),
      stripe_(process % header_->stripes)
{
}


gate_counters::traffic_counts &gate_counters::counts(const traffic_bucket &of, std::size_t stripe) const noexcept
{
    return counts_[static_cast<std::size_t>(&of - buckets_) * header_->stripes + stripe];
}


gate_counters::traffic_bucket *gate_counters::find(std::uint64_t key) const noexcept
{
    const std::uint64_t all = header_->buckets;
    for (std::size_t i = 0; i < std::min<std::uint64_t>(probes, all); ++i) {
        traffic_bucket &candidate = buckets_[(key + i) % all];
        if (std::atomic_ref(candidate.key).load(std::memory_order_acquire) == key) {
            return &candidate;
        }
    }
    return nullptr;
}


gate_counters::traffic_bucket *gate_counters::claim(std::uint64_t key, std::uint32_t now_s) noexcept
{
    const std::uint64_t all = header_->buckets;
    traffic_bucket *oldest = nullptr;
    for (std::size_t i = 0; i < std::min<std::uint64_t>(probes, all); ++i) {
        traffic_bucket &candidate = buckets_[(key + i) % all];
        if (peek(candidate.key) == 0) {
            oldest = &candidate;
            break;
        }
        if (oldest == nullptr || peek(candidate.used_s) < peek(oldest->used_s)) {
            oldest = &candidate;
        }
    }
    std::uint64_t before = peek(oldest->key);
    // All ones: the bucket is being claimed, and belongs to nobody. If the claiming process is killed, the bucket
    // ages like any other.
    if (before == ~std::uint64_t{0} && peek(oldest->used_s) == now_s) {
        return nullptr;
    }
    if (!std::atomic_ref(oldest->key).compare_exchange_strong(before, ~std::uint64_t{0})) {
        return nullptr; // another process was faster: this request is not counted
    }
    std::atomic_ref(oldest->used_s).store(now_s, relaxed);
    for (std::size_t stripe = 0; stripe < header_->stripes; ++stripe) {
        counts(*oldest, stripe).to_zero();
    }
    std::atomic_ref(oldest->since).store(std::atomic_ref(header_->claims).fetch_add(1) + 1, relaxed);
    std::atomic_ref(oldest->key).store(key, std::memory_order_release);
    return oldest;
}


/// Returns null if other processes are faster again and again; the request is then not counted.
gate_counters::traffic_bucket *gate_counters::find_or_claim(std::uint64_t key, std::uint32_t now_s) noexcept
{
    traffic_bucket *bucket = find(key);
    for (int attempt = 0; bucket == nullptr && attempt < 4; ++attempt) {
        bucket = claim(key, now_s);
        if (bucket == nullptr) {
            bucket = find(key);
        }
    }
    if (bucket != nullptr) {
        set_if_other(bucket->used_s, now_s);
    }
    return bucket;
}


/// Returns this process's counts of the revision; null if the request is not counted.
gate_counters::traffic_counts *gate_counters::own_counts(std::uint64_t key, std::uint32_t now_s) noexcept
{
    const traffic_bucket *bucket = find_or_claim(key, now_s);
    return bucket == nullptr ? nullptr : &counts(*bucket, stripe_);
}


void gate_counters::count(std::uint64_t key, result kind, std::uint64_t latency_ms,
                          std::optional<std::uint64_t> first_byte_ms, std::uint32_t now_s) noexcept
{
    traffic_counts *counts = own_counts(key, now_s);
    if (counts == nullptr) {
        return;
    }
    if (first_byte_ms) {
        add(counts->first_byte[latency_bucket(*first_byte_ms)], std::uint32_t{1});
    }
    add(counts->buckets[latency_bucket(latency_ms)], std::uint32_t{1});
    add(counts->sum_ms, latency_ms);
    if (kind == result::failure) {
        add(counts->failures, std::uint64_t{1});
    } else if (kind == result::client_error) {
        add(counts->client_errors, std::uint64_t{1});
    }
    add(counts->requests, std::uint64_t{1});
}


void gate_counters::count_abandoned(std::uint64_t key, std::uint64_t waited_ms, std::uint32_t now_s) noexcept
{
    if (traffic_counts *counts = own_counts(key, now_s)) {
        add(counts->abandoned[latency_bucket(waited_ms)], std::uint32_t{1});
    }
}


void gate_counters::count_left_out(std::uint64_t key, std::uint32_t now_s) noexcept
{
    if (traffic_counts *counts = own_counts(key, now_s)) {
        add(counts->left_out, std::uint64_t{1});
    }
}


traffic_counters gate_counters::read(std::uint64_t key) const noexcept
{
    traffic_counters to;
    const traffic_bucket *bucket = find(key);
    if (bucket == nullptr) {
        return to;
    }
    to.since = peek(bucket->since);
    for (std::size_t stripe = 0; stripe < header_->stripes; ++stripe) {
        counts(*bucket, stripe).add_to(to);
    }
    return to;
}

} // namespace rollout
