#include "ctl/commands/deployment_request.hpp"

#include "common/base/text.hpp"
#include "ctl/base/command_error.hpp"
#include "ctl/base/durations.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

namespace rollout::ctl {

namespace {

constexpr std::size_t most_bytes = 8 * 1024 * 1024; ///< the most that a gateway accepts


[[noreturn]] void refuse(const std::string &sentence)
{
    throw command_error(exit_code::usage, sentence);
}


std::string read_file(const std::string &path, const std::string &option)
{
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    std::string text(most_bytes + 1, '\0');
    if (!file.read(text.data(), static_cast<std::streamsize>(text.size())) && !file.eof()) {
        refuse(option + ": the file " + path + " cannot be read: " + std::strerror(errno) + ".");
    }
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > most_bytes) {
        refuse(option + ": the file " + path + " is over 8 MiB, which is more than a gateway takes.");
    }
    return text;
}


/// Sets a member; it must not be given by both an option and --config.
void set(json_t *object, const char *member, json_ptr value, const std::string &option)
{
    if (json_object_get(object, member) != nullptr) {
        refuse("\"" + std::string(member) + "\" is given twice: by " + option + " and by --config.");
    }
    json_put(object, member, std::move(value));
}


/// Returns a JSON value as such (7, true, [1, 2]); any other text as a string.
json_ptr value_of(const std::string &text)
{
    json_error_t error;
    json_ptr value = json_read(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, error);
    return value ? std::move(value) : json_make(text);
}


json_ptr text_of(const std::string &text, const std::string &option)
{
    json_ptr value = json_make(text);
    if (!value) {
        refuse(option + ": the text is not UTF-8.");
    }
    return value;
}


void add_parameter(json_t *config, const std::string &parameter)
{
    const auto equals = parameter.find('=');
    if (equals == std::string::npos || equals == 0) {
        refuse("--param " + parameter + ": write NAME=VALUE.");
    }
    json_ptr value = value_of(parameter.substr(equals + 1));
    if (!value || !json_make(parameter.substr(0, equals))) {
        refuse("--param: the text is not UTF-8.");
    }
    set(config, parameter.substr(0, equals).c_str(), std::move(value), "--param");
}

} // namespace


json_ptr read_json_argument(const std::string &argument, const std::string &option)
{
    const std::string text = argument.starts_with('@') ? read_file(argument.substr(1), option) : argument;
    json_error_t error;
    json_ptr object = json_read(text, JSON_REJECT_DUPLICATES, error);
    if (!object) {
        refuse(option + " is not JSON: line " + std::to_string(error.line) + ", column " +
               std::to_string(error.column) + ": " + error.text + ".");
    }
    if (!json_is_object(object.get())) {
        refuse(option + " must be a JSON object.");
    }
    return object;
}


json_ptr read_steps(const std::string &text)
{
    json_ptr steps = json_make_array();
    for (std::string_view rest = text; !rest.empty();) {
        std::string_view part = next_part(rest, ',');
        const auto weight_text = next_part(part, ':');
        unsigned weight = 0;
        const auto hold = part.empty() ? std::optional(std::chrono::milliseconds(0)) : read_duration(part);
        if (!read_number(weight_text, weight) || weight > 100 || !hold || hold->count() % 1000 != 0) {
            refuse("--steps " + text + ": write weights in percent, each with its hold, as in 5:30s,25:10m,100.");
        }
        json_ptr step = json_make_object();
        json_put(step.get(), "weight", json_make_number(weight));
        if (!part.empty()) {
            json_put(step.get(), "hold_s", json_make_number(static_cast<std::uint64_t>(hold->count() / 1000)));
        }
        json_add(steps.get(), std::move(step));
    }
    if (json_array_size(steps.get()) == 0) {
        refuse("--steps is empty: write weights in percent, each with its hold, as in 5:30s,25:10m,100.");
    }
    return steps;
}


json_ptr make_deployment(const deployment_options &from)
{
    json_ptr config = from.config ? read_json_argument(*from.config, "--config") : json_make_object();
    if (from.source) {
        set(config.get(), "source", text_of(*from.source, "--source"), "--source");
    }
    if (from.sha256) {
        set(config.get(), "sha256", text_of(*from.sha256, "--sha256"), "--sha256");
    }
    for (const auto &parameter : from.parameters) {
        add_parameter(config.get(), parameter);
    }
    if (from.steps) {
        json_t *rollout = json_object_get(config.get(), "rollout");
        if (rollout == nullptr) {
            json_put(config.get(), "rollout", json_make_object());
            rollout = json_object_get(config.get(), "rollout");
        }
        if (!json_is_object(rollout)) {
            refuse("--config: \"rollout\" must be an object.");
        }
        set(rollout, "steps", read_steps(*from.steps), "--steps");
    }
    json_ptr body = json_make_object();
    json_put(body.get(), "model_id", text_of(from.model_id, "MODEL"));
    json_put(body.get(), "config", std::move(config));
    return body;
}

} // namespace rollout::ctl
