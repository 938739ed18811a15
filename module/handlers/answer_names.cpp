#include "module/handlers/answer_names.hpp"

#include "module/configuration.hpp"
#include "module/handlers/grpc_stream.hpp"
#include "module/handlers/request_accounting.hpp"
#include "module/handlers/request_name.hpp"
#include "module/handlers/route_handler.hpp"
#include "module/messages/grpc_name.hpp"
#include "module/messages/json_name.hpp"
#include "module/nginx/body_rewriter.hpp"

#include <algorithm>

namespace rollout {

/// In the request's pool.
struct answer_naming {
    body_rewriter body;
    std::string_view name;
    bool has_many = false;         ///< names: each event of a stream has one
    grpc_stream *stream = nullptr; ///< of gRPC messages, with its reader
    const grpc_answer_reader *reader = nullptr;
};


namespace {

/// KServe's servers write the name among the first members. Bytes of an answer after these are not searched.
constexpr std::size_t kserve_bytes = 4096;

ngx_http_output_header_filter_pt next_names_filter;
ngx_http_output_body_filter_pt next_body_filter;


bool is_plain_name(std::string_view name) noexcept
{
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
               c == '.';
    });
}


/// Returns the client's name of the model, from the URI or from rollout_route. Empty if it is not known.
std::string_view client_name(const ngx_http_request_t *r, const routed_names &names) noexcept
{
    static constexpr std::string_view models = "/models/";
    const auto asked = view_of(r == r->main ? r->unparsed_uri : r->uri);
    const auto uri = asked.substr(0, std::min(asked.find('?'), asked.size()));
    std::string_view first;
    for (auto position = uri.find(models); position != std::string_view::npos;
         position = uri.find(models, position + 1)) {
        const auto rest = uri.substr(position + models.size());
        const auto name = rest.substr(0, std::min(rest.find('/'), rest.size()));
        if (name == names.model_id && is_plain_name(name)) { // an operator's prefix may have the same segment
            return name;
        }
        first = first.empty() && is_plain_name(name) ? name : first;
    }
    if (!first.empty()) {
        return first;
    }
    return names.part.empty() && is_plain_name(names.model_id) ? names.model_id : std::string_view();
}


/// Returns an empty name if the request does not carry it in its body.
std::string_view client_name_in_body(const ngx_http_request_t *r) noexcept
{
    const auto *body = named_body_of(r);
    return body != nullptr ? view_of(body->name) : std::string_view();
}


bool has_type(const ngx_http_request_t *r, std::string_view type) noexcept
{
    const auto &is = r->headers_out.content_type;
    return is.len >= type.size() && same_word(view_of(is).substr(0, type.size()), type);
}


name_reader *make_answer_reader(ngx_http_request_t *r) noexcept
{
    const auto place = location_of(r).name_at;
    if (place == name_source::grpc) {
        return make_in_pool<grpc_answer_reader>(r->pool, call_of(*r));
    }
    const auto kind = place == name_source::json ? json_kind::answer : json_kind::kserve;
    if (has_type(r, "text/event-stream")) {
        return make_in_pool<event_name_reader>(r->pool, kind);
    }
    return make_in_pool<json_name_reader>(r->pool, kind);
}


/// Returns whether the answer may contain the model's name.
bool is_of_model(ngx_http_request_t *r) noexcept
{
    const auto &location = location_of(r);
    return location.model != nullptr && r->upstream != nullptr && !r->header_only &&
           r->headers_out.status == NGX_HTTP_OK && r->headers_out.content_encoding == nullptr;
}


/// Returns an empty name if the answer is to stay as it is.
std::string_view name_to_write(ngx_http_request_t *r, const routed_names &names, name_source place) noexcept
{
    if (location_of(r).keeps_server_names) {
        return {};
    }
    const auto name = place == name_source::elsewhere ? client_name(r, names) : client_name_in_body(r);
    const bool is_too_long = place == name_source::elsewhere && name.size() > names.backend.size();
    return name == names.backend || is_too_long ? std::string_view() : name;
}


/// Returns false if out of memory.
bool begin_answer(ngx_http_request_t *r) noexcept
{
    counted_request *choice = told_choice(r);
    if (choice == nullptr) {
        return true;
    }
    choice->answer = nullptr;
    if (!is_of_model(r)) {
        return true;
    }
    const auto place = location_of(r).name_at;
    const auto *body = place == name_source::grpc ? named_body_of(r) : nullptr;
    auto *stream = body != nullptr ? body->stream : nullptr;
    const auto name = name_to_write(r, names_of(*choice), place);
    if (name.empty() && stream == nullptr) {
        return true;
    }
    // A length of 0 marks an answer that consists of headers only.
    const bool keeps_length = place != name_source::grpc && name.size() <= names_of(*choice).backend.size();
    if (!keeps_length && r->headers_out.content_length_n > 0) {
        ngx_http_clear_content_length(r);
    }
    name_reader *reader = make_answer_reader(r);
    if (reader == nullptr) {
        return false;
    }
    const bool has_many = stream != nullptr || has_type(r, "text/event-stream");
    const body_rewriter::settings options{.reuses = has_many,
                                          .most = has_many || place != name_source::elsewhere ? 0 : kserve_bytes};
    choice->answer =
        make_in_pool<answer_naming>(r->pool, body_rewriter(reader, options), name, has_many, stream,
                                    static_cast<const grpc_answer_reader *>(stream != nullptr ? reader : nullptr));
    return choice->answer != nullptr;
}


ngx_int_t names_header_filter(ngx_http_request_t *r)
{
    return begin_answer(r) ? next_names_filter(r) : NGX_ERROR;
}


ngx_int_t body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    if (in == nullptr || r->upstream == nullptr || location_of(r).model == nullptr) {
        return next_body_filter(r, in);
    }
    const counted_request *choice = told_choice(r);
    if (choice == nullptr || choice->answer == nullptr || choice->answer->body.is_over()) {
        return next_body_filter(r, in);
    }
    const auto rename = [choice](std::string_view found, std::string_view &instead) {
        if (choice->answer->stream != nullptr) {
            note_answer(*choice->answer->stream, choice->answer->reader->is_error());
        }
        if (choice->answer->name.empty() || found != names_of(*choice).backend) {
            return body_rewriter::verdict::keep;
        }
        instead = choice->answer->name;
        return choice->answer->has_many ? body_rewriter::verdict::rename : body_rewriter::verdict::rename_last;
    };
    ngx_chain_t *out = nullptr;
    if (choice->answer->body.rewrite(r, in, out, rename) != body_rewriter::result::done) {
        return NGX_ERROR;
    }
    if (out == nullptr) {
        return NGX_OK;
    }
    const ngx_int_t rc = next_body_filter(r, out);
    free_links(r->pool, out);
    return rc;
}

} // namespace


void install_answer_names() noexcept
{
    next_names_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = names_header_filter;
    next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = body_filter;
}

} // namespace rollout
