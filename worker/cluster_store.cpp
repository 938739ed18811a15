#include "worker/cluster_store.hpp"

#include "common/domain/identifiers.hpp"
#include "worker/base/log.hpp"
#include "worker/base/permanent_start_error.hpp"
#include "worker/cluster/keys.hpp"
#include "worker/config/settings_digest.hpp"
#include "worker/etcd/certificates.hpp"
#include "worker/journal/etcd/revision.hpp"
#include "worker/scheduler/refusal.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// Between two looks at whether the replica has been filled, or has caught up.
constexpr auto look_pause = 50ms;

constexpr auto health_pause = 500ms;

/// A replica that does not follow for longer is a trouble.
constexpr std::chrono::milliseconds longest_lag = 6s;

/// After that, gateways are served with what the replica has, if etcd does not answer.
constexpr std::chrono::milliseconds longest_wait_for_etcd = 5s;

/// nginx waits for an answer for 5 seconds, unless it is told otherwise (`ack_timeout`).
constexpr auto word_timeout = 4s;

constexpr unsigned retry_after_s = 1;


std::shared_ptr<const etcd::access> open_access(const cluster_settings &from)
{
    auto opened = etcd::access::open(access_of(from));
    if (!opened) {
        throw std::runtime_error("journal.etcd." + opened.sentence());
    }
    return *opened;
}


cluster_place place_of(const cluster_settings &from)
{
    return {from.prefix, from.host, std::chrono::seconds(from.lease_s)};
}


word_keys keys_of_words(const cluster_settings &from)
{
    const cluster::keys names(from.prefix);
    return {names.words(), names.answers()};
}


/// Takes a sentence that begins with the name of a member of journal.etcd.
json_fault fault_of(const std::string &why)
{
    const auto colon = why.find(": ");
    return {"/journal/etcd/" + why.substr(0, colon), why.substr(colon + 2)};
}


host_record record_of(const settings &from, const std::string &process)
{
    host_record record;
    record.process = process;
    record.version = ROLLOUT_VERSION;
    record.config = digest_of_shared(from);
    record.candidate = from.journal.etcd->leader;
    return record;
}

} // namespace


etcd::access_settings access_of(const cluster_settings &from)
{
    return {.endpoints = from.endpoints,
            .ca_file = from.ca_file,
            .cert_file = from.cert_file,
            .key_file = from.key_file,
            .user = from.user,
            .password = from.password,
            .insecure = from.insecure,
            .host = from.host};
}


std::vector<json_fault> cluster_store::check(const cluster_settings &wanted)
{
    std::vector<json_fault> faults;
    for (const auto &why : {etcd::check_access(access_of(wanted)), cluster::keys::check_prefix(wanted.prefix)}) {
        if (!why.empty()) {
            faults.push_back(fault_of(why));
        }
    }
    return faults;
}


std::vector<json_fault> cluster_store::check_files(const cluster_settings &wanted)
{
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto why = etcd::fault_of({wanted.ca_file, wanted.cert_file, wanted.key_file},
                                    std::chrono::duration_cast<std::chrono::microseconds>(now).count());
    return why.empty() ? std::vector<json_fault>() : std::vector{fault_of(why)};
}


cluster_store::cluster_store(uv_loop_t *loop, clock &time, const settings &config, events told)
    : loop_(loop), time_(time), told_(std::move(told)), path_(config.journal.path), settings_(*config.journal.etcd),
      process_(new_instance_id()), thread_(loop), access_(open_access(settings_)), client_(thread_, time, access_),
      leadership_(client_, time, place_of(settings_), record_of(config, process_)),
      comparison_(client_, time, cluster::keys(settings_.prefix), settings_.host),
      upkeep_(client_, time,
              {cluster::keys(settings_.prefix).meta(), static_cast<std::int64_t>(settings_.quota_bytes)})
{
    leadership_.on_elected = [this](leader_token token) { on_elected(token); };
    leadership_.on_deposed = [this](const std::string &why) { on_deposed(why); };
    leadership_.on_change = [this] { on_leadership_change(); };
}


// Opening.

void cluster_store::open()
{
    opening_ = time_.after(0ms, [this] {
        try {
            journal_ = std::make_unique<etcd_journal>(loop_, time_, thread_,
                                                      etcd_journal::place{path_, settings_.prefix, access_});
        } catch (const permanent_start_error &error) {
            told_.on_refused(outcome::permanent(error.what()));
            return;
        } catch (const std::exception &error) {
            told_.on_refused(outcome::transient(error.what()));
            return;
        }
        const bool was_new = journal_->id().empty();
        journal_->on_resynchronised = [this, was_new](bool is_other) {
            was_replaced_ = was_replaced_ || is_other || was_new;
            on_replaced(is_other);
        };
        journal_->start();
        began_ = time_.now();
        await_content();
    });
}


/// Gateways must not be told less than they know. If etcd does not answer, what the replica has is all that is known.
void cluster_store::await_content()
{
    told_.at_work();
    if (journal_->id().empty()) {
        opening_ = time_.after(look_pause, [this] { await_content(); });
        wait_for_content();
        return;
    }
    journal_->current([this, alive = std::weak_ptr(lives_)](bool is_current) {
        if (alive.expired() || stopped_) {
            return;
        }
        if (!is_current && time_.now() - began_ < longest_wait_for_etcd) {
            opening_ = time_.after(look_pause, [this] { await_content(); });
            return;
        }
        if (!is_current) {
            log(log_level::warning,
                "Gateways are served with what this host knows of the tasks: " + journal_->trouble());
        }
        is_open_ = true;
        told_.on_open();
    });
}


/// A host that has never been a part of the cluster has nothing to serve its gateways with. Those are told what it waits for,
/// once etcd has had its time.
void cluster_store::wait_for_content()
{
    if (time_.now() - began_ < longest_wait_for_etcd || waits_for_ == journal_->trouble()) {
        return;
    }
    if (waits_for_.empty()) {
        log(log_level::warning,
            "Gateways are not served yet, as this host has no copy of the tasks: " + journal_->trouble());
    }
    waits_for_ = journal_->trouble();
    const auto call = told_.on_wait; // which may end the opening
    call("this host has no copy of the tasks yet: " + waits_for_);
}


// The gateways of all hosts.

cluster_store::fleet::fleet(cluster_store &of, gateway_server &its_own)
    : own(its_own), reporter(of.client_, of.time_, own, {cluster::keys(of.settings_.prefix), of.settings_.host},
                             [&of](std::function<void(bool)> done) { of.journal_->current(std::move(done)); }),
      view(of.client_, of.time_, cluster::keys(of.settings_.prefix),
           [this](bool changed) { control.on_read(changed); }),
      control(own, own, view, of.time_)
{
}


gateway_control &cluster_store::control_of(gateway_server &own, std::function<void()> on_progress)
{
    fleet_ = std::make_unique<fleet>(*this, own);
    fleet_->view.wait_for_isolated(std::chrono::seconds(settings_.isolation_s));
    fleet_->control.on_progress = std::move(on_progress);
    own.on_gateway_progress = [this] { fleet_->control.note_progress(); };
    own.on_change = [this] { fleet_->reporter.on_change(); };
    own.on_reloaded = [this] { fleet_->reporter.on_reloaded(); };
    own.before_first_routes = [this](const std::string &gateway, std::function<void()> go_on) {
        fleet_->reporter.before_first_routes(gateway, std::move(go_on));
    };
    return fleet_->control;
}


void cluster_store::on_leadership_change()
{
    const auto known = leadership_.leader();
    comparison_.follow(known ? known->host : std::string());
    if (!fleet_) {
        return;
    }
    if (known) {
        fleet_->reporter.on_leader(known->token);
    }
    const auto lease = leadership_.registration().lease();
    if (std::exchange(lease_, lease) != lease && lease != 0) {
        fleet_->reporter.check_records(); // one that leads may have taken this host for gone
    }
}


void cluster_store::lead(leader_token token)
{
    journal_->lead(token);
    if (!fleet_) {
        return;
    }
    fleet_->gateways_watch.reset();
    fleet_->hosts_watch.reset();
    fleet_->view.lead(token);
    if (token != 0) {
        const cluster::keys names(settings_.prefix);
        const auto watched = [this](const std::string &prefix, std::function<void()> on_change) {
            return std::make_unique<change_watch>(thread_, time_, access_, prefix, change_watch::range::prefix,
                                                  std::move(on_change));
        };
        fleet_->gateways_watch = watched(names.gateways(), [this] { fleet_->view.poll(); });
        fleet_->hosts_watch = watched(names.hosts(), [this] {
            fleet_->view.poll();
            comparison_.poll();
        });
    }
}


void cluster_store::on_replaced(bool is_other)
{
    if (!is_open_ || stopped_) {
        return;
    }
    if (fleet_) {
        fleet_->reporter.on_replaced(is_other);
    }
    told_.on_replaced(is_other);
    if (const auto token = leadership_.token()) {
        told_.on_deposed("what is known of the tasks was replaced, and is read anew");
        await_current(*token);
    }
}


void cluster_store::stand()
{
    leader_watch_ = std::make_unique<change_watch>(thread_, time_, access_, cluster::keys(settings_.prefix).leader(),
                                                   change_watch::range::key, [this] { leadership_.poll(); });
    sender_ = std::make_unique<word_sender>(
        client_, time_, word_sender::settings{keys_of_words(settings_), settings_.host, process_, word_timeout},
        [this] { return leadership_.registration().lease(); });
    answers_watch_ = std::make_unique<change_watch>(thread_, time_, access_, sender_->answers_prefix(),
                                                    change_watch::range::prefix, [this] { sender_->poll(); });
    comparison_.use(leadership_.record().config);
    leadership_.start();
    upkeep_.start();
    compact_later();
    followed_at_ = time_.now() - longest_lag;
    check_health();
}


/// Returns a whole sentence, or nothing. An alarm of etcd's comes first: it is why others do not get on.
std::string cluster_store::trouble() const
{
    const bool lags = time_.now() - followed_at_ >= longest_lag;
    const auto what = !upkeep_.trouble().empty() ? upkeep_.trouble()
                      : lags                     ? "This host's copy of the tasks is behind: " + journal_->trouble()
                                                 : leadership_.trouble();
    return what.empty() ? what : what + ".";
}


/// Reads and new tasks need etcd; that nobody leads is no trouble of this host's.
void cluster_store::check_health()
{
    if (journal_->is_following()) {
        followed_at_ = time_.now();
    }
    told_.on_trouble(trouble());
    withdraw_if_stuck();
    health_ = time_.after(health_pause, [this] { check_health(); });
}


/// Tasks and routes come to this host by its copy. While that cannot be written, as its disk is full, it can neither lead
/// nor follow: the others go on without it.
void cluster_store::withdraw_if_stuck()
{
    if (is_resigning_ || stopped_) {
        return;
    }
    const auto &since = journal_->unwritable_since();
    const bool is_stuck = since && time_.now() - *since >= longest_lag;
    if (is_stuck == leadership_.is_withdrawn()) {
        return;
    }
    if (is_stuck) {
        log(log_level::error,
            "This host is as if away for the others until its copy of the tasks can be written: " +
                journal_->trouble(),
            {{"host", settings_.host}});
    } else {
        log(log_level::info, "This host is there for the others again", {{"host", settings_.host}});
    }
    leadership_.withdraw(is_stuck);
}


// Leading.

void cluster_store::on_elected(leader_token token)
{
    log(log_level::info, "This rolloutd leads: it carries out the tasks of all hosts", {{"host", settings_.host}});
    lead(token);
    await_current(token);
}


/// A leader begins with all that those before it have written.
void cluster_store::await_current(leader_token token)
{
    journal_->current([this, token, alive = std::weak_ptr(lives_)](bool is_current) {
        if (alive.expired() || stopped_ || leadership_.token() != token) {
            return;
        }
        if (is_current) {
            told_.on_elected();
        } else {
            catching_up_ = time_.after(look_pause, [this, token] { await_current(token); });
        }
    });
}


void cluster_store::on_deposed(const std::string &why)
{
    log(log_level::warning, "This rolloutd leads no more: " + why, {{"host", settings_.host}});
    catching_up_.reset();
    lead(0);
    told_.on_deposed(why);
}


void cluster_store::resign(std::function<void()> done)
{
    is_resigning_ = true;
    set_carries_out(false);
    catching_up_.reset();
    leadership_.resign([this, done = std::move(done)] {
        is_resigning_ = false;
        lead(0);
        done();
    });
}


std::optional<rolloutd_metrics::cluster> cluster_store::cluster() const
{
    using std::chrono::milliseconds;
    rolloutd_metrics::cluster now;
    const auto at = time_.now();
    now.leads = leadership_.token().has_value();
    if (const auto heard_at = journal_->heard_at(); heard_at.count() != 0) {
        now.change_age = at - heard_at;
    }
    now.leases = {{"host", std::max(leadership_.registration().lease_until() - at, milliseconds(0))},
                  {"leader", std::max(leadership_.own_election().leads_until() - at, milliseconds(0))}};
    for (std::size_t cause = 0; cause < etcd::failure::causes; ++cause) {
        now.errors.emplace(name_of(static_cast<etcd::failure::cause>(cause)), access_->failures()[cause]);
    }
    if (const auto &status = upkeep_.status()) {
        now.database_bytes = status->db_size_bytes;
        now.database_used_bytes = status->db_used_bytes;
    }
    now.quota_bytes = upkeep_.quota_bytes();
    return now;
}


void cluster_store::use(const settings &from)
{
    auto record = leadership_.record();
    record.config = digest_of_shared(from);
    comparison_.use(record.config);
    leadership_.update(std::move(record));
    settings_.compact_s = from.journal.etcd->compact_s;
    settings_.isolation_s = from.journal.etcd->isolation_s;
    if (fleet_) {
        fleet_->view.wait_for_isolated(std::chrono::seconds(settings_.isolation_s));
    }
    if (std::exchange(settings_.leader, from.journal.etcd->leader) != settings_.leader) {
        leadership_.stand(settings_.leader);
    }
    compact_later();
}


// Clients' verbs.

void cluster_store::set_carries_out(bool carries_out)
{
    receiver_.reset();
    words_watch_.reset();
    const auto token = leadership_.token();
    if (!carries_out || !token) {
        return;
    }
    const auto keys = keys_of_words(settings_);
    receiver_ = std::make_unique<word_receiver>(
        client_, time_, word_receiver::settings{keys, cluster::keys(settings_.prefix).leader(), *token},
        [this](const std::string &, const std::string &word, const word_receiver::answer_word_fn &answer) {
            on_verb(word, answer);
        });
    words_watch_ = std::make_unique<change_watch>(thread_, time_, access_, keys.words, change_watch::range::prefix,
                                                  [this] { receiver_->poll(); });
}


void cluster_store::on_verb(const std::string &text, const word_receiver::answer_word_fn &answer) const
{
    const auto wanted = parse_remote_verb(text);
    if (!wanted) {
        answer(
            text_of(refused(500, "The rolloutd that leads does not know this verb; is it older than this host's?")));
        return;
    }
    told_.on_steer(*wanted, [answer](const request_answer &given) { answer(text_of(given)); });
}


void cluster_store::pass_on(steer_request wanted, answer_fn answer)
{
    if (!sender_ || stopped_) {
        answer(refused(503, "rolloutd stops, and nothing was changed; try again.", retry_after_s));
        return;
    }
    sender_->send(text_of(wanted),
                  [this, answer = std::move(answer)](const outcome &result, const std::string &text) {
                      on_answer(result, text, answer);
                  });
}


/// A client that reads here after the answer must not be told of an older state.
void cluster_store::on_answer(const outcome &result, const std::string &text, const answer_fn &answer) const
{
    const auto given = std::make_shared<const std::optional<remote_answer>>(parse_remote_answer(text));
    if (!result || !*given) {
        answer(refused(503,
                       "The rolloutd that carries out the tasks could not be asked, or has not answered: " +
                           (result ? "its answer cannot be read" : result.detail) +
                           ". The verb may have been carried out: look at the task, and try again.",
                       retry_after_s));
        return;
    }
    if (!(*given)->row) {
        answer((*given)->view());
        return;
    }
    journal_->current([given, answer](bool) { answer((*given)->view()); });
}


// Compaction.

void cluster_store::compact_later()
{
    if (settings_.compact_s == 0 || stopped_) {
        compaction_.reset();
    } else if (!compaction_) {
        compaction_ = time_.after(std::chrono::seconds(settings_.compact_s), [this] { compact(); });
    }
}


/// Followers that lag further behind than compact_s read everything anew.
void cluster_store::compact()
{
    const auto up_to = std::exchange(seen_revision_, cluster::mod_revision_of(journal_->revision()));
    const auto again = [this] {
        compaction_.reset();
        compact_later();
    };
    if (up_to == 0 || !leadership_.token()) {
        again();
        return;
    }
    compaction_ = client_.compact({up_to, false}, [again](const etcd::answer<etcd::compact_answer> &got) {
        if (!got && got.why().because != etcd::failure::cause::compacted) {
            log(log_level::warning, "The history in etcd could not be compacted: " + got.why().sentence);
        }
        again();
    });
}


void cluster_store::stop()
{
    stopped_ = true;
    opening_.reset();
    catching_up_.reset();
    compaction_.reset();
    health_.reset();
    leader_watch_.reset();
    words_watch_.reset();
    answers_watch_.reset();
    receiver_.reset();
    sender_.reset();
    if (fleet_) {
        fleet_->own.on_gateway_progress = nullptr;
        fleet_->own.on_change = nullptr;
        fleet_->own.on_reloaded = nullptr;
        fleet_->own.before_first_routes = [](const std::string &, const std::function<void()> &) {}; // none get any
        fleet_.reset();
    }
    if (journal_) {
        journal_->stop();
    }
}

} // namespace rollout
