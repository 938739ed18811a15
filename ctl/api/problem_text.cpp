#include "ctl/api/problem_text.hpp"

#include "common/base/json.hpp"

#include <string>

namespace rollout::ctl {

namespace {

exit_code code_of(long status) noexcept
{
    switch (status) {
    case 404:
        return exit_code::not_found;
    case 401:
    case 403:
    case 409:
    case 412:
    case 429:
        return exit_code::forbidden;
    default:
        return status >= 500 ? exit_code::unreachable : exit_code::usage;
    }
}


/// Returns the members at fault, to follow the detail, which names the first.
std::string members_of(const json_t *problem)
{
    std::string text;
    const json_t *errors = json_object_get(problem, "errors");
    for (std::size_t i = 0; i < json_array_size(errors); ++i) {
        const json_t *error = json_array_get(errors, i);
        const auto pointer = json_text(error, "pointer");
        text += "\n  " + std::string(pointer.empty() ? json_text(error, "parameter") : pointer) + ' ' +
                std::string(json_text(error, "detail"));
    }
    return json_array_size(errors) > 1 ? text : "";
}


std::string words_of_nginx(const http_answer &answer, const settings &where)
{
    switch (answer.status) {
    case 401:
        return "The gateway at " + where.url +
               " asks for a user and a password. Put them into ~/.netrc and pass --netrc, or set \"netrc\": true in "
               "rolloutctl.json.";
    case 403:
        return "The gateway at " + where.url +
               " does not let you do this (HTTP 403). Its location's access rules (allow, deny) decide who may.";
    case 400:
        if (answer.body.find("SSL certificate") != std::string::npos) {
            return "The gateway at " + where.url +
                   " asks for a client certificate, or does not accept yours: it may have expired. Give a valid one "
                   "with --cert and --key.";
        }
        break;
    case 502:
    case 503:
    case 504:
        return "A proxy in front of the gateway at " + where.url + " cannot reach it (HTTP " +
               std::to_string(answer.status) + "). Try again later.";
    default:
        break;
    }
    return where.url + " is not a Rollout gateway's API: it answers HTTP " + std::to_string(answer.status) +
           (answer.content_type.empty() ? "" : " with " + answer.content_type) +
           ". Check --url, and that a location with rollout_api has this route.";
}

} // namespace


bool is_json(const http_answer &answer) noexcept
{
    return answer.content_type == "application/json";
}


bool may_pass(const http_answer &answer) noexcept
{
    return answer.status == 429 || answer.status >= 500;
}


command_error error_of(const http_answer &answer, const settings &where)
{
    // Only the client knows what to do about a 401.
    if (answer.content_type == "application/problem+json" && answer.status != 401) {
        json_error_t error;
        const json_ptr problem = json_read(answer.body, 0, error);
        const auto detail = json_text(problem.get(), "detail");
        if (!detail.empty()) {
            return {code_of(answer.status), std::string(detail) + members_of(problem.get())};
        }
    }
    const bool by_rules = answer.status == 401 || answer.status == 403 ||
                          (answer.status == 400 && answer.body.find("SSL certificate") != std::string::npos);
    return {by_rules ? exit_code::forbidden : exit_code::unreachable, words_of_nginx(answer, where)};
}

} // namespace rollout::ctl
