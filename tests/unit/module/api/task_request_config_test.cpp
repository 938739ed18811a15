// What a request carries: a deployment's config, a deletion's parameters, and the bounds of both.
#include "common/domain/limits.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/api/parsed_request.hpp"

namespace {

namespace limits = rollout::limits;

/// A request's body in which so many objects and arrays stand inside each other, the body itself the first, the
/// innermost with `inside`.
std::string nested_body(int containers, std::string_view inside)
{
    const int arrays = containers - 2;
    return R"({"model_id":"m","config":{"a":)" + std::string(static_cast<std::size_t>(arrays), '[') +
           std::string(inside) + std::string(static_cast<std::size_t>(arrays), ']') + "}}";
}

/// `{"p":"…"}` of exactly that many bytes.
std::string config_of(std::size_t bytes)
{
    return R"({"p":")" + std::string(bytes - 8, 'x') + "\"}";
}

void a_config_may_be_left_out(void **)
{
    for (const char *body :
         {R"({"model_id":"m"})", R"({"model_id":"m","config":null})", R"({"model_id":"m","config":{}})"}) {
        assert_text(deployment(body).config(), "{}");
        assert_text(deletion(body).config(), "{}");
    }
}

void a_config_is_an_object(void **)
{
    for (const char *config : {"[]", "\"{}\"", "7", "true", "[{\"a\":1}]"}) {
        const std::string body = R"({"model_id":"m","config":)" + std::string(config) + "}";
        assert_text(deployment(body).faults(), "422 /config: must be an object");
        assert_text(deletion(body).faults(), "422 /config: must be an object");
        assert_text(deployment(body).fault.detail, "/config must be an object.");
    }
}

void a_config_is_kept_as_it_was_given(void **)
{
    const std::string config = R"({"z":1,"a":{"b":[1,-2,1.5,true,null,"caf)"
                               "\xC3\xA9"
                               R"( / \" \\ \n"]},"model_id":"x","task_id":7,"":{}})";
    assert_text(deployment(R"({"config":)" + config + R"(,"model_id":"m"})").config(), config);
}

void a_deployment_has_no_other_members(void **)
{
    const auto got = deployment(R"({"model_id":"m","param":"value","a/b~c":1})");
    assert_text(got.faults(), "422 /param: is not a member of a deployment; its parameters go into \"config\"; "
                              "/a~1b~0c: is not a member of a deployment; its parameters go into \"config\"");
}

void a_deletions_other_members_are_its_parameters(void **)
{
    const auto got = deletion(
        R"({"b":{"c":[1]},"model_id":"m","embedding_model_id":"m","a":null,"task_id":"t","parent_id":"p","status":"x"})");
    assert_text(got.config(), R"({"b":{"c":[1]},"a":null,"status":"x"})");
    assert_text(got.request->task_id, "t");
    assert_text(got.request->parent_id, "p");
}

void a_deletions_config_and_other_members_are_one(void **)
{
    assert_text(deletion(R"({"model_id":"m","a":1,"config":{"b":2}})").config(), R"({"b":2,"a":1})");
    assert_text(deletion(R"({"model_id":"m","a":1,"config":{"a":1}})").faults(),
                "422 /a: is given twice, here and in \"config\"");
}

void nesting_passes_up_to_the_bound(void **)
{
    assert_int_equal(limits::json_depth, 64);
    for (const char *inside : {"", "1", "\"x\"", "null", "1,[2]"}) {
        assert_text(deployment(nested_body(63, inside)).faults(), "accepted");
    }
    for (const char *inside : {"", "1", "\"x\"", "null"}) {
        assert_text(deployment(nested_body(64, inside)).faults(), "accepted");
    }
    std::string config = deployment(nested_body(64, "7")).config();
    assert_text(config, R"({"a":)" + std::string(62, '[') + "7" + std::string(62, ']') + "}");
}

void nesting_past_the_bound_is_a_fault_with_its_place(void **)
{
    std::string place = "/config/a";
    for (int i = 0; i < 62; ++i) {
        place += "/0";
    }
    for (const char *inside : {"", "1", "[]"}) {
        assert_text(deployment(nested_body(65, inside)).faults(),
                    "422 " + place + ": is nested deeper than 64 levels");
    }
    for (const int containers : {66, 200, 2000}) {
        assert_holds(deployment(nested_body(containers, "1")).faults(), "is nested deeper than 64 levels");
    }
}

void a_deletions_parameters_nest_as_deep_as_they_could_in_its_config(void **)
{
    const auto nested = [](int arrays) {
        return std::string(static_cast<std::size_t>(arrays), '[') +
               std::string(static_cast<std::size_t>(arrays), ']');
    };
    assert_text(deletion(R"({"model_id":"m","a":)" + nested(62) + "}").faults(), "accepted");
    assert_text(deletion(R"({"model_id":"m","config":{"a":)" + nested(62) + "}}").faults(), "accepted");
    std::string place = "/a";
    for (int i = 0; i < 62; ++i) {
        place += "/0";
    }
    assert_text(deletion(R"({"model_id":"m","a":)" + nested(63) + "}").faults(),
                "422 " + place + ": is nested deeper than 64 levels");
    assert_text(deletion(R"({"model_id":"m","config":{"a":)" + nested(63) + "}}").faults(),
                "422 /config" + place + ": is nested deeper than 64 levels");
}

void nesting_without_end_is_the_same_fault_and_does_no_harm(void **)
{
    const auto got = deployment(nested_body(100000, ""));
    assert_text(got.faults(), "422 : is nested deeper than 64 levels");
    assert_text(got.fault.detail, "The body is nested deeper than 64 levels.");
    assert_text(deployment(std::string(limits::packed_body_bytes, '[')).faults(),
                "422 : is nested deeper than 64 levels");

    std::string objects = R"({"model_id":"m","config":)";
    while (objects.size() + 5 <= limits::packed_body_bytes) {
        objects += "{\"a\":";
    }
    assert_text(deployment(objects).faults(), "422 : is nested deeper than 64 levels");
}

/// What is parsed takes many times its bytes: a body that could not be a task's is refused before.
void a_body_takes_256_kib_without_its_white_space(void **)
{
    assert_int_equal(limits::packed_body_bytes, 256 * 1024);
    const auto body = [](std::size_t bytes, std::string_view space) {
        const std::string head = R"({"model_id":"m","config":{"a \" b":[)" + std::string(space);
        std::string numbers;
        while (head.size() - space.size() + numbers.size() + 4 < bytes) {
            numbers += "1,";
        }
        return head + numbers + (numbers.size() % 2 == bytes % 2 ? "12" : "1") + std::string(space) + "]}}";
    };
    const std::string space(100000, '\n');
    for (const auto *blank : {"", space.c_str()}) {
        const auto largest = body(limits::packed_body_bytes - 16, blank);
        assert_holds(deployment(largest).faults(), "as compact JSON, and the limit is 32768");
        const auto larger = deployment(body(limits::packed_body_bytes + 16, blank));
        assert_int_equal(larger.fault.status, 413);
        assert_holds(larger.fault.detail, "bytes without white space; a task's is at most 262144.");
    }
    // Each of its characters written in the longest way, a config of 32 KiB is still within.
    std::string escapes;
    for (std::size_t i = 0; i < limits::config_bytes - 8; ++i) {
        escapes += "\\u0041";
    }
    assert_text(deployment(R"({"model_id":"m","config":{"p":")" + escapes + "\"}}").faults(), "accepted");
}

void a_config_takes_32_kib_and_not_a_byte_more(void **)
{
    assert_int_equal(limits::config_bytes, 32 * 1024);
    const auto body = [](const std::string &config) { return R"({"model_id":"m","config":)" + config + "}"; };
    assert_text(deployment(body(config_of(limits::config_bytes))).faults(), "accepted");
    assert_text(deployment(body(config_of(limits::config_bytes + 1))).faults(),
                "422 /config: takes 32769 bytes as compact JSON, and the limit is 32768");
    assert_text(deletion(body(config_of(limits::config_bytes))).faults(), "accepted");
    assert_holds(deletion(body(config_of(limits::config_bytes + 1))).faults(), "takes 32769 bytes");
}

void a_deletions_parameters_take_32_kib_together(void **)
{
    const auto body = [](std::size_t bytes) { // as compact JSON: {"p":"…"}
        return R"({"model_id":"m","p":")" + std::string(bytes - 8, 'x') + "\"}";
    };
    assert_text(deletion(body(limits::config_bytes)).faults(), "accepted");
    assert_text(deletion(body(limits::config_bytes + 1)).faults(),
                "422 : takes 32769 bytes as compact JSON, and the limit is 32768");
}

void the_size_is_that_of_compact_json(void **)
{
    const std::string space(1000, ' ');
    std::string config = config_of(limits::config_bytes);
    config.insert(1, space);
    config.append(space);
    assert_text(deployment(R"({"model_id":"m","config":)" + config + space + "}").faults(), "accepted");

    // An escape that takes six bytes in the body is one character in compact JSON, and the other way round.
    std::string escapes;
    for (int i = 0; i < 10000; ++i) {
        escapes += "\\u0041";
    }
    assert_text(deployment(R"({"model_id":"m","config":{"a":")" + escapes + "\"}}").faults(), "accepted");
    escapes.clear();
    for (int i = 0; i < 10000; ++i) {
        escapes += "\\n\\u0001";
    }
    assert_holds(deployment(R"({"model_id":"m","config":{"a":")" + escapes + "\"}}").faults(), "takes 80008 bytes");
}

void a_nul_in_any_string_is_a_fault_with_its_place(void **)
{
    assert_text(deployment(R"({"model_id":"m","config":{"a":{"b/c":[1,"x\u0000y"]}}})").faults(),
                "422 /config/a/b~1c/1: holds a NUL character");
    assert_text(deletion(R"({"model_id":"m","param":"\u0000"})").faults(), "422 /param: holds a NUL character");
    assert_text(deployment(R"({"model_id":"m\u0000"})").faults(), "422 /model_id: holds a NUL character");
    assert_text(deployment(R"({"model_id":"m","task_id":"\u0000t"})").faults(),
                "422 /task_id: holds a NUL character");
}

void a_nul_in_a_members_name_is_refused(void **)
{
    assert_int_equal(deployment(R"({"model_id":"m","config":{"a\u0000b":1}})").fault.status, 400);
    assert_int_equal(deletion(R"({"model_id":"m","a\u0000":1})").fault.status, 400);
}

void a_problem_does_not_send_back_all_that_came(void **)
{
    std::string many = R"({"model_id":"m")";
    for (int i = 0; i < 20000; ++i) {
        many += ",\"p" + std::to_string(i) + "\":1";
    }
    const auto unknown = deployment(many + "}");
    assert_text(unknown.fault.detail, "20000 members of the request are at fault.");
    assert_true(!unknown.fault.errors.empty() && unknown.fault.errors.size() < 100);

    // A name too long to repeat: the pointer leads to what it stands in.
    const std::string long_name(100000, 'n');
    assert_true(deployment(R"({"model_id":"m",")" + long_name + "\":1}").fault.to_json().size() < 1000);
    const auto deep = deployment(R"({"model_id":"m","config":{"a":{")" + long_name + R"(":{"b":"\u0000"}}}})");
    assert_text(deep.faults(), "422 /config/a: holds a NUL character");
}

void a_number_out_of_range_is_a_fault(void **)
{
    for (const char *number : {"9223372036854775808", "-9223372036854775809", "1e999", "-1e999"}) {
        const auto got = deployment(R"({"model_id":"m","config":{"n":)" + std::string(number) + "}}");
        assert_int_equal(got.fault.status, 422);
        assert_holds(got.fault.detail, "The body has a number out of range: ");
    }
    assert_text(
        deployment(R"({"model_id":"m","config":{"n":9223372036854775807,"m":-9223372036854775808}})").config(),
        R"({"n":9223372036854775807,"m":-9223372036854775808})");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_config_may_be_left_out),
        cmocka_unit_test(a_config_is_an_object),
        cmocka_unit_test(a_config_is_kept_as_it_was_given),
        cmocka_unit_test(a_deployment_has_no_other_members),
        cmocka_unit_test(a_deletions_other_members_are_its_parameters),
        cmocka_unit_test(a_deletions_config_and_other_members_are_one),
        cmocka_unit_test(nesting_passes_up_to_the_bound),
        cmocka_unit_test(nesting_past_the_bound_is_a_fault_with_its_place),
        cmocka_unit_test(a_deletions_parameters_nest_as_deep_as_they_could_in_its_config),
        cmocka_unit_test(nesting_without_end_is_the_same_fault_and_does_no_harm),
        cmocka_unit_test(a_body_takes_256_kib_without_its_white_space),
        cmocka_unit_test(a_config_takes_32_kib_and_not_a_byte_more),
        cmocka_unit_test(a_deletions_parameters_take_32_kib_together),
        cmocka_unit_test(the_size_is_that_of_compact_json),
        cmocka_unit_test(a_nul_in_any_string_is_a_fault_with_its_place),
        cmocka_unit_test(a_nul_in_a_members_name_is_refused),
        cmocka_unit_test(a_problem_does_not_send_back_all_that_came),
        cmocka_unit_test(a_number_out_of_range_is_a_fault),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
