// A body on its way through a filter: what goes on, whatever buffers it comes in, and that no original is free before what it lends.
#include "module/messages/grpc_name.hpp"
#include "module/messages/json_name.hpp"
#include "module/nginx/body_rewriter.hpp"
#include "tests/unit/cmocka.hpp"

#include <cstdlib>
#include <memory>
#include <vector>

// What the rewriter calls of nginx.

namespace {

std::vector<std::unique_ptr<char[]>> pool; // NOLINT: as a request's, it goes at the test's end
std::string file_text;

void *allocate(std::size_t size)
{
    pool.push_back(std::make_unique<char[]>(size + 1));
    return pool.back().get();
}

} // namespace


extern "C" {

void *ngx_pcalloc(ngx_pool_t *, size_t size)
{
    return allocate(size);
}


void *ngx_pnalloc(ngx_pool_t *, size_t size)
{
    return allocate(size);
}


ngx_chain_t *ngx_alloc_chain_link(ngx_pool_t *)
{
    return static_cast<ngx_chain_t *>(allocate(sizeof(ngx_chain_t)));
}


ssize_t ngx_read_file(ngx_file_t *, u_char *into, size_t size, off_t from)
{
    return static_cast<ssize_t>(file_text.copy(reinterpret_cast<char *>(into), size, static_cast<std::size_t>(from)));
}
}


namespace {

using namespace rollout;

/// What a filter behind sends of a chain, and whether the last buffer was in it. It sends a buffer at a time.
struct sent {
    std::string text;
    bool ended = false;
};


std::string_view text_of(const ngx_buf_t *buffer)
{
    if (ngx_buf_in_memory(buffer)) {
        return {reinterpret_cast<const char *>(buffer->pos), static_cast<std::size_t>(buffer->last - buffer->pos)};
    }
    return buffer->in_file
               ? std::string_view(file_text).substr(static_cast<std::size_t>(buffer->file_pos),
                                                    static_cast<std::size_t>(buffer->file_last - buffer->file_pos))
               : std::string_view();
}


void take(const ngx_chain_t *chain, sent &into)
{
    for (; chain != nullptr; chain = chain->next) {
        ngx_buf_t *buffer = chain->buf;
        assert_false(into.ended);
        assert_true(ngx_buf_special(buffer) || ngx_buf_size(buffer) != 0);
        into.text += text_of(buffer);
        into.ended = into.ended || buffer->last_buf;
        buffer->pos = buffer->last;
        buffer->file_pos = buffer->file_last;
    }
}


enum class place { memory, file };

/// A body in pieces of that size, through a reader, with the name that it finds written as another. What lies in memory is overwritten as
/// soon as its original is free, as nginx reads the next bytes into it.
std::string rewritten(name_reader &reader, body_rewriter::settings how, const std::string &body, std::size_t size,
                      std::string_view from, std::string_view to, place where = place::memory)
{
    ngx_http_request_t r{};
    body_rewriter rewriter(&reader, how);
    const auto rename = [&](std::string_view found, std::string_view &instead) {
        instead = to;
        return found == from ? body_rewriter::verdict::rename : body_rewriter::verdict::keep;
    };
    file_text = body;
    sent out;
    for (std::size_t at = 0; at < body.size() || at == 0; at += size) {
        std::string memory = body.substr(at, size);
        ngx_buf_t buffer{};
        if (where == place::memory) {
            buffer.temporary = 1;
            buffer.start = buffer.pos = reinterpret_cast<u_char *>(memory.data());
            buffer.last = buffer.end = buffer.pos + memory.size();
        } else {
            buffer.in_file = 1;
            buffer.file_pos = static_cast<off_t>(at);
            buffer.file_last = static_cast<off_t>(at + memory.size());
        }
        buffer.flush = 1;
        buffer.last_buf = at + size >= body.size();
        ngx_chain_t link = {&buffer, nullptr};
        ngx_chain_t *chain = nullptr;
        const auto made = rewriter.rewrite(&r, &link, chain, rename);
        if (made != body_rewriter::result::done) {
            return made == body_rewriter::result::refused ? "refused" : "failed";
        }
        // An original that is empty is free for nginx at once: nothing may still stand in its memory.
        if (ngx_buf_size(&buffer) == 0) {
            memory.assign(memory.size(), '#');
        }
        take(chain, out);
        assert_int_equal(ngx_buf_size(&buffer), 0);
    }
    assert_true(out.ended);
    assert_int_equal(out.text.size(), rewriter.written());
    return out.text;
}


const std::string numbers(500, '1');


void an_answers_name_is_written_whatever_buffers_it_comes_in(void **)
{
    const std::string body = R"({"id":"x","model_name":"123__r7","outputs":[)" + numbers + "]}";
    const std::string wanted = R"({"id":"x","model_name":"123"    ,"outputs":[)" + numbers + "]}";
    for (const auto where : {place::memory, place::file}) {
        for (std::size_t size = 1; size <= body.size(); ++size) {
            json_name_reader reader(json_kind::kserve);
            assert_text(rewritten(reader, {.most = 4096}, body, size, "123__r7", "123", where), wanted);
        }
    }
}


void what_is_behind_the_bound_stays(void **)
{
    const std::string body = R"({"model_name":"123__r7"})";
    for (std::size_t most = 1; most < body.size() - 2; ++most) {
        json_name_reader reader(json_kind::kserve);
        assert_text(rewritten(reader, {.most = most}, body, body.size(), "123__r7", "123"), body);
    }
}


void a_requests_name_is_written_whatever_buffers_it_comes_in(void **)
{
    const std::string body = R"({"input":[)" + numbers + R"(],"model":"123"})";
    const std::string wanted = R"({"input":[)" + numbers + R"(],"model":"123__r7"})";
    for (std::size_t size = 1; size <= body.size(); ++size) {
        json_name_reader reader(json_kind::request);
        assert_text(rewritten(reader, {.of_request = true}, body, size, "123", "123__r7"), wanted);
    }
    json_name_reader reader(json_kind::request);
    assert_text(rewritten(reader, {.of_request = true}, "[]", 10, "123", "123__r7"), "refused");
}


/// With the name alone, or with a field of so many bytes behind it.
std::string message(std::string_view name, std::size_t payload = 0)
{
    std::string text = "\x0a";
    text += static_cast<char>(name.size());
    text += name;
    if (payload != 0) {
        text += "\x3a";
        text += static_cast<char>(payload);
        text.append(payload, 'x');
    }
    std::string prefix(5, '\0');
    prefix[4] = static_cast<char>(text.size());
    return prefix + text;
}


void each_message_of_a_stream_is_written(void **)
{
    std::string body;
    std::string wanted;
    for (std::size_t payload : {0, 3, 90, 40}) {
        body += message("123", payload);
        wanted += message("123__r7", payload);
    }
    for (std::size_t size = 1; size <= body.size(); ++size) {
        grpc_request_reader reader(grpc_call::stream);
        assert_true(rewritten(reader, {.of_request = true, .reuses = true}, body, size, "123", "123__r7") == wanted);
    }
}


void a_body_that_is_all_head_still_ends(void **)
{
    const auto body = message("123");
    for (std::size_t size = 1; size <= body.size(); ++size) {
        grpc_request_reader reader(grpc_call::unary);
        assert_true(rewritten(reader, {.of_request = true}, body, size, "123", "123__r7") == message("123__r7"));
    }
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_answers_name_is_written_whatever_buffers_it_comes_in),
        cmocka_unit_test(what_is_behind_the_bound_stays),
        cmocka_unit_test(a_requests_name_is_written_whatever_buffers_it_comes_in),
        cmocka_unit_test(each_message_of_a_stream_is_written),
        cmocka_unit_test(a_body_that_is_all_head_still_ends),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
