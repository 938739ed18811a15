#include "common/domain/limits.hpp"
#include "common/link/task_line.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::append_task_line;
using rollout::read_task_line;
using rollout::task_kind;
using rollout::task_line;
using rollout::task_status;

std::string line_of(const task_line &from)
{
    std::string line;
    append_task_line(line, from);
    return line;
}

void what_is_written_is_read(void **)
{
    for (const auto kind : {task_kind::deploy, task_kind::remove}) {
        for (std::uint8_t status = 0; status < rollout::task_statuses; ++status) {
            const task_line written = {kind,       7,     18446744073709551615u,       task_status{status},
                                       "0193-a_b", "m.1", R"({"a": "b c", "d": "\n"})"};
            const auto line = line_of(written);
            const auto read = read_task_line(line);
            assert_true(read.has_value());
            assert_true(read->kind == written.kind && read->status == written.status);
            assert_true(read->sequence == written.sequence && read->revision == written.revision);
            assert_text(read->task_id, written.task_id);
            assert_text(read->model_id, written.model_id);
            assert_text(read->document, written.document);
        }
    }
}

void line_feeds_between_a_documents_tokens_become_blanks(void **)
{
    std::string line = "before\n";
    append_task_line(line, {task_kind::deploy, 1, 2, task_status::pending, "t", "m", "{\n  \"a\": 1\n}"});
    assert_text(line, "before\ndeploy 1 2 pending t m {   \"a\": 1 }");
}

void what_is_none_is_not_read(void **)
{
    assert_true(read_task_line("deploy 1 2 pending t m {}").has_value());
    for (const auto *line :
         {"", "x", "deploy", "deplo 1 2 pending t m {}", "deploy -1 2 pending t m {}", "deploy 1 2x pending t m {}",
          "deploy 1 2 processing t m {}", "deploy 1 2 pending ../t m {}", "deploy 1 2 pending t ../m {}",
          "deploy 1 2 pending  m {}", "deploy 18446744073709551616 2 pending t m {}"}) {
        assert_false(read_task_line(line).has_value());
    }
    const std::string document(rollout::limits::document_bytes, 'x');
    assert_true(
        read_task_line(line_of({task_kind::deploy, 1, 2, task_status::failed, "t", "m", document})).has_value());
    assert_false(read_task_line(line_of({task_kind::deploy, 1, 2, task_status::failed, "t", "m", document + "x"}))
                     .has_value());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(line_feeds_between_a_documents_tokens_become_blanks),
        cmocka_unit_test(what_is_none_is_not_read),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
