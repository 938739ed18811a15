#include "common/link/frame.hpp"
#include "common/link/submission_line.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::append_line;
using rollout::read_submission;
using rollout::submission_line;
using rollout::task_kind;

void what_is_written_is_read(void **)
{
    const submission_line written[] = {
        {1, task_kind::deploy, "t", "123", "p", R"({"a":"b c"})", "10.0.0.7\tann\t"},
        {18446744073709551615u, task_kind::remove, "-", "m.1", "", "{}", "\t\t"},
    };
    std::string lines;
    for (const auto &one : written) {
        append_line(lines, one);
    }
    std::string_view rest = lines;
    assert_text(std::string(rollout::next_line(rest)), ""); // the frame's message stands there
    for (const auto &one : written) {
        const auto read = read_submission(rollout::next_line(rest));
        assert_true(read.has_value());
        assert_true(read->id == one.id && read->kind == one.kind);
        assert_text(read->task_id, one.task_id);
        assert_text(read->model_id, one.model_id);
        assert_text(read->parent_id, one.parent_id);
        assert_text(read->config, one.config);
        assert_text(read->by, one.by);
    }
    assert_true(rest.empty());
}

void what_is_none_is_not_read(void **)
{
    assert_true(read_submission("1 deploy t m . {}\t{}").has_value());
    for (const auto *line :
         {"", "x", "1 deploy", "-1 deploy t m . {}\t{}", "1x deploy t m . {}\t{}", "1 deplo t m . {}\t{}",
          "1 deploy  m . {}\t{}", "1 deploy ../t m . {}\t{}", "1 deploy t ../m . {}\t{}", "1 deploy t m ../p {}\t{}",
          "1 deploy t m  {}\t{}", "18446744073709551616 deploy t m . {}\t{}"}) {
        assert_false(read_submission(line).has_value());
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_is_none_is_not_read),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
