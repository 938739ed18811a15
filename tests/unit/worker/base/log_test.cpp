// A line of the log is one JSON object, as long as its bound for each value, whatever somebody else has put into it.
#include "common/base/json.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/logged.hpp"
#include "worker/base/log.hpp"
#include "worker/base/log_output.hpp"

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
        const rollout::log_batch burst;
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
        const rollout::log_batch burst;
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
            const rollout::log_batch burst;
        }
        log(rollout::log_level::info, "at once");
    });
    assert_string_equal(std::string(rollout::json_text(line_of(text).get(), "message")).c_str(), "at once");
}

/// Standard error is a pipe that nobody reads, until `read_all`.
class stalled_reader {
  public:
    stalled_reader() : before_(::dup(STDERR_FILENO))
    {
        assert_int_equal(::pipe(ends_), 0);
        ::dup2(ends_[1], STDERR_FILENO);
        ::close(ends_[1]);
    }

    /// Reads to the line that ends with that.
    std::string read_to(const std::string &last)
    {
        std::string all;
        char bytes[65536];
        while (!all.ends_with(last)) {
            const auto count = ::read(ends_[0], bytes, sizeof(bytes));
            assert_true(count > 0);
            all.append(bytes, static_cast<std::size_t>(count));
        }
        return all;
    }

    ~stalled_reader()
    {
        ::dup2(before_, STDERR_FILENO);
        ::close(before_);
        ::close(ends_[0]);
    }

  private:
    int before_;
    int ends_[2];
};

void nobody_waits_for_a_reader_that_stands_still(void **)
{
    stalled_reader reader;
    constexpr int many = 50000; // several times what may wait
    for (int i = 0; i < many; ++i) {
        log(rollout::log_level::info, "line " + std::to_string(i), {{"task_id", "t"}});
    }
    log(rollout::log_level::error, "the cause of it all");
    const auto text = reader.read_to("its reader did not keep up\"}\n");
    rollout::flush_log();

    // The oldest are there, whole and in their order; so is the error; and the rest is counted.
    int next = 0;
    bool has_error = false;
    int counted = 0;
    for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1)) {
        const auto line = line_of(std::string(rest.substr(0, rest.find('\n') + 1)));
        const std::string message(rollout::json_text(line.get(), "message"));
        if (message == "line " + std::to_string(next)) {
            ++next;
        } else if (message == "the cause of it all") {
            has_error = true;
        } else {
            counted = std::stoi(message);
        }
    }
    assert_true(next > 1000);
    assert_true(has_error);
    assert_int_equal(next + counted, many);

    log(rollout::log_level::info, "and on");
    assert_true(reader.read_to("\"and on\"}\n").find('\n') != std::string::npos);
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
        cmocka_unit_test(nobody_waits_for_a_reader_that_stands_still),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
