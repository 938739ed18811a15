// The journal's revisions, made of etcd's: those of one transaction are told apart by an index in the values.
#pragma once

#include <cstdint>

namespace rollout::cluster {

/// The changes that one transaction may hold.
inline constexpr unsigned revisions_in_one = 256;

/// Returns the revision of the change with that index in the transaction that etcd has given `mod_revision`.
constexpr std::uint64_t revision_of(std::int64_t mod_revision, unsigned index) noexcept
{
    return static_cast<std::uint64_t>(mod_revision) * revisions_in_one + index;
}

constexpr std::int64_t mod_revision_of(std::uint64_t revision) noexcept
{
    return static_cast<std::int64_t>(revision / revisions_in_one);
}

constexpr unsigned index_of(std::uint64_t revision) noexcept
{
    return static_cast<unsigned>(revision % revisions_in_one);
}

/// Returns the revision that is reached when all of etcd's are applied up to that one.
constexpr std::uint64_t revision_after(std::int64_t mod_revision) noexcept
{
    return mod_revision == 0 ? 0 : revision_of(mod_revision, revisions_in_one - 1);
}

} // namespace rollout::cluster
