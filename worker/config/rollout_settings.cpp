#include "worker/config/rollout_settings.hpp"

namespace rollout {

namespace {

constexpr std::uint64_t max_repeat = 1000;
constexpr double least_false_alarm = 1e-6;
constexpr double most_false_alarm = 0.5;


void read_smoke(const json_t *value, const std::string &pointer, rollout_settings &to,
                std::vector<json_fault> &faults)
{
    json_reader smoke(value, pointer, faults);
    const json_t *request = smoke.object("request", true);
    if (request != nullptr) {
        to.smoke_request = share(json_share(const_cast<json_t *>(request)));
    }
    smoke.number("timeout_s", to.smoke_timeout_s, 1, day_s);
    smoke.number("repeat", to.smoke_repeat, 1, max_repeat);
    smoke.refuse_others();
}


void read_steps(const json_t *list, const std::string &pointer, rollout_settings &to, std::vector<json_fault> &faults)
{
    to.steps.clear();
    for (std::size_t i = 0; i < json_array_size(list); ++i) {
        json_reader reader(json_array_get(list, i), pointer + '/' + std::to_string(i), faults);
        std::uint64_t weight = 100;
        shift_step step;
        reader.number("weight", weight, 0, 100);
        reader.number("hold_s", step.hold_s, 0, year_s);
        reader.refuse_others();
        step.weight = static_cast<unsigned>(weight);
        if (!to.steps.empty() && step.weight <= to.steps.back().weight) {
            reader.fault("weight", "must be more than the weight before it");
        }
        to.steps.push_back(step);
    }
    if (to.steps.empty()) {
        to.steps.push_back({});
    }
}


void read_gate(const json_t *value, const std::string &pointer, gate_settings &to, std::vector<json_fault> &faults)
{
    json_reader limits(value, pointer, faults);
    limits.number("min_requests", to.min_requests, 0, 1000000000);
    for (const auto &[name, limit, most] : gate_limits) {
        double given = -1;
        limits.real(name, given, 0, most);
        if (given >= 0) {
            to.*limit = given;
        }
        if (given == 0 && limit != &gate_settings::max_error_rate) {
            limits.fault(name, "must be more than 0: no server can meet that");
        }
    }
    limits.real("false_alarm", to.false_alarm, least_false_alarm, most_false_alarm);
    limits.flag("absolute_unless_blue", to.absolute_unless_blue);
    limits.word("latency", to.latency, {"total", "first_byte"});
    limits.refuse_others();
}

} // namespace


void read_rollout(const json_t *from, const std::string &pointer, rollout_settings &to,
                  std::vector<json_fault> &faults, std::vector<std::string> &warnings)
{
    json_reader reader(from, pointer, faults);
    reader.number("ready_timeout_s", to.ready_timeout_s, 1, year_s);
    if (const json_t *smoke = reader.object("smoke")) {
        read_smoke(smoke, reader.pointer_to("smoke"), to, faults);
    }
    if (const json_t *steps = reader.array("steps")) {
        read_steps(steps, reader.pointer_to("steps"), to, faults);
    }
    if (const json_t *gate = reader.object("gate")) {
        read_gate(gate, reader.pointer_to("gate"), to.gate.emplace(), faults);
    }
    reader.word("promote", to.promote, {"auto", "manual"});
    reader.number("watch_s", to.watch_s, 0, year_s);
    reader.number("progress_deadline_s", to.progress_deadline_s, 0, year_s);
    reader.word("on_no_traffic", to.on_no_traffic, {"promote", "fail"});
    if (to.watch_s != 0 && !to.gate) {
        warnings.push_back(reader.pointer_to("watch_s") + ": without a gate nothing judges the traffic; the old "
                                                          "revision only stays loaded for that time");
    }
    reader.word("old", to.old, {"delete", "archive", "keep"});
    reader.number("keep_revisions", to.keep_revisions, 0, 100);
    reader.number("drain_s", to.drain_s, 0, year_s);
    reader.flag("supersede", to.supersede);
    if (const json_t *hooks = reader.object("hooks")) {
        read_hooks(hooks, reader.pointer_to("hooks"), to.hooks, faults);
    }
    reader.refuse_others();
}


void check_times(const rollout_settings &of, const json_t *given, const std::string &pointer, std::uint64_t limit_s,
                 std::vector<json_fault> &faults)
{
    const auto too_long = [&](const std::string &member, std::uint64_t total_s) {
        faults.push_back({pointer + member, "makes the holds and the watch last " + std::to_string(total_s) +
                                                " s together, and the task would fail before: limits.time_limit_s of "
                                                "rolloutd's configuration is " +
                                                std::to_string(limit_s)});
    };
    std::uint64_t total_s = 0;
    for (std::size_t i = 0; i < of.steps.size(); ++i) {
        total_s += of.steps[i].hold_s;
        if (total_s > limit_s) {
            if (json_object_get(given, "steps") != nullptr) {
                too_long("/steps/" + std::to_string(i) + "/hold_s", total_s);
            }
            return;
        }
    }
    total_s += of.watch_s;
    if (total_s > limit_s && json_object_get(given, "watch_s") != nullptr) {
        too_long("/watch_s", total_s);
    } else if (total_s > limit_s && json_object_get(given, "steps") != nullptr) {
        too_long("/steps", total_s);
    }
}

} // namespace rollout
