#include "common/domain/limits.hpp"
#include "common/link/frame.hpp"
#include "tests/unit/cmocka.hpp"

#include <vector>

namespace {

using rollout::append_frame;
using rollout::frame_reader;
using rollout::json_ptr;
using rollout::json_text;
using rollout::message_of;
namespace limits = rollout::limits;

/// A frame as bytes, whatever its text and its length are.
std::string raw_frame(std::uint32_t length, std::string_view text)
{
    std::string bytes;
    for (const int shift : {24, 16, 8, 0}) {
        bytes.push_back(static_cast<char>(length >> shift));
    }
    return bytes.append(text);
}

std::string frame_of(std::string_view text)
{
    return raw_frame(static_cast<std::uint32_t>(text.size()), text);
}

/// `{"type":"x","pad":"…"}` of exactly that many bytes.
std::string padded_text(std::size_t bytes)
{
    const std::string before = R"({"type":"x","pad":")";
    return before + std::string(bytes - before.size() - 2, 'a') + "\"}";
}

/// What the reader says after these bytes: a message as compact text, "…" for more, or the reason of the break.
std::string said(frame_reader &reader, std::string_view bytes = {})
{
    json_ptr message;
    std::string reason;
    if (!bytes.empty()) {
        reader.feed(bytes);
    }
    switch (reader.next(message, reason)) {
    case frame_reader::state::message:
        return rollout::json_compact(message.get());
    case frame_reader::state::need_more:
        return "more";
    case frame_reader::state::broken:
        return "broken: " + reason + (message ? " (with a message)" : "");
    }
    return "nothing";
}

std::string said_of(std::string_view bytes)
{
    frame_reader reader;
    return said(reader, bytes);
}

void a_frame_is_its_length_and_its_text(void **)
{
    std::string out = "before";
    assert_true(append_frame(out, message_of(rollout::rolloutd_frame::ping).get()));
    assert_true(out == std::string_view("before\0\0\0\x0f{\"type\":\"ping\"}", 6 + 4 + 15));

    out.clear();
    assert_true(append_frame(out, padded_text(0x01234)));
    assert_true(out.substr(0, 4) == std::string_view("\0\0\x12\x34", 4));
    assert_int_equal(out.size(), 4 + 0x1234);
}

void a_message_comes_back_as_it_went(void **)
{
    json_ptr message = message_of(rollout::gateway_frame::submit);
    rollout::json_put(message.get(), "id", rollout::json_make_number(7));
    rollout::json_put(message.get(), "model_id", "caf\xC3\xA9 \xF0\x9F\x9A\x80 \"quoted\" \\ \n");
    std::string bytes;
    assert_true(append_frame(bytes, message.get()));

    frame_reader reader;
    reader.feed(bytes);
    json_ptr back;
    std::string reason;
    assert_true(reader.next(back, reason) == frame_reader::state::message);
    assert_true(json_equal(back.get(), message.get()) != 0);
    assert_int_equal(reader.buffered(), 0);
    assert_text(said(reader), "more");
}

void a_frame_cut_at_any_byte_is_whole_once_the_rest_is_there(void **)
{
    const std::string text = R"({"type":"update","tasks":[{"seq":1},[1,2,"x"]],"revision":7})";
    const std::string bytes = frame_of(text);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        frame_reader reader;
        assert_text(said(reader, bytes.substr(0, cut)), "more");
        assert_int_equal(reader.buffered(), cut);
        assert_text(said(reader, bytes.substr(cut)), text);
        assert_int_equal(reader.buffered(), 0);
    }
}

void tasks_are_lines_behind_their_message(void **)
{
    frame_reader reader;
    reader.feed(frame_of("{\"type\":\"update\"}\n{\"a\":1}\n{\"b\":\"\\n\"}") + frame_of(R"({"type":"ping"})"));
    assert_text(said(reader), R"({"type":"update"})");
    auto lines = reader.lines();
    assert_text(rollout::next_line(lines), R"({"a":1})");
    assert_text(rollout::next_line(lines), R"({"b":"\n"})");
    assert_text(rollout::next_line(lines), "");
    assert_text(rollout::next_line(lines), "");

    assert_text(said(reader), R"({"type":"ping"})");
    assert_text(reader.lines(), "");

    // An empty line is one, too, and what is in a line is nobody's matter here.
    reader.feed(frame_of("{\"type\":\"x\"}\n\nno JSON"));
    assert_text(said(reader), R"({"type":"x"})");
    lines = reader.lines();
    assert_text(rollout::next_line(lines), "");
    assert_text(rollout::next_line(lines), "no JSON");
    reader.feed(frame_of("no JSON\n{}"));
    assert_text(said(reader).substr(0, 7), "broken:");
    assert_text(reader.lines(), "");
}

void a_stream_that_comes_byte_by_byte_gives_each_message_once(void **)
{
    std::string bytes;
    std::string expected;
    for (int i = 0; i < 20; ++i) {
        const std::string text = R"({"type":"t)" + std::to_string(i) + "\"}";
        bytes += frame_of(text);
        expected += text;
    }
    frame_reader reader;
    std::string got;
    for (const char byte : bytes) {
        const std::string answer = said(reader, {&byte, 1});
        if (answer != "more") {
            got += answer;
        }
    }
    assert_text(got, expected);
}

void many_frames_of_one_read_come_in_their_order(void **)
{
    std::string bytes;
    for (int i = 0; i < 5000; ++i) {
        bytes += frame_of(R"({"type":"t)" + std::to_string(i) + "\"}");
    }
    const std::string last = frame_of(R"({"type":"last"})");
    frame_reader reader;
    reader.feed(bytes + last.substr(0, 9));
    for (int i = 0; i < 5000; ++i) {
        assert_text(said(reader), R"({"type":"t)" + std::to_string(i) + "\"}");
    }
    assert_text(said(reader), "more");
    assert_int_equal(reader.buffered(), 9);
    assert_text(said(reader, last.substr(9)), R"({"type":"last"})");
}

void a_long_stream_in_reads_that_cut_frames_keeps_nothing_that_was_read(void **)
{
    // Far more than the reader holds back before it drops what was read.
    const std::string text = padded_text(1000);
    std::string bytes;
    for (int i = 0; i < 1000; ++i) {
        bytes += frame_of(text);
    }
    frame_reader reader;
    int messages = 0;
    for (std::size_t at = 0; at < bytes.size(); at += 65536) {
        reader.feed(std::string_view(bytes).substr(at, 65536));
        std::string answer;
        while ((answer = said(reader)) != "more") {
            assert_text(answer, text);
            ++messages;
        }
        assert_true(reader.buffered() < text.size() + 4);
    }
    assert_int_equal(messages, 1000);
    assert_int_equal(reader.buffered(), 0);
}

void the_longest_text_passes_and_one_byte_more_makes_no_frame(void **)
{
    const std::string longest = padded_text(limits::frame_bytes);
    std::string out;
    assert_true(append_frame(out, longest));
    assert_int_equal(out.size(), limits::frame_bytes + 4);
    assert_true(said_of(out) == longest);

    out = "as it was";
    assert_false(append_frame(out, padded_text(limits::frame_bytes + 1)));
    assert_text(out, "as it was");

    json_ptr message = message_of(rollout::rolloutd_frame::ping);
    rollout::json_put(message.get(), "pad", std::string(limits::frame_bytes, 'a'));
    assert_false(append_frame(out, message.get()));
    assert_text(out, "as it was");
}

void what_has_no_text_makes_no_frame(void **)
{
    std::string out = "as it was";
    assert_false(append_frame(out, std::string_view()));
    assert_false(append_frame(out, static_cast<const json_t *>(nullptr)));
    assert_text(out, "as it was");
}

void a_length_out_of_bounds_breaks_the_stream_before_its_text_is_there(void **)
{
    assert_text(said_of(raw_frame(limits::frame_bytes + 1, "")),
                "broken: a frame of 1048577 bytes, the bounds are 1 and 1048576");
    assert_text(said_of(raw_frame(0xFFFFFFFF, "")),
                "broken: a frame of 4294967295 bytes, the bounds are 1 and 1048576");
    assert_text(said_of(raw_frame(0, "")), "broken: a frame of 0 bytes, the bounds are 1 and 1048576");
    assert_text(said_of("GET / HTTP/1.1\r\n"), "broken: a frame of 1195725856 bytes, the bounds are 1 and 1048576");

    // At the bound there is nothing to say yet, and a broken stream stays broken.
    assert_text(said_of(raw_frame(limits::frame_bytes, "{")), "more");
    frame_reader reader;
    assert_holds(said(reader, raw_frame(0, frame_of(R"({"type":"x"})"))), "broken: a frame of 0 bytes");
    assert_holds(said(reader), "broken: a frame of 0 bytes");
}

void what_is_not_json_breaks_the_stream(void **)
{
    for (const std::string_view text : {
             std::string_view("{"),
             std::string_view(" "),
             std::string_view("nope"),
             std::string_view("7"),
             std::string_view("\"type\""),
             std::string_view("{'type':'x'}"),
             std::string_view(R"({"type":"x"} {})"),
             std::string_view(R"({"type":"x",})"),
             std::string_view(R"({"type":"x","n":1e999})"),
             std::string_view("{\"type\":\"\xFF\"}"),
             std::string_view("{\"type\":\"\xED\xA0\x80\"}"),
             std::string_view("{\"type\":\"x\"}\0", 13),
             std::string_view("{\"type\":\"a\0b\"}", 14),
         }) {
        const std::string answer = said_of(frame_of(text));
        assert_holds(answer, "broken: a frame that is not JSON: ");
        assert_true(answer.find("with a message") == std::string::npos);
    }
}

void a_deep_frame_breaks_the_stream_and_does_no_harm(void **)
{
    assert_holds(said_of(frame_of(R"({"type":"x","a":)" + std::string(500000, '['))),
                 "broken: a frame that is not JSON");
}

void a_message_is_an_object_with_a_type(void **)
{
    for (const std::string_view text :
         {"[]", "{}", R"(["type"])", R"({"type":7})", R"({"type":null})", R"({"type":""})", R"({"type":["x"]})",
          R"({"Type":"x"})", R"([{"type":"x"}])"}) {
        assert_text(said_of(frame_of(text)), "broken: a frame that is not an object with a \"type\"");
    }
}

void a_member_given_twice_breaks_the_stream(void **)
{
    assert_holds(said_of(frame_of(R"({"type":"x","type":"y"})")), "broken: a frame that is not JSON: duplicate");
    assert_holds(said_of(frame_of(R"({"type":"x","a":{"b":1,"b":1}})")),
                 "broken: a frame that is not JSON: duplicate");
}

void a_nul_in_a_string_comes_through_and_one_in_a_name_does_not(void **)
{
    frame_reader reader;
    reader.feed(frame_of(R"({"type":"x","s":"a\u0000b"})"));
    json_ptr message;
    std::string reason;
    assert_true(reader.next(message, reason) == frame_reader::state::message);
    assert_true(json_text(message.get(), "s") == std::string_view("a\0b", 3));

    std::string again;
    assert_true(append_frame(again, message.get()));
    assert_true(again == frame_of(R"({"type":"x","s":"a\u0000b"})"));

    assert_holds(said_of(frame_of(R"({"type":"x","a\u0000b":1})")), "broken: a frame that is not JSON: ");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_its_length_and_its_text),
        cmocka_unit_test(a_message_comes_back_as_it_went),
        cmocka_unit_test(a_frame_cut_at_any_byte_is_whole_once_the_rest_is_there),
        cmocka_unit_test(tasks_are_lines_behind_their_message),
        cmocka_unit_test(a_stream_that_comes_byte_by_byte_gives_each_message_once),
        cmocka_unit_test(many_frames_of_one_read_come_in_their_order),
        cmocka_unit_test(a_long_stream_in_reads_that_cut_frames_keeps_nothing_that_was_read),
        cmocka_unit_test(the_longest_text_passes_and_one_byte_more_makes_no_frame),
        cmocka_unit_test(what_has_no_text_makes_no_frame),
        cmocka_unit_test(a_length_out_of_bounds_breaks_the_stream_before_its_text_is_there),
        cmocka_unit_test(what_is_not_json_breaks_the_stream),
        cmocka_unit_test(a_deep_frame_breaks_the_stream_and_does_no_harm),
        cmocka_unit_test(a_message_is_an_object_with_a_type),
        cmocka_unit_test(a_member_given_twice_breaks_the_stream),
        cmocka_unit_test(a_nul_in_a_string_comes_through_and_one_in_a_name_does_not),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
