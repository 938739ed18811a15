#include "module/api/problem.hpp"

namespace rollout {

std::string_view status_title(int status) noexcept
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 411:
        return "Length Required";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 422:
        return "Unprocessable Content";
    case 429:
        return "Too Many Requests";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return status >= 500 ? "Internal Server Error" : "Bad Request";
    }
}


std::string problem::to_json() const
{
    json_ptr body = json_make_object();
    json_put(body.get(), "type", "about:blank");
    json_put(body.get(), "title", status_title(status));
    json_put(body.get(), "status", json_made(json_integer(status)));
    json_put(body.get(), "detail", detail);
    if (!task_id.empty()) {
        json_put(body.get(), "task_id", task_id);
    }
    if (!errors.empty()) {
        json_ptr list = json_make_array();
        for (const auto &error : errors) {
            json_ptr item = json_make_object();
            json_put(item.get(), error.parameter ? "parameter" : "pointer", error.parameter.value_or(error.pointer));
            json_put(item.get(), "detail", error.detail);
            json_add(list.get(), std::move(item));
        }
        json_put(body.get(), "errors", std::move(list));
    }
    return json_compact(body.get());
}

} // namespace rollout
