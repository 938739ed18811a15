// A line of the log is one JSON object, as long as its bound for each value, whatever somebody else has put into it.
#include "common/json.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/logged.hpp"
#include "worker/log.hpp"

#include <string>

#include <sys/stat.h>
#include <unistd.h>

namespace {

constexpr std::size_t most = 4000; // characters of a value

rollout::json_ptr line_of(const std::string &text)
{
    json_error_t error;
    rollout::json_ptr line(json_loads(text.c_str(), 0, &error));
    assert_non_null(line.get());
    assert_int_equal(text.find('\n'), text.size() - 1);
    return line;
}

void a_value_at_its_bound_is_whole_and_one_character_more_is_cut(void **)
{
    const std::string longest(most, 'x');
    const auto whole = line_of(logged([&] { log(rollout::log_level::info, longest, {{"path", longest}}); }));
    assert_string_equal(std::string(rollout::json_text(whole.get(), "message")).c_str(), longest.c_str());
    assert_string_equal(std::string(rollout::json_text(whole.get(), "path")).c_str(), longest.c_str());

    const auto cut = line_of(logged([&] {
        log(rollout::log_level::info, longest + "y", {{"path", longest + "y"}});
    }));
    const std::string wanted = std::string(most - 1, 'x') + "\xE2\x80\xA6";
    assert_string_equal(std::string(rollout::json_text(cut.get(), "message")).c_str(), wanted.c_str());
    assert_string_equal(std::string(rollout::json_text(cut.get(), "path")).c_str(), wanted.c_str());
}

void a_value_that_looks_like_a_line_is_none(void **)
{
    const auto line = line_of(logged([] { log(rollout::log_level::error, "a\n{\"level\": \"info\"}", {}); }));
    assert_string_equal(std::string(rollout::json_text(line.get(), "message")).c_str(), "a {\"level\": \"info\"}");
    assert_string_equal(std::string(rollout::json_text(line.get(), "level")).c_str(), "error");
}

void lines_of_a_burst_come_whole_in_their_order(void **)
{
    constexpr int many = 1000; // more than go into one write
    const auto text = logged([] {
        const rollout::log_burst burst;
        for (int i = 0; i < many; ++i) {
            log(rollout::log_level::info, std::to_string(i));
        }
        log(rollout::log_level::info, std::string(most, 'x'), {{"path", std::string(most, 'x')}});
    });
    std::string_view rest = text;
    for (int i = 0; i < many; ++i) {
        const auto line = line_of(std::string(rest.substr(0, rest.find('\n') + 1)));
        assert_string_equal(std::string(rollout::json_text(line.get(), "message")).c_str(),
                            std::to_string(i).c_str());
        rest.remove_prefix(rest.find('\n') + 1);
    }
    assert_non_null(line_of(std::string(rest)).get());
}

off_t written_so_far()
{
    struct stat file = {};
    assert_int_equal(::fstat(STDERR_FILENO, &file), 0);
    return file.st_size;
}

void an_error_in_a_burst_does_not_wait_and_neither_do_those_before_it(void **)
{
    off_t after_one = -1;
    off_t after_both = -1;
    const auto text = logged([&] {
        const rollout::log_burst burst;
        log(rollout::log_level::info, "one");
        after_one = written_so_far();
        log(rollout::log_level::error, "both");
        after_both = written_so_far();
    });
    assert_int_equal(after_one, 0);
    assert_int_equal(after_both, text.size());
    assert_holds(text, "\"message\":\"one\"");
    assert_holds(text, "\"message\":\"both\"");
}

void behind_a_burst_a_line_is_written_at_once(void **)
{
    const auto text = logged([] {
        {
            const rollout::log_burst burst;
        }
        log(rollout::log_level::info, "at once");
    });
    assert_string_equal(std::string(rollout::json_text(line_of(text).get(), "message")).c_str(), "at once");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_value_at_its_bound_is_whole_and_one_character_more_is_cut),
        cmocka_unit_test(a_value_that_looks_like_a_line_is_none),
        cmocka_unit_test(lines_of_a_burst_come_whole_in_their_order),
        cmocka_unit_test(an_error_in_a_burst_does_not_wait_and_neither_do_those_before_it),
        cmocka_unit_test(behind_a_burst_a_line_is_written_at_once),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
