// What this rolloutd knows of its own writes: on which of them the next one builds, and of which it was never told
// whether they were made.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rollout::cluster {

class own_writes {
  public:
    /// `writer`: a name that no other rolloutd has, nor this one after a restart. `host`: this machine's, for people.
    explicit own_writes(std::string writer, std::string host = {})
        : writer_(std::move(writer)), host_(std::move(host))
    {
    }

    const std::string &writer() const noexcept { return writer_; }
    const std::string &host() const noexcept { return host_; }

    /// Returns a name for a write.
    std::string next_id() { return writer_ + '-' + std::to_string(++last_); }

    /// Sets the leader's token that saves compare; 0: none. What was written before is forgotten: others may have
    /// written since.
    void lead(std::int64_t token)
    {
        token_ = token;
        bases_.clear();
        doubtful_.clear();
    }

    std::int64_t token() const noexcept { return token_; }

    /// Returns the revision of etcd's on which a change to that key builds: that of the last own write, or a later one
    /// that the caller has read.
    std::int64_t base(const std::string &key, std::int64_t read) const
    {
        const auto known = bases_.find(key);
        return known == bases_.end() ? read : std::max(read, known->second);
    }

    /// The key has been written.
    void on_written(const std::string &key, std::int64_t mod_revision)
    {
        bases_[key] = mod_revision;
        doubtful_.erase(key);
    }

    /// Nothing more is to be written to the key.
    void forget(const std::string &key)
    {
        bases_.erase(key);
        doubtful_.erase(key);
    }

    /// That write of the key may have been made, or be made later: nobody waits for it any more.
    void on_doubt(const std::string &key, const std::string &write_id) { doubtful_[key].push_back(write_id); }

    /// Returns whether a value that was found was written so.
    bool was_doubtful(const std::string &key, std::string_view write_id) const
    {
        const auto known = doubtful_.find(key);
        return known != doubtful_.end() && std::ranges::find(known->second, write_id) != known->second.end();
    }

  private:
    std::string writer_;
    std::string host_;
    std::uint64_t last_ = 0;
    std::int64_t token_ = 0;
    std::unordered_map<std::string, std::int64_t> bases_;                ///< by key
    std::unordered_map<std::string, std::vector<std::string>> doubtful_; ///< by key
};

} // namespace rollout::cluster
