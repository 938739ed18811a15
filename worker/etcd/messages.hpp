// What rolloutd asks etcd and what etcd answers, without gRPC's types.
#pragma once

#include "worker/etcd/failure.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace rollout::etcd {

/// An answer, or why there is none.
template <typename T>
class answer {
  public:
    answer(T value) : is_(std::move(value)) {}
    answer(failure why) : is_(std::move(why)) {}

    explicit operator bool() const noexcept { return is_.index() == 0; }
    T &operator*() noexcept { return *std::get_if<0>(&is_); }
    const T &operator*() const noexcept { return *std::get_if<0>(&is_); }
    T *operator->() noexcept { return std::get_if<0>(&is_); }
    const T *operator->() const noexcept { return std::get_if<0>(&is_); }

    /// Only if there is no answer.
    const failure &why() const noexcept { return *std::get_if<1>(&is_); }

  private:
    std::variant<T, failure> is_;
};

/// Who answered, and how far the cluster was.
struct answer_header {
    std::uint64_t cluster_id = 0;
    std::uint64_t member_id = 0;
    std::int64_t revision = 0; ///< of the whole store; a write's is its own
    std::uint64_t raft_term = 0;
};

struct key_value {
    std::string key;
    std::string value;
    std::int64_t create_revision = 0;
    std::int64_t mod_revision = 0;
    std::int64_t version = 0; ///< 1 for a key that was put once
    std::int64_t lease = 0;   ///< 0: none
};

/// One key, or with `range_end` all from `key` to before it.
struct range_request {
    std::string key;
    std::string range_end = {};
    std::int64_t limit = 0;    ///< 0: all
    std::int64_t revision = 0; ///< 0: the newest
    bool serializable = false; ///< from the member's own state, which may lag
    bool keys_only = false;
    bool count_only = false;
};

struct range_answer {
    answer_header header;
    std::vector<key_value> found;
    std::int64_t count = 0; ///< of all keys in the range, whatever the limit
    bool more = false;      ///< there are keys beyond the limit
};

struct put_request {
    std::string key;
    std::string value;
    std::int64_t lease = 0;
};

struct put_answer {
    answer_header header;
};

/// One key, or with `range_end` all from `key` to before it.
struct delete_request {
    std::string key;
    std::string range_end;
};

struct delete_answer {
    answer_header header;
    std::int64_t deleted = 0;
};

/// A condition of a transaction. A key that does not exist has version, revisions and lease 0 and no value. One of a range
/// must hold for each key in it.
struct compare {
    enum class field { version, create_revision, mod_revision, lease, value };
    enum class relation { equal, greater, less, not_equal };

    std::string key;
    field of = field::version;
    relation is = relation::equal;
    std::int64_t number = 0; ///< of all fields but `value`
    std::string value = {};
    std::string range_end = {}; ///< not empty: of all keys from `key` to before it

    static compare absent(std::string key) { return {std::move(key), field::create_revision}; }
    static compare present(std::string key) { return {std::move(key), field::create_revision, relation::greater}; }
    static compare all_absent(std::string key, std::string range_end)
    {
        return {std::move(key), field::create_revision, relation::equal, 0, {}, std::move(range_end)};
    }
    static compare created_at(std::string key, std::int64_t revision)
    {
        return {std::move(key), field::create_revision, relation::equal, revision};
    }
    static compare unchanged_since(std::string key, std::int64_t mod_revision)
    {
        return {std::move(key), field::mod_revision, relation::equal, mod_revision};
    }
    static compare holds(std::string key, std::string value)
    {
        return {std::move(key), field::value, relation::equal, 0, std::move(value)};
    }
};

struct txn_step;
struct txn_part;

/// Carries out `then` if all compares hold, else `otherwise`, as one. etcd refuses it whole if a key is put twice, or if
/// there are more than 128 steps (its --max-txn-ops).
struct txn_request {
    std::vector<compare> compares;
    std::vector<txn_step> then;
    std::vector<txn_step> otherwise;
};

/// A transaction inside of another one has compares of its own.
struct txn_step {
    std::variant<range_request, put_request, delete_request, txn_request> is;
};

struct txn_answer {
    answer_header header;
    bool succeeded = false;      ///< the compares held
    std::vector<txn_part> parts; ///< the answer to each step that was carried out
};

struct txn_part {
    std::variant<range_answer, put_answer, delete_answer, txn_answer> is;
};

/// Removes the history before that revision.
struct compact_request {
    std::int64_t revision = 0;
    bool physical = false; ///< answer only when it is removed from the disk
};

struct compact_answer {
    answer_header header;
};

struct lease_request {
    std::chrono::seconds ttl{0};
};

struct lease_answer {
    answer_header header;
    std::int64_t id = 0;
    std::chrono::seconds ttl{0}; ///< which may be longer than was asked for; 0 from a renewal: the lease has ended
};

struct lease_renewal {
    std::int64_t id = 0;
};

struct revoke_request {
    std::int64_t id = 0;
};

struct revoke_answer {
    answer_header header;
};

/// Asks the member that the client uses about itself.
struct status_request {};

struct status_answer {
    answer_header header;
    std::string version;
    std::int64_t db_size_bytes = 0;
    std::int64_t db_used_bytes = 0; ///< without what was freed and not given back
    std::uint64_t leader = 0;       ///< 0: it knows of none
    bool is_learner = false;
    std::vector<std::string> errors; ///< alarms, such as NOSPACE
    std::int64_t quota_bytes = 0;    ///< 0: it does not say, as before etcd 3.6
};

struct watch_event {
    bool is_delete = false;
    key_value entry; ///< of a deletion: its key and mod_revision only
};

/// Returns the `range_end` for all keys that begin with a prefix. "\0", all from there on, if there is no key behind them.
std::string end_of_prefix(std::string_view prefix);

} // namespace rollout::etcd
