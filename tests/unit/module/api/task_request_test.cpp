// Which model, which task, and what is no request at all. What a request carries is task_request_config_test's.
#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/api/parsed_request.hpp"

namespace {

using rollout::task_kind;
namespace limits = rollout::limits;

constexpr std::string_view model_rule = ": must be a string of 1 to 128 characters A-Z a-z 0-9 . _ - that begins "
                                        "with a letter or a digit and has no two dots "
                                        "in a row";
constexpr std::string_view task_rule = ": must be a string of 1 to 64 characters A-Z a-z 0-9 _ -";

std::string fault_of(std::string_view pointer, std::string_view rule)
{
    return "422 " + std::string(pointer) + std::string(rule);
}

void a_deployment_is_read_as_the_contract_writes_it(void **)
{
    const auto got = deployment(R"({"model_id": "123", "config": {"param": "value"}})");
    assert_text(got.faults(), "accepted");
    assert_true(got.request->kind == task_kind::deploy);
    assert_text(got.request->model_id, "123");
    assert_text(got.request->parent_id, "");
    assert_text(got.config(), R"({"param":"value"})");
}

void a_deletion_is_read_as_the_contract_writes_it(void **)
{
    const auto got = deletion(R"({"model_id": "1234", "param": "value"})");
    assert_text(got.faults(), "accepted");
    assert_true(got.request->kind == task_kind::remove);
    assert_text(got.request->model_id, "1234");
    assert_text(got.config(), R"({"param":"value"})");
}

void a_model_goes_by_either_name(void **)
{
    assert_text(deployment(R"({"embedding_model_id":"m"})").request->model_id, "m");
    assert_text(deployment(R"({"model_id":"m","embedding_model_id":"m"})").request->model_id, "m");
    assert_text(deployment(R"({"model_id":null,"embedding_model_id":"m"})").request->model_id, "m");
    assert_text(deployment(R"({"model_id":"m","embedding_model_id":null})").request->model_id, "m");
}

void two_names_that_disagree_are_a_fault(void **)
{
    assert_text(deployment(R"({"model_id":"m","embedding_model_id":"n"})").faults(),
                "422 /embedding_model_id: differs from model_id; they are two names of the same thing");
    assert_text(deletion(R"({"embedding_model_id":"M","model_id":"m"})").faults(),
                "422 /embedding_model_id: differs from model_id; they are two names of the same thing");
}

void a_request_without_a_model_is_a_fault(void **)
{
    for (const char *body : {"{}", R"({"model_id":null})", R"({"embedding_model_id":null,"model_id":null})",
                             R"({"config":{"model_id":"m"}})", R"({"task_id":"t"})"}) {
        assert_text(deployment(body).faults(), "422 /model_id: is missing");
        assert_text(deployment(body).fault.detail, "/model_id is missing.");
    }
}

void a_models_name_keeps_its_rule(void **)
{
    for (const char *name :
         {R"("")", R"("../etc")", R"("a..b")", R"("a/b")", R"("..")", R"("_a")", R"(".a")", R"("a b")",
          R"("a\u0000")", R"("\u0000")", R"("caf\u00e9")", "123", "true", "[\"m\"]", "{}", "1.5"}) {
        assert_holds(deployment(R"({"model_id":)" + std::string(name) + "}").faults(), "422 /model_id: ");
        assert_holds(deployment(R"({"embedding_model_id":)" + std::string(name) + "}").faults(),
                     "422 /embedding_model_id: ");
    }
    assert_text(deployment(R"({"model_id":"../m"})").faults(), fault_of("/model_id", model_rule));
    assert_text(deployment(R"({"model_id":123})").faults(), fault_of("/model_id", model_rule));

    const std::string longest(limits::model_id_bytes, 'm');
    assert_text(deployment(R"({"model_id":")" + longest + "\"}").request->model_id, longest);
    assert_text(deployment(R"({"model_id":")" + longest + "m\"}").faults(), fault_of("/model_id", model_rule));
}

void a_bad_name_is_no_good_beside_a_good_one(void **)
{
    assert_text(deployment(R"({"model_id":"../m","embedding_model_id":"m"})").faults(),
                fault_of("/model_id", model_rule));
    assert_text(deployment(R"({"model_id":"m","embedding_model_id":7})").faults(),
                fault_of("/embedding_model_id", model_rule));
}

void a_task_is_named_by_the_client_or_by_us(void **)
{
    assert_text(deployment(R"({"model_id":"m","task_id":"t_1-A"})").request->task_id, "t_1-A");
    for (const char *body : {R"({"model_id":"m"})", R"({"model_id":"m","task_id":null})"}) {
        const std::string made = deployment(body).request->task_id;
        assert_int_equal(made.size(), 36);
        assert_true(rollout::is_task_id(made));
        assert_true(made != deployment(body).request->task_id);
    }
}

void a_tasks_id_goes_by_either_name(void **)
{
    for (const auto read : {deployment, deletion}) {
        assert_text(read(R"({"model_id":"m","id":"t-1"})", std::nullopt).request->task_id, "t-1");
        assert_text(read(R"({"model_id":"m","id":"t-1","task_id":"t-1"})", std::nullopt).request->task_id, "t-1");
        assert_text(read(R"({"model_id":"m","id":null,"task_id":"t-1"})", std::nullopt).request->task_id, "t-1");
        assert_text(read(R"({"model_id":"m","id":"t-1","task_id":null})", std::nullopt).request->task_id, "t-1");
        assert_text(read(R"({"model_id":"m","id":"t-1"})", "t-1").request->task_id, "t-1");
        assert_text(read(R"({"model_id":"m","id":"t-1"})", std::nullopt).config(), "{}");
        assert_text(read(R"({"model_id":"m","id":"t-1","task_id":"t-2"})", std::nullopt).faults(),
                    "422 /id: differs from task_id; they are two names of the same thing");
        assert_text(read(R"({"model_id":"m","id":"t-1"})", "t-2").faults(),
                    "422 /id: differs from the header Idempotency-Key; they are the same thing");
        assert_text(read(R"({"model_id":"m","task_id":"t-1"})", "t-2").faults(),
                    "422 /task_id: differs from the header Idempotency-Key; they are the same thing");
        assert_text(read(R"({"model_id":"m","id":null})", "t-2").request->task_id, "t-2");
    }
    // Inside of `config` it is a parameter like any other.
    assert_text(deletion(R"({"model_id":"m","config":{"id":"x"}})").config(), R"({"id":"x"})");
}

void a_tasks_and_a_parents_id_keep_their_rule(void **)
{
    const std::string longest(limits::task_id_bytes, 't');
    for (const std::string member : {"task_id", "id", "parent_id"}) {
        const std::string before = R"({"model_id":"m",")" + member + "\":";
        for (const char *id : {R"("")", R"("a.b")", R"("../t")", R"("a b")", "7", "{}", "false"}) {
            assert_text(deployment(before + id + "}").faults(), fault_of("/" + member, task_rule));
        }
        assert_holds(deployment(before + R"("a\u0000"})").faults(), "422 /" + member + ": ");
        assert_text(deployment(before + "\"" + longest + "\"}").faults(), "accepted");
        assert_text(deployment(before + "\"" + longest + "t\"}").faults(), fault_of("/" + member, task_rule));
    }
    assert_text(deployment(R"({"model_id":"m","parent_id":"p-1"})").request->parent_id, "p-1");
    assert_text(deployment(R"({"model_id":"m","parent_id":null})").request->parent_id, "");
}

void the_header_is_the_same_thing_as_the_task_id(void **)
{
    assert_text(deployment(R"({"model_id":"m"})", "from-header").request->task_id, "from-header");
    assert_text(deployment(R"({"model_id":"m","task_id":null})", "from-header").request->task_id, "from-header");
    assert_text(deployment(R"({"model_id":"m","task_id":"same"})", "same").request->task_id, "same");
    assert_text(deletion(R"({"model_id":"m","task_id":"same"})", "same").request->task_id, "same");
    assert_text(deployment(R"({"model_id":"m","task_id":"one"})", "other").faults(),
                "422 /task_id: differs from the header Idempotency-Key; they are the same thing");
}

void the_header_keeps_the_rule_of_task_ids(void **)
{
    const std::string longest(limits::task_id_bytes, 't');
    assert_text(deployment(R"({"model_id":"m"})", longest).request->task_id, longest);
    for (const std::string_view key :
         {std::string_view(""), std::string_view("a b"), std::string_view("a.b"), std::string_view("../t"),
          std::string_view("\"t\""), std::string_view("\xFF"), std::string_view("t\0", 2)}) {
        const auto got = deployment(R"({"model_id":"m"})", key);
        assert_holds(got.faults(), "422 /task_id: ");
        assert_holds(got.fault.detail, "Idempotency-Key must be 1 to 64 characters A-Z a-z 0-9 _ -");
    }
    assert_holds(deployment(R"({"model_id":"m"})", longest + "t").faults(),
                 "422 /task_id: as given by the header Idempotency-Key");
    assert_holds(deployment(R"({"model_id":"m","task_id":"t"})", "bad key").faults(),
                 "422 /task_id: as given by the header Idempotency-Key");
    assert_holds(deployment(R"({"model_id":"m","task_id":"bad id"})", "good").faults(), "422 /task_id: must be");
}

void every_fault_is_told_at_once(void **)
{
    const auto got = deployment(R"({"task_id":7,"parent_id":"a b","config":[],"params":1})");
    assert_text(got.faults(), "422 /model_id: is missing; /task_id" + std::string(task_rule) + "; /parent_id" +
                                  std::string(task_rule) +
                                  "; /config: must be an object; /params: is not a member of a deployment; its "
                                  "parameters go into \"config\"");
    assert_text(got.fault.detail, "5 members of the request are at fault.");
}

void what_is_not_json_is_a_bad_request(void **)
{
    for (const std::string_view body : {
             std::string_view(""),
             std::string_view(" \n"),
             std::string_view("{"),
             std::string_view("model_id=m"),
             std::string_view("<xml/>"),
             std::string_view(R"({"model_id":"m"} {})"),
             std::string_view(R"({"model_id":"m",})"),
             std::string_view("{'model_id':'m'}"),
             std::string_view("{\"model_id\":\"m\"}\0", 17),
             std::string_view("{\"model_id\":\"\0\"}", 16),
             std::string_view("{\"model_id\":\"a\nb\"}"),
             std::string_view("\xEF\xBB\xBF{\"model_id\":\"m\"}"),
         }) {
        const auto got = deployment(body);
        assert_text(got.faults(), "400");
        assert_holds(got.fault.detail, "The body is not JSON: ");
    }
    assert_holds(deployment("{\n\"model_id\" 7}").fault.detail, "line 2, column ");
}

void what_is_no_utf8_is_a_bad_request(void **)
{
    for (const char *bytes : {"\xFF", "\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xE2\x82"}) {
        const std::string text(bytes);
        for (const std::string &body :
             {R"({"model_id":")" + text + "\"}", R"({"model_id":"m","config":{"a":")" + text + "\"}}",
              R"({"model_id":"m","config":{")" + text + "\":1}}", text}) {
            const auto got = deployment(body);
            assert_text(got.faults(), "400");
            // And the answer itself is readable.
            assert_holds(got.fault.to_json(), "\"detail\":\"The body is not JSON: ");
        }
    }
    assert_text(deployment(R"({"model_id":"m","config":{"a":"\ud800"}})").faults(), "400");
}

void a_member_given_twice_is_a_bad_request(void **)
{
    assert_text(deployment(R"({"model_id":"m","model_id":"m"})").faults(), "400");
    assert_text(deployment(R"({"model_id":"m","config":{"a":1,"\u0061":1}})").faults(), "400");
    assert_holds(deployment(R"({"model_id":"m","model_id":"n"})").fault.detail, "duplicate");
}

void json_that_is_no_object_is_no_request(void **)
{
    for (const char *body : {"[]", R"([{"model_id":"m"}])", R"("m")", "7", "null", "true"}) {
        assert_text(deployment(body).faults(), "422 : must be a JSON object");
        assert_text(deployment(body).fault.detail, "The body must be a JSON object.");
    }
}

void a_fault_is_told_whatever_byte_stands_wherever(void **)
{
    const std::string good = R"({"model_id":"m","task_id":"t","config":{"a":["b",1.5,null]}})";
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (int byte = 0; byte < 256; ++byte) {
            std::string body = good;
            body[at] = static_cast<char>(byte);
            const auto got = deployment(body);
            if (!got.request) {
                assert_true(got.fault.status == 400 || got.fault.status == 422);
                assert_holds(got.fault.to_json(), "\"detail\":\"");
            }
        }
        assert_text(deployment(good.substr(0, at)).faults(), "400");
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_deployment_is_read_as_the_contract_writes_it),
        cmocka_unit_test(a_deletion_is_read_as_the_contract_writes_it),
        cmocka_unit_test(a_model_goes_by_either_name),
        cmocka_unit_test(two_names_that_disagree_are_a_fault),
        cmocka_unit_test(a_request_without_a_model_is_a_fault),
        cmocka_unit_test(a_models_name_keeps_its_rule),
        cmocka_unit_test(a_bad_name_is_no_good_beside_a_good_one),
        cmocka_unit_test(a_task_is_named_by_the_client_or_by_us),
        cmocka_unit_test(a_tasks_id_goes_by_either_name),
        cmocka_unit_test(a_tasks_and_a_parents_id_keep_their_rule),
        cmocka_unit_test(the_header_is_the_same_thing_as_the_task_id),
        cmocka_unit_test(the_header_keeps_the_rule_of_task_ids),
        cmocka_unit_test(every_fault_is_told_at_once),
        cmocka_unit_test(what_is_not_json_is_a_bad_request),
        cmocka_unit_test(what_is_no_utf8_is_a_bad_request),
        cmocka_unit_test(a_member_given_twice_is_a_bad_request),
        cmocka_unit_test(json_that_is_no_object_is_no_request),
        cmocka_unit_test(a_fault_is_told_whatever_byte_stands_wherever),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
