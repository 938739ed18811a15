#include "module/api/api_description.hpp"

#include "common/base/json.hpp"
#include "tests/unit/cmocka.hpp"

#include <string>

namespace {

using rollout::describe_api;
using rollout::dialect;
using rollout::json_ptr;
using rollout::json_text;

std::string whole(const rollout::api_description &of)
{
    std::string text;
    for (const auto piece : of.pieces()) {
        text += piece;
    }
    return text;
}


json_ptr described(std::string_view base, dialect words)
{
    const std::string text = whole(describe_api(base, words));
    json_ptr parsed(json_loadb(text.data(), text.size(), JSON_REJECT_DUPLICATES, nullptr));
    assert_non_null(parsed.get());
    return parsed;
}


std::string server_of(const json_ptr &description)
{
    const json_t *servers = json_object_get(description.get(), "servers");
    assert_int_equal(json_array_size(servers), 1);
    return std::string(json_text(json_array_get(servers, 0), "url"));
}


std::string words_of(const json_ptr &description)
{
    const json_t *schemas = json_object_get(json_object_get(description.get(), "components"), "schemas");
    return rollout::json_compact(json_object_get(json_object_get(schemas, "Status"), "enum"));
}


void a_location_without_a_base_serves_the_file_as_it_is(void **)
{
    const auto description = described("", dialect::standard);
    assert_text(server_of(description), "/");
    assert_text(words_of(description), R"(["pending","in_progress","completed","failed","refused","canceled"])");
}


void the_base_is_the_server(void **)
{
    assert_text(server_of(described("/api/v1", dialect::standard)), "/api/v1");
}


void characters_that_a_uri_does_not_have_are_escaped(void **)
{
    assert_text(server_of(described("/a \"b\\%\xc3\xa4?#", dialect::standard)), "/a%20%22b%5C%25%C3%A4%3F%23");
}


void the_words_are_those_of_the_dialect(void **)
{
    assert_text(words_of(described("", dialect::embedding_studio)),
                R"(["pending","processing","done","failed","refused","canceled"])");
}


void the_hash_differs_with_what_is_served(void **)
{
    const auto hash = describe_api("", dialect::standard).hash;
    assert_int_equal(describe_api("", dialect::standard).hash, hash);
    assert_int_not_equal(describe_api("/api", dialect::standard).hash, hash);
    assert_int_not_equal(describe_api("", dialect::embedding_studio).hash, hash);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_location_without_a_base_serves_the_file_as_it_is),
        cmocka_unit_test(the_base_is_the_server),
        cmocka_unit_test(characters_that_a_uri_does_not_have_are_escaped),
        cmocka_unit_test(the_words_are_those_of_the_dialect),
        cmocka_unit_test(the_hash_differs_with_what_is_served),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
