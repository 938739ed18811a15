// The model's name in JSON: found however the body is cut, refused where servers may read another.
#include "module/messages/json_name.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/messages/renamed.hpp"

#include <utility>

namespace {

using namespace rollout;

std::string renamed_request(std::string_view body, std::size_t size)
{
    json_name_reader reader(json_kind::request);
    return renamed(reader, body, "123", "123__r7", size);
}


/// The same however it is cut.
std::string request(std::string_view body)
{
    auto whole = renamed_request(body, body.size() + 1);
    for (std::size_t size = 1; size <= body.size(); ++size) {
        assert_text(renamed_request(body, size), whole);
    }
    return whole;
}


void a_request_goes_on_with_the_other_name(void **)
{
    assert_text(request(R"({"model":"123"})"), R"({"model":"123__r7"})");
    assert_text(
        request(
            R"( { "input" : [[1, 2.5e3], {"model": "x", "a]": "\"}"}], "model" : "123" , "n": null, "t": true } )"),
        R"( { "input" : [[1, 2.5e3], {"model": "x", "a]": "\"}"}], "model" : "123__r7" , "n": null, "t": true } )");
    assert_text(request(R"({"prompt":"\"model\":\"secret__r7\" \\","model":"123","models":"123"})"),
                R"({"prompt":"\"model\":\"secret__r7\" \\","model":"123__r7","models":"123"})");
    std::string numbers = R"({"input":[)";
    for (int i = 0; i < 200; ++i) {
        numbers += "0.125,";
    }
    assert_text(request(numbers + R"(1],"model":"123"})"), numbers + R"(1],"model":"123__r7"})");
}


void what_a_server_might_read_otherwise_is_refused(void **)
{
    assert_holds(request(R"({"model":"123","model":"secret__r7"})"), "more than once");
    assert_holds(request(R"({"model":"123","MODEL":"secret__r7"})"), "more than once");
    assert_holds(request(R"({"model":"123","mod\u0065l":"secret__r7"})"), "more than once");
    assert_holds(request(R"({"\u006d\u006f\u0064\u0065\u006c":"123"})"), "some servers read as");
    assert_holds(request(R"({"Model":"123"})"), "some servers read as");
    assert_holds(request(R"({"model":"1\u00323"})"), "escape");
    assert_holds(request(R"({"model":123})"), "not a string");
    assert_holds(request(R"({"model":["123"]})"), "not a string");
    assert_holds(request(R"({"model":")" + std::string(300, 'x') + R"("})"), "longer");
}


void what_is_no_object_is_refused(void **)
{
    assert_holds(request(""), "not a JSON object");
    assert_holds(request("[1]"), "not a JSON object");
    assert_holds(request("model=123"), "not a JSON object");
    assert_holds(request(R"({"model":"123"}{"model":"x"})"), "not a JSON object");
    assert_holds(request(R"({"a":[1},"model":"123"})"), "not a JSON object");
    assert_holds(request(R"({"a":1 /* */,"model":"123"})"), "not a JSON object");
    assert_holds(request(R"({"a":1,"model":"123")"), "ends before");
    assert_holds(request(R"({"model":"12)"), "ends before");
    assert_holds(request("{}"), "no member");
    assert_holds(request(R"({"input":{"model":"123"}})"), "no member");
    assert_holds(request(R"({"a":)" + std::string(300, '[')), "nested");
}


std::string answer(json_kind kind, std::string_view body)
{
    std::string whole;
    for (std::size_t size = 1; size <= body.size(); ++size) {
        json_name_reader reader(kind);
        std::string out;
        auto rest = body;
        bool holds = false;
        bool passes = false;
        while (!rest.empty()) {
            auto piece = rest.substr(0, size);
            rest.remove_prefix(piece.size());
            while (!piece.empty()) {
                if (passes) {
                    out += piece;
                    break;
                }
                const auto step = reader.read(piece);
                out += piece.substr(0, step.pass);
                piece.remove_prefix(step.pass + step.hold);
                holds = holds || step.hold != 0;
                if (step.what == name_reader::found::more) {
                    continue;
                }
                const bool is_ours = step.what == name_reader::found::name && reader.name() == "123__r7";
                if (is_ours) {
                    std::string memory(reader.room() + 3, '\0');
                    out += memory.substr(0, reader.write("123", memory.data()));
                } else if (holds) {
                    out += reader.held();
                }
                holds = false;
                passes = is_ours || step.what == name_reader::found::refuse;
            }
        }
        out += holds ? reader.held() : "";
        assert_true(whole.empty() || whole == out);
        whole = out;
    }
    return whole;
}


void an_answer_keeps_its_length(void **)
{
    assert_text(
        answer(json_kind::kserve,
               R"({"id":"\"model_name\":\"123__r7\"","model_name":"123__r7","outputs":[{"name":"123__r7"}]})"),
        R"({"id":"\"model_name\":\"123__r7\"","model_name":"123"    ,"outputs":[{"name":"123__r7"}]})");
    assert_text(answer(json_kind::kserve, R"({"name":"123__r7","versions":["1"]})"),
                R"({"name":"123"    ,"versions":["1"]})");
    assert_text(answer(json_kind::answer, R"({"object":"list","data":[{"model":"123__r7"}],"model":"123__r7"})"),
                R"({"object":"list","data":[{"model":"123__r7"}],"model":"123"    })");
}


void an_answer_that_is_none_of_ours_goes_on_as_it_came(void **)
{
    for (const std::string body :
         {R"({"model_name":"other"})", R"({"model_name":"123\u005f_r7"})", R"({"model_name":7,"name":"123__r")",
          "hello", R"({"model_name":"123__r7)", R"(["model_name","123__r7"])", R"({"model_name")"}) {
        assert_text(answer(json_kind::kserve, body), body);
    }
    const std::string longer = R"({"model_name":")" + std::string(400, 'x') + R"(","a":1})";
    assert_text(answer(json_kind::kserve, longer), longer);
}


std::string events(std::string_view body)
{
    event_name_reader first(json_kind::answer);
    auto whole = renamed(first, body, "123__r7", "123", body.size());
    for (std::size_t size = 1; size <= body.size(); ++size) {
        event_name_reader reader(json_kind::answer);
        assert_text(renamed(reader, body, "123__r7", "123", size), whole);
    }
    return whole;
}


void each_event_of_a_stream_is_renamed(void **)
{
    assert_text(
        events("data: {\"id\":1,\"model\":\"123__r7\",\"choices\":[]}\n\ndata:{\"model\":\"123__r7\"}\r\n\r\ndata: "
               "[DONE]\n\n"),
        "data: {\"id\":1,\"model\":\"123\"    ,\"choices\":[]}\n\ndata:{\"model\":\"123\"    }\r\n\r\ndata: "
        "[DONE]\n\n");
    assert_text(events("event: message\ndata: {\"a\":\ndata: 1,\"model\":\"123__r7\"}\n\n: model\ndatum: "
                       "{\"model\":\"123__r7\"}\n\n"),
                "event: message\ndata: {\"a\":\ndata: 1,\"model\":\"123\"    }\n\n: model\ndatum: "
                "{\"model\":\"123__r7\"}\n\n");
    assert_text(events("data: {\"a\":\r\ndata: 1,\"model\":\"123__r7\"}\r\n\r\n"),
                "data: {\"a\":\r\ndata: 1,\"model\":\"123\"    }\r\n\r\n");
    assert_text(events("data: {\"model\":\"123\ndata: x\n\ndata: {\"model\":\"123__r7\"}\n\n"),
                "data: {\"model\":\"123\ndata: x\n\ndata: {\"model\":\"123\"    }\n\n");
    assert_text(events("data: {\"model\":\"123__r"), "data: {\"model\":\"123__r");
    assert_text(events("\n\ndata\n\ndat: {\"model\":\"123__r7\"}\ndata: \"\n\n"),
                "\n\ndata\n\ndat: {\"model\":\"123__r7\"}\ndata: \"\n\n");
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_on_with_the_other_name),
        cmocka_unit_test(what_a_server_might_read_otherwise_is_refused),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(an_answer_keeps_its_length),
        cmocka_unit_test(an_answer_that_is_none_of_ours_goes_on_as_it_came),
        cmocka_unit_test(each_event_of_a_stream_is_renamed),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
