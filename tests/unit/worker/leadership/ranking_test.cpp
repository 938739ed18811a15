#include "worker/leadership/etcd/ranking.hpp"

#include "tests/unit/cmocka.hpp"

#include <map>
#include <set>

namespace {

using namespace rollout;
using namespace std::chrono_literals;

const std::vector<candidate> three{{"gateway-1"}, {"gateway-2"}, {"gateway-3"}};


void each_has_a_rank_of_its_own(void **)
{
    for (leader_token token = 0; token < 100; ++token) {
        std::set<std::size_t> ranks;
        for (const auto &of : three) {
            ranks.insert(rank_of(of.host, three, {"", token}));
        }
        assert_true((ranks == std::set<std::size_t>{0, 1, 2}));
    }
}


void each_is_as_often_the_first(void **)
{
    std::map<std::string, int> first;
    for (leader_token token = 1; token <= 3000; ++token) {
        for (const auto &of : three) {
            first[of.host] += rank_of(of.host, three, {"", token}) == 0 ? 1 : 0;
        }
    }
    for (const auto &[_, times] : first) {
        assert_in_range(times, 900, 1100);
    }
}


void the_last_leader_is_the_last(void **)
{
    for (leader_token token = 0; token < 100; ++token) {
        assert_int_equal(rank_of("gateway-2", three, {"gateway-2", token}), 2);
    }
    assert_int_equal(rank_of("gateway-2", {{"gateway-2"}}, {"gateway-2", 5}),
                     0); // and the first, if there is no other
}


void those_that_write_an_older_format_come_first(void **)
{
    const std::vector<candidate> mixed{{"a", 3}, {"b", 2}, {"c", 3}};
    for (leader_token token = 0; token < 100; ++token) {
        assert_int_equal(rank_of("b", mixed, {"", token}), 0);
    }
}


void who_is_not_known_comes_after_all(void **)
{
    assert_int_equal(rank_of("gateway-9", three, {"", 1}), 3);
    assert_int_equal(rank_of("gateway-9", {}, {"", 1}), 0);
}


void the_wait_grows_with_the_rank_up_to_a_bound(void **)
{
    assert_int_equal(wait_of_rank(0).count(), 0);
    assert_int_equal(wait_of_rank(1).count(), 150);
    assert_int_equal(wait_of_rank(8).count(), 1200);
    assert_int_equal(wait_of_rank(1000).count(), 1200);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(each_has_a_rank_of_its_own),
        cmocka_unit_test(each_is_as_often_the_first),
        cmocka_unit_test(the_last_leader_is_the_last),
        cmocka_unit_test(those_that_write_an_older_format_come_first),
        cmocka_unit_test(who_is_not_known_comes_after_all),
        cmocka_unit_test(the_wait_grows_with_the_rank_up_to_a_bound),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
