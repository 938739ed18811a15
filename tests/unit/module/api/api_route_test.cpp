#include "module/api/api_route.hpp"

#include "tests/unit/cmocka.hpp"

namespace {

using rollout::api_route;
using rollout::not_found;
using rollout::route_of;
using rollout::task_kind;

void a_series_is_of_a_deployment(void **)
{
    const auto route = route_of("/deploy/t1/series");
    assert_true(route.is == api_route::shape::series && route.kind == task_kind::deploy);
    assert_text(route.name, "t1");
    for (const char *other : {"/delete/t1/series", "/deploy//series", "/deploy/t1/series/", "/deploy/series/x",
                              "/deploy-status/m/series", "/models/series"}) {
        assert_true(route_of(other).is == api_route::shape::unknown);
    }
    assert_true(route_of("/deploy/series").is == api_route::shape::task);
    assert_text(not_found(route).detail, "There is no deployment task \"t1\".");
}

void the_description_is_one_route(void **)
{
    assert_true(route_of("/openapi.json").is == api_route::shape::description);
    for (const char *other : {"/openapi.json/", "/openapi", "/openapi.json/x", "openapi.json"}) {
        assert_true(route_of(other).is == api_route::shape::unknown);
    }
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_series_is_of_a_deployment),
        cmocka_unit_test(the_description_is_one_route),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
