#include "worker/hook_call.hpp"

#include "worker/backend/triton/error_text.hpp"
#include "worker/os/subprocess.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace rollout {
namespace {

/// Only the beginning of an answer is used.
constexpr std::size_t largest_answer = 64 * 1024;


/// Returns the URL's host and port.
std::string host_of(const std::string &url)
{
    std::string host = url.substr(url.find("://") + 3);
    host.resize(std::min(host.size(), host.find_first_of("/?#")));
    return host.substr(host.rfind('@') + 1);
}


outcome outcome_of_call(const http_answer &answer, const std::string &hook)
{
    if (answer.canceled) {
        return outcome::canceled();
    }
    if (answer.status >= 200 && answer.status < 300) {
        return outcome::ok();
    }
    if (answer.status == 0) {
        const std::string sentence = hook + " could not be asked: " + answer.error;
        return answer.may_pass() ? outcome::transient(sentence) : outcome::permanent(sentence);
    }
    const std::string words = error_text(answer.body);
    const std::string said = "HTTP " + std::to_string(answer.status) + (words.empty() ? "" : ", " + words);
    if (answer.status == 429 || answer.status >= 500) {
        return outcome::transient(hook + " failed: " + said);
    }
    return outcome::permanent(hook + " refused: " + said);
}


outcome outcome_of_run(const command_end &ended, const std::string &hook)
{
    if (ended.canceled) {
        return outcome::canceled();
    }
    if (ended.status == 0) {
        return outcome::ok();
    }
    const std::string words = ended.words.empty() ? "" : ", " + ended.words;
    if (ended.status < 0) {
        const std::string sentence = hook + " failed: " + ended.error + words;
        return ended.lasting ? outcome::permanent(sentence) : outcome::transient(sentence);
    }
    const std::string said = "exit status " + std::to_string(ended.status) + words;
    return ended.status == exit_may_pass ? outcome::transient(hook + " failed: " + said)
                                         : outcome::permanent(hook + " refused: " + said);
}

} // namespace


operation_ptr run_hook(http_client &http, const std::string &name, const hook_settings &hook, std::string body,
                       done_fn done)
{
    const std::chrono::seconds timeout(hook.timeout_s);
    if (!hook.url.empty()) {
        http_request request;
        request.method = "POST";
        request.url = hook.url;
        request.body = std::move(body);
        request.timeout = timeout;
        request.max_answer_bytes = largest_answer;
        return http.send(std::move(request),
                         [who = "the hook " + name + " at " + host_of(hook.url),
                          done = std::move(done)](const http_answer &answer) { done(outcome_of_call(answer, who)); });
    }
    command_request request;
    request.command = hook.command;
    request.input = std::move(body) + '\n';
    request.timeout = timeout;
    return run_command(http.loop(), std::move(request),
                       [who = "the hook " + name + " (" + hook.command.front() + ")",
                        done = std::move(done)](const command_end &ended) { done(outcome_of_run(ended, who)); });
}

} // namespace rollout
