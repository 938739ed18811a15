// Server-sent events as text, and the ids by which clients resume.
#include "module/api/event_text.hpp"
#include "tests/unit/cmocka.hpp"

#include <string>

namespace {

using rollout::event_id;
using rollout::event_text;
using rollout::sequence_of;

constexpr char memory[] = "3f2a91c0aaaabbbbccccddddeeeeffff";

void an_event_is_three_lines_and_an_empty_one(void **)
{
    assert_text(event_text({memory, 184467}, "task", {R"({"a":)", "1}"}),
                "id: 3f2a91c0-184467\nevent: task\ndata: {\"a\":1}\n\n");
}

void line_breaks_between_tokens_do_not_end_the_data(void **)
{
    assert_text(event_text({memory, 1}, "task", {"{\n", "\r\"a\":1}"}),
                "id: 3f2a91c0-1\nevent: task\ndata: {  \"a\":1}\n\n");
}

void an_id_that_was_given_is_read_again(void **)
{
    for (const std::uint64_t sequence : {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX}) {
        const auto id = event_id{memory, sequence}.text();
        assert_true(sequence_of(id, memory) == sequence);
    }
}

void other_ids_name_no_event(void **)
{
    for (const char *id :
         {"", "-", "3f2a91c0", "3f2a91c0-", "3f2a91c0-x", "3f2a91c0--1", "3f2a91c0-1 ", "3f2a91c0-1-2", "3f2a91c1-1",
          "3f2a91c0aaaa-1", "3f2a91c-1", "-1", "3f2a91c0-18446744073709551616"}) {
        assert_false(sequence_of(id, memory).has_value());
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_three_lines_and_an_empty_one),
        cmocka_unit_test(line_breaks_between_tokens_do_not_end_the_data),
        cmocka_unit_test(an_id_that_was_given_is_read_again),
        cmocka_unit_test(other_ids_name_no_event),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
