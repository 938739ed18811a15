#include "worker/leadership/etcd/election.hpp"

#include "common/base/json.hpp"
#include "common/base/json_writer.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/leadership/etcd/host_record.hpp"
#include "worker/leadership/etcd/ranking.hpp"

#include <utility>
#include <vector>

namespace rollout {

namespace {

using std::chrono::milliseconds;

// Parts of a lease's time.
constexpr int margin_of_term = 10; ///< by which a leader stops before its lease ends
constexpr int polls_of_follower = 2;
constexpr int polls_of_leader = 4;
constexpr int polls_after_failure = 4;
constexpr int polls_of_claim = 16; ///< whose answer was lost

constexpr std::int64_t most_candidates = 1000;

std::string value_of_leader(const std::string &host)
{
    json_writer text;
    text.begin_object().name("host").text(host).end_object();
    return text.take();
}


known_leader leader_of(const etcd::key_value &entry)
{
    json_error_t error;
    const json_ptr read = json_read(entry.value, 0, error);
    return {std::string(json_text(read.get(), "host")), entry.create_revision};
}


const etcd::key_value *first_of(const etcd::range_answer &answer)
{
    return answer.found.empty() ? nullptr : &answer.found.front();
}

} // namespace


std::string_view name_of(election_state state) noexcept
{
    switch (state) {
    case election_state::stopped:
        return "stopped";
    case election_state::following:
        return "following";
    case election_state::ranking:
        return "ranking";
    case election_state::waiting:
        return "waiting";
    case election_state::granting:
        return "granting";
    case election_state::claiming:
        return "claiming";
    case election_state::confirming:
        return "confirming";
    case election_state::leading:
        return "leading";
    case election_state::resigning:
        return "resigning";
    }
    return "";
}


election::election(etcd::calls &asked, clock &time, election_settings settings, events told)
    : asked_(asked), time_(time), settings_(std::move(settings)), told_(std::move(told))
{
}


election::~election() = default;


void election::start()
{
    state_ = election_state::following;
    read_leader();
}


void election::poll()
{
    if (state_ != election_state::stopped && state_ != election_state::resigning) {
        read_leader();
    }
}


std::optional<leader_token> election::token() const
{
    return state_ == election_state::leading && lease_ && lease_->lives() ? std::optional(token_) : std::nullopt;
}


milliseconds election::leads_until() const noexcept
{
    return state_ == election_state::leading && lease_ ? lease_->until() : milliseconds(0);
}


void election::stand(bool wanted)
{
    if (std::exchange(wanted_, wanted) == wanted) {
        return;
    }
    switch (state_) {
    case election_state::leading:
        depose("it may not lead any more");
        break;
    case election_state::following:
    case election_state::ranking:
    case election_state::waiting:
    case election_state::granting:
    case election_state::claiming:
    case election_state::confirming:
        give_lease_back();
        follow(milliseconds(0));
        break;
    case election_state::stopped:
    case election_state::resigning:
        break;
    }
    soon_ = time_.after(milliseconds(0), [this] { settle(); });
}


void election::resign(std::function<void()> done)
{
    log(log_level::info, "This rolloutd stands for leadership no more");
    pause_.reset();
    reading_.reset();
    wanted_ = false;
    token_ = 0;
    leader_.reset();
    if (!lease_) {
        state_ = election_state::stopped;
        step_ = time_.after(milliseconds(0), std::move(done));
        return;
    }
    state_ = election_state::resigning;
    const auto id = lease_->id();
    lease_.reset();
    step_ = asked_.revoke({id}, [this, done = std::move(done)](const etcd::answer<etcd::revoke_answer> &got) {
        if (!got) {
            log(log_level::warning,
                "The lease of the leader ends by itself, as it could not be revoked: " + got.why().sentence);
        }
        state_ = election_state::stopped;
        const auto call = done; // which may destroy this object
        call();
    });
}


void election::poll_after(milliseconds time)
{
    pause_ = time_.after(time, [this] { read_leader(); });
}


void election::read_leader()
{
    if (reading_) {
        read_again_ = true;
        return;
    }
    pause_.reset();
    read_again_ = false;
    reading_ = asked_.range({settings_.key}, [this](const etcd::answer<etcd::range_answer> &got) { on_read(got); });
}


void election::on_read(const etcd::answer<etcd::range_answer> &got)
{
    reading_.reset();
    const bool again = std::exchange(read_again_, false);
    if (got) {
        pass(to_reading_);
        on_key(first_of(*got), got->header.revision);
    } else {
        meet(to_reading_, got.why(), "The leader cannot be read");
        poll_after(settings_.lease / (state_ == election_state::confirming ? polls_of_claim : polls_after_failure));
    }
    if (again) {
        read_leader();
    }
    settle();
}


/// `revision`: of the store when it was read.
void election::on_key(const etcd::key_value *entry, std::int64_t revision)
{
    switch (state_) {
    case election_state::following:
        follow_key(entry);
        break;
    case election_state::ranking:
    case election_state::waiting:
        if (entry != nullptr) {
            step_.reset();
            state_ = election_state::following;
            follow_key(entry);
        }
        break;
    case election_state::confirming:
        confirm(entry);
        break;
    case election_state::leading:
        check_own(entry, revision);
        break;
    case election_state::granting:
    case election_state::claiming: // the transaction decides
    case election_state::stopped:
    case election_state::resigning:
        break;
    }
}


void election::follow_key(const etcd::key_value *entry)
{
    if (entry == nullptr) {
        know(std::nullopt);
        if (wanted_) {
            rank();
            return;
        }
    } else {
        know(leader_of(*entry));
        if (entry->lease == 0) {
            meet(to_standing_,
                 {etcd::failure::kind::refused, etcd::failure::cause::other,
                  "the key " + settings_.key +
                      " has no lease, so that its leader stays for ever: remove it with etcdctl del"},
                 "Nobody can be elected");
        } else {
            pass(to_standing_);
        }
    }
    poll_after(settings_.lease / polls_of_follower);
}


void election::check_own(const etcd::key_value *entry, std::int64_t revision)
{
    if (revision < token_ || (entry != nullptr && entry->create_revision == token_)) {
        poll_after(settings_.lease / polls_of_leader); // or a member that lags has answered
        return;
    }
    depose(entry == nullptr ? "etcd has ended its lease"
                            : "the rolloutd of host " + leader_of(*entry).host + " was elected");
}


void election::confirm(const etcd::key_value *entry)
{
    if (entry != nullptr && entry->lease == lease_->id()) {
        elect(entry->create_revision);
        return;
    }
    give_lease_back(); // with it a claim that is still on its way fails
    state_ = election_state::following;
    follow_key(entry);
}


void election::rank()
{
    state_ = election_state::ranking;
    etcd::range_request request;
    request.key = settings_.hosts;
    request.range_end = etcd::end_of_prefix(settings_.hosts);
    request.limit = most_candidates;
    step_ =
        asked_.range(std::move(request), [this](const etcd::answer<etcd::range_answer> &got) { on_candidates(got); });
}


void election::on_candidates(const etcd::answer<etcd::range_answer> &got)
{
    if (!got) {
        meet(to_reading_, got.why(), "The candidates cannot be read");
        follow(settings_.lease / polls_after_failure);
        settle();
        return;
    }
    std::vector<candidate> all;
    for (const auto &entry : got->found) {
        const auto record = parse_host_record(entry.value);
        if (record && record->candidate) {
            all.push_back({entry.key.substr(settings_.hosts.size()), record->newest_format});
        }
    }
    state_ = election_state::waiting;
    step_ = time_.after(wait_of_rank(rank_of(settings_.host, all, last_leader_)), [this] { ask_for_lease(); });
    settle();
}


void election::ask_for_lease()
{
    state_ = election_state::granting;
    step_ =
        asked_.grant({settings_.lease}, [this, asked_at = time_.now()](const etcd::answer<etcd::lease_answer> &got) {
            on_granted(asked_at, got);
        });
}


void election::on_granted(milliseconds asked_at, const etcd::answer<etcd::lease_answer> &got)
{
    if (got) {
        lease_ = std::make_unique<etcd::keep_alive>(
            [this](etcd::lease_renewal request, etcd::answer_fn<etcd::lease_answer> done) {
                return asked_.renew(request, std::move(done));
            },
            time_, *got, asked_at, [this](const std::string &why) { on_lease_lost(why); },
            milliseconds(got->ttl) / margin_of_term);
        claim();
    } else {
        meet(to_standing_, got.why(), "This rolloutd cannot stand for leadership");
        follow(settings_.lease / polls_after_failure);
    }
    settle();
}


void election::claim()
{
    state_ = election_state::claiming;
    etcd::txn_request request;
    request.compares.push_back(etcd::compare::absent(settings_.key));
    request.then.push_back({etcd::put_request{settings_.key, value_of_leader(settings_.host), lease_->id()}});
    request.otherwise.push_back({etcd::range_request{settings_.key}});
    step_ = asked_.txn(std::move(request), [this](const etcd::answer<etcd::txn_answer> &got) { on_claimed(got); });
}


void election::on_claimed(const etcd::answer<etcd::txn_answer> &got)
{
    if (got && got->succeeded) {
        elect(got->header.revision);
    } else if (got) {
        const auto *found = got->parts.empty() ? nullptr : std::get_if<etcd::range_answer>(&got->parts.front().is);
        give_lease_back();
        state_ = election_state::following;
        follow_key(found == nullptr ? nullptr : first_of(*found));
    } else if (got.why().is == etcd::failure::kind::unknown) {
        state_ = election_state::confirming;
        reading_.reset(); // it may have begun before the claim
        read_leader();
    } else {
        meet(to_standing_, got.why(), "This rolloutd cannot stand for leadership");
        give_lease_back();
        follow(settings_.lease / polls_after_failure);
    }
    settle();
}


/// Not if the answer has come too late: then keep_alive says so as well.
void election::elect(leader_token token)
{
    if (!lease_->lives()) {
        give_lease_back();
        follow(milliseconds(0));
        return;
    }
    state_ = election_state::leading;
    token_ = token;
    step_.reset();
    reading_.reset(); // it may have begun before the claim
    pass(to_standing_);
    know(known_leader{settings_.host, token});
    elected_ = token;
    log(log_level::debug, "This rolloutd is elected", {{"host", settings_.host}, {"token", std::to_string(token)}});
    poll_after(settings_.lease / polls_of_leader);
}


void election::on_lease_lost(const std::string &why)
{
    if (state_ == election_state::leading) {
        depose(why);
    } else {
        give_lease_back();
        follow(milliseconds(0));
    }
    settle();
}


void election::depose(std::string why)
{
    log(log_level::debug, "This rolloutd is deposed: " + why,
        {{"host", settings_.host}, {"token", std::to_string(token_)}});
    token_ = 0;
    elected_.reset();
    deposed_ = std::move(why);
    know(std::nullopt);
    give_lease_back();
    follow(milliseconds(0));
}


/// What is under way is abandoned.
void election::follow(milliseconds poll_in)
{
    state_ = election_state::following;
    step_.reset();
    reading_.reset();
    poll_after(poll_in);
}


/// So that another one can be elected at once, if etcd still has it; else it ends by itself.
void election::give_lease_back()
{
    if (lease_) {
        revocation_ = asked_.revoke({lease_->id()}, [](const etcd::answer<etcd::revoke_answer> &) {});
        lease_.reset();
    }
}


void election::know(std::optional<known_leader> leader)
{
    if (leader_ == leader) {
        return;
    }
    leader_ = std::move(leader);
    changed_ = true;
    if (leader_) {
        last_leader_ = *leader_;
        if (state_ != election_state::leading) {
            log(log_level::info, "Another rolloutd leads",
                {{"host", leader_->host}, {"token", std::to_string(leader_->token)}});
        }
    }
}


void election::meet(obstacle &which, const etcd::failure &why, std::string_view what_fails)
{
    if (which.because != why.because) {
        log(log_level::warning, std::string(what_fails) + ": " + why.sentence);
        changed_ = true;
    }
    which = {why.sentence, why.because};
}


void election::pass(obstacle &which)
{
    changed_ = changed_ || which.because.has_value();
    which = {};
}


/// Comes last wherever the loop has called: those who are told may destroy this object.
void election::settle()
{
    const std::weak_ptr<int> alive = lives_;
    const events told = told_;
    const auto deposed = std::exchange(deposed_, std::nullopt);
    const auto elected = std::exchange(elected_, std::nullopt);
    const bool changed = std::exchange(changed_, false);
    if (deposed && told.on_deposed) {
        told.on_deposed(*deposed);
    }
    if (elected && told.on_elected && !alive.expired()) {
        told.on_elected(*elected);
    }
    if (changed && told.on_change && !alive.expired()) {
        told.on_change();
    }
}

} // namespace rollout
