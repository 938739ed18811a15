// What the steps of a task are given, between fakes and without a run: for what a step is made of.
#pragma once

#include "tests/unit/fakes/fake_gateways.hpp"
#include "tests/unit/fakes/fake_journal.hpp"
#include "tests/unit/fakes/fake_permits.hpp"
#include "tests/unit/fakes/fake_server.hpp"
#include "tests/unit/json_of.hpp"
#include "worker/rollout/run_context.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// A deployment of model 123 that is in its first step.
struct fake_run {
    explicit fake_run(std::string_view request = "{}")
    {
        config.artifacts.source = "file:///srv/models/{model_id}";
        config.backends["default"].upstream = "inference";
        model.model_id = "123";
        rollout::task task;
        task.task_id = "t";
        task.model_id = "123";
        task.status = rollout::task_status::in_progress;
        task.model_revision = model.last_revision = 2;
        task.config = shared_json_of(request);
        task.step = "fetch";
        for (const char *name : {"fetch", "stage", "load", "ready"}) {
            task.steps.emplace_back().name = name;
        }
        file.tasks["t"] = rollout::row_of(task, 1);
        run = std::make_unique<rollout::run_context>(
            environment, std::move(task), model,
            rollout::run_context::run_control{
                .end_work = [] {}, .can_be_undone = [] { return true; }, .given_up = [] {}, .lost = [] {}});
    }

    rollout::task in_journal() const { return rollout::task_of(file.tasks.at("t")).value(); }

    rollout::settings config;
    fake_clock time;
    std::vector<std::string> story;
    journal_file file;
    gateway_memory gateway;
    server_memory memory;
    fake_journal journal{file, time, story};
    fake_gateways gateways{gateway, time, story};
    fake_server server{memory, gateway, time, story};
    fake_permits permits{time};
    rollout::series_keeper series{journal, time};
    rollout::run_environment environment = {
        .config = config,
        .journal = journal,
        .gateways = gateways,
        .time = time,
        .backend_of = [this](const std::string &name) { return name == "default" ? &server : nullptr; },
        .fetch = [this](const rollout::fetch_request &request,
                        rollout::done_fn done) { return server.fetch(request, std::move(done)); },
        .deployed_models = [] { return std::size_t{0}; },
        .known_models = [] { return std::size_t{0}; },
        .holder_of = [](const std::string &, const std::string &, const std::string &) { return std::string(); },
        .run_hook = [this](const std::string &name, const rollout::hook_settings &, const std::string &body,
                           rollout::done_fn done) { return server.hook(name, body, std::move(done)); },
        .release =
            [this](const std::string &, std::uint64_t, rollout::done_fn done) {
                return rollout::ended(time, rollout::outcome::ok(), std::move(done));
            },
        .waits_changed = nullptr,
        .is_awaited = [] { return false; },
        .permits = permits,
        .series = series,
    };
    rollout::model model;
    std::unique_ptr<rollout::run_context> run;
};
