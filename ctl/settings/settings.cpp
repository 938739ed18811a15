#include "ctl/settings/settings.hpp"

#include "common/base/json.hpp"
#include "ctl/base/command_error.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

namespace rollout::ctl {

namespace {

constexpr std::size_t most_bytes = 64 * 1024;

constexpr std::array<std::pair<const char *, std::string settings::*>, 5> texts = {{
    {"url", &settings::url},
    {"unix_socket", &settings::unix_socket},
    {"cert", &settings::cert},
    {"key", &settings::key},
    {"cacert", &settings::cacert},
}};


[[noreturn]] void refuse(const std::string &sentence)
{
    throw command_error(exit_code::usage, sentence);
}


std::string from_environment(const char *name)
{
    const char *value = std::getenv(name);
    return value != nullptr ? value : "";
}


/// Empty if there is no home folder.
std::string usual_file()
{
    if (const std::string folder = from_environment("XDG_CONFIG_HOME"); !folder.empty()) {
        return folder + "/rolloutctl.json";
    }
    const std::string home = from_environment("HOME");
    return home.empty() ? "" : home + "/.config/rolloutctl.json";
}


void read_file(const std::string &path, bool must_exist, settings &to)
{
    errno = 0;
    std::ifstream file(path);
    if (!file) {
        if (must_exist || errno != ENOENT) {
            refuse("The settings file " + path + " cannot be read: " + std::strerror(errno) + ".");
        }
        return;
    }
    std::string text(most_bytes + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > most_bytes) {
        refuse("The settings file " + path + " is over 64 KiB; it has a few members only.");
    }
    read_settings_text(text, path, to);
}


void check_url(std::string &url)
{
    while (url.ends_with('/')) {
        url.pop_back();
    }
    if (url.find("://") == std::string::npos) {
        url = "http://" + url;
    }
    const bool is_http = url.starts_with("http://") || url.starts_with("https://");
    if (!is_http || url.find_first_of("?# \t") != std::string::npos) {
        refuse("\"" + url +
               "\" is not a gateway's URL; give one like http://127.0.0.1:8080 or https://gateway.example/rollout.");
    }
}

} // namespace


void read_settings_text(const std::string &text, const std::string &name, settings &to)
{
    json_error_t error;
    const json_ptr root = json_read(text, JSON_REJECT_DUPLICATES, error);
    if (!json_is_object(root.get())) {
        refuse("The settings file " + name + " is not a JSON object" +
               (root ? "" : ", line " + std::to_string(error.line) + ": " + error.text) + ".");
    }
    const char *member;
    json_t *value;
    json_object_foreach(root.get(), member, value)
    {
        bool known = false;
        for (const auto &[text_name, text_member] : texts) {
            if (std::strcmp(member, text_name) == 0 && json_is_string(value)) {
                to.*text_member = json_text(value);
                known = true;
            }
        }
        if (std::strcmp(member, "netrc") == 0 && json_is_boolean(value)) {
            to.netrc = json_is_true(value);
            known = true;
        }
        if (!known) {
            refuse("The settings file " + name + " has a member \"" + member +
                   "\" that is unknown or mistyped; known are url, unix_socket, cert, key and cacert (strings) and "
                   "netrc "
                   "(true or false).");
        }
    }
}


settings read_settings(const setting_options &options)
{
    settings to;
    if (options.file) {
        read_file(*options.file, true, to);
    } else if (const std::string file = usual_file(); !file.empty()) {
        read_file(file, false, to);
    }
    if (const std::string url = from_environment("ROLLOUT_URL"); !url.empty()) {
        to.url = url;
    }
    for (const auto &[option, member] : {std::pair{&options.url, &settings::url},
                                         {&options.unix_socket, &settings::unix_socket},
                                         {&options.cert, &settings::cert},
                                         {&options.key, &settings::key},
                                         {&options.cacert, &settings::cacert}}) {
        if (*option) {
            to.*member = **option;
        }
    }
    to.netrc = to.netrc || options.netrc;
    check_url(to.url);
    return to;
}

} // namespace rollout::ctl
