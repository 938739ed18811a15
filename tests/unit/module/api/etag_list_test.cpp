// If-Match and If-None-Match as RFC 9110 reads them.
#include "module/api/etag_list.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::compared;

constexpr std::string_view etag = "\"aa-1\"";

bool weakly(std::string_view list)
{
    return rollout::names_etag(list, etag, compared::weakly);
}

bool strongly(std::string_view list)
{
    return rollout::names_etag(list, etag, compared::strongly);
}

void a_list_names_what_is_in_it(void **)
{
    for (const char *list : {R"("aa-1")", R"("x", "aa-1")", R"("aa-1","x")", R"(  "x" ,"aa-1"  )", R"(,, "aa-1")",
                             R"("", "aa-1")", R"("x,y", "aa-1")", R"(W/"x", "aa-1")"}) {
        assert_true(weakly(list));
        assert_true(strongly(list));
    }
    for (const char *list : {"", R"("x")", R"("aa-11")", R"("aa-1 ")", R"("a, "aa-1"")", R"("x" "aa-1")", "aa-1",
                             R"("aa-1)", R"('aa-1')", R"(w/"aa-1")", R"("AA-1")", R"("x","y)"}) {
        assert_false(weakly(list));
        assert_false(strongly(list));
    }
}

void a_weak_one_counts_where_a_weak_one_will_do(void **)
{
    for (const char *list : {R"(W/"aa-1")", R"("x", W/"aa-1")"}) {
        assert_true(weakly(list));
        assert_false(strongly(list));
    }
    assert_true(strongly(R"(W/"aa-1", "aa-1")"));
}

void a_star_is_any_document(void **)
{
    for (const char *list : {"*", " * ", "*\t"}) {
        assert_true(weakly(list));
        assert_true(rollout::names_etag(list, "", compared::strongly));
    }
    for (const char *list : {R"(*, "x")", R"("*")", R"("x", *)", "**"}) {
        assert_false(weakly(list));
    }
}

void no_list_names_a_document_without_an_etag(void **)
{
    for (const char *list : {"", R"("")", R"("x")", ","}) {
        assert_false(rollout::names_etag(list, "", compared::weakly));
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_list_names_what_is_in_it),
        cmocka_unit_test(a_weak_one_counts_where_a_weak_one_will_do),
        cmocka_unit_test(a_star_is_any_document),
        cmocka_unit_test(no_list_names_a_document_without_an_etag),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
