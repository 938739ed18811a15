#include "worker/rollout/waiting_detail.hpp"

#include "worker/base/format.hpp"
#include "worker/rollout/hold_detail.hpp"

#include <bit>

namespace rollout {

namespace {

std::string at_the_latest(std::int64_t until_us, std::int64_t now_us)
{
    return until_us == 0 ? "" : ", until " + format_moment(until_us, now_us) + " at the latest";
}


/// Returns what the running task does, for the text of the one behind it.
const char *state_words(wait_reason reason)
{
    switch (reason) {
    case wait_reason::none:
        return "is running";
    case wait_reason::time:
        return "waits for a time to pass";
    case wait_reason::requests:
        return "waits for requests";
    case wait_reason::person:
        return "waits for a person";
    case wait_reason::gateway:
        return "waits for a gateway";
    case wait_reason::server:
        return "waits for an inference server";
    case wait_reason::turn:
        return "waits for its turn";
    }
    return "is running";
}

} // namespace


wait_state wait_for_gateways(const std::string &model_id, const gateway_control::followers &are,
                             const std::string &missing, std::int64_t until_us, std::int64_t now_us)
{
    const std::string which = are.known == 0 ? "no gateway is connected"
                                             : std::to_string(are.behind) + " of " +
                                                   format_count(are.known, "gateway", "gateways") +
                                                   (are.behind == 1 ? " does" : " do") + " not follow it yet";
    return {wait_reason::gateway, 0,
            "The new route of model " + model_id + " waits for the gateways" + at_the_latest(until_us, now_us) +
                ": " + which + (missing.empty() ? "" : "; " + missing) + "."};
}


wait_state wait_for_drain(std::uint64_t revision, const std::optional<std::uint64_t> &in_flight,
                          std::int64_t until_us, std::int64_t now_us)
{
    const std::string of = "Revision " + std::to_string(revision) + " gets no more traffic and waits";
    const std::string until = at_the_latest(until_us, now_us) + ", and is taken away then.";
    if (!in_flight) {
        return {wait_reason::gateway, 0, of + " for a gateway to say what is in flight on it" + until};
    }
    const std::uint64_t bound = std::bit_ceil(*in_flight);
    return {wait_reason::requests, 0,
            of + " for requests in flight, " + (bound > 2 ? "at most " : "") + std::to_string(bound) + until};
}


std::string stays_loaded(const std::vector<std::uint64_t> &revisions, const std::string &why)
{
    if (revisions.empty()) {
        return {};
    }
    const bool several = revisions.size() > 1;
    std::string numbers;
    for (std::size_t i = 0; i < revisions.size(); ++i) {
        numbers += (i == 0 ? "" : i + 1 == revisions.size() ? " and " : ", ") + std::to_string(revisions[i]);
    }
    return (several ? "Revisions " : "Revision ") + numbers + (several ? " stay" : " stays") +
           " loaded until no gateway can route to " + (several ? "them" : "it") + ": " + why + ".";
}


std::string stays_on_servers(std::uint64_t revision, const std::vector<std::string> &peers)
{
    std::string all;
    for (const auto &peer : peers) {
        all += (all.empty() ? "" : ", ") + peer;
    }
    return all.empty()
               ? ""
               : "Revision " + std::to_string(revision) + " stays loaded until " + all +
                     (peers.size() == 1 ? ", which is down, has" : ", which are down, have") + " unloaded it.";
}


wait_state wait_for_server(const std::string &backend, const std::string &act, std::int64_t until_us,
                           std::int64_t now_us)
{
    return {wait_reason::server, 0,
            "Waits for the inference server of backend " + backend + " to " + act + at_the_latest(until_us, now_us) +
                "."};
}


wait_state wait_for_retry(unsigned attempts, const std::string &step, std::int64_t at_us, std::int64_t now_us,
                          const std::string &why)
{
    return {wait_reason::time, 0,
            "Attempt " + std::to_string(attempts) + " of step " + step + " failed and is repeated at " +
                format_moment(at_us, now_us) + ": " + why};
}


wait_state wait_for_permit(const std::string &step, std::uint64_t revision)
{
    return {wait_reason::turn, 0,
            "Step " + step + " of revision " + std::to_string(revision) +
                " waits for its turn: as many tasks are worked on as max_concurrent_rollouts allows."};
}


wait_state wait_for_engine()
{
    return {wait_reason::turn, 0,
            "The task is accepted and waits for its turn: no rolloutd carries out tasks at the moment."};
}


wait_state wait_for_turn(const turn_view &of)
{
    const auto said = [&of](const std::string &rest) {
        return wait_state{wait_reason::turn, 0,
                          (of.was_begun ? "The task began before rolloutd was restarted, and waits"
                                        : "The task is accepted and waits") +
                              rest};
    };
    if (!of.behind.empty()) {
        return said(" behind task " + of.behind + " of the same model, which waits for its turn itself.");
    }
    if (!of.running.empty()) {
        return said(" for task " + of.running + " of the same model, which " + state_words(of.running_waits_for) +
                    "; it is its turn next.");
    }
    if (of.none_may_run) {
        return said(" for its turn: max_concurrent_rollouts is 0, which holds all tasks.");
    }
    return said(of.is_full ? " for its turn: as many rollouts are at work as max_concurrent_rollouts allows."
                           : " for its turn.");
}

} // namespace rollout
