// What an inference server answers when it does not do as asked, as an outcome with its own words in a clean sentence.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/net/http_client.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace rollout {

inline constexpr std::size_t server_words_characters = 300;

/// The reason in an error's body: the text of JSON's `error` (or `detail`, `message`), an HTML page's title or text, a Python
/// traceback's last line, else the body itself; one line, at most `server_words_characters`. Empty where there is none.
std::string error_text(std::string_view body);

/// A page for people, as a proxy or a login in between sends it: whatever its status, it says nothing of a model.
bool is_html(std::string_view text);

/// What a server says of a model (an index's `reason`), fit for a sentence likewise.
std::string reason_text(std::string_view text);

/// Of an answer that is no success. `server` names the server, `action` what it was asked ("load 123__r7"). Transient where
/// it may pass by itself: no connection, no answer in time, 429, 502, 503, 504, a related model that is loading or
/// unloading; with a hint for what an operator's configuration of the server forbids.
outcome refusal(const http_answer &answer, std::string_view server, std::string_view action);

/// The same for a call of the model repository extension, which not every server of the protocol has: a 404 that does not
/// speak of the model is that server's.
outcome repository_refusal(const http_answer &answer, std::string_view server, std::string_view action,
                           std::string_view model);

/// Is it an answer (or none) that says nothing about the model, only that the server cannot be asked right now?
bool says_nothing_yet(const http_answer &answer) noexcept;

} // namespace rollout
