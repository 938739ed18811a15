#include "worker/backend/group/group_backend.hpp"

#include "worker/async/combine.hpp"
#include "worker/base/format.hpp"
#include "worker/fs/copy_tree.hpp"
#include "worker/fs/destination.hpp"
#include "worker/fs/guarded_open.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string_view>
#include <utility>

#include <fcntl.h>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// The minimum time that the other servers get once the required ones are done.
constexpr std::chrono::milliseconds least_grace = 2s;

constexpr std::chrono::milliseconds first_supply_pause = 100ms;
constexpr std::chrono::milliseconds longest_supply = 1h;


/// Returns the text that most have, of those that are not empty; the first one of several.
std::string most_frequent(const std::vector<std::string> &texts)
{
    std::string most;
    std::ptrdiff_t times = 0;
    for (const auto &text : texts) {
        if (const auto has = std::ranges::count(texts, text); !text.empty() && has > times) {
            most = text;
            times = has;
        }
    }
    return most;
}


/// Returns a server's own text, prefixed with the server's name unless it contains it.
std::string words_of(const std::string &peer, const std::string &words)
{
    return words.find(peer) == std::string::npos ? "server " + peer + ": " + words : words;
}

/// Copies a model's folder, with the holes of its files. A hook may have put links into it.
outcome copy_model(const std::filesystem::path &from, const std::filesystem::path &to, const stop_flag &stop)
{
    const allowed_area anywhere({"/"});
    const tree_bounds unbounded{std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max()};
    opened_source source;
    if (auto opened = open_source(AT_FDCWD, from.c_str(), anywhere, shown(from), source); !opened) {
        return opened;
    }
    unique_fd folder;
    if (auto cleared = clear_destination(to); !cleared) {
        return cleared;
    }
    if (auto created = make_folder(to, folder); !created) {
        return created;
    }
    tree_pass pass(anywhere, unbounded, stop);
    return pass.copy_folder(source, from.native(), [&folder](std::string_view, bool) { return folder.get(); });
}

} // namespace


group_backend::group_backend(group_settings settings, clock &time, thread_fn run_on_thread)
    : settings_(std::move(settings)), time_(time), run_on_thread_(std::move(run_on_thread))
{
}


std::vector<std::string> group_backend::servers() const
{
    std::vector<std::string> peers;
    for (const auto &target : settings_.members) {
        peers.push_back(target.peer);
    }
    return peers;
}


backend *group_backend::server(const std::string &peer)
{
    const auto found = std::ranges::find(settings_.members, peer, &member::peer);
    return found == settings_.members.end() ? nullptr : found->server.get();
}


std::optional<backend::standing> group_backend::standing_of(const std::string &model) const
{
    const auto known = models_.find(model);
    if (known == models_.end()) {
        return std::nullopt;
    }
    standing all;
    for (const auto &target : settings_.members) {
        switch (state_at(model, target)) {
        case server_state::loaded:
        case server_state::ready:
            all.serving.push_back(target.peer);
            break;
        case server_state::barred:
            all.barred.push_back(target.peer);
            break;
        case server_state::untried:
        case server_state::failed:
            break;
        }
    }
    return all;
}


std::vector<std::string> group_backend::owing(const std::string &model) const
{
    const auto known = owing_.find(model);
    return known == owing_.end() ? std::vector<std::string>()
                                 : std::vector<std::string>(known->second.begin(), known->second.end());
}


std::string group_backend::progress_of(const std::string &model) const
{
    const auto known = models_.find(model);
    return known == models_.end() ? "" : known->second.progress.sentence(time_.now());
}


group_backend::server_state group_backend::state_at(const std::string &model, const member &of) const
{
    const auto known = models_.find(model);
    if (known == models_.end()) {
        return server_state::untried;
    }
    const auto found = known->second.servers.find(of.peer);
    return found == known->second.servers.end() ? server_state::untried : found->second;
}


group_backend::members group_backend::members_at(const std::string &model, server_state least) const
{
    members all;
    for (const auto &target : settings_.members) {
        if (state_at(model, target) >= least) {
            all.push_back(&target);
        }
    }
    return all;
}


// Calls to all servers.

/// Makes the call to one server if the server first answers a short question, so that a server that is down or hangs is
/// not waited for as long as the call itself may take.
start_fn group_backend::asked_first(const member &of, const server_model &model, const call_fn &call)
{
    const auto question = [&of, model](done_fn then) {
        return of.server->probe_models(
            {model}, [&of, then = std::move(then)](const std::vector<model_status> &found) {
                const auto &status = found.front();
                then(status.is != model_status::kind::unknown
                         ? outcome::ok()
                         : outcome::transient(
                               words_of(of.peer, status.words.empty() ? "it does not answer" : status.words)));
            });
    };
    const auto work = [&of, call](done_fn then) { return call(*of.server, std::move(then)); };
    return [this, question, work](done_fn then) { return in_order(time_, {question, work}, std::move(then)); };
}


void group_backend::note(const std::string &model, const member &of, server_state good, const outcome &result)
{
    model_state &state = models_[model];
    state.progress.end_server(of.peer, static_cast<bool>(result));
    if (result) {
        state.servers[of.peer] = good;
        state.failures.erase(of.peer);
    } else {
        state.servers[of.peer] = server_state::failed;
        state.failures[of.peer] = {result.is, words_of(of.peer, result.detail)};
    }
}


/// Runs the call on these servers and records the result of each. A call that is abandoned counts as a transient failure.
operation_ptr group_backend::run(const server_model &model, const step &what, const members &on, const call_fn &call,
                                 std::function<void()> ended)
{
    model_state &state = models_[model.name];
    std::vector<std::string> names;
    std::vector<start_fn> parts;
    members done = members_at(model.name, what.good);
    std::erase_if(done, [&on](const member *target) { return std::ranges::find(on, target) != on.end(); });
    for (const auto *target : on) {
        names.push_back(target->peer);
        const start_fn work =
            what.asks_first
                ? asked_first(*target, model, call)
                : start_fn([target, call](done_fn then) { return call(*target->server, std::move(then)); });
        parts.push_back([this, target, work, name = model.name, good = what.good](done_fn then) {
            models_[name].progress.begin_server(target->peer, time_.now());
            return work([this, target, name, good, then = std::move(then)](const outcome &result) {
                note(name, *target, good, result);
                then(result);
            });
        });
    }
    state.progress.begin(what.name, what.doing, std::move(names));
    side_by_side_rule rule;
    rule.at_once = what.at_once;
    rule.enough = settings_.min_servers - std::min(done.size(), settings_.min_servers);
    rule.grace = least_grace;
    return side_by_side(time_, std::move(parts), rule,
                        [this, on, name = model.name, doing = std::string(what.doing), good = what.good,
                         ended = std::move(ended)](const std::vector<std::optional<outcome>> &results) {
                            for (std::size_t i = 0; i < on.size(); ++i) {
                                if (!results[i]) {
                                    note(name, *on[i], good,
                                         outcome::transient("it is " + doing + " still, and is not waited for"));
                                }
                            }
                            models_[name].progress.end();
                            ended();
                        });
}


std::string group_backend::words_of_failures(const model_state &state) const
{
    std::string all;
    for (const auto &target : settings_.members) {
        if (const auto failed = state.failures.find(target.peer); failed != state.failures.end()) {
            all += (all.empty() ? "" : "; ") + failed->second.detail;
        }
    }
    return all;
}


/// Returns the result of a call, by how many servers have reached the wanted state.
outcome group_backend::judge(const std::string &model, server_state wanted, const members &asked) const
{
    const model_state &state = models_.at(model);
    const std::size_t good = members_at(model, wanted).size();
    const std::string words = words_of_failures(state);
    const std::string count =
        std::to_string(good) + " of " + format_count(settings_.members.size(), "server", "servers");
    if (good >= settings_.min_servers) {
        return outcome::ok(count + (words.empty() ? "" : "; " + words));
    }
    const auto may_pass = static_cast<std::size_t>(std::ranges::count_if(asked, [&state](const member *target) {
        const auto failed = state.failures.find(target->peer);
        return failed != state.failures.end() && failed->second.is == outcome::kind::transient;
    }));
    const auto is_canceled = [](const auto &failed) { return failed.second.is == outcome::kind::canceled; };
    if (std::ranges::any_of(state.failures, is_canceled)) {
        return outcome::canceled();
    }
    const std::string sentence = count + ", " + std::to_string(settings_.min_servers) + " required (" + words + ")";
    return good + may_pass >= settings_.min_servers ? outcome::transient(sentence) : outcome::permanent(sentence);
}


operation_ptr group_backend::load(const server_model &model, const json_t *config, std::chrono::milliseconds timeout,
                                  done_fn done)
{
    model_state &state = models_[model.name];
    if (!std::exchange(state.is_to_repeat, false)) {
        state = {};
    }
    state.failures.clear();
    members to_load;
    for (const auto &target : settings_.members) {
        if (state_at(model.name, target) < server_state::loaded) {
            to_load.push_back(&target);
        }
    }
    const auto copy = config == nullptr ? nullptr : share(json_made(json_deep_copy(config)));
    const step what = {"load", "loading", server_state::loaded, settings_.max_parallel_loads, settings_.asks_first};
    return run(
        model, what, to_load,
        [model, copy, timeout](backend &server, done_fn then) {
            return server.load(model, copy.get(), timeout, std::move(then));
        },
        [this, to_load, name = model.name, done = std::move(done)] {
            const auto result = judge(name, server_state::loaded, to_load);
            models_[name].is_to_repeat = result.is == outcome::kind::transient;
            done(result);
        });
}


/// Asks a server whether the model is ready, and then which versions it has loaded: the one at `index` of `versions`.
start_fn group_backend::ready_and_version(backend &server, const server_model &model,
                                          const std::shared_ptr<std::vector<std::string>> &versions,
                                          std::size_t index)
{
    const start_fn is_ready = [&server, model](done_fn then) { return server.ready(model, std::move(then)); };
    const start_fn which = [&server, model, versions, index](done_fn then) {
        return server.probe_models({model},
                                   [versions, index, then = std::move(then)](const std::vector<model_status> &found) {
                                       (*versions)[index] = found.front().versions;
                                       then(outcome::ok());
                                   });
    };
    return [this, is_ready, which](done_fn then) { return in_order(time_, {is_ready, which}, std::move(then)); };
}


/// Notes a server that has loaded another version than the others: it gets no traffic until it has loaded the model
/// anew.
void group_backend::note_other_version(const std::string &model, const member &of, const std::string &version,
                                       const std::string &usual)
{
    note(model, of, server_state::ready,
         outcome::permanent("server " + of.peer + " has version " + version + " of " + model +
                            " loaded, and the others " + usual + ": look at its repository"));
    models_[model].servers[of.peer] = server_state::barred;
}


/// Asks each server that has loaded the model once, or, after a restart, all servers.
operation_ptr group_backend::ready(const server_model &model, done_fn done)
{
    members asked = members_at(model.name, server_state::loaded);
    if (asked.empty()) {
        asked = members_at(model.name, server_state::untried);
    }
    auto parts = std::make_shared<std::vector<const member *>>(asked);
    auto versions = std::make_shared<std::vector<std::string>>(asked.size());
    std::vector<start_fn> questions;
    for (std::size_t i = 0; i < asked.size(); ++i) {
        questions.push_back(ready_and_version(*asked[i]->server, model, versions, i));
    }
    return side_by_side(time_, std::move(questions), {},
                        [this, parts, versions, name = model.name,
                         done = std::move(done)](const std::vector<std::optional<outcome>> &results) {
                            model_state &state = models_[name];
                            bool is_waited_for = false;
                            const std::string usual = most_frequent(*versions);
                            for (std::size_t i = 0; i < parts->size(); ++i) {
                                const member &target = *(*parts)[i];
                                const outcome result = results[i].value_or(outcome::canceled());
                                if (result && !(*versions)[i].empty() && (*versions)[i] != usual) {
                                    note_other_version(name, target, (*versions)[i], usual);
                                } else if (result) {
                                    state.servers[target.peer] = server_state::ready;
                                    state.failures.erase(target.peer);
                                } else if (result.is == outcome::kind::transient) { // is asked again
                                    state.servers[target.peer] = server_state::loaded;
                                    state.failures[target.peer] =
                                        outcome::transient(words_of(target.peer, result.detail));
                                    is_waited_for = true;
                                } else {
                                    note(name, target, server_state::ready, result);
                                }
                            }
                            const auto result = judge(name, server_state::ready, *parts);
                            if (!result || !is_waited_for) {
                                done(result);
                                return;
                            }
                            if (!state.enough_since) {
                                state.enough_since = time_.now();
                            }
                            const bool is_over = time_.now() - *state.enough_since >= least_grace;
                            if (is_over) { // a server that is not ready now has failed for now
                                for (auto &[peer, is] : state.servers) {
                                    is = is == server_state::loaded ? server_state::failed : is;
                                }
                            }
                            done(is_over ? result : outcome::transient(result.detail));
                        });
}


operation_ptr group_backend::infer(const server_model &model, const json_t *request,
                                   std::chrono::milliseconds timeout, done_fn done)
{
    members asked = members_at(model.name, server_state::loaded);
    if (asked.empty()) {
        asked = members_at(model.name, server_state::untried);
    }
    models_[model.name].failures.clear();
    const auto copy = request == nullptr ? nullptr : share(json_made(json_deep_copy(request)));
    const step what = {"smoke", "answering the smoke test", server_state::ready, settings_.members.size(), false};
    return run(
        model, what, asked,
        [model, copy, timeout](backend &server, done_fn then) {
            return server.infer(model, copy.get(), timeout, std::move(then));
        },
        [this, asked, name = model.name, done = std::move(done)] {
            const auto result = judge(name, server_state::ready, asked);
            model_state &state = models_[name];
            for (const auto &[peer, failure] : state.failures) {
                if (failure.is == outcome::kind::permanent) {
                    state.servers[peer] = server_state::barred;
                } else if (!result) {
                    state.servers[peer] = server_state::ready; // and is asked again when the test is repeated
                }
            }
            done(result);
        });
}


operation_ptr group_backend::unload(const server_model &model, std::chrono::milliseconds timeout, done_fn done)
{
    models_.erase(model.name);
    members all = members_at(model.name, server_state::untried);
    const step what = {"unload", "unloading", server_state::loaded, settings_.members.size(), settings_.asks_first};
    owing_.erase(model.name);

    // A server that does not answer a short question, before the call or after it has failed, is down.
    const auto down = std::make_shared<std::set<std::string>>();
    const auto note_down = [down](const member &of, done_fn then) {
        return [down, &of, then = std::move(then)](const outcome &result) {
            if (!result && result.is == outcome::kind::transient) {
                down->insert(of.peer);
            }
            then(result);
        };
    };
    std::vector<start_fn> parts;
    std::vector<std::string> names;
    for (const auto *target : all) {
        names.push_back(target->peer);
        const call_fn nothing = [this](backend &, done_fn then) {
            return ended(time_, outcome::ok(), std::move(then));
        };
        const start_fn question = asked_first(*target, model, nothing);
        const start_fn call = [target, model, timeout](done_fn then) {
            return target->server->unload(model, timeout, std::move(then));
        };
        parts.push_back([this, target, model, question, call, note_down, asks_first = what.asks_first](done_fn then) {
            models_[model.name].progress.begin_server(target->peer, time_.now());
            const start_fn work = [this, target, question, call, note_down,
                                   asks_first](done_fn end) -> operation_ptr {
                if (!asks_first) {
                    return call(std::move(end));
                }
                return in_order(time_,
                                {[question, target, note_down](done_fn part) {
                                     return question(note_down(*target, std::move(part)));
                                 },
                                 call},
                                std::move(end));
            };
            return work([this, target, name = model.name, then = std::move(then)](const outcome &result) {
                models_[name].progress.end_server(target->peer, static_cast<bool>(result));
                then(result);
            });
        });
    }
    models_[model.name].progress.begin(what.name, what.doing, std::move(names));
    return side_by_side(time_, std::move(parts), {},
                        [this, all, down, name = model.name,
                         done = std::move(done)](const std::vector<std::optional<outcome>> &results) {
                            models_.erase(name);
                            std::size_t gone = 0;
                            outcome failure;
                            std::string words;
                            std::string silent;
                            for (std::size_t i = 0; i < all.size(); ++i) {
                                const outcome result = results[i].value_or(outcome::canceled());
                                if (result) {
                                    ++gone;
                                } else if (down->contains(all[i]->peer)) {
                                    silent += (silent.empty() ? "" : "; ") + words_of(all[i]->peer, result.detail);
                                } else {
                                    words += (words.empty() ? "" : "; ") + words_of(all[i]->peer, result.detail);
                                    failure.is = failure.is == outcome::kind::permanent ? failure.is : result.is;
                                }
                            }
                            if (failure.is == outcome::kind::canceled) {
                                done(outcome::canceled());
                            } else if (!failure) {
                                failure.detail = words;
                                done(failure);
                            } else if (gone == 0) {
                                done(outcome::transient(silent));
                            } else if (down->empty()) {
                                done(outcome::ok());
                            } else {
                                owing_[name] = *down;
                                done(outcome::ok(std::to_string(gone) + " of " +
                                                 format_count(all.size(), "server", "servers") + "; " + silent +
                                                 ", and unloads it when it is back"));
                            }
                        });
}


operation_ptr group_backend::probe_models(const std::vector<server_model> &models, probed_fn done)
{
    const auto best = std::make_shared<std::vector<model_status>>(models.size());
    std::vector<start_fn> questions;
    for (const auto &target : settings_.members) {
        questions.push_back([&target, models, best](done_fn then) {
            return target.server->probe_models(
                models, [best, then = std::move(then)](const std::vector<model_status> &found) {
                    for (std::size_t i = 0; i < found.size(); ++i) {
                        if (found[i].is <= (*best)[i].is) {
                            (*best)[i] = found[i];
                        }
                    }
                    then(outcome::ok());
                });
        });
    }
    return side_by_side(time_, std::move(questions), {},
                        [best, done = std::move(done)](const std::vector<std::optional<outcome>> &) { done(*best); });
}


// Files: once for each repository.

group_backend::members group_backend::one_of_each_repository() const
{
    members all;
    for (const auto &target : settings_.members) {
        if (std::ranges::none_of(all,
                                 [&target](const member *other) { return other->repository == target.repository; })) {
            all.push_back(&target);
        }
    }
    return all;
}


operation_ptr group_backend::in_each_repository(const std::function<operation_ptr(backend &, done_fn)> &call,
                                                done_fn done)
{
    std::vector<start_fn> parts;
    for (const auto *target : one_of_each_repository()) {
        parts.push_back([target, call](done_fn then) { return call(*target->server, std::move(then)); });
    }
    return in_order(time_, std::move(parts), std::move(done));
}


std::filesystem::path group_backend::staging_path(const std::string &model) const
{
    return settings_.members.front().server->staging_path(model);
}


operation_ptr group_backend::check_vacant(const std::string &model, done_fn done)
{
    return in_each_repository(
        [model](backend &server, done_fn then) { return server.check_vacant(model, std::move(then)); },
        std::move(done));
}


/// Copies a model's files into the staging folder of another repository, unless an earlier run has already brought the
/// model into that repository.
start_fn group_backend::copied(std::filesystem::path from, const member &to, const std::string &model) const
{
    const auto beside = to.server->staging_path(model);
    const auto place = std::filesystem::path(to.repository) / model;
    return [run = run_on_thread_, from = std::move(from), beside, place](done_fn then) {
        return run(
            [from, beside, place](const stop_flag &stop) {
                std::error_code error;
                if (std::filesystem::exists(place, error) || !std::filesystem::exists(from, error)) {
                    return outcome::ok();
                }
                return copy_model(from, beside, stop);
            },
            std::move(then));
    };
}


operation_ptr group_backend::supply(const std::string &peer, const server_model &model, done_fn done)
{
    const auto to = std::ranges::find(settings_.members, peer, &member::peer);
    if (to == settings_.members.end() || to->repository.empty()) {
        return nullptr;
    }
    std::vector<start_fn> parts;
    for (const auto *target : one_of_each_repository()) {
        if (target->repository != to->repository) {
            parts.push_back(copied(std::filesystem::path(target->repository) / model.name, *to, model.name));
        }
    }
    if (parts.empty()) {
        return nullptr;
    }
    parts.push_back([server = to->server, model](done_fn then) { return server->stage(model, std::move(then)); });
    return alone_in(std::filesystem::path(to->repository) / model.name, std::move(parts), std::move(done));
}


/// Runs the parts in order, once no other server that shares the repository is being supplied with the same model: they
/// would use the same files in its staging folder.
operation_ptr group_backend::alone_in(const std::filesystem::path &place, std::vector<start_fn> parts, done_fn done)
{
    std::erase_if(supplied_, [](const auto &entry) { return entry.second.expired(); });
    const auto turn = std::make_shared<char>(); // lives as long as the operation
    const start_fn await_turn = [this, place, turn](done_fn then) {
        const start_fn take = [this, place, turn](done_fn end) {
            auto &held = supplied_[place];
            if (held.expired()) {
                held = turn;
            }
            return ended(time_,
                         held.lock() == turn ? outcome::ok() : outcome::transient("another server is supplied"),
                         std::move(end));
        };
        return try_until(
            time_, take, first_supply_pause, longest_supply,
            [](const std::string &last) { return outcome::transient(last); }, std::move(then));
    };
    parts.insert(parts.begin(), await_turn);
    return in_order(time_, std::move(parts), std::move(done));
}


/// The first repository comes last, because staging takes the fetched files out of its staging folder.
operation_ptr group_backend::stage(const server_model &model, done_fn done)
{
    const auto stage_at = [model](const member &of) {
        return start_fn([&of, model](done_fn then) { return of.server->stage(model, std::move(then)); });
    };
    std::vector<start_fn> parts;
    const member &first = settings_.members.front();
    for (const auto *target : one_of_each_repository()) {
        if (target->repository != first.repository) {
            parts.push_back(copied(staging_path(model.name), *target, model.name));
        }
    }
    for (auto it = settings_.members.rbegin(); it != settings_.members.rend(); ++it) {
        if (it->repository != first.repository) {
            parts.push_back(stage_at(*it));
        }
    }
    for (const auto &target : settings_.members) {
        if (target.repository == first.repository) {
            parts.push_back(stage_at(target));
        }
    }
    return in_order(time_, std::move(parts), std::move(done));
}


operation_ptr group_backend::remove(const server_model &model, done_fn done)
{
    if (!settings_.polls) {
        return remove_files(model, std::move(done));
    }
    // A server may have loaded the model once it was in its repository, even if nobody has waited for that yet.
    const start_fn gone = [this, model](done_fn then) { return unload(model, 120s, std::move(then)); };
    const start_fn files = [this, model](done_fn then) {
        if (!owing(model.name).empty()) {
            return ended(time_, outcome::transient("a server that is down may have " + model.name + " still"),
                         std::move(then));
        }
        return remove_files(model, std::move(then));
    };
    return in_order(time_, {gone, files}, std::move(done));
}


operation_ptr group_backend::remove_files(const server_model &model, done_fn done)
{
    models_.erase(model.name);
    owing_.erase(model.name);
    std::vector<start_fn> parts;
    for (const auto &target : settings_.members) {
        parts.push_back([&target, model](done_fn then) { return target.server->remove(model, std::move(then)); });
    }
    return in_order(time_, std::move(parts), std::move(done));
}


operation_ptr group_backend::discard(const std::string &model, done_fn done)
{
    models_.erase(model);
    return in_each_repository(
        [model](backend &server, done_fn then) { return server.discard(model, std::move(then)); }, std::move(done));
}

} // namespace rollout
