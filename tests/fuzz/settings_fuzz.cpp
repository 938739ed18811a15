// rolloutd.json, and what a task's own `config` asks for on top of it. Input: the file's text, a model's id, the config.
#include "tests/fuzz/fuzzing.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "worker/base/format.hpp"
#include "worker/config/hook_settings.hpp"
#include "worker/config/model_overrides.hpp"
#include "worker/config/name_template.hpp"
#include "worker/rollout/plan.hpp"

#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

using namespace rollout;

namespace {

void check_faults(const std::vector<json_fault> &faults)
{
    for (const auto &one : faults) {
        always(one.pointer.empty() || one.pointer.front() == '/', "a fault points into the file");
        always(!one.detail.empty() && valid_utf8(one.detail) == one.detail, "a fault has a sentence in UTF-8");
    }
}


/// What the engine takes for granted.
void check_rollout(const rollout_settings &how)
{
    always(!how.steps.empty(), "a rollout has a step");
    for (std::size_t i = 0; i < how.steps.size(); ++i) {
        always(how.steps[i].weight <= 100, "a weight is a percentage");
        always(i == 0 || how.steps[i - 1].weight < how.steps[i].weight, "weights rise");
    }
    always(how.promote == "auto" || how.promote == "manual", "promote is one of its words");
    always(how.on_no_traffic == "promote" || how.on_no_traffic == "fail", "on_no_traffic is one of its words");
    always(how.old == "delete" || how.old == "archive" || how.old == "keep", "old is one of its words");
    always(how.smoke_repeat > 0 && how.smoke_timeout_s > 0 && how.ready_timeout_s > 0, "no time and no count is 0");
    always(how.smoke_request == nullptr || json_is_object(how.smoke_request.get()), "a smoke request is an object");
    for (const auto &[name, hooks] : how.hooks) {
        for (const auto &hook : hooks) {
            always(hook.url.empty() != hook.command.empty(), "a hook is an address or a command");
            always(hook.url.empty() || is_web_address(hook.url), "a hook's address is one");
            always(hook.command.empty() || hook.command.front().starts_with('/'),
                   "a hook's program is an absolute path");
            always(hook.timeout_s > 0, "a hook has a time limit");
        }
    }
}


void check_settings(const settings &all)
{
    always(all.listen.path.starts_with('/') && all.listen.path.size() < sizeof(sockaddr_un::sun_path),
           "the socket's path fits its address");
    always(all.listen.mode <= 0777, "the socket's mode is one");
    always(all.journal.path.starts_with('/'), "the journal's path is absolute");
    always(json_is_object(all.document.get()), "the file is kept as it was read");
    always(!all.backends.empty(), "there is a backend");
    for (const auto &[name, one] : all.backends) {
        const bool runs = one.type == "command";
        always(is_upstream(one.upstream), "a backend has an upstream that a route can hold");
        always(runs ? one.command.front().starts_with('/') : is_web_address(one.url), "a backend can be asked");
        always(runs || one.repository.starts_with('/'), "a server has a repository");
        always(one.staging.starts_with('/'), "a backend has a folder to stage in");
        always(check_template(one.model_name).empty(), "a model_name can be filled");
        always(one.timeout_s > 0, "a command has a time limit");
    }
    always(check_template(all.artifacts.source).empty(), "the source can be filled");
    check_rollout(all.rollout);
    for (const auto &[name, one] : all.models) {
        always(one.backend.empty() || all.backends.contains(one.backend), "a model's backend is there");
        always(check_template(one.source).empty(), "a model's source can be filled");
        check_rollout(one.rollout);
    }
}


/// A deployment that was accepted can have a route.
void check_plan(const settings &from, const std::string &model_id, const json_t *config)
{
    std::vector<json_fault> faults;
    const auto plan = plan_deployment(from, model_id, 7, config, faults);
    check_faults(faults);
    if (!faults.empty()) {
        return;
    }
    always(from.backends.contains(plan.backend), "a deployment's backend is there");
    check_rollout(plan.rollout);
    always(!plan.copies.empty() && plan.copies.size() <= limits::parts, "a deployment has a copy, and not too many");

    model placed;
    placed.model_id = model_id;
    placed.blue = {7, plan.backend, from.backends.at(plan.backend).upstream, {}};
    for (const auto &copy : plan.copies) {
        always(!copy.source.empty(), "a copy has a source");
        always(copy.placed.server_config == nullptr || json_is_object(copy.placed.server_config.get()),
               "a model configuration is an object");
        placed.blue->copies.push_back(copy.placed);
    }
    for (const auto &one : routes_of(placed)) {
        std::string reason;
        const auto read = route_from_json(route_to_json(one).get(), reason);
        always(read && *read == one, "the gateway can follow an accepted deployment's route");
    }
}

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    pieces input(data, size);
    const auto text = input.text();
    const std::string given(input.text());
    const auto config = parsed_json(input.rest());

    // read_settings takes a path, as an operator gives it: a file in memory has one.
    static const int file = memfd_create("rolloutd.json", MFD_CLOEXEC);
    static const std::string path = "/proc/self/fd/" + std::to_string(file);
    always(ftruncate(file, 0) == 0 && pwrite(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()),
           "a file in memory can be written");

    std::vector<json_fault> faults;
    const auto all = read_settings(path, faults);
    check_faults(faults);
    if (!faults.empty()) {
        return 0;
    }
    check_settings(all);
    check_plan(all, is_model_id(given) ? given : "123", json_is_object(config.get()) ? config.get() : nullptr);
    return 0;
}
