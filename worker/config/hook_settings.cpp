#include "worker/config/hook_settings.hpp"

namespace rollout {
namespace {

constexpr std::uint64_t hour_s = 3600;


hook_settings read_hook(const json_t *value, const std::string &pointer, std::vector<json_fault> &faults)
{
    hook_settings hook;
    json_reader reader(value, pointer, faults);
    const bool has_url = json_object_get(value, "url") != nullptr;
    const bool has_command = json_object_get(value, "command") != nullptr;
    reader.text("url", hook.url);
    if (!hook.url.empty() && !is_web_address(hook.url)) {
        reader.fault("url", web_address_rule);
    }
    read_command(reader, hook.command, false);
    if (json_is_object(value) && has_url == has_command) {
        faults.push_back({pointer, "must have either a \"url\" or a \"command\""});
    }
    reader.number("timeout_s", hook.timeout_s, 1, hour_s);
    reader.refuse_others();
    return hook;
}

} // namespace


bool is_web_address(std::string_view url) noexcept
{
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (url.starts_with(scheme)) {
            url.remove_prefix(scheme.size());
            return !url.empty() && std::string_view("/?#:@").find(url.front()) == std::string_view::npos;
        }
    }
    return false;
}


void read_command(json_reader &reader, std::vector<std::string> &to, bool required)
{
    const json_t *list = reader.array("command", required);
    if (list == nullptr) {
        return;
    }
    reader.texts("command", to);
    const bool whole = to.size() == json_array_size(list); // otherwise it already has faults
    if (whole && (to.empty() || to.front().front() != '/')) {
        reader.fault("command", "must be the absolute path of a program, and its arguments");
    }
}


void read_hooks(const json_t *from, const std::string &pointer, std::map<std::string, std::vector<hook_settings>> &to,
                std::vector<json_fault> &faults)
{
    json_reader reader(from, pointer, faults);
    for (const auto name : hook_names) {
        const json_t *list = reader.array(std::string(name).c_str());
        if (list == nullptr) {
            continue;
        }
        auto &hooks = to[std::string(name)];
        hooks.clear();
        for (std::size_t i = 0; i < json_array_size(list); ++i) {
            hooks.push_back(
                read_hook(json_array_get(list, i), reader.pointer_to(name) + '/' + std::to_string(i), faults));
        }
    }
    reader.refuse_others();
}

} // namespace rollout
