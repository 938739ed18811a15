#include "module/nginx/request_body.hpp"

#include "common/domain/limits.hpp"
#include "module/api/content_type.hpp"
#include "module/nginx/response.hpp"

namespace rollout {

problem check_content(ngx_http_request_t *r)
{
    problem answer;
    answer.status = 415;

    const ngx_str_t coding = find_header(r, "Content-Encoding");
    if (coding.len != 0 && !same_word(view_of(coding), "identity")) {
        answer.detail = "The body must not be compressed.";
        return answer;
    }

    const auto *type = r->headers_in.content_type;
    switch (body_kind_of(type != nullptr ? view_of(type->value) : std::string_view())) {
    case body_kind::json:
        return {};
    case body_kind::json_of_another_charset:
        answer.detail = "The body must be JSON in UTF-8: its Content-Type says another charset.";
        return answer;
    case body_kind::other:
        break;
    }
    answer.detail = "The body must be JSON, with \"Content-Type: application/json\".";
    return answer;
}


problem read_body(ngx_http_request_t *r, std::string &body)
{
    const ngx_chain_t *first = r->request_body != nullptr ? r->request_body->bufs : nullptr;
    std::size_t total = 0;
    for (const ngx_chain_t *link = first; link != nullptr; link = link->next) {
        total += static_cast<std::size_t>(ngx_buf_size(link->buf));
    }
    if (total > limits::body_bytes) {
        return {413,
                "The body has " + std::to_string(total) + " bytes; a task's is at most " +
                    std::to_string(limits::body_bytes) + ".",
                {},
                {},
                0};
    }

    body.reserve(total);
    for (const ngx_chain_t *link = first; link != nullptr; link = link->next) {
        const ngx_buf_t *buffer = link->buf;
        const auto size = static_cast<std::size_t>(ngx_buf_size(buffer));
        if (ngx_buf_in_memory(buffer)) {
            body.append(reinterpret_cast<const char *>(buffer->pos), size);
        } else if (buffer->in_file) {
            const std::size_t before = body.size();
            body.resize(before + size);
            if (ngx_read_file(buffer->file, reinterpret_cast<u_char *>(body.data()) + before, size,
                              buffer->file_pos) != static_cast<ssize_t>(size)) {
                return {500,
                        "The gateway could not read the request body back from its temporary file; its error log "
                        "says why.",
                        {},
                        {},
                        0};
            }
        }
    }
    return {};
}

} // namespace rollout
