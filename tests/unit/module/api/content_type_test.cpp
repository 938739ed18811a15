// Which bodies are JSON by their Content-Type.
#include "module/api/content_type.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::body_kind;
using rollout::body_kind_of;

void json_is_json_however_it_is_written(void **)
{
    for (const char *type : {"application/json", "Application/JSON", " application/json ", "application/json;",
                             "application/json ; charset=utf-8", "application/json;charset=UTF-8",
                             "application/json; charset=\"utf-8\"", "application/json; Charset=\"UTF8\"",
                             "application/json; charset = utf-8", "application/json; charset=us-ascii",
                             "application/json; x=y; charset=utf-8", "application/json;odata=verbose",
                             "application/merge-patch+json", "application/vnd.api+JSON; charset=utf-8"}) {
        assert_true(body_kind_of(type) == body_kind::json);
    }
}

void another_charset_is_told_from_another_type(void **)
{
    for (const char *type :
         {"application/json; charset=latin-1", "application/json; charset=utf-16",
          "application/json; charset=", "application/json; charset=\"utf-8",
          "application/json; charset=utf-8; charset=iso-8859-1", "application/ld+json;charset=utf-16le"}) {
        assert_true(body_kind_of(type) == body_kind::json_of_another_charset);
    }
}

void other_types_are_other_types(void **)
{
    for (const char *type :
         {"", ";", "json", "text/json", "text/plain", "application/", "application/jsonx", "application/xjson",
          "application/+json", "application/json, text/plain", "application/json text/plain",
          "application/x-www-form-urlencoded", "multipart/form-data; boundary=application/json", "image/svg+json",
          "application/a/b+json"}) {
        assert_true(body_kind_of(type) == body_kind::other);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(json_is_json_however_it_is_written),
        cmocka_unit_test(another_charset_is_told_from_another_type),
        cmocka_unit_test(other_types_are_other_types),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
