#include "worker/config/settings_digest.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/config/settings_text.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace {

std::string digest(std::string_view text)
{
    return rollout::digest_of_shared(read_good(text));
}


void it_is_of_what_all_hosts_must_have_in_common(void **)
{
    const auto before = digest(smallest);
    assert_holds(before, "backends:");
    assert_holds(before, " limits:");
    assert_holds(before, " models:");
    assert_holds(before, " rollout:");
    assert_text(
        digest(with(with(smallest, "/listen/path", R"("/run/other.sock")"), "/journal/path", R"("/var/other.db")")),
        before);
    assert_text(digest(with(smallest, "/models", "{}")), before); // as if it were not there
    for (const auto &[pointer, value] :
         {std::pair{"/limits/retries", "1"},
          {"/models", R"({"a": {"protect": true}})"},
          {"/rollout/drain_s", "7"},
          {"/backends/gpu", R"({"url": "http://gpu:8000", "repository": "/srv/gpu"})"}}) {
        assert_true(digest(with(smallest, pointer, value)) != before);
    }
}


void the_order_of_members_does_not_matter(void **)
{
    const auto one = with(with(smallest, "/limits/retries", "1"), "/limits/max_queue", "7");
    const auto other = with(with(smallest, "/limits/max_queue", "7"), "/limits/retries", "1");
    assert_text(digest(one), digest(other));
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(it_is_of_what_all_hosts_must_have_in_common),
        cmocka_unit_test(the_order_of_members_does_not_matter),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
