#include "module/tables/event_ring.hpp"

#include <atomic>
#include <new>
#include <type_traits>

namespace rollout {

struct event_ring::header {
    std::uint64_t head;
    std::uint64_t entries;
};

static_assert(std::is_trivially_copyable_v<change>);


change::change(change_kind of, task_kind its_task, std::string_view model_id, std::string_view name) noexcept
    : kind(of), of_task(its_task)
{
    model_id_bytes_ = static_cast<std::uint8_t>(model_id.copy(text_.data(), limits::model_id_bytes));
    name_bytes_ = static_cast<std::uint8_t>(name.copy(text_.data() + model_id_bytes_, limits::model_id_bytes));
}


std::size_t event_ring::bytes_for(std::size_t entries) noexcept
{
    return sizeof(header) + entries * sizeof(change);
}


void event_ring::format(void *memory, std::size_t entries) noexcept
{
    auto *to = new (memory) header{0, entries};
    for (std::size_t i = 0; i < entries; ++i) {
        new (reinterpret_cast<change *>(to + 1) + i) change;
    }
}


event_ring::event_ring(void *memory) noexcept
    : header_(static_cast<header *>(memory)), entries_(reinterpret_cast<change *>(header_ + 1))
{
}


void event_ring::add_task(task_kind kind, std::string_view model_id, std::string_view task_id) noexcept
{
    add({change_kind::task, kind, model_id, task_id});
}


void event_ring::add_route(std::string_view model_id, std::string_view part) noexcept
{
    add({change_kind::route, task_kind::deploy, model_id, part});
}


void event_ring::add_all() noexcept
{
    add({change_kind::all, task_kind::deploy, {}, {}});
}


/// The entry has no number while it is written, so that a reader of the event that it replaces finds out.
void event_ring::add(change event) noexcept
{
    const std::uint64_t sequence = header_->head + 1;
    change &entry = entries_[sequence % header_->entries];
    std::atomic_ref number(entry.sequence);
    number.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    event.sequence = 0;
    entry = event;
    number.store(sequence, std::memory_order_release);
    std::atomic_ref(header_->head).store(sequence, std::memory_order_release);
}


std::uint64_t event_ring::head() const noexcept
{
    return std::atomic_ref(header_->head).load(std::memory_order_acquire);
}


std::size_t event_ring::entries() const noexcept
{
    return header_->entries;
}


bool event_ring::read(std::uint64_t sequence, change &to) const noexcept
{
    const std::uint64_t latest = head();
    if (sequence == 0 || sequence > latest || latest - sequence >= header_->entries) {
        return false;
    }
    change &entry = entries_[sequence % header_->entries];
    std::atomic_ref number(entry.sequence);
    if (number.load(std::memory_order_acquire) != sequence) {
        return false;
    }
    to = entry;
    std::atomic_thread_fence(std::memory_order_acquire);
    to.sequence = sequence;
    return number.load(std::memory_order_relaxed) == sequence;
}

} // namespace rollout
