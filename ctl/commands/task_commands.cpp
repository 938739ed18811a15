#include "ctl/commands/task_commands.hpp"

#include "ctl/api/task_finder.hpp"
#include "ctl/terminal/confirmation.hpp"
#include "ctl/terminal/terminal.hpp"
#include "ctl/view/task_changes.hpp"
#include "ctl/view/task_picture.hpp"

#include <cstdio>

namespace rollout::ctl {

namespace {

/// Asks for confirmation before a destructive action, if there is a terminal.
void require_consent(const ask_options &options, const std::string &question)
{
    if (!options.yes && can_ask() && !confirm(question)) {
        throw command_error(exit_code::canceled, "Nothing was changed.");
    }
}


/// Empty for a verb that is not destructive.
std::string question_of(task_verb verb, const task_document &task)
{
    switch (verb) {
    case task_verb::cancel:
        return task.kind == task_kind::remove ? "Cancel the deletion of model " + task.model_id + "?"
               : task.weight != 0 ? "Cancel the rollout of " + subject_of(task) + " of model " + task.model_id +
                                        "? All traffic goes back, and the revision is removed."
                                  : "Cancel the deployment of model " + task.model_id + "?";
    case task_verb::rollback:
        return "Roll model " + task.model_id + " back from " + subject_of(task) +
               "? All traffic goes to the revision before it.";
    case task_verb::promote:
    case task_verb::pause:
    case task_verb::resume:
    case task_verb::retry:
        return {};
    }
    return {};
}


exit_code show_result(gateway &remote, const output &to, const task_document &task, const ask_options &options)
{
    if (options.follows) {
        return follow(remote, to, task, options.follow);
    }
    to.line(to.json() ? task.text : task_changes().line_of(task) + " (task " + task.task_id + ")");
    return exit_code::success;
}

} // namespace


exit_code run_deploy(gateway &remote, const output &to, const deployment_options &wanted, const ask_options &options)
{
    const json_ptr body = make_deployment(wanted);
    return show_result(
        remote, to, remote.post_task(task_kind::deploy, body.get(), options.key ? *options.key : new_key()), options);
}


exit_code run_delete(gateway &remote, const output &to, const std::string &model_id, const ask_options &options)
{
    require_consent(options, "Delete model " + model_id + "? Its traffic ends, and it is unloaded and removed.");
    json_ptr body = json_make_object();
    json_put(body.get(), "model_id", model_id);
    return show_result(
        remote, to, remote.post_task(task_kind::remove, body.get(), options.key ? *options.key : new_key()), options);
}


exit_code run_verb(gateway &remote, const output &to, task_verb verb, const std::string &name,
                   const ask_options &options)
{
    const task_document task =
        find_named(remote, name, verb == task_verb::rollback ? wanted_task::followed : wanted_task::current);
    if (const std::string question = question_of(verb, task); !question.empty()) {
        require_consent(options, question);
    }
    const task_document after =
        remote.post_verb(task.kind, task.task_id, verb_name(verb), options.key ? *options.key : new_key());
    return show_result(remote, to, after, options);
}

} // namespace rollout::ctl
