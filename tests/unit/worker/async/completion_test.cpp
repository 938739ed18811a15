// A callback that is owed once, and one that may outlive whom it calls.
#include "worker/async/completion.hpp"
#include "worker/async/lifetime.hpp"

#include "tests/unit/cmocka.hpp"

#include <functional>
#include <memory>
#include <string>

namespace {

using rollout::completion;
using rollout::lifetime;

void it_is_called_once(void **)
{
    int calls = 0;
    completion<int> owed = [&calls](int number) { calls += number; };
    assert_true(static_cast<bool>(owed));
    owed(5);
    assert_false(static_cast<bool>(owed));
    owed(7);
    assert_int_equal(calls, 5);
}

void one_that_is_dropped_or_was_never_owed_calls_nobody(void **)
{
    int calls = 0;
    completion<> owed = [&calls] { ++calls; };
    owed.drop();
    owed();
    completion<>()();
    assert_int_equal(calls, 0);
}

void the_call_may_destroy_who_holds_it(void **)
{
    struct holder {
        completion<std::string> owed;
        std::string text = "a text that is too long to be held inside of the string itself";
    };
    auto held = std::make_unique<holder>();
    std::string told;
    held->owed = [&](std::string text) {
        held.reset();
        told = std::move(text);
    };
    held->owed(held->text);
    assert_null(held.get());
    assert_int_equal(told.size(), 62);
}

struct owner {
    explicit owner(int &counted) : calls(&counted) {}

    std::function<void(int)> adder()
    {
        return life.bound([this](int number) { *calls += number; });
    }

    int *calls;
    lifetime life;
};

void a_bound_callback_calls_while_its_object_lives(void **)
{
    int calls = 0;
    auto of = std::make_unique<owner>(calls);
    const auto add = of->adder();
    const auto another = add;
    add(1);
    another(2);
    assert_int_equal(calls, 3);
    of.reset();
    add(4);
    another(8);
    assert_int_equal(calls, 3);
}

void a_bound_callback_may_destroy_its_object(void **)
{
    struct one_shot {
        lifetime life;
    };
    auto of = std::make_unique<one_shot>();
    int calls = 0;
    const std::function<void()> end = of->life.bound([&] {
        ++calls;
        of.reset();
    });
    end();
    end();
    assert_int_equal(calls, 1);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(it_is_called_once),
        cmocka_unit_test(one_that_is_dropped_or_was_never_owed_calls_nobody),
        cmocka_unit_test(the_call_may_destroy_who_holds_it),
        cmocka_unit_test(a_bound_callback_calls_while_its_object_lives),
        cmocka_unit_test(a_bound_callback_may_destroy_its_object),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
