#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "worker/artifact/partial_file.hpp"

#include <csignal>

#include <sys/resource.h>

namespace {

using rollout::outcome;
using rollout::partial_file;
using rollout::stop_flag;

constexpr const char *sha256_of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// While it lasts, no file of this process may grow over so many bytes.
class file_size_limit {
  public:
    explicit file_size_limit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN))
    {
        getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit limited = {bytes, before_.rlim_max};
        setrlimit(RLIMIT_FSIZE, &limited);
    }
    ~file_size_limit()
    {
        setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, handler_);
    }
    file_size_limit(const file_size_limit &) = delete;
    file_size_limit &operator=(const file_size_limit &) = delete;

  private:
    rlimit before_{};
    void (*handler_)(int);
};

void what_an_earlier_attempt_has_left_counts_for_the_checksum(void **)
{
    const temporary_folder folder;
    const stop_flag stop{false};
    partial_file file(folder.write("part", "ab"));
    assert_true(static_cast<bool>(file.open(true, stop)));
    assert_true(file.began_earlier());
    assert_true(static_cast<bool>(file.append("c", 1)));
    assert_int_equal(file.size(), 3);
    assert_text(file.digest(), sha256_of_abc);
}

void a_write_that_fails_counts_what_it_wrote_for_the_size_and_the_checksum(void **)
{
    const temporary_folder folder;
    const stop_flag stop{false};
    partial_file file(folder / "part");
    assert_true(static_cast<bool>(file.open(false, stop)));
    outcome appended;
    {
        const file_size_limit limit(2);
        appended = file.append("ab-", 3);
    }
    assert_holds(appended.detail, "part cannot be written (File too large)");
    assert_int_equal(file.size(), 2);
    assert_true(static_cast<bool>(file.append("c", 1)));
    assert_text(folder.read("part"), "abc");
    assert_text(file.digest(), sha256_of_abc);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_an_earlier_attempt_has_left_counts_for_the_checksum),
        cmocka_unit_test(a_write_that_fails_counts_what_it_wrote_for_the_size_and_the_checksum),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
