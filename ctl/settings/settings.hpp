// The gateway's address and rolloutctl's credentials: from options, the environment and ~/.config/rolloutctl.json, in
// this order.
#pragma once

#include <optional>
#include <string>

namespace rollout::ctl {

struct settings {
    std::string url =
        "http://127.0.0.1:8080";  ///< of the gateway, including the API's base path, if any; no slash at the end
    std::string unix_socket = {}; ///< the path of a Unix socket that nginx listens on; empty: TCP
    std::string cert = {};        ///< the client certificate's file, PEM
    std::string key = {};         ///< its key's file; empty: the same file
    std::string cacert = {};      ///< the authorities that may sign the gateway's certificate; empty: the system's
    bool netrc = false;           ///< take the user and password from ~/.netrc
};

/// The settings given as options; empty: not given.
struct setting_options {
    std::optional<std::string> url;
    std::optional<std::string> unix_socket;
    std::optional<std::string> cert;
    std::optional<std::string> key;
    std::optional<std::string> cacert;
    bool netrc = false;
    std::optional<std::string> file; ///< the settings file; it must exist
};

/// Reads the environment and the file. Throws command_error (usage) with a sentence that names what is malformed.
settings read_settings(const setting_options &options);

/// Reads the text of a settings file into `to`. Throws like read_settings; `name` is the file's, for the sentence.
void read_settings_text(const std::string &text, const std::string &name, settings &to);

} // namespace rollout::ctl
