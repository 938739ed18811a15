#include "common/link/frame.hpp"
#include "tests/unit/cmocka.hpp"

#include <set>

namespace {

using rollout::frame_name;
using rollout::gateway_frame;
using rollout::rolloutd_frame;

template <class Type, class Read>
void each_name_is_read_back(Type last, Read read)
{
    std::set<std::string_view> names;
    for (std::uint8_t i = 0; i <= static_cast<std::uint8_t>(last); ++i) {
        const auto name = frame_name(static_cast<Type>(i));
        assert_false(name.empty());
        assert_true(names.insert(name).second);
        assert_true(read(name) == static_cast<Type>(i));
    }
    for (const auto *name : {"", "hell", "hello ", "Hello", "unknown"}) {
        assert_false(read(name).has_value());
    }
    assert_text(frame_name(static_cast<Type>(static_cast<std::uint8_t>(last) + 1)), ""); // it is the last one
}

void names_are_read_back(void **)
{
    each_name_is_read_back(gateway_frame::pong, rollout::gateway_frame_from);
    each_name_is_read_back(rolloutd_frame::refuse, rollout::rolloutd_frame_from);
}

void a_frame_of_one_end_is_none_of_the_others(void **)
{
    for (std::uint8_t i = 0; i <= static_cast<std::uint8_t>(gateway_frame::pong); ++i) {
        assert_false(rollout::rolloutd_frame_from(frame_name(gateway_frame{i})).has_value());
    }
}

void a_messages_text_is_the_message(void **)
{
    assert_text(rollout::message_text(rolloutd_frame::ping), R"({"type":"ping"})");
    assert_text(rollout::message_text(gateway_frame::submit), R"({"type":"submit"})");
    rollout::json_ptr message = rollout::message_of(rolloutd_frame::found);
    rollout::json_put(message.get(), "id", rollout::json_make_number(7));
    assert_text(rollout::message_text(rolloutd_frame::found, "\"id\":7"), rollout::json_compact(message.get()));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_back),
        cmocka_unit_test(a_frame_of_one_end_is_none_of_the_others),
        cmocka_unit_test(a_messages_text_is_the_message),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
