#include "worker/fleet/fleet_control.hpp"

#include "common/base/timestamp.hpp"
#include "worker/async/completion.hpp"

#include <chrono>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto recheck_pause = 500ms;

/// A message names no more gateways of other hosts than this.
constexpr std::size_t most_others_named = 3;


/// Joins what is said of the own gateways with the first sentences about others, and counts the rest.
std::string joined(std::string own, const std::vector<std::string> &others)
{
    for (std::size_t i = 0; i < others.size() && i < most_others_named; ++i) {
        own += (own.empty() ? "" : "; ") + others[i];
    }
    return others.size() <= most_others_named
               ? own
               : own + "; and " + std::to_string(others.size() - most_others_named) + " more";
}


std::string name_of_gateway(const std::string &id, const fleet_view::member &of)
{
    return "gateway " + id.substr(0, 8) + (of.record ? " of host " + of.record->host : "");
}


/// Says why a gateway that is out of reach may still route; empty if it can be reached.
std::string absence_of(const std::string &id, const fleet_view::member &of)
{
    if (!of.record) {
        return name_of_gateway(id, of) + ", whose record in etcd cannot be read, may still route";
    }
    if (!of.is_host_there) {
        return name_of_gateway(id, of) + ", which has been away since " + timestamp(of.missed_since_us) +
               ", may still route";
    }
    if (!of.record->is_linked) {
        return name_of_gateway(id, of) + " has had no link since " + timestamp(of.record->since_us) +
               " and may still route";
    }
    return {};
}

} // namespace


class fleet_control::wait final : public operation {
  public:
    wait(fleet_control &all, std::uint64_t up_to, awaited whom, done_fn done)
        : revision(up_to), of(whom), all_(all), done_(std::move(done))
    {
        all_.waits_.push_back(this);
    }
    ~wait() override { all_.waits_.remove(this); }

    void cancel() override { end(outcome::canceled()); }

    void end(outcome result)
    {
        if (!wake_) {
            wake_ = all_.time_.after({}, [this, result = std::move(result)] { done_(result); });
        }
    }

    const std::uint64_t revision;
    const awaited of;

  private:
    fleet_control &all_;
    completion<outcome> done_;
    operation_ptr wake_; ///< the wait has ended, and its callback runs next
};


/// Adds what this host's gateways have in flight to what those of others have.
class fleet_control::count final : public operation {
  public:
    using count_fn = std::function<void(std::optional<std::uint64_t>)>;

    count(clock &time, count_fn done) : time_(time), done_(std::move(done)) {}

    void ask(gateway_control &own, const std::string &model_id, const part_names &parts, std::uint64_t revision,
             std::uint64_t elsewhere)
    {
        part_ = own.in_flight(model_id, parts, revision, [this, elsewhere](std::optional<std::uint64_t> here) {
            done_(here ? std::optional(*here + elsewhere) : std::nullopt);
        });
    }

    void end(std::optional<std::uint64_t> requests)
    {
        part_ = time_.after({}, [this, requests] { done_(requests); });
    }

    void cancel() override { end(std::nullopt); }

  private:
    clock &time_;
    completion<std::optional<std::uint64_t>> done_;
    operation_ptr part_;
};


fleet_control::fleet_control(gateway_control &own, local_gateways &own_state, fleet_view &others, clock &time)
    : own_(own), own_state_(own_state), others_(others), time_(time)
{
}


void fleet_control::note_progress()
{
    check_waits();
    if (on_progress) {
        on_progress();
    }
}


void fleet_control::on_read(bool changed)
{
    if (std::exchange(awaits_read_, false) || changed) {
        note_progress();
    }
}


/// A record of this host that its own rolloutd does not know is as one of another host.
void fleet_control::for_each_other(const record_fn &call) const
{
    for (const auto &[id, of] : others_.gateways()) {
        if (!own_state_.knows(id)) {
            call(id, of);
        }
    }
}


/// Returns whether the records were read after that revision; has them read if not.
bool fleet_control::is_fresh(std::uint64_t revision) const
{
    if (others_.has_read(revision)) {
        return true;
    }
    awaits_read_ = true;
    others_.poll();
    return false;
}


std::string fleet_control::missing() const
{
    std::vector<std::string> sentences;
    for_each_other([&sentences](const std::string &id, const fleet_view::member &of) {
        if (auto absence = absence_of(id, of); !absence.empty()) {
            sentences.push_back(std::move(absence));
        }
    });
    return joined(own_.missing(), sentences);
}


std::string fleet_control::routing_before(std::uint64_t revision) const
{
    std::vector<std::string> sentences;
    const auto change = own_state_.change_up_to(revision);
    for_each_other([&sentences, change](const std::string &id, const fleet_view::member &of) {
        if (of.record && of.followed() >= change) {
            return;
        }
        auto absence = absence_of(id, of);
        sentences.push_back(absence.empty() ? name_of_gateway(id, of) + " does not follow the newest routes yet"
                                            : std::move(absence));
    });
    if (!is_fresh(revision)) {
        sentences.emplace_back("the records of other hosts' gateways are being read from etcd");
    }
    return joined(own_.routing_before(revision), sentences);
}


gateway_control::followers fleet_control::followers_of(std::uint64_t revision, awaited whom) const
{
    auto all = own_.followers_of(revision, whom);
    const auto change = own_state_.change_up_to(revision);
    for_each_other([&all, change, whom](const std::string &, const fleet_view::member &of) {
        if (whom == awaited::known || of.is_reachable()) {
            ++all.known;
            all.behind += of.record && of.followed() >= change ? 0 : 1;
        }
    });
    return all;
}


// Waits.

operation_ptr fleet_control::when_followed(std::uint64_t revision, awaited whom, done_fn done)
{
    auto made = std::make_unique<wait>(*this, revision, whom, std::move(done));
    check_waits();
    return made;
}


bool fleet_control::is_followed(std::uint64_t revision, awaited whom) const
{
    const auto all = followers_of(revision, whom);
    return is_fresh(revision) && all.known != 0 && all.behind == 0;
}


void fleet_control::check_waits()
{
    for (auto *waiting : waits_) {
        if (is_followed(waiting->revision, waiting->of)) {
            waiting->end(outcome::ok());
        }
    }
    recheck_ = waits_.empty() ? nullptr : time_.after(recheck_pause, [this] { check_waits(); });
}


// Requests in flight.

/// No value if a gateway does not say, or may still be given requests by an older route of the model.
std::optional<std::uint64_t> fleet_control::in_flight_elsewhere(const std::string &model_id,
                                                                std::uint64_t revision) const
{
    const auto routed_at = own_state_.routed_at(model_id);
    std::optional<std::uint64_t> sum = 0;
    for_each_other([&](const std::string &, const fleet_view::member &of) {
        std::optional<std::uint64_t> here;
        if (of.followed() >= routed_at && of.record) {
            const auto busy = of.record->busy.find({model_id, revision});
            here = busy == of.record->busy.end() ? 0 : busy->second;
        }
        sum = sum && here ? std::optional(*sum + *here) : std::nullopt;
    });
    return is_fresh(routed_at) ? sum : std::nullopt;
}


operation_ptr fleet_control::in_flight(const std::string &model_id, const part_names &parts, std::uint64_t revision,
                                       std::function<void(std::optional<std::uint64_t>)> done)
{
    auto made = std::make_unique<count>(time_, std::move(done));
    const auto elsewhere = in_flight_elsewhere(model_id, revision);
    const bool is_any_here = own_.followers_of(0, awaited::known).known != 0;
    const bool is_any = is_any_here || followers_of(0, awaited::known).known != 0;
    if (!elsewhere || !is_any) {
        made->end(std::nullopt);
    } else if (is_any_here) {
        made->ask(own_, model_id, parts, revision, *elsewhere);
    } else {
        made->end(elsewhere);
    }
    return made;
}


// What this host's gateways say.

void fleet_control::publish_peers(const std::string &model_id, std::uint64_t revision,
                                  const std::string &server_model,
                                  const std::optional<std::vector<std::string>> &peers)
{
    own_.publish_peers(model_id, revision, server_model, peers);
}


void fleet_control::reset_peers()
{
    own_.reset_peers();
}


std::string fleet_control::objection_to(const std::string &upstream) const
{
    return own_.objection_to(upstream);
}


std::vector<std::string> fleet_control::servers_missing_in(const std::string &upstream,
                                                           const std::vector<std::string> &peers) const
{
    return own_.servers_missing_in(upstream, peers);
}


gateway_control::server_failures fleet_control::failures_of(const std::string &model_id, std::uint64_t revision) const
{
    return own_.failures_of(model_id, revision);
}


operation_ptr fleet_control::measure(const std::string &model_id, const part_names &parts,
                                     const std::vector<std::uint64_t> &revisions,
                                     std::function<void(const measured &)> done)
{
    return own_.measure(model_id, parts, revisions, std::move(done));
}

} // namespace rollout
