// What is to be sent: whole frames, in the order of their sending.
#include "common/domain/limits.hpp"
#include "common/link/frame.hpp"
#include "module/link/outbox.hpp"
#include "tests/unit/cmocka.hpp"

#include <string>

namespace {

using rollout::gateway_frame;
using rollout::outbox;

/// Types of the frames, each with the number of its lines, once all is sent by so many bytes at a time.
std::string sent(outbox &from, std::size_t bytes = SIZE_MAX)
{
    rollout::frame_reader reader;
    std::string types;
    for (auto rest = from.next(); !rest.empty(); rest = from.next()) {
        const auto piece = rest.substr(0, bytes);
        reader.feed(piece);
        from.note_sent(piece.size());
        rollout::json_ptr message;
        std::string reason;
        while (reader.next(message, reason) == rollout::frame_reader::state::message) {
            std::size_t lines = 0;
            for (auto left = reader.lines(); !left.empty(); ++lines) {
                rollout::next_line(left);
            }
            types += std::string(types.empty() ? "" : ", ") + std::string(rollout::json_text(message.get(), "type")) +
                     (lines != 0 ? " " + std::to_string(lines) : "");
        }
        assert_text(reason, "");
    }
    return types;
}

void submit(outbox &to, std::string_view config = "{}")
{
    to.add({1, rollout::task_kind::deploy, "t", "m", "", config, "\t\t"});
}

void submissions_share_a_frame(void **)
{
    outbox out;
    submit(out);
    submit(out);
    submit(out);
    assert_text(sent(out), "submit 3");
    assert_int_equal(out.unsent_bytes(), 0);
}

void what_is_sent_behind_a_submission_comes_behind_it(void **)
{
    outbox out;
    submit(out);
    assert_true(out.add(rollout::message_of(gateway_frame::pong).get()));
    submit(out);
    assert_true(out.add(rollout::message_of(gateway_frame::bye).get(), "a line"));
    assert_text(sent(out), "submit 1, pong, submit 1, bye 1");
}

void submissions_begin_another_frame_once_one_is_full(void **)
{
    outbox out;
    const std::string config = R"({"a":")" + std::string(rollout::limits::batch_bytes, 'x') + "\"}";
    submit(out, config);
    submit(out, config);
    submit(out);
    assert_text(sent(out), "submit 1, submit 1, submit 1");
}

void what_goes_out_in_pieces_is_whole_in_the_end(void **)
{
    outbox out;
    submit(out);
    out.add(rollout::message_of(gateway_frame::pong).get());
    assert_text(sent(out, 3), "submit 1, pong");
}

void what_is_not_sent_yet_is_counted(void **)
{
    outbox out;
    submit(out);
    const auto of_one = out.unsent_bytes();
    assert_true(of_one > 0);
    submit(out);
    assert_true(out.unsent_bytes() > of_one);
    const auto all = out.next().size();
    out.note_sent(all - 5);
    assert_int_equal(out.unsent_bytes(), 5);
    out.clear();
    assert_int_equal(out.unsent_bytes(), 0);
    assert_text(sent(out), "");
}

void a_message_that_is_too_large_is_refused_and_leaves_the_others_whole(void **)
{
    outbox out;
    submit(out);
    assert_false(
        out.add(rollout::message_of(gateway_frame::steer).get(), std::string(rollout::limits::frame_bytes, 'x')));
    out.add(rollout::message_of(gateway_frame::pong).get());
    assert_text(sent(out), "submit 1, pong");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(submissions_share_a_frame),
        cmocka_unit_test(what_is_sent_behind_a_submission_comes_behind_it),
        cmocka_unit_test(submissions_begin_another_frame_once_one_is_full),
        cmocka_unit_test(what_goes_out_in_pieces_is_whole_in_the_end),
        cmocka_unit_test(what_is_not_sent_yet_is_counted),
        cmocka_unit_test(a_message_that_is_too_large_is_refused_and_leaves_the_others_whole),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
