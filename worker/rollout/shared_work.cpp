#include "worker/rollout/shared_work.hpp"

#include "worker/rollout/combine.hpp"
#include "worker/words.hpp"

#include <algorithm>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto drain_look = 50ms;
constexpr auto ready_look = 100ms;

/// Between two looks for gateways that have no link.
constexpr auto follow_look = 2000ms;

/// How long the server may take to let its own requests end.
constexpr auto unload_timeout = 120s;


/// How many requests are in flight, as an outcome: none is ok.
operation_ptr look_in_flight(task_run &run, const placed_revision &one, done_fn done)
{
    return run.environment.gateways.in_flight(
        run.of.model_id, one.parts(), one.revision, [done = std::move(done)](std::optional<std::uint64_t> requests) {
            if (!requests) {
                done(outcome::transient("a gateway does not say what it has in flight"));
            } else if (*requests != 0) {
                done(outcome::transient(count_words(*requests, "request is", "requests are") + " in flight"));
            } else {
                done(outcome::ok());
            }
        });
}


/// `work` for each of a revision's copies, once the watch over lost models has its hands off them.
operation_ptr alone_on(task_run &run, const placed_revision &one, done_fn done, copy_work work)
{
    const start_fn hands_off = [&run, one](done_fn then) {
        auto waits = run.environment.let_go(run.of.model_id, one.revision, then);
        return waits ? std::move(waits) : ended(run, outcome::ok(), std::move(then));
    };
    const start_fn do_it = [&run, one, work = std::move(work)](done_fn then) {
        return on_copies(run, one, std::move(then), work);
    };
    return in_order(run.environment.time, {hands_off, do_it}, std::move(done));
}


/// While a gateway has no link, the task says so.
class following final : public operation {
  public:
    following(task_run &run, done_fn done)
        : run_(run), done_(std::move(done)), wait_(run.environment.gateways.when_followed(
                                                 run.of.route_revision, [this](const outcome &how) { end(how); }))
    {
        look_later();
    }

    void cancel() override { wait_->cancel(); }

  private:
    void look_later()
    {
        pause_ = run_.environment.time.after(follow_look, [this] { look(); });
    }

    void look()
    {
        const std::string missing = run_.environment.gateways.missing();
        step_record *step = run_.what.find_step(run_.what.step);
        if (missing != told_ && step != nullptr) {
            if (told_.empty()) {
                before_ = run_.what.detail;
            }
            told_ = missing;
            step->detail = missing;
            run_.what.detail = missing.empty() ? before_ : "Step " + step->name + " waits: " + missing + ".";
            run_.note_change();
        }
        look_later();
    }

    void end(const outcome &how)
    {
        if (step_record *step = run_.what.find_step(run_.what.step); step != nullptr && !told_.empty()) {
            step->detail.clear();
            run_.what.detail = before_;
        }
        const auto done = std::move(done_); // which may destroy this
        done(how);
    }

    task_run &run_;
    done_fn done_;
    std::string told_;
    std::string before_; ///< the task's detail
    operation_ptr wait_;
    operation_ptr pause_;
};


class writing final : public operation {
  public:
    writing(task_run &run, done_fn done)
    {
        run.save([this, alive = alive_, done = std::move(done)] {
            if (*alive) {
                done(canceled_ ? outcome::canceled() : outcome::ok()); // which may destroy this
            }
        });
    }
    ~writing() override { *alive_ = false; }

    void cancel() override { canceled_ = true; }

  private:
    bool canceled_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

} // namespace


operation_ptr write(task_run &run, done_fn done)
{
    return std::make_unique<writing>(run, std::move(done));
}


operation_ptr on_backend(task_run &run, const placed_revision &one, done_fn done,
                         const std::function<operation_ptr(backend &, done_fn)> &work)
{
    if (backend *server = run.environment.backend_of(one.backend)) {
        return work(*server, std::move(done));
    }
    return ended(run,
                 outcome::permanent("rolloutd's configuration has no backend \"" + one.backend +
                                    "\" any more, where " + one.names() + " stands; put it back"),
                 std::move(done));
}


server_model server_model_of(const std::string &model_id, std::uint64_t revision, const placed_copy &copy)
{
    server_model made = {copy.model, model_id, revision, copy.parts};
    std::erase(made.parts, std::string()); // of a model without parts
    return made;
}


operation_ptr on_copies(task_run &run, const placed_revision &one, done_fn done, copy_work work)
{
    return on_backend(run, one, std::move(done), [&](backend &server, done_fn then) {
        std::vector<start_fn> all;
        for (const auto &copy : one.copies) {
            all.push_back([&server, model = server_model_of(run.of.model_id, one.revision, copy), copy,
                           work](done_fn part) { return work(server, model, copy, std::move(part)); });
        }
        return in_order(run.environment.time, std::move(all), std::move(then));
    });
}


operation_ptr ended(task_run &run, outcome how, done_fn done)
{
    return ended(run.environment.time, std::move(how), std::move(done));
}


operation_ptr follow_route(task_run &run, done_fn done)
{
    return std::make_unique<following>(run, std::move(done));
}


operation_ptr follow_route_back(task_run &run, done_fn done)
{
    const auto limit = std::chrono::seconds(run.plan.rollout.ready_timeout_s + run.plan.rollout.drain_s);
    return within(
        run.environment.time, [&run](done_fn then) { return follow_route(run, std::move(then)); }, limit,
        outcome::permanent("after " + duration_words(limit) + " not every gateway follows the route of model " +
                           run.of.model_id + ", so that what one may still route to stays loaded"),
        std::move(done));
}


operation_ptr drain(task_run &run, const placed_revision &one, done_fn done)
{
    const auto limit = std::chrono::seconds(run.plan.rollout.drain_s);
    return try_until(
        run.environment.time, [&run, one](done_fn then) { return look_in_flight(run, one, std::move(then)); },
        drain_look, limit,
        [limit, one](const std::string &last) {
            return outcome::ok("after " + duration_words(limit) + " revision " + std::to_string(one.revision) +
                               " is taken away although " + last);
        },
        std::move(done));
}


operation_ptr unload(task_run &run, const placed_revision &one, done_fn done)
{
    if (!one.load_begun) {
        return ended(run, outcome::ok(), std::move(done));
    }
    return alone_on(run, one, std::move(done),
                    [](backend &server, const server_model &model, const placed_copy &, done_fn then) {
                        return server.unload(model, unload_timeout, std::move(then));
                    });
}


operation_ptr remove_files(task_run &run, const placed_revision &one, done_fn done)
{
    return on_copies(
        run, one, std::move(done),
        [staged = one.stage_begun](backend &server, const server_model &model, const placed_copy &, done_fn then) {
            return staged ? server.remove(model, std::move(then)) : server.discard(model.name, std::move(then));
        });
}


operation_ptr load(task_run &run, const placed_revision &one, done_fn done)
{
    return alone_on(run, one, std::move(done),
                    [&run](backend &server, const server_model &model, const placed_copy &copy, done_fn then) {
                        return server.load(model, copy.server_config.get(),
                                           std::chrono::seconds(run.plan.rollout.ready_timeout_s), std::move(then));
                    });
}


operation_ptr ready_within(clock &time, backend &server, const server_model &model, std::chrono::seconds limit,
                           done_fn done)
{
    return try_until(
        time, [&server, model](done_fn again) { return server.ready(model, std::move(again)); }, ready_look, limit,
        [limit, name = model.name](const std::string &last) {
            return outcome::permanent(name + " is not ready after " + duration_words(limit) + ": " + last);
        },
        std::move(done));
}


operation_ptr await_ready(task_run &run, const placed_revision &one, done_fn done)
{
    const auto limit = std::chrono::seconds(run.plan.rollout.ready_timeout_s);
    return on_copies(run, one, std::move(done),
                     [&run, limit](backend &server, const server_model &model, const placed_copy &, done_fn then) {
                         return ready_within(run.environment.time, server, model, limit, std::move(then));
                     });
}


operation_ptr for_each(task_run &run, const std::vector<placed_revision> &all,
                       operation_ptr (*work)(task_run &, const placed_revision &, done_fn), done_fn done)
{
    std::vector<start_fn> parts;
    for (const auto &one : all) {
        parts.push_back([&run, one, work](done_fn then) { return work(run, one, std::move(then)); });
    }
    return in_order(run.environment.time, std::move(parts), std::move(done));
}


operation_ptr take_off(task_run &run, const std::vector<placed_revision> &all, done_fn done)
{
    std::vector<start_fn> revisions;
    for (const auto &one : all) {
        const start_fn remove = [&run, one](done_fn then) {
            const auto note = [&run, one, then = std::move(then)](const outcome &how) {
                if (how) {
                    std::erase_if(run.of.retired,
                                  [&one](const auto &other) { return other.revision == one.revision; });
                    if (one.keep_files) {
                        run.of.kept.push_back(one);
                        run.of.kept.back().load_begun = false;
                    }
                }
                then(how);
            };
            return one.keep_files ? ended(run, outcome::ok(), note) : remove_files(run, one, note);
        };
        const start_fn unload_it = [&run, one](done_fn then) { return unload(run, one, std::move(then)); };
        revisions.push_back([&run, unload_it, remove](done_fn then) {
            return in_order(run.environment.time, {unload_it, remove}, std::move(then));
        });
    }
    return each_in_turn(run.environment.time, std::move(revisions), std::move(done));
}


operation_ptr retire(task_run &run, const std::vector<placed_revision> &all, done_fn done)
{
    return in_order(run.environment.time,
                    {[&run, all](done_fn then) { return for_each(run, all, drain, std::move(then)); },
                     [&run, all](done_fn then) { return take_off(run, all, std::move(then)); }},
                    std::move(done));
}

} // namespace rollout
