#include "module/tables/route_table.hpp"

#include "common/base/hash.hpp"
#include "common/domain/limits.hpp"
#include "module/tables/peer_list.hpp"

#include <array>
#include <cstring>
#include <string>

namespace rollout {

namespace {

/// A route's record: this, then blue's upstream, model and peers, then green's. A target without an upstream is
/// absent.
struct route_head {
    struct target {
        std::uint64_t revision;
        std::uint16_t upstream_bytes;
        std::uint16_t model_bytes;
        std::uint32_t peers_bytes;
        std::uint64_t peers_hash;

        std::size_t bytes() const noexcept { return std::size_t{upstream_bytes} + model_bytes + peers_bytes; }
    };

    target blue;
    target green;
    std::uint32_t weight;
    std::uint32_t watched;
    route_metrics_entry meter;
};

/// A model's id and a part's name, with a NUL between them, which neither may contain.
class route_key {
  public:
    route_key(std::string_view model_id, std::string_view part) noexcept
    {
        if (model_id.size() > limits::model_id_bytes || part.size() > limits::model_id_bytes) {
            return; // no such route
        }
        model_id.copy(bytes_.data(), model_id.size());
        bytes_[model_id.size()] = '\0';
        part.copy(bytes_.data() + model_id.size() + 1, part.size());
        size_ = model_id.size() + 1 + part.size();
    }

    operator std::string_view() const noexcept { return {bytes_.data(), size_}; }

  private:
    std::array<char, 2 * limits::model_id_bytes + 1> bytes_;
    std::size_t size_ = 0;
};


route_head::target head_of(const std::optional<route_target> &target, std::string_view peers) noexcept
{
    if (!target) {
        return {};
    }
    return {target->revision, static_cast<std::uint16_t>(target->upstream.size()),
            static_cast<std::uint16_t>(target->model.size()), static_cast<std::uint32_t>(peers.size()),
            peer_list::hash_of(peers)};
}


std::string peers_of(const std::optional<route_target> &target)
{
    return target ? peer_list::text_of(target->peers) : std::string();
}


/// Parses a record. Both choices point into `bytes`.
bool open_route(const unsigned char *bytes, std::size_t size, route_head &head, route_choice &blue,
                route_choice &green) noexcept
{
    if (size < sizeof(head)) {
        return false;
    }
    std::memcpy(&head, bytes, sizeof(head));
    if (size != sizeof(head) + head.blue.bytes() + head.green.bytes()) {
        return false;
    }
    const char *text = reinterpret_cast<const char *>(bytes) + sizeof(head);
    for (auto [target, choice] : {std::pair{&head.blue, &blue}, std::pair{&head.green, &green}}) {
        choice->revision = target->revision;
        choice->upstream = {text, target->upstream_bytes};
        choice->model = {text + target->upstream_bytes, target->model_bytes};
        choice->peers = {text + target->upstream_bytes + target->model_bytes, target->peers_bytes};
        choice->peers_hash = target->peers_hash;
        choice->meter = head.meter;
        text += target->bytes();
    }
    blue.which = slot::blue;
    green.which = slot::green;
    blue.watched = head.watched != 0 || !green.upstream.empty();
    green.watched = blue.watched;
    return true;
}


/// Reads a route without a lock. The choices' texts are in the memory that `allocate` gives.
record_store::found read_route(record_store &records, std::string_view key, const record_store::allocate_fn &allocate,
                               route_head &head, route_choice &blue, route_choice &green)
{
    const unsigned char *bytes = nullptr;
    std::size_t size = 0;
    const auto found = records.read(record_map::routes, key, [&](std::size_t wanted) {
        size = wanted;
        auto *to = allocate(wanted);
        bytes = to;
        return to;
    });
    if (found == record_store::found::yes && !open_route(bytes, size, head, blue, green)) {
        return record_store::found::failed;
    }
    return found;
}

/// Returns the parsed record as a route of its own.
route route_with(std::string_view model_id, std::string_view part, const route_head &head, const route_choice &blue,
                 const route_choice &green)
{
    const auto target = [](const route_choice &choice) -> std::optional<route_target> {
        if (choice.upstream.empty()) {
            return std::nullopt;
        }
        return route_target{choice.revision, std::string(choice.upstream), std::string(choice.model),
                            peer_list::peers_of(choice.peers)};
    };
    return {std::string(model_id), std::string(part), target(blue), target(green), head.weight, head.watched != 0};
}

} // namespace


unsigned routing_bucket(std::string_view key, std::string_view model_id, std::uint64_t green_revision) noexcept
{
    // The hash includes the model and the revision, so that it is not always the same few keys that get a new green
    // first.
    std::uint64_t hash =
        fnv1a(green_revision * 0x9e3779b97f4a7c15ULL).add(model_id).add(std::string_view("\0", 1)).add(key).value();
    // The finalizer of MurmurHash3: FNV alone puts neighbouring keys into neighbouring buckets.
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccdULL;
    hash ^= hash >> 33;
    hash *= 0xc4ceb9fe1a85ec53ULL;
    hash ^= hash >> 33;
    return static_cast<unsigned>(hash % routing_buckets);
}


record_store::found route_table::choose(const question &asked, const record_store::allocate_fn &allocate,
                                        route_choice &choice) const
{
    route_head head;
    route_choice blue;
    route_choice green;
    const auto found = read_route(records_, route_key(asked.model_id, asked.part), allocate, head, blue, green);
    if (found != record_store::found::yes) {
        return found;
    }
    if (green.upstream.empty()) {
        choice = blue;
    } else if (blue.upstream.empty()) {
        choice = green;
    } else if (asked.preview_green) {
        choice = green;
        choice.watched = false; // a try-out does not count as traffic
    } else {
        const unsigned bucket =
            asked.key.empty() ? asked.chance : routing_bucket(asked.key, asked.model_id, head.green.revision);
        choice = bucket < head.weight * (routing_buckets / 100) ? green : blue;
    }
    return record_store::found::yes;
}


record_store::found route_table::holds(std::string_view model_id, std::string_view part, std::uint64_t revision,
                                       const record_store::allocate_fn &allocate, bool &is_held) const
{
    route_head head;
    route_choice blue;
    route_choice green;
    const auto found = read_route(records_, route_key(model_id, part), allocate, head, blue, green);
    if (found != record_store::found::yes) {
        return found;
    }
    is_held = (!blue.upstream.empty() && blue.revision == revision) ||
              (!green.upstream.empty() && green.revision == revision);
    return found;
}


bool route_table::put(const route &of)
{
    const route_key key(of.model_id, of.part);
    if (of.removed()) {
        forget(of.model_id, of.part);
        return true;
    }
    const std::string blue_peers = peers_of(of.blue);
    const std::string green_peers = peers_of(of.green);
    const auto meter = meters_ != nullptr ? meters_->take(of.model_id, of.part) : route_metrics_entry{};
    const route_head head = {head_of(of.blue, blue_peers), head_of(of.green, green_peers), of.weight,
                             of.watched ? 1u : 0u, meter};
    const auto text = [](const std::optional<route_target> &target, auto member) {
        return target ? std::string_view((*target).*member) : std::string_view();
    };
    const std::initializer_list<std::string_view> record = {{reinterpret_cast<const char *>(&head), sizeof(head)},
                                                            text(of.blue, &route_target::upstream),
                                                            text(of.blue, &route_target::model),
                                                            blue_peers,
                                                            text(of.green, &route_target::upstream),
                                                            text(of.green, &route_target::model),
                                                            green_peers};
    if (is_in_force(key, record)) {
        return true;
    }
    const bool stored = records_.put(record_map::routes, key, record, age_list::none);
    if (stored) {
        note_change(of.model_id, of.part);
    } else if (meters_ != nullptr && !records_.holds(record_map::routes, key)) {
        meters_->release(of.model_id, of.part);
    }
    return stored;
}


void route_table::retain(const std::function<bool(std::string_view, std::string_view)> &keep)
{
    records_.each(record_map::routes, [&](std::string_view key) {
        const auto border = key.find('\0');
        if (!keep(key.substr(0, border), key.substr(border + 1))) {
            forget(key.substr(0, border), key.substr(border + 1));
        }
    });
}


void route_table::release_meters()
{
    if (meters_ == nullptr) {
        return;
    }
    meters_->retain([this](std::string_view model_id, std::string_view part) {
        return records_.holds(record_map::routes, route_key(model_id, part));
    });
}


void route_table::forget(std::string_view model_id, std::string_view part)
{
    if (records_.erase(record_map::routes, route_key(model_id, part))) {
        note_change(model_id, part);
    }
    if (meters_ != nullptr) {
        meters_->release(model_id, part);
    }
}


/// For a writer. rolloutd sends all routes after each connect, and most have not changed.
bool route_table::is_in_force(std::string_view key, std::initializer_list<std::string_view> parts) const
{
    std::string value;
    const auto found = records_.read(record_map::routes, key, [&value](std::size_t size) {
        value.resize(size);
        return reinterpret_cast<unsigned char *>(value.data());
    });
    std::string_view rest = value;
    for (const auto part : parts) {
        if (found != record_store::found::yes || !rest.starts_with(part)) {
            return false;
        }
        rest.remove_prefix(part.size());
    }
    return rest.empty();
}


void route_table::note_change(std::string_view model_id, std::string_view part) noexcept
{
    if (events_ != nullptr) {
        events_->add_route(model_id, part);
    }
}


record_store::found route_table::read(std::string_view model_id, std::string_view part, route &to) const
{
    std::string bytes;
    route_head head;
    route_choice blue;
    route_choice green;
    const auto found = read_route(
        records_, route_key(model_id, part),
        [&bytes](std::size_t size) {
            bytes.resize(size);
            return reinterpret_cast<unsigned char *>(bytes.data());
        },
        head, blue, green);
    if (found == record_store::found::yes) {
        to = route_with(model_id, part, head, blue, green);
    }
    return found;
}


bool route_table::each(const function_ref<void(const route &)> &visit) const
{
    const auto found = records_.read_each(record_map::routes, [&](std::string_view key, std::string_view value) {
        route_head head;
        route_choice blue;
        route_choice green;
        if (!open_route(reinterpret_cast<const unsigned char *>(value.data()), value.size(), head, blue, green)) {
            return;
        }
        const auto border = key.find('\0');
        visit(route_with(key.substr(0, border), key.substr(border + 1), head, blue, green));
    });
    return found == record_store::found::yes;
}

} // namespace rollout
