// etcd in memory: transactions and ranges, answered by the clock as a test lets them.
#pragma once

#include "tests/unit/fakes/fake_clock.hpp"
#include "worker/journal/etcd/store.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

class fake_etcd_store {
  public:
    explicit fake_etcd_store(fake_clock &time) : time_(time) {}

    /// What comes of the next transactions, in order; then all are answered.
    enum class fate {
        answered,
        answer_lost, ///< carried out, and nobody is told
        lost,        ///< not carried out, and nobody is told
        late,        ///< carried out after the next one, and nobody is told
    };
    std::deque<fate> fates;

    /// What all transactions are refused with.
    std::optional<rollout::etcd::failure> refuses;
    std::optional<rollout::etcd::failure> refuses_reads;

    std::size_t most_steps = 128;
    std::size_t most_bytes = 1536 * 1024;
    std::chrono::milliseconds takes{1};

    using content = std::map<std::string, rollout::etcd::key_value>;
    content entries;
    std::int64_t revision = 1;
    std::map<std::int64_t, content> history; ///< what there was after each revision
    std::int64_t compacted = 0;              ///< what was before is not kept
    std::uint64_t cluster_id = 77;
    std::vector<std::size_t> sizes; ///< the steps of each transaction that came
    std::size_t under_way = 0;
    std::size_t most_under_way = 0;

    rollout::cluster::store store()
    {
        return {[this](rollout::etcd::txn_request request, rollout::etcd::answer_fn<rollout::etcd::txn_answer> done) {
                    return txn(std::move(request), std::move(done));
                },
                [this](const rollout::etcd::range_request &request,
                       rollout::etcd::answer_fn<rollout::etcd::range_answer> done) {
                    return time_.after(takes, [this, request, done = std::move(done)] {
                        refuses_reads ? done(*refuses_reads) : done(read(request));
                    });
                },
                [] { return std::string("etcd at X has not answered yet"); }};
    }

    /// As another client does it.
    std::int64_t put(const std::string &key, const std::string &value)
    {
        ++revision;
        put_at(key, value);
        history[revision] = entries;
        return revision;
    }

    void remove(const std::string &key)
    {
        ++revision;
        entries.erase(key);
        history[revision] = entries;
    }

    /// What a watch tells of all that came after a revision. Removals are in it as well.
    std::vector<rollout::etcd::watch_event> events_after(std::int64_t applied) const
    {
        std::vector<rollout::etcd::watch_event> events;
        for (auto next = history.upper_bound(applied); next != history.end(); ++next) {
            for (const auto &[key, entry] : next->second) {
                if (entry.mod_revision == next->first) {
                    events.push_back({false, entry});
                }
            }
            const content none;
            const auto &before = next == history.begin() ? none : std::prev(next)->second;
            for (const auto &[key, entry] : before) {
                if (!next->second.contains(key)) {
                    events.push_back({true, {key, "", 0, next->first, 0, 0}});
                }
            }
        }
        return events;
    }

    std::string value(const std::string &key) const
    {
        const auto found = entries.find(key);
        return found == entries.end() ? std::string() : found->second.value;
    }

  private:
    static rollout::etcd::failure unknown()
    {
        return {rollout::etcd::failure::kind::unknown, rollout::etcd::failure::cause::timed_out, "no answer"};
    }

    rollout::operation_ptr txn(rollout::etcd::txn_request request,
                               rollout::etcd::answer_fn<rollout::etcd::txn_answer> done)
    {
        sizes.push_back(request.then.size());
        most_under_way = std::max(most_under_way, ++under_way);
        return time_.after(takes, [this, request = std::move(request), done = std::move(done)] {
            --under_way;
            const fate what = fates.empty() ? fate::answered : fates.front();
            if (!fates.empty()) {
                fates.pop_front();
            }
            if (refuses) {
                done(*refuses);
                return;
            }
            if (const auto fault = too_much(request)) {
                done(*fault);
                return;
            }
            const auto late = std::exchange(late_, {});
            switch (what) {
            case fate::answered:
                done_after(done, carry_out(request), late);
                return;
            case fate::answer_lost:
                carry_out(request);
                break;
            case fate::lost:
                break;
            case fate::late:
                late_.push_back(request);
                break;
            }
            for (const auto &of : late) {
                carry_out(of);
            }
            done(unknown());
        });
    }

    void done_after(const rollout::etcd::answer_fn<rollout::etcd::txn_answer> &done, rollout::etcd::txn_answer answer,
                    const std::vector<rollout::etcd::txn_request> &late)
    {
        for (const auto &of : late) {
            carry_out(of);
        }
        done(std::move(answer));
    }

    std::optional<rollout::etcd::failure> too_much(const rollout::etcd::txn_request &request) const
    {
        using rollout::etcd::failure;
        if (request.then.size() >= most_steps) {
            return failure{failure::kind::refused, failure::cause::too_many_operations, "too many operations"};
        }
        if (bytes_of(request) > most_bytes) {
            return failure{failure::kind::refused, failure::cause::too_large, "too large"};
        }
        std::set<std::string> put;
        if (puts_twice(request, put)) {
            return failure{failure::kind::refused, failure::cause::duplicate_key, "duplicate key"};
        }
        return std::nullopt;
    }

    static std::size_t bytes_of(const rollout::etcd::txn_request &request)
    {
        std::size_t bytes = 0;
        for (const auto &step : request.then) {
            if (const auto *put = std::get_if<rollout::etcd::put_request>(&step.is)) {
                bytes += put->key.size() + put->value.size();
            } else if (const auto *inner = std::get_if<rollout::etcd::txn_request>(&step.is)) {
                bytes += bytes_of(*inner);
            }
        }
        return bytes;
    }

    static bool puts_twice(const rollout::etcd::txn_request &request, std::set<std::string> &keys)
    {
        return std::ranges::any_of(request.then, [&keys](const auto &step) {
            if (const auto *put = std::get_if<rollout::etcd::put_request>(&step.is)) {
                return !keys.insert(put->key).second;
            }
            if (const auto *gone = std::get_if<rollout::etcd::delete_request>(&step.is)) {
                return !keys.insert(gone->key).second;
            }
            const auto *inner = std::get_if<rollout::etcd::txn_request>(&step.is);
            return inner != nullptr && puts_twice(*inner, keys);
        });
    }

    bool holds(const rollout::etcd::compare &of) const
    {
        using rollout::etcd::compare;
        if (!of.range_end.empty()) {
            return std::all_of(entries.lower_bound(of.key), entries.lower_bound(of.range_end),
                               [&](const auto &there) {
                                   return holds({there.first, of.of, of.is, of.number, of.value});
                               });
        }
        const auto found = entries.find(of.key);
        const rollout::etcd::key_value none{};
        const auto &entry = found == entries.end() ? none : found->second;
        switch (of.of) {
        case compare::field::value:
            return found != entries.end() && entry.value == of.value;
        case compare::field::create_revision:
            return of.is == compare::relation::greater ? entry.create_revision > of.number
                                                       : entry.create_revision == of.number;
        case compare::field::mod_revision:
            return entry.mod_revision == of.number;
        case compare::field::version:
            return entry.version == of.number;
        case compare::field::lease:
            return entry.lease == of.number;
        }
        return false;
    }

    rollout::etcd::txn_answer carry_out(const rollout::etcd::txn_request &request)
    {
        ++revision;
        bool changed = false;
        auto answer = carry_out(request, changed);
        if (!changed) {
            --revision;
        } else {
            history[revision] = entries;
        }
        set_revision(answer);
        return answer;
    }

    void set_revision(rollout::etcd::txn_answer &answer) const { answer.header.revision = revision; }

    rollout::etcd::txn_answer carry_out(const rollout::etcd::txn_request &request, bool &changed)
    {
        rollout::etcd::txn_answer answer;
        answer.succeeded = std::ranges::all_of(request.compares, [this](const auto &of) { return holds(of); });
        for (const auto &step : answer.succeeded ? request.then : request.otherwise) {
            if (const auto *put = std::get_if<rollout::etcd::put_request>(&step.is)) {
                put_at(put->key, put->value);
                changed = true;
                answer.parts.push_back({rollout::etcd::put_answer{}});
            } else if (const auto *gone = std::get_if<rollout::etcd::delete_request>(&step.is)) {
                const auto count = erase(*gone);
                changed = changed || count != 0;
                answer.parts.push_back({rollout::etcd::delete_answer{{}, count}});
            } else if (const auto *inner = std::get_if<rollout::etcd::txn_request>(&step.is)) {
                answer.parts.push_back({carry_out(*inner, changed)});
            } else {
                answer.parts.push_back({range(std::get<rollout::etcd::range_request>(step.is))});
            }
        }
        return answer;
    }

    std::int64_t erase(const rollout::etcd::delete_request &of)
    {
        const auto first = entries.lower_bound(of.key);
        const auto last = entries.lower_bound(of.range_end.empty() ? of.key + '\0' : of.range_end);
        const auto count = std::distance(first, last);
        entries.erase(first, last);
        return count;
    }

    void put_at(const std::string &key, const std::string &value)
    {
        auto &entry = entries[key];
        entry.key = key;
        entry.value = value;
        entry.create_revision = entry.create_revision == 0 ? revision : entry.create_revision;
        entry.mod_revision = revision;
        ++entry.version;
    }

    rollout::etcd::answer<rollout::etcd::range_answer> read(const rollout::etcd::range_request &request) const
    {
        using rollout::etcd::failure;
        if (request.revision > revision) {
            return failure{failure::kind::refused, failure::cause::future_revision, "a future revision"};
        }
        if (request.revision != 0 && request.revision < compacted) {
            return failure{failure::kind::refused, failure::cause::compacted, "compacted"};
        }
        return range(request);
    }

    const content &at(std::int64_t wanted) const
    {
        static const content none;
        const auto after = history.upper_bound(wanted);
        return wanted == 0 ? entries : after == history.begin() ? none : std::prev(after)->second;
    }

    rollout::etcd::range_answer range(const rollout::etcd::range_request &request) const
    {
        rollout::etcd::range_answer answer;
        answer.header.revision = revision;
        answer.header.cluster_id = cluster_id;
        const content &there = at(request.revision);
        const auto end = request.range_end.empty() ? request.key + '\0' : request.range_end;
        for (auto entry = there.lower_bound(request.key); entry != there.end() && entry->first < end; ++entry) {
            ++answer.count;
            if (request.limit != 0 && answer.found.size() == static_cast<std::size_t>(request.limit)) {
                answer.more = true;
            } else {
                answer.found.push_back(entry->second);
            }
        }
        return answer;
    }

    fake_clock &time_;
    std::vector<rollout::etcd::txn_request> late_;
};
