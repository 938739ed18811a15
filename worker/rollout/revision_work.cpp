#include "worker/rollout/revision_work.hpp"

#include "worker/async/combine.hpp"
#include "worker/async/completion.hpp"
#include "worker/async/lifetime.hpp"
#include "worker/base/format.hpp"
#include "worker/rollout/waiting_detail.hpp"
#include "worker/rollout/while_waiting.hpp"

#include <algorithm>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto ready_poll = 100ms;

/// After a restart of rolloutd, the gateways are back within this, or out of reach.
constexpr auto reconnect_time = 10s;


/// Returns the time after that long, for people: microseconds since 1970, UTC.
std::int64_t moment_after(const run_context &run, std::chrono::microseconds time)
{
    return run.environment.time.wall_us() + time.count();
}


/// Returns how far the servers are with the current call; empty for a backend with one server.
std::string progress_of(const run_context &run, const served_revision &revision)
{
    const backend *server = run.environment.backend_of(revision.backend);
    for (const auto &copy : revision.copies) {
        if (auto text = server == nullptr ? std::string() : server->progress_of(copy.model); !text.empty()) {
            return text;
        }
    }
    return {};
}


/// Waits until these gateways follow the model's route. `until_us` 0: for as long as it takes. If the step fails
/// because of that, it says which gateway was not connected.
operation_ptr follow_route_until(run_context &run, gateway_control::awaited whom, std::int64_t until_us, done_fn done)
{
    const auto is_noted = std::make_shared<bool>(false);
    const auto note = [&run, is_noted](const std::string &missing) {
        if (*is_noted || !missing.empty()) {
            *is_noted = true;
            run.writer.say_step(missing);
        }
    };
    return while_waiting(
        run,
        [&run, whom, until_us, note] {
            const auto &gateways = run.environment.gateways;
            const std::string missing = gateways.missing();
            note(missing);
            return wait_for_gateways(run.model.model_id, gateways.followers_of(run.model.route_revision, whom),
                                     missing, until_us, run.environment.time.wall_us());
        },
        [&run, whom](done_fn then) {
            return run.environment.gateways.when_followed(run.model.route_revision, whom, std::move(then));
        },
        [note, done = std::move(done)](const outcome &result) {
            if (result) {
                note({});
            }
            done(result);
        });
}


/// Runs `work` for each of a revision's copies, once the monitor has released them.
operation_ptr alone_on(run_context &run, const served_revision &revision, done_fn done, copy_work work)
{
    const start_fn release = [&run, revision](done_fn then) {
        return run.environment.release(run.model.model_id, revision.revision, std::move(then));
    };
    const start_fn do_it = [&run, revision, work = std::move(work)](done_fn then) {
        return on_copies(run, revision, std::move(then), work);
    };
    return in_order(run.environment.time, {release, do_it}, std::move(done));
}


/// Adds a sentence to what the task says it leaves; an empty one adds nothing, nor does one that is there already.
void note_left_loaded(run_context &run, const std::string &sentence)
{
    if (!sentence.empty() && run.left_loaded.find(sentence) == std::string::npos) {
        run.left_loaded += (run.left_loaded.empty() ? "" : " ") + sentence;
    }
}


/// Notes which servers have yet to unload a revision that the others have unloaded.
done_fn noting_owing(run_context &run, const served_revision &revision, done_fn done)
{
    return [&run, revision, done = std::move(done)](const outcome &result) {
        const backend *server = run.environment.backend_of(revision.backend);
        served_revision *known = find_revision(run.model, revision.revision);
        if (result && server != nullptr && known != nullptr) {
            known->owing = owing_servers(*server, revision);
            note_left_loaded(run, stays_on_servers(revision.revision, known->owing));
        }
        done(result);
    };
}


/// Returns whether a gateway may still route by a route from before the model's current one.
bool is_routed_to(const run_context &run)
{
    return !run.environment.gateways.routing_before(run.model.route_revision).empty();
}


/// Waits for gateways that may still route to what the model's route no longer names: those that are about to follow
/// it, or to be back after a restart of rolloutd. What is out of reach is not waited for.
operation_ptr await_reconnects(run_context &run, done_fn done)
{
    if (!is_routed_to(run)) {
        return ended(run, outcome::ok(), std::move(done));
    }
    return within(
        run.environment.time,
        [&run, until_us = moment_after(run, reconnect_time)](done_fn then) {
            return follow_route_until(run, gateway_control::awaited::reachable, until_us, std::move(then));
        },
        reconnect_time, outcome::ok(), std::move(done));
}


/// Returns those of the revisions that are to be drained before they are unloaded, as the model has them now.
std::vector<served_revision> undrained(run_context &run, const std::vector<served_revision> &all)
{
    std::vector<served_revision> found;
    for (const auto &revision : all) {
        const served_revision *known = find_revision(run.model, revision.revision);
        if (known != nullptr && known->load_begun && !known->drained) {
            found.push_back(*known);
        }
    }
    return found;
}


/// Drains these revisions, and writes that they are drained: after a crash, nothing is waited for again.
operation_ptr drain_and_note(run_context &run, const std::vector<served_revision> &all, done_fn done)
{
    const start_fn drain_each = [&run, all](done_fn then) { return for_each(run, all, drain, std::move(then)); };
    const start_fn note = [&run, all](done_fn then) {
        for (const auto &revision : all) {
            note_drained(run.model, revision.revision);
        }
        return write(run, std::move(then));
    };
    return in_order(run.environment.time, {drain_each, note}, std::move(done));
}


/// Leaves these revisions loaded, because of what `why` says, and removes those that are not loaded any more.
operation_ptr leave_loaded(run_context &run, std::vector<served_revision> all, const std::string &why, done_fn done)
{
    std::vector<std::uint64_t> left;
    std::erase_if(all, [&left](const served_revision &revision) {
        if (revision.load_begun) {
            left.push_back(revision.revision);
        }
        return revision.load_begun;
    });
    const std::string sentence = stays_loaded(left, why);
    note_left_loaded(run, sentence);
    const start_fn remove = [&run, all](done_fn then) { return unload_and_remove(run, all, std::move(then)); };
    const start_fn say = [&run, sentence](done_fn then) {
        return ended(run, outcome::ok(sentence), std::move(then));
    };
    return in_order(run.environment.time, {remove, say}, std::move(done));
}


/// Unloads and removes these revisions once they are drained, unless a gateway may still route to them. That is checked
/// last, as a gateway may have come meanwhile.
operation_ptr unload_if_safe(run_context &run, const std::vector<served_revision> &all, done_fn done)
{
    if (const auto why = run.environment.gateways.routing_before(run.model.route_revision); !why.empty()) {
        return leave_loaded(run, all, why, std::move(done));
    }
    const auto to_drain = undrained(run, all);
    if (to_drain.empty()) {
        return unload_and_remove(run, all, std::move(done));
    }
    return in_order(run.environment.time,
                    {[&run, to_drain](done_fn then) { return drain_and_note(run, to_drain, std::move(then)); },
                     [&run, all](done_fn then) { return unload_if_safe(run, all, std::move(then)); }},
                    std::move(done));
}


class writing final : public operation {
  public:
    writing(run_context &run, done_fn done) : done_(std::move(done))
    {
        run.writer.save(lifetime_.bound([this] { done_(canceled_ ? outcome::canceled() : outcome::ok()); }));
    }

    void cancel() override { canceled_ = true; }

  private:
    completion<outcome> done_;
    bool canceled_ = false;
    lifetime lifetime_;
};

} // namespace


operation_ptr write(run_context &run, done_fn done)
{
    return std::make_unique<writing>(run, std::move(done));
}


done_fn noting_servers(run_context &run, const served_revision &revision, done_fn done)
{
    return [&run, number = revision.revision, backend_name = revision.backend,
            done = std::move(done)](const outcome &result) {
        const backend *server = run.environment.backend_of(backend_name);
        served_revision *known = find_revision(run.model, number);
        if (server != nullptr && known != nullptr) {
            for (auto &copy : known->copies) {
                if (const auto standing = server->standing_of(copy.model)) {
                    copy.peers = standing->serving;
                    copy.barred = standing->barred;
                }
            }
        }
        done(result);
    };
}


operation_ptr while_server_works(run_context &run, const served_revision &revision, const std::string &act,
                                 std::chrono::seconds limit, const std::function<operation_ptr(done_fn)> &work,
                                 done_fn done)
{
    const auto until_us = moment_after(run, limit * static_cast<int>(revision.copies.size()));
    return while_waiting(
        run,
        [&run, act, until_us, revision] {
            const std::string progress = progress_of(run, revision);
            if (!progress.empty()) {
                run.writer.say_step(progress);
            }
            return wait_for_server(revision.backend, act + ' ' + revision.names(), until_us,
                                   run.environment.time.wall_us());
        },
        work, std::move(done));
}


operation_ptr on_backend(run_context &run, const served_revision &revision, done_fn done,
                         const std::function<operation_ptr(backend &, done_fn)> &work)
{
    if (backend *server = run.environment.backend_of(revision.backend)) {
        return work(*server, std::move(done));
    }
    return ended(run, lost_backend(revision), std::move(done));
}


operation_ptr on_copies(run_context &run, const served_revision &revision, done_fn done, copy_work work)
{
    return on_backend(run, revision, std::move(done), [&](backend &server, done_fn then) {
        return on_copies(run.environment.time, server, run.model.model_id, revision, work, std::move(then));
    });
}


operation_ptr ended(run_context &run, outcome result, done_fn done)
{
    return ended(run.environment.time, std::move(result), std::move(done));
}


operation_ptr follow_route(run_context &run, gateway_control::awaited whom, done_fn done)
{
    return follow_route_until(run, whom, 0, std::move(done));
}


operation_ptr follow_route_back(run_context &run, done_fn done)
{
    const auto limit = std::chrono::seconds(run.plan.rollout.ready_timeout_s + run.plan.rollout.drain_s);
    return within(
        run.environment.time,
        [&run, until_us = moment_after(run, limit)](done_fn then) {
            return follow_route_until(run, gateway_control::awaited::reachable, until_us, std::move(then));
        },
        limit,
        outcome::permanent("after " + format_duration(limit) + " not every gateway follows the route of model " +
                           run.model.model_id + ", so that what one may still route to stays loaded"),
        std::move(done));
}


operation_ptr drain(run_context &run, const served_revision &revision, done_fn done)
{
    if (revision.drained || !revision.load_begun) {
        return ended(run, outcome::ok(), std::move(done));
    }
    const auto limit = std::chrono::seconds(run.plan.rollout.drain_s);
    const auto seen = std::make_shared<std::optional<std::uint64_t>>();
    const start_fn work = [&run, revision, limit, seen](done_fn end) {
        return await_drain(run.environment.time, run.environment.gateways, run.model.model_id, revision, limit, seen,
                           std::move(end));
    };
    return while_waiting(
        run,
        [&run, seen, number = revision.revision, until_us = moment_after(run, limit)] {
            return wait_for_drain(number, *seen, until_us, run.environment.time.wall_us());
        },
        work, std::move(done));
}


operation_ptr unload(run_context &run, const served_revision &revision, done_fn done)
{
    if (!revision.load_begun) {
        return ended(run, outcome::ok(), std::move(done));
    }
    const start_fn work = [&run, revision](done_fn end) {
        return alone_on(run, revision, std::move(end), unload_copy);
    };
    return while_server_works(run, revision, "unload", unload_timeout, work,
                              noting_owing(run, revision, std::move(done)));
}


operation_ptr remove_files(run_context &run, const served_revision &revision, done_fn done)
{
    run.writer.note_if_stale();
    return on_copies(run, revision, std::move(done), removal_of(revision));
}


operation_ptr load(run_context &run, const served_revision &revision, done_fn done)
{
    const auto limit = std::chrono::seconds(run.plan.rollout.ready_timeout_s);
    const start_fn work = [&run, revision, limit](done_fn end) {
        return alone_on(run, revision, std::move(end),
                        [limit](backend &server, const server_model &model, const served_model &copy, done_fn then) {
                            return server.load(model, copy.server_config.get(), limit, std::move(then));
                        });
    };
    return while_server_works(run, revision, "load", limit, work, noting_servers(run, revision, std::move(done)));
}


operation_ptr ready_within(clock &time, backend &server, const server_model &model, std::chrono::seconds limit,
                           done_fn done)
{
    return try_until(
        time, [&server, model](done_fn again) { return server.ready(model, std::move(again)); }, ready_poll, limit,
        [limit, name = model.name](const std::string &last) {
            return outcome::permanent(name + " is not ready after " + format_duration(limit) + ": " + last);
        },
        std::move(done));
}


operation_ptr await_ready(run_context &run, const served_revision &revision, done_fn done)
{
    const auto limit = std::chrono::seconds(run.plan.rollout.ready_timeout_s);
    const start_fn work = [&run, revision, limit](done_fn end) {
        return on_copies(
            run, revision, std::move(end),
            [&run, limit](backend &server, const server_model &model, const served_model &, done_fn then) {
                return ready_within(run.environment.time, server, model, limit, std::move(then));
            });
    };
    return while_server_works(run, revision, "have ready", limit, work,
                              noting_servers(run, revision, std::move(done)));
}


operation_ptr for_each(run_context &run, const std::vector<served_revision> &all,
                       operation_ptr (*work)(run_context &, const served_revision &, done_fn), done_fn done)
{
    std::vector<start_fn> parts;
    parts.reserve(all.size());
    for (const auto &revision : all) {
        parts.push_back([&run, revision, work](done_fn then) { return work(run, revision, std::move(then)); });
    }
    return in_order(run.environment.time, std::move(parts), std::move(done));
}


bool is_owing(run_context &run, const served_revision &revision)
{
    const served_revision *known = find_revision(run.model, revision.revision);
    return known != nullptr && !known->owing.empty();
}


operation_ptr unload_and_remove(run_context &run, const std::vector<served_revision> &all, done_fn done)
{
    std::vector<start_fn> revisions;
    for (const auto &retired : all) {
        const served_revision revision = without_names_in_use(run.model, retired);
        const start_fn remove = [&run, revision](done_fn then) {
            if (is_owing(run, revision)) { // retried when the server is back
                return ended(run, outcome::ok(), std::move(then));
            }
            const auto note = [&run, revision, then = std::move(then)](const outcome &result) {
                if (result) {
                    note_taken_off(run.model, revision.revision);
                }
                then(result);
            };
            return revision.keep_files ? ended(run, outcome::ok(), note) : remove_files(run, revision, note);
        };
        const start_fn unload_it = [&run, revision](done_fn then) { return unload(run, revision, std::move(then)); };
        revisions.push_back([&run, unload_it, remove](done_fn then) {
            return in_order(run.environment.time, {unload_it, remove}, std::move(then));
        });
    }
    return each_in_turn(run.environment.time, std::move(revisions), std::move(done));
}


operation_ptr retire(run_context &run, const std::vector<served_revision> &all, const start_fn &before_unload,
                     done_fn done)
{
    run.left_loaded.clear();
    if (all.empty()) {
        return ended(run, outcome::ok(), std::move(done));
    }
    // What is not to be unloaded now needs neither a drain nor what comes before an unload.
    const start_fn drain_them = [&run, all](done_fn then) {
        const auto to_drain = is_routed_to(run) ? std::vector<served_revision>() : undrained(run, all);
        return to_drain.empty() ? ended(run, outcome::ok(), std::move(then))
                                : drain_and_note(run, to_drain, std::move(then));
    };
    const start_fn prepare = [&run, before_unload](done_fn then) {
        return !before_unload || is_routed_to(run) ? ended(run, outcome::ok(), std::move(then))
                                                   : before_unload(std::move(then));
    };
    return in_order(run.environment.time,
                    {[&run](done_fn then) { return await_reconnects(run, std::move(then)); }, drain_them, prepare,
                     [&run, all](done_fn then) { return unload_if_safe(run, all, std::move(then)); }},
                    std::move(done));
}

} // namespace rollout
