#include "worker/rollout/hold_detail.hpp"

#include "common/base/timestamp.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>
#include <vector>

namespace rollout {

namespace {

constexpr std::size_t most_servers = 5; ///< that a text names

constexpr std::uint64_t most_counts = 10; ///< that the texts of a wait distinguish


std::uint64_t rounded_down(std::uint64_t has, std::uint64_t wanted)
{
    const std::uint64_t unit = std::max<std::uint64_t>(wanted / most_counts, 1);
    return has / unit * unit;
}

} // namespace


std::string format_share(const task &of)
{
    return "Revision " + std::to_string(of.model_revision) + " has " + std::to_string(of.traffic_weight) +
           " % of the traffic of model " + of.model_id;
}


std::string format_moment(std::int64_t us, std::int64_t now_us)
{
    constexpr std::size_t date_characters = 10;
    constexpr std::size_t time_characters = 8;
    const std::string moment = timestamp(us);
    const std::string date = moment.substr(0, date_characters);
    const std::string time = moment.substr(date_characters + 1, time_characters) + " UTC";
    return timestamp(now_us).starts_with(date) ? time : date + " " + time;
}


wait_state wait_for_time(const hold_view &of)
{
    const std::string until = format_moment(of.ends_us, of.now_us);
    return {wait_reason::time, of.ends_us,
            of.kept_loaded == 0 ? of.share + " until " + until + " at the earliest."
                                : of.share + " and is watched until " + until + " at the earliest; revision " +
                                      std::to_string(of.kept_loaded) + " stays loaded until then."};
}


wait_state wait_for_requests(const hold_view &of, std::uint64_t has, std::uint64_t wanted, std::int64_t until_us,
                             const std::string &on_no_traffic)
{
    return {wait_reason::requests, of.ends_us,
            of.share + " and waits for requests that the gate can judge by: it has had at least " +
                std::to_string(rounded_down(has, wanted)) + " of " + std::to_string(wanted) +
                " requests. It waits until " + format_moment(until_us, of.now_us) +
                (on_no_traffic == "promote" ? ", then goes on without them (on_no_traffic)."
                                            : ", then fails (on_no_traffic).")};
}


wait_state wait_for_answers(const hold_view &of, std::int64_t until_us)
{
    return {wait_reason::requests, of.ends_us,
            of.share + " and waits for requests that have not been answered for too long already. It waits until " +
                format_moment(until_us, of.now_us) + ", then fails."};
}


std::string failed_servers(const gateway_control::server_failures &failures)
{
    std::vector<std::pair<std::string, std::uint64_t>> all;
    std::ranges::copy_if(failures, std::back_inserter(all), [](const auto &failed) { return failed.second != 0; });
    std::ranges::stable_sort(all, std::ranges::greater(), &std::pair<std::string, std::uint64_t>::second);
    std::string text;
    for (std::size_t i = 0; i < std::min(all.size(), most_servers); ++i) {
        text += (text.empty() ? "; failures by server: " : ", ") + all[i].first + ' ' + std::to_string(all[i].second);
    }
    if (all.size() > most_servers) {
        text += " and others";
    }
    return text;
}


wait_state wait_for_person(const hold_view &of, const std::string &task_id, const std::string &verb)
{
    return {wait_reason::person, of.ends_us,
            of.share + " and " + (verb == "resume" ? "is paused and " : "") + "waits for POST /deploy/" + task_id +
                "/" + verb + "."};
}

} // namespace rollout
