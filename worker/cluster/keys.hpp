// The names of all keys in etcd, below the one prefix of a cluster: "s/" is for every rolloutd, "l/" for the one that leads,
// "a/" is what it answers.
#pragma once

#include "worker/async/outcome.hpp"

#include <string>
#include <string_view>

namespace rollout::cluster {

enum class key_kind {
    meta,     ///< what the cluster is, and its format
    position, ///< put by each transaction
    leader,
    losses,
    task,
    model,
    series,
    other, ///< of a newer rolloutd
};

struct key_name {
    key_kind kind = key_kind::other;
    std::string id; ///< of a task or a model; a series has that of its task
};

class keys {
  public:
    /// Returns why that cannot be a prefix; empty if it can.
    static std::string check_prefix(std::string_view prefix);

    /// `prefix` as check_prefix() allows it: "/rollout/default/".
    explicit keys(std::string prefix) : prefix_(std::move(prefix)) {}

    const std::string &prefix() const noexcept { return prefix_; }

    // What every rolloutd follows.

    std::string shared() const { return prefix_ + "s/"; } ///< what all these begin with
    std::string meta() const { return prefix_ + "s/meta"; }
    std::string position() const { return prefix_ + "s/rev"; }
    std::string leader() const { return prefix_ + "s/leader"; }
    std::string losses() const { return prefix_ + "s/losses"; }
    std::string task(std::string_view task_id) const;
    std::string model(std::string_view model_id) const;
    std::string series(std::string_view task_id) const;

    /// Reads one of these keys. Fails with a sentence that names the key if it holds an id that is not one.
    result<key_name> parse(std::string_view key) const;

    // What only the leader follows.

    std::string hosts() const { return prefix_ + "l/hosts/"; } ///< what the keys of all hosts begin with
    std::string host(std::string_view name) const;
    std::string gateways() const { return prefix_ + "l/gateways/"; } ///< the same of all gateways
    std::string gateway(std::string_view gateway_id) const;
    std::string words() const { return prefix_ + "l/words/"; } ///< verbs that other hosts pass on, by host

    // What its host follows alone.

    std::string answers() const { return prefix_ + "a/"; } ///< the leader's, by host, as its words are named

  private:
    std::string prefix_;
};

/// Writes a name as one part of a key: bytes other than letters, digits, '.', '_' and '-' become %XX.
std::string escaped(std::string_view name);

/// Reads such a part. Fails, without a sentence, if `escaped` does not write it so.
result<std::string> unescaped(std::string_view part);

} // namespace rollout::cluster
