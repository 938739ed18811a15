// Server-sent events, read out of pieces of any size.
#include "ctl/api/event_reader.hpp"
#include "tests/unit/cmocka.hpp"

#include <string>

namespace {

/// What is read when the text arrives in pieces of that size.
std::string read(std::string_view text, std::size_t piece)
{
    rollout::ctl::event_reader reader;
    std::string all;
    for (std::size_t at = 0; at < text.size(); at += piece) {
        reader.feed(text.substr(at, piece));
        while (const auto event = reader.next()) {
            all += (all.empty() ? "" : ", ") + event->name + "=" + event->data;
        }
    }
    return all;
}

void expect(std::string_view text, const char *events)
{
    for (const std::size_t piece : {1, 2, 3, 7, 1000}) {
        assert_text(read(text, piece), events);
    }
}

void events_are_read_in_their_order(void **)
{
    expect("retry: 1000\nid: a-1\nevent: ping\ndata: {}\n\nid: a-2\nevent: task\ndata: {\"a\":1}\n\n",
           "ping={}, task={\"a\":1}");
}

void an_event_counts_once_its_empty_line_is_there(void **)
{
    expect("event: task\ndata: 1\n\nevent: task\ndata: 2\n", "task=1");
}

void comments_other_fields_and_events_without_data_are_left_out(void **)
{
    expect(": comment\n\nevent: none\n\nother\nevent: task\ndata:1\ndata\ndata:  2\n\n\n\n", "task=1\n\n 2");
}

void lines_may_end_as_in_http(void **)
{
    expect("event: task\r\ndata: 1\r\n\r\n", "task=1");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(events_are_read_in_their_order),
        cmocka_unit_test(an_event_counts_once_its_empty_line_is_there),
        cmocka_unit_test(comments_other_fields_and_events_without_data_are_left_out),
        cmocka_unit_test(lines_may_end_as_in_http),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
