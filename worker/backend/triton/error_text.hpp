// Turns an inference server's error answer into an outcome with the server's own text, as a clean sentence.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/net/http_client.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace rollout {

inline constexpr std::size_t server_words_characters = 300;

/// Returns the reason in an error's body: the text of JSON's `error` (or `detail`, `message`), an HTML page's title or
/// text, a Python traceback's last line, else the body itself, as one line of at most `server_words_characters`. Empty if
/// there is none.
std::string error_text(std::string_view body);

/// Recognizes a page for people, as sent by a proxy or a login page in between: whatever its status, it says nothing
/// about a model.
bool is_html(std::string_view text);

/// Cleans a server's text about a model (an index's `reason`) for a sentence in the same way.
std::string reason_text(std::string_view text);

/// Returns the outcome of an answer that is not a success. `server` names the server, `action` what it was asked to do
/// ("load 123__r7"). Transient if the cause may pass: no connection, no answer in time, 429, 502, 503, 504, a related
/// model that is loading or unloading. Includes a hint if the server's configuration forbids the action.
outcome refusal(const http_answer &answer, std::string_view server, std::string_view action);

/// Does the same for a call of the model repository extension, which not every server of the protocol supports: a 404
/// that does not mention the model means that this server does not.
outcome repository_refusal(const http_answer &answer, std::string_view server, std::string_view action,
                           std::string_view model);

/// Returns whether the answer (or its absence) says nothing about the model, only that the server cannot be asked right
/// now.
bool says_nothing_yet(const http_answer &answer) noexcept;

} // namespace rollout
