#include "ctl/commands/api_command.hpp"

#include "ctl/commands/deployment_request.hpp"

#include <utility>

namespace rollout::ctl {

exit_code run_api(gateway &remote, const output &to, const std::string &method, const std::string &path,
                  const std::optional<std::string> &body)
{
    if (method != "GET" && method != "POST") {
        throw command_error(exit_code::usage, "The API knows GET and POST, not " + method + ".");
    }
    if (!path.starts_with('/') || path.find_first_of(" \t\r\n#") != std::string::npos) {
        throw command_error(exit_code::usage, "\"" + path + "\" is not a route; give one like /models?limit=10.");
    }
    http_request request;
    request.method = method;
    request.path = path;
    request.timeout = std::chrono::minutes(6); // a ?wait= may last five minutes
    if (method == "POST") {
        const json_ptr members = body ? read_json_argument(*body, "--data") : json_make_object();
        const auto has = [&members](const char *member) { return json_object_get(members.get(), member) != nullptr; };
        request.headers = {"Content-Type: application/json"};
        if (!has("task_id") && !has("id")) { // which is another name for the key
            request.headers.push_back("Idempotency-Key: " + new_key());
        }
        request.body = json_compact(members.get());
    }
    const http_answer answer = remote.send(std::move(request));
    if (!answer.body.empty()) {
        to.write(answer.body.ends_with('\n') ? answer.body : answer.body + '\n');
    }
    remote.require_success(answer);
    return exit_code::success;
}

} // namespace rollout::ctl
