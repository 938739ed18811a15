// What an engine has under way at the journal: it is idle when all of that has ended, and hears of the first loss.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/scheduler_parts.hpp"
#include "worker/scheduler/engine_journal.hpp"

#include <memory>
#include <optional>

namespace {

using rollout::outcome;

struct engine_and_journal : scheduler_parts {
    engine_and_journal()
    {
        of_engine->on_lost = [this] { note(told, "lost"); };
    }

    void await_idle()
    {
        of_engine->when_idle([this] { note(told, "idle"); });
    }

    void save(const rollout::task &of)
    {
        of_engine->save(of, nullptr,
                        [this](const outcome &result, std::uint64_t) { note(told, result ? "saved" : "not saved"); });
    }

    std::string told; ///< in its order
    std::unique_ptr<rollout::engine_journal> of_engine = std::make_unique<rollout::engine_journal>(journal);
};

void without_anything_under_way_it_is_idle_at_once(void **)
{
    engine_and_journal world;
    world.await_idle();
    assert_text(world.told, "idle");
}

void it_is_idle_after_the_callback_of_what_is_last(void **)
{
    engine_and_journal world;
    const auto task = world.store("t", "m");
    world.save(task);
    world.of_engine->find("t", [&](const outcome &, const auto &row) {
        world.note(world.told, row->task_id);
        world.save(task); // and goes on
    });
    world.await_idle();
    world.time.settle();
    assert_text(world.told, "t saved saved idle");
}

void a_loss_is_told_after_its_callback(void **)
{
    engine_and_journal world;
    const auto task = world.store("t", "m");
    world.journal.lost = true;
    world.save(task);
    world.await_idle();
    world.time.settle();
    assert_text(world.told, "not saved lost idle");
    world.journal.lost = false;
    world.journal.failing_writes = 1;
    world.save(task);
    world.time.settle();
    assert_text(world.told, "not saved lost idle not saved");
}

void what_ends_after_its_destruction_calls_nobody(void **)
{
    engine_and_journal world;
    world.save(world.store("t", "m"));
    world.of_engine.reset();
    world.time.settle();
    assert_text(world.told, "");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(without_anything_under_way_it_is_idle_at_once),
        cmocka_unit_test(it_is_idle_after_the_callback_of_what_is_last),
        cmocka_unit_test(a_loss_is_told_after_its_callback),
        cmocka_unit_test(what_ends_after_its_destruction_calls_nobody),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
