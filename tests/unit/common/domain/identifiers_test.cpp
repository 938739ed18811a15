#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "tests/unit/cmocka.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <set>
#include <string>

namespace {

using rollout::is_model_id;
using rollout::is_task_id;
namespace limits = rollout::limits;

constexpr std::string_view alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

bool in(std::string_view alphabet, char c)
{
    return alphabet.find(c) != std::string_view::npos;
}

void a_model_id_is_of_one_alphabet(void **)
{
    const std::string inner = std::string(alphanumeric) + "._-";
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const std::string one(1, c);
        assert_int_equal(is_model_id(one), in(alphanumeric, c));
        assert_int_equal(is_model_id(one + "a"), in(alphanumeric, c));
        assert_int_equal(is_model_id("a" + one), in(inner, c));
        assert_int_equal(is_model_id("a" + one + "a"), in(inner, c));
    }
}

void a_model_id_has_a_greatest_length(void **)
{
    assert_false(is_model_id(""));
    assert_true(is_model_id("1"));
    assert_true(is_model_id(std::string(limits::model_id_bytes, 'a')));
    assert_false(is_model_id(std::string(limits::model_id_bytes + 1, 'a')));
    assert_int_equal(limits::model_id_bytes, 128);
}

void a_model_id_never_leads_out_of_a_folder(void **)
{
    for (const char *name :
         {"..", "a..", "..a", "a..b", "a...b", "a.b..", ".", ".a", "a/b", "a/../b", "/a", "a\\b"}) {
        assert_false(is_model_id(name));
    }
    for (const char *name : {"a.b.c", "a.", "a.-.b", "1_2-3.onnx", "Qwen2.5-0.5B"}) {
        assert_true(is_model_id(name));
    }
    assert_false(is_model_id(std::string_view("a\0b", 3)));
    assert_false(is_model_id(std::string_view("ab\0", 3)));
}

void a_task_id_is_of_one_alphabet(void **)
{
    const std::string alphabet = std::string(alphanumeric) + "_-";
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const std::string one(1, c);
        assert_int_equal(is_task_id(one), in(alphabet, c));
        assert_int_equal(is_task_id("a" + one), in(alphabet, c));
        assert_int_equal(is_task_id("a" + one + "a"), in(alphabet, c));
    }
}

void a_task_id_has_a_greatest_length(void **)
{
    assert_false(is_task_id(""));
    assert_true(is_task_id(std::string(limits::task_id_bytes, '-')));
    assert_false(is_task_id(std::string(limits::task_id_bytes + 1, 'a')));
    assert_int_equal(limits::task_id_bytes, 64);
}

void a_new_task_id_is_a_uuid_of_version_7(void **)
{
    for (int i = 0; i < 1000; ++i) {
        const std::string id = rollout::new_task_id();
        assert_int_equal(id.size(), 36);
        for (std::size_t at = 0; at < id.size(); ++at) {
            const bool border = at == 8 || at == 13 || at == 18 || at == 23;
            assert_true(border ? id[at] == '-' : in("0123456789abcdef", id[at]));
        }
        assert_int_equal(id[14], '7');
        assert_true(in("89ab", id[19]));
        assert_true(is_task_id(id));
    }
}

void a_new_task_ids_first_digits_are_milliseconds_since_1970(void **)
{
    const std::string id = rollout::new_task_id();
    const auto ms = std::stoull(id.substr(0, 8) + id.substr(9, 4), nullptr, 16);
    assert_true(ms > 1700000000000ULL); // 2023
    assert_true(ms < 7300000000000ULL); // 2201
}

void new_task_ids_differ_and_sort_by_the_time_they_were_made(void **)
{
    std::set<std::string> ids;
    std::string before;
    for (int i = 0; i < 20000; ++i) {
        const std::string id = rollout::new_task_id();
        const std::string time = id.substr(0, 13);
        assert_true(before <= time);
        before = time;
        assert_true(ids.insert(id).second);
    }
}

void a_new_task_ids_next_digits_are_the_fraction_of_the_millisecond(void **)
{
    // Ids of one process are made in the order of their first digits, unless the clock is set back meanwhile.
    std::string before;
    for (int i = 0; i < 20000; ++i) {
        const std::string id = rollout::new_task_id();
        const std::string time = id.substr(0, 18);
        assert_true(before <= time);
        before = time;
    }
}

void a_new_instance_id_is_32_digits_and_never_the_same(void **)
{
    std::set<std::string> ids;
    for (int i = 0; i < 1000; ++i) {
        const std::string id = rollout::new_instance_id();
        assert_int_equal(id.size(), 32);
        assert_true(id.find_first_not_of("0123456789abcdef") == std::string::npos);
        assert_true(ids.insert(id).second);
    }
}

void a_forked_process_makes_ids_of_its_own(void **)
{
    std::set<std::string> ids = {
        rollout::new_instance_id()}; // there are random bytes left now, which a child has as well
    for (int i = 0; i < 2; ++i) {
        std::array<int, 2> ends{};
        assert_int_equal(pipe(ends.data()), 0);
        const pid_t child = fork();
        if (child == 0) {
            const std::string id = rollout::new_instance_id();
            _exit(write(ends[1], id.data(), id.size()) == static_cast<ssize_t>(id.size()) ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        std::string id(32, '\0');
        assert_int_equal(read(ends[0], id.data(), id.size()), id.size());
        assert_true(ids.insert(id).second);
        assert_true(ids.insert(rollout::new_instance_id()).second);
        close(ends[0]);
        close(ends[1]);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_model_id_is_of_one_alphabet),
        cmocka_unit_test(a_model_id_has_a_greatest_length),
        cmocka_unit_test(a_model_id_never_leads_out_of_a_folder),
        cmocka_unit_test(a_task_id_is_of_one_alphabet),
        cmocka_unit_test(a_task_id_has_a_greatest_length),
        cmocka_unit_test(a_new_task_id_is_a_uuid_of_version_7),
        cmocka_unit_test(a_new_task_ids_first_digits_are_milliseconds_since_1970),
        cmocka_unit_test(new_task_ids_differ_and_sort_by_the_time_they_were_made),
        cmocka_unit_test(a_new_task_ids_next_digits_are_the_fraction_of_the_millisecond),
        cmocka_unit_test(a_new_instance_id_is_32_digits_and_never_the_same),
        cmocka_unit_test(a_forked_process_makes_ids_of_its_own),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
