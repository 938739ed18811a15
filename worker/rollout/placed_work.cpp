#include "worker/rollout/placed_work.hpp"

#include "worker/base/format.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto drain_poll = 50ms;


/// Polls the requests in flight; ok if there are none.
operation_ptr poll_in_flight(gateway_control &gateways, const std::string &model_id, const served_revision &of,
                             const std::shared_ptr<std::optional<std::uint64_t>> &seen, done_fn done)
{
    return gateways.in_flight(
        model_id, of.parts(), of.revision, [seen, done = std::move(done)](std::optional<std::uint64_t> requests) {
            *seen = requests;
            if (!requests) {
                done(outcome::transient("a gateway does not say what it has in flight"));
            } else if (*requests != 0) {
                done(outcome::transient(format_count(*requests, "request is", "requests are") + " in flight"));
            } else {
                done(outcome::ok());
            }
        });
}

} // namespace


server_model server_model_of(const std::string &model_id, std::uint64_t revision, const served_model &copy)
{
    server_model model = {copy.model, model_id, revision, copy.parts};
    std::erase(model.parts, std::string()); // for a model without parts
    return model;
}


operation_ptr on_copies(clock &time, backend &server, const std::string &model_id, const served_revision &of,
                        const copy_work &work, done_fn done)
{
    std::vector<start_fn> all;
    for (const auto &copy : of.copies) {
        all.push_back([&server, model = server_model_of(model_id, of.revision, copy), copy, work](done_fn part) {
            return work(server, model, copy, std::move(part));
        });
    }
    return in_order(time, std::move(all), std::move(done));
}


operation_ptr unload_copy(backend &server, const server_model &model, const served_model &, done_fn done)
{
    return server.unload(model, unload_timeout, std::move(done));
}


copy_work removal_of(const served_revision &of)
{
    return [staged = of.stage_begun](backend &server, const server_model &model, const served_model &, done_fn then) {
        return staged ? server.remove(model, std::move(then)) : server.discard(model.name, std::move(then));
    };
}


operation_ptr await_drain(clock &time, gateway_control &gateways, const std::string &model_id,
                          const served_revision &of, std::chrono::seconds limit,
                          std::shared_ptr<std::optional<std::uint64_t>> seen, done_fn done)
{
    return try_until(
        time,
        [&gateways, model_id, of, seen = std::move(seen)](done_fn then) {
            return poll_in_flight(gateways, model_id, of, seen, std::move(then));
        },
        drain_poll, limit,
        [limit, revision = of.revision](const std::string &last) {
            return outcome::ok("after " + format_duration(limit) + " revision " + std::to_string(revision) +
                               " is taken away although " + last);
        },
        std::move(done));
}


std::vector<std::string> owing_servers(const backend &server, const served_revision &of)
{
    std::vector<std::string> all;
    for (const auto &copy : of.copies) {
        for (auto &peer : server.owing(copy.model)) {
            if (std::ranges::find(all, peer) == all.end()) {
                all.push_back(std::move(peer));
            }
        }
    }
    return all;
}


outcome lost_backend(const served_revision &of)
{
    return outcome::permanent("rolloutd's configuration has no backend \"" + of.backend + "\" any more, where " +
                              of.names() + " stands; put it back");
}

} // namespace rollout
