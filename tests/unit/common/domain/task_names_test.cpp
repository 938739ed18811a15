#include "common/domain/task_status.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::dialect;
using rollout::is_final;
using rollout::kind_from;
using rollout::kind_name;
using rollout::status_from;
using rollout::status_name;
using rollout::task_kind;
using rollout::task_status;

constexpr struct {
    task_status status;
    const char *standard;
    const char *embedding_studio;
    bool final;
} statuses[] = {
    {task_status::pending, "pending", "pending", false},
    {task_status::in_progress, "in_progress", "processing", false},
    {task_status::completed, "completed", "done", true},
    {task_status::failed, "failed", "failed", true},
    {task_status::refused, "refused", "refused", true},
    {task_status::canceled, "canceled", "canceled", true},
};

void each_status_has_its_word_in_each_dialect(void **)
{
    for (const auto &one : statuses) {
        assert_text(status_name(one.status), one.standard);
        assert_text(status_name(one.status, dialect::standard), one.standard);
        assert_text(status_name(one.status, dialect::embedding_studio), one.embedding_studio);
    }
}

void the_last_four_statuses_are_final(void **)
{
    for (const auto &one : statuses) {
        assert_int_equal(is_final(one.status), one.final);
    }
}

void a_status_is_read_from_its_standard_word_only(void **)
{
    for (const auto &one : statuses) {
        assert_true(status_from(one.standard) == one.status);
    }
    for (const char *word : {"processing", "done", "", "Pending", "pending ", "complete", "unknown"}) {
        assert_false(status_from(word).has_value());
    }
}

void a_kind_is_the_word_of_its_routes(void **)
{
    assert_text(kind_name(task_kind::deploy), "deploy");
    assert_text(kind_name(task_kind::remove), "delete");
    assert_true(kind_from("deploy") == task_kind::deploy);
    assert_true(kind_from("delete") == task_kind::remove);
    for (const char *word : {"", "remove", "Deploy", "deploy-status"}) {
        assert_false(kind_from(word).has_value());
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(each_status_has_its_word_in_each_dialect),
        cmocka_unit_test(the_last_four_statuses_are_final),
        cmocka_unit_test(a_status_is_read_from_its_standard_word_only),
        cmocka_unit_test(a_kind_is_the_word_of_its_routes),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
