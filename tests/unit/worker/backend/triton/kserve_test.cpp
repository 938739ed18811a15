#include "tests/unit/cmocka.hpp"
#include "tests/unit/failing_json_memory.hpp"
#include "tests/unit/json_of.hpp"
#include "worker/backend/triton/kserve.hpp"

namespace {

using namespace std::chrono_literals;
using rollout::http_answer;

http_answer answer(int status, std::string body)
{
    http_answer made;
    made.status = status;
    made.body = std::move(body);
    return made;
}

void requests_carry_the_model_encoded_and_its_name_in_the_config(void **)
{
    const std::string url = "http://h:1";
    assert_text(rollout::kserve::ready(url, "a b/../c%").url, "http://h:1/v2/models/a%20b%2F..%2Fc%25/ready");

    assert_text(rollout::kserve::load(url, "m", nullptr, 1s).body, "");
    json_t *config = json_pack("{s:s, s:i}", "name", "old", "max_batch_size", 8);
    const auto load = rollout::kserve::load(url, "m__r7", config, 1s);
    const std::string kept = json_string_value(json_object_get(config, "name"));
    json_decref(config);
    assert_text(load.url, "http://h:1/v2/repository/models/m__r7/load");
    assert_text(load.body, R"({"parameters":{"config":"{\"name\":\"m__r7\",\"max_batch_size\":8}"}})");
    assert_text(kept, "old");
}

void only_outputs_make_an_inference(void **)
{
    assert_true(rollout::kserve::has_outputs(R"({"model_name":"m","outputs":[{"name":"o","data":[1]}]})"));
    assert_true(rollout::kserve::has_outputs("{\"outputs\":[{\"name\":\"o\"}]}\xFF\xFE binary"));
    assert_false(rollout::kserve::has_outputs(R"({"outputs":[]})"));
    assert_false(rollout::kserve::has_outputs(R"({"outputs":{"a":1}})"));
    assert_false(rollout::kserve::has_outputs(R"([{"outputs":[1]}])"));
    assert_false(rollout::kserve::has_outputs(""));
}

void a_page_says_nothing_of_a_model(void **)
{
    using rollout::kserve::readiness;
    using rollout::kserve::readiness_of;
    const std::string page = "<html><head><title>Sign in</title></head></html>";
    assert_true(readiness_of(answer(200, "")) == readiness::ready);
    assert_true(readiness_of(answer(200, R"({"name":"m","ready":true})")) == readiness::ready);
    assert_true(readiness_of(answer(200, R"({"name":"m","ready":false})")) == readiness::not_ready);
    assert_true(readiness_of(answer(400, R"({"error":"Model version not ready"})")) == readiness::not_ready);
    assert_true(readiness_of(answer(404, R"({"error":"Model m not found"})")) == readiness::not_ready);
    for (const int status : {200, 302, 404, 500}) {
        assert_true(readiness_of(answer(status, page)) == readiness::unclear);
    }
    for (const int status : {0, 302, 401, 403, 429, 502, 503, 504}) {
        assert_true(readiness_of(answer(status, "")) == readiness::unclear);
    }
    // An answer over its bound is none, and lasts.
    http_answer endless = answer(0, "");
    endless.lasting = true;
    assert_true(readiness_of(endless) == readiness::unclear);

    assert_true(rollout::kserve::is_done(answer(200, "")));
    assert_false(rollout::kserve::is_done(answer(200, page)));
}

void each_call_is_a_request_to_its_place(void **)
{
    const std::string url = "http://h:1";
    const auto ready = rollout::kserve::ready(url, "m");
    assert_text(ready.method, "GET");
    const auto index = rollout::kserve::index(url);
    assert_text(index.method + " " + index.url + " " + index.body, "POST http://h:1/v2/repository/index {}");
    const auto unload = rollout::kserve::unload(url, "m", 7s);
    assert_text(unload.method + " " + unload.url + " " + unload.body,
                "POST http://h:1/v2/repository/models/m/unload ");
    assert_true(unload.timeout == 7s);
    const auto infer = rollout::kserve::infer(url, "m", json_of(R"({"inputs": []})").get(), 9s);
    assert_text(infer.method + " " + infer.url + " " + infer.body,
                R"(POST http://h:1/v2/models/m/infer {"inputs":[]})");
    assert_true(infer.timeout == 9s);
}

void a_server_without_an_index_says_so_by_its_status(void **)
{
    for (const int status : {400, 404, 405, 501}) {
        assert_true(rollout::kserve::lacks_index(answer(status, "")));
    }
    for (const int status : {0, 200, 401, 403, 429, 500, 502, 503}) {
        assert_false(rollout::kserve::lacks_index(answer(status, "")));
    }
}

void an_answer_that_cannot_be_read_for_want_of_memory_decides_nothing(void **)
{
    assert_true(tells_of_no_json_memory([] { rollout::kserve::readiness_of(answer(200, R"({"ready":false})")); }));
    assert_true(tells_of_no_json_memory([] { rollout::kserve::has_outputs(R"({"outputs":[1]})"); }));
}

void a_load_is_never_asked_for_without_the_configuration_that_belongs_to_it(void **)
{
    const auto config = json_of(R"({"max_batch_size": 8})");
    assert_true(tells_of_no_json_memory([&] { rollout::kserve::load("http://h:1", "m", config.get(), 1s); }));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(requests_carry_the_model_encoded_and_its_name_in_the_config),
        cmocka_unit_test(only_outputs_make_an_inference),
        cmocka_unit_test(a_page_says_nothing_of_a_model),
        cmocka_unit_test(each_call_is_a_request_to_its_place),
        cmocka_unit_test(a_server_without_an_index_says_so_by_its_status),
        cmocka_unit_test(an_answer_that_cannot_be_read_for_want_of_memory_decides_nothing),
        cmocka_unit_test(a_load_is_never_asked_for_without_the_configuration_that_belongs_to_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
