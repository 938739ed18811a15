// Nothing is thrown into C.
#include "module/nginx/guard.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_nginx.hpp"

#include <stdexcept>

namespace {

using fake_nginx::times_logged;
using rollout::guarded;
using rollout::guarded_by;

void work_that_throws_nothing_is_what_it_returns(void **)
{
    int runs = 0;
    guarded(&fake_nginx::log, [&runs] { ++runs; });
    assert_int_equal(guarded(&fake_nginx::log, 5, [&runs] { return ++runs; }), 2);
    assert_int_equal(runs, 2);
    assert_int_equal(times_logged("rollout"), 0);
}

void an_exception_is_logged_and_goes_no_further(void **)
{
    guarded(&fake_nginx::log, [] { throw std::runtime_error("the disk is full"); });
    assert_int_equal(times_logged("rollout: %s"), 1);
    const char *const otherwise = "nothing";
    assert_string_equal(guarded(&fake_nginx::log, otherwise, []() -> const char * { throw std::bad_alloc(); }),
                        "nothing");
    assert_int_equal(times_logged("rollout: %s"), 1);
}

void a_request_whose_work_throws_ends_with_a_500(void **)
{
    ngx_connection_t connection{};
    connection.log = &fake_nginx::log;
    ngx_http_request_t request{};
    request.connection = &connection;
    assert_int_equal(guarded(&request, [] { return ngx_int_t{NGX_DECLINED}; }), NGX_DECLINED);
    assert_int_equal(guarded(&request, []() -> ngx_int_t { throw std::logic_error("no"); }),
                     NGX_HTTP_INTERNAL_SERVER_ERROR);
    assert_int_equal(times_logged("rollout: %s"), 1);
}

void what_failed_makes_of_the_exception_is_returned(void **)
{
    const auto length = [](const std::exception &error) { return std::string_view(error.what()).size(); };
    assert_int_equal(guarded_by([]() -> std::size_t { throw std::runtime_error("four"); }, length), 4);
    assert_int_equal(times_logged("rollout"), 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(work_that_throws_nothing_is_what_it_returns),
        cmocka_unit_test(an_exception_is_logged_and_goes_no_further),
        cmocka_unit_test(a_request_whose_work_throws_ends_with_a_500),
        cmocka_unit_test(what_failed_makes_of_the_exception_is_returned),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
