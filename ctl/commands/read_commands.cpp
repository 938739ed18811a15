#include "ctl/commands/read_commands.hpp"

#include "common/base/text.hpp"
#include "common/domain/limits.hpp"
#include "ctl/api/task_finder.hpp"
#include "ctl/base/wall_clock.hpp"
#include "ctl/commands/follow.hpp"
#include "ctl/view/model_table.hpp"
#include "ctl/view/task_table.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <vector>

namespace rollout::ctl {

namespace {

std::string array_of(const char *name, const std::vector<std::string> &documents)
{
    std::string text = std::string("{\"") + name + "\":[";
    for (std::size_t i = 0; i < documents.size(); ++i) {
        text += (i == 0 ? "" : ",") + documents[i];
    }
    return text + "]}";
}

} // namespace


exit_code run_status(gateway &remote, const output &to, const std::string &name)
{
    show_task(remote, to, find_named(remote, name));
    return exit_code::success;
}


exit_code run_list(gateway &remote, const output &to, const list_options &wanted)
{
    std::vector<task_document> tasks;
    for (const auto kind : {task_kind::deploy, task_kind::remove}) {
        if (!wanted.kind || *wanted.kind == kind) {
            std::ranges::move(remote.list_tasks(kind, wanted.model_id, wanted.status, wanted.limit),
                              std::back_inserter(tasks));
        }
    }
    std::ranges::stable_sort(tasks, std::greater(), &task_document::created_us);
    tasks.resize(std::min<std::size_t>(tasks.size(), wanted.limit));
    if (to.json()) {
        std::vector<std::string> documents;
        std::ranges::transform(tasks, std::back_inserter(documents), &task_document::text);
        to.line(array_of("tasks", documents));
    } else if (tasks.empty()) {
        to.line(wanted.model_id.empty() ? "There are no such tasks."
                                        : "There are no such tasks of model " + wanted.model_id + ".");
    } else {
        to.lines(task_table(tasks, wall_us()));
    }
    return exit_code::success;
}


exit_code run_models(gateway &remote, const output &to, bool names)
{
    const auto models = remote.list_models();
    if (names) {
        for (const auto &model : models) {
            to.line(clean_text(json_text(model.get(), "model_id"), limits::model_id_bytes));
        }
    } else if (to.json()) {
        std::vector<std::string> documents;
        std::ranges::transform(models, std::back_inserter(documents),
                               [](const json_ptr &model) { return json_compact(model.get()); });
        to.line(array_of("models", documents));
    } else if (models.empty()) {
        to.line("No models are deployed. Deploy one with rolloutctl deploy MODEL.");
    } else {
        to.lines(model_table(models));
    }
    return exit_code::success;
}


exit_code run_ready(gateway &remote, const output &to)
{
    const http_answer answer = remote.send({.path = "/readyz"});
    if (to.json()) {
        to.line(answer.body);
    }
    remote.require_success(answer);
    if (!to.json()) {
        to.line("The gateway has its rolloutd, and all of its routes and tasks.");
    }
    return exit_code::success;
}


exit_code run_metrics(gateway &remote, const output &to)
{
    const http_answer answer = remote.send({.path = "/metrics"});
    remote.require_success(answer);
    to.write(answer.body);
    return exit_code::success;
}

} // namespace rollout::ctl
