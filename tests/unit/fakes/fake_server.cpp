#include "tests/unit/fakes/fake_server.hpp"

void server_memory::fail(const std::string &call, const rollout::outcome &how, unsigned times)
{
    for (unsigned i = 0; i < times; ++i) {
        answers[call].push_back(how);
    }
}

void server_memory::mend(const std::string &call)
{
    answers.erase(call);
    held.erase(call);
}

std::filesystem::path fake_server::staging_path(const std::string &model) const
{
    return "/staging/" + model;
}

rollout::operation_ptr fake_server::fetch(const rollout::fetch_request &request, rollout::done_fn done)
{
    const std::string model = request.destination.filename();
    return work("fetch", model, std::move(done), [this, model] {
        memory_.staged.insert(model);
        return rollout::outcome::ok("1 file, 3 bytes");
    });
}

rollout::operation_ptr fake_server::hook(const std::string &name, const std::string &body, rollout::done_fn done)
{
    memory_.hook_bodies.push_back(body);
    return work("hook", name, std::move(done), [] { return rollout::outcome::ok(); });
}

rollout::operation_ptr fake_server::check_vacant(const std::string &model, rollout::done_fn done)
{
    return work("check_vacant", model, std::move(done), [this, model] {
        return memory_.repository.contains(model) ? rollout::outcome::permanent(model + " exists already")
                                                  : rollout::outcome::ok();
    });
}

rollout::operation_ptr fake_server::stage(const rollout::server_model &which, rollout::done_fn done)
{
    const std::string &model = which.name;
    return work("stage", model, std::move(done), [this, model] {
        if (memory_.loaded.contains(model)) {
            violation("stage of " + model + ", which is loaded");
        }
        if (memory_.staged.erase(model) == 0 && !memory_.repository.contains(model)) {
            return rollout::outcome::permanent("there is nothing to stage");
        }
        memory_.repository.insert(model);
        return rollout::outcome::ok();
    });
}

rollout::operation_ptr fake_server::load(const rollout::server_model &which, const json_t *config,
                                         std::chrono::milliseconds, rollout::done_fn done)
{
    const std::string &model = which.name;
    memory_.loads[model] = config == nullptr ? "" : rollout::json_compact(config);
    return work("load", model, std::move(done), [this, model] {
        if (!memory_.repository.contains(model)) {
            return rollout::outcome::permanent("failed to load '" + model + "'");
        }
        memory_.loaded.insert(model);
        return rollout::outcome::ok();
    });
}

rollout::operation_ptr fake_server::ready(const rollout::server_model &which, rollout::done_fn done)
{
    const std::string &model = which.name;
    return work("ready", model, std::move(done), [this, model] {
        return memory_.loaded.contains(model) ? rollout::outcome::ok()
                                              : rollout::outcome::transient(model + " is not loaded");
    });
}

rollout::operation_ptr fake_server::probe_models(const std::vector<rollout::server_model> &models,
                                                 rollout::probed_fn done)
{
    using kind = rollout::model_status::kind;
    const auto found = std::make_shared<std::vector<rollout::model_status>>(models.size());
    return work(
        "survey", list_of(models), [done = std::move(done), found](const rollout::outcome &) { done(*found); },
        [this, models, found] {
            for (std::size_t i = 0; i < models.size() && !memory_.silent; ++i) {
                const auto how = memory_.loaded.contains(models[i].name) ? kind::loaded : memory_.not_loaded;
                found->at(i) = {how, how == kind::lost ? "the server is empty" : ""};
            }
            return rollout::outcome::ok();
        });
}

rollout::operation_ptr fake_server::infer(const rollout::server_model &which, const json_t *,
                                          std::chrono::milliseconds, rollout::done_fn done)
{
    const std::string &model = which.name;
    return work("infer", model, std::move(done), [this, model] {
        return memory_.loaded.contains(model) ? rollout::outcome::ok()
                                              : rollout::outcome::permanent(model + " is not found");
    });
}

rollout::operation_ptr fake_server::unload(const rollout::server_model &which, std::chrono::milliseconds,
                                           rollout::done_fn done)
{
    const std::string &model = which.name;
    if (gateway_.routes_to(model)) {
        violation("unload of " + model + ", to which a gateway routes");
    }
    return work("unload", model, std::move(done), [this, model] {
        memory_.loaded.erase(model);
        return rollout::outcome::ok();
    });
}

rollout::operation_ptr fake_server::remove(const rollout::server_model &which, rollout::done_fn done)
{
    const std::string &model = which.name;
    if (memory_.loaded.contains(model)) {
        violation("removal of " + model + ", which is loaded");
    }
    return work("remove", model, std::move(done), [this, model] {
        memory_.staged.erase(model);
        memory_.repository.erase(model);
        return rollout::outcome::ok();
    });
}

rollout::operation_ptr fake_server::discard(const std::string &model, rollout::done_fn done)
{
    return work("discard", model, std::move(done), [this, model] {
        memory_.staged.erase(model);
        return rollout::outcome::ok();
    });
}

std::string fake_server::list_of(const std::vector<rollout::server_model> &models)
{
    std::string all;
    for (const auto &model : models) {
        all += (all.empty() ? "" : " ") + model.name;
    }
    return all;
}

void fake_server::violation(const std::string &words)
{
    memory_.violations.push_back(words);
}

rollout::operation_ptr fake_server::work(const std::string &call, const std::string &model, rollout::done_fn done,
                                         fake_work::effect_fn effect)
{
    const std::string whole = call + " " + model;
    story_.push_back(whole);
    const bool held = memory_.held.contains(call) || memory_.held.contains(whole);
    return std::make_unique<fake_work>(
        time_, held,
        [this, call, whole, effect = std::move(effect)] {
            for (const auto &name : {whole, call}) {
                const auto set = memory_.answers.find(name);
                if (set != memory_.answers.end() && !set->second.empty()) {
                    const auto how = set->second.front();
                    if (set->second.size() > 1 || how.is != rollout::outcome::kind::permanent) {
                        set->second.pop_front();
                    }
                    return how;
                }
            }
            return effect();
        },
        std::move(done));
}
