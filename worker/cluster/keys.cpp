#include "worker/cluster/keys.hpp"

#include "common/base/text.hpp"
#include "common/domain/identifiers.hpp"

#include <algorithm>
#include <charconv>

namespace rollout::cluster {

namespace {

constexpr std::size_t longest_prefix = 256;
constexpr std::size_t longest_shown = 300;

bool is_plain(char c) noexcept
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '_' ||
           c == '-';
}

} // namespace


std::string escaped(std::string_view name)
{
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string part;
    part.reserve(name.size());
    for (const char c : name) {
        if (is_plain(c)) {
            part += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            part += {'%', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return part;
}


result<std::string> unescaped(std::string_view part)
{
    std::string name;
    for (std::size_t i = 0; i < part.size(); ++i) {
        if (part[i] != '%') {
            name += part[i];
            continue;
        }
        unsigned byte = 0;
        const auto digits = part.substr(i + 1, 2);
        if (const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
            error != std::errc() || end != digits.data() + 2) {
            return result<std::string>::failure({});
        }
        name += static_cast<char>(byte);
        i += 2;
    }
    return escaped(name) == part ? result<std::string>(std::move(name)) : result<std::string>::failure({});
}


std::string keys::check_prefix(std::string_view prefix)
{
    if (prefix.size() > longest_prefix) {
        return "prefix: it is longer than " + std::to_string(longest_prefix) + " characters";
    }
    if (prefix.size() < 2 || prefix.front() != '/' || prefix.back() != '/' ||
        !std::ranges::all_of(prefix, [](char c) { return is_plain(c) || c == '/'; })) {
        return "prefix: \"" + clean_text(prefix, longest_shown) +
               "\" must begin and end with \"/\" and consist of letters, digits, \".\", \"_\", \"-\" and \"/\", such "
               "as \"/rollout/default/\"";
    }
    return {};
}


std::string keys::task(std::string_view task_id) const
{
    return prefix_ + "s/tasks/" + escaped(task_id);
}


std::string keys::model(std::string_view model_id) const
{
    return prefix_ + "s/models/" + escaped(model_id);
}


std::string keys::series(std::string_view task_id) const
{
    return prefix_ + "s/series/" + escaped(task_id);
}


std::string keys::host(std::string_view name) const
{
    return hosts() + escaped(name);
}


std::string keys::gateway(std::string_view gateway_id) const
{
    return gateways() + escaped(gateway_id);
}


result<key_name> keys::parse(std::string_view key) const
{
    const auto invalid = [key](std::string_view what) {
        return result<key_name>::failure("etcd's key \"" + clean_text(key, longest_shown) +
                                         "\" does not end with the id of a " + std::string(what));
    };
    if (!key.starts_with(prefix_)) {
        return key_name{};
    }
    std::string_view rest = key.substr(prefix_.size());
    if (!rest.starts_with("s/")) {
        return key_name{};
    }
    rest.remove_prefix(2);
    if (rest == "meta") {
        return key_name{key_kind::meta, {}};
    }
    if (rest == "rev") {
        return key_name{key_kind::position, {}};
    }
    if (rest == "leader") {
        return key_name{key_kind::leader, {}};
    }
    if (rest == "losses") {
        return key_name{key_kind::losses, {}};
    }
    const auto folder = next_part(rest, '/');
    if (folder == "tasks") {
        auto id = unescaped(rest);
        return id && is_task_id(*id) ? key_name{key_kind::task, std::move(*id)} : invalid("task");
    }
    if (folder == "models") {
        auto id = unescaped(rest);
        return id && is_model_id(*id) ? key_name{key_kind::model, std::move(*id)} : invalid("model");
    }
    if (folder == "series") {
        auto id = unescaped(rest);
        return id && is_task_id(*id) ? key_name{key_kind::series, std::move(*id)} : invalid("task");
    }
    return key_name{};
}

} // namespace rollout::cluster
