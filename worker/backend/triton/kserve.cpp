#include "worker/backend/triton/kserve.hpp"

#include "worker/backend/triton/error_text.hpp"

#include <utility>

namespace rollout::kserve {
namespace {

/// For a single question, not for an operation.
constexpr std::chrono::seconds question_timeout{10};

/// Enough for some 100,000 models.
constexpr std::size_t largest_index = 16 * 1024 * 1024;
constexpr std::size_t largest_inference = 16 * 1024 * 1024;

std::string encoded(std::string_view component)
{
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string text;
    for (const char c : component) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           std::string_view("-._~").find(c) != std::string_view::npos;
        if (plain) {
            text += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            text += '%';
            text += digits[byte >> 4U];
            text += digits[byte & 15U];
        }
    }
    return text;
}


http_request post(std::string url, std::string body, std::chrono::milliseconds timeout)
{
    http_request request;
    request.method = "POST";
    request.url = std::move(url);
    request.body = std::move(body);
    request.timeout = timeout;
    return request;
}

} // namespace


http_request ready(const std::string &url, std::string_view model)
{
    http_request request;
    request.url = url + "/v2/models/" + encoded(model) + "/ready";
    request.timeout = question_timeout;
    return request;
}


http_request index(const std::string &url)
{
    http_request request = post(url + "/v2/repository/index", "{}", question_timeout);
    request.max_answer_bytes = largest_index;
    return request;
}


http_request load(const std::string &url, std::string_view model, const json_t *config,
                  std::chrono::milliseconds timeout)
{
    std::string body;
    if (config != nullptr) {
        const json_ptr fitted = json_made(json_deep_copy(config));
        if (json_object_get(fitted.get(), "name") != nullptr) {
            json_put(fitted.get(), "name", model);
        }
        json_ptr parameters = json_make_object();
        json_put(parameters.get(), "config", json_compact(fitted.get()));
        const json_ptr whole = json_make_object();
        json_put(whole.get(), "parameters", std::move(parameters));
        body = json_compact(whole.get());
    }
    return post(url + "/v2/repository/models/" + encoded(model) + "/load", std::move(body), timeout);
}


http_request unload(const std::string &url, std::string_view model, std::chrono::milliseconds timeout)
{
    return post(url + "/v2/repository/models/" + encoded(model) + "/unload", {}, timeout);
}


http_request infer(const std::string &url, std::string_view model, const json_t *request,
                   std::chrono::milliseconds timeout)
{
    http_request request_body = post(url + "/v2/models/" + encoded(model) + "/infer", json_compact(request), timeout);
    request_body.max_answer_bytes = largest_inference;
    return request_body;
}


bool is_done(const http_answer &answer)
{
    return answer.status >= 200 && answer.status < 300 && !is_html(answer.body);
}


readiness readiness_of(const http_answer &answer)
{
    const bool is_redirect = answer.status >= 300 && answer.status < 400;
    if (answer.status == 0 || says_nothing_yet(answer) || is_redirect || answer.status == 401 ||
        answer.status == 403 || is_html(answer.body)) {
        return readiness::unclear;
    }
    if (answer.status != 200) {
        return readiness::not_ready;
    }
    json_error_t error;
    const json_ptr body = json_read(answer.body, 0, error);
    return json_is_false(json_object_get(body.get(), "ready")) ? readiness::not_ready : readiness::ready;
}


bool lacks_index(const http_answer &answer) noexcept
{
    return answer.status == 400 || answer.status == 404 || answer.status == 405 || answer.status == 501;
}


bool has_outputs(std::string_view body)
{
    json_error_t error;
    const json_ptr answer = json_read(body, JSON_DISABLE_EOF_CHECK, error);
    return json_array_size(json_object_get(answer.get(), "outputs")) > 0;
}

} // namespace rollout::kserve
