// The model's name in gRPC messages: the same however they are cut, and one name alone.
#include "module/messages/grpc_name.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/messages/renamed.hpp"

namespace {

using namespace rollout;
using namespace std::string_literals;

std::string varint(std::size_t value)
{
    std::string text;
    for (; value >= 0x80; value >>= 7) {
        text += static_cast<char>(value | 0x80);
    }
    return text + static_cast<char>(value);
}


std::string field(unsigned number, const std::string &text)
{
    return varint(number << 3 | 2U) + varint(text.size()) + text;
}


std::string message(const std::string &text)
{
    std::string prefix(1, '\0');
    for (int shift = 24; shift >= 0; shift -= 8) {
        prefix += static_cast<char>(text.size() >> shift);
    }
    return prefix + text;
}


std::string request(const std::string &body, grpc_call call = grpc_call::unary)
{
    std::string whole;
    for (std::size_t size = 1; size <= body.size() + 1; ++size) {
        grpc_request_reader reader(call);
        const auto out = renamed(reader, body, "123", "123__r7", size);
        assert_true(whole.empty() || whole == out);
        whole = out;
    }
    return whole;
}


std::string answer(const std::string &body, grpc_call call, std::string_view to = "123")
{
    std::string whole;
    for (std::size_t size = 1; size <= body.size() + 1; ++size) {
        grpc_answer_reader reader(call);
        const auto out = renamed(reader, body, "123__r7", to, size);
        assert_true(whole.empty() || whole == out);
        whole = out;
    }
    return whole;
}


const std::string tensors = field(5, field(1, "x") + "\x18\x01"s) +
                            "\x35\x01\x02\x03\x04\x39\x01\x02\x03\x04\x05\x06\x07\x08"s +
                            field(7, std::string(300, '\x0a')) + field(16, "");


void a_request_goes_on_with_the_other_name(void **)
{
    assert_true(request(message(field(1, "123"))) == message(field(1, "123__r7")));
    assert_true(request(message(field(1, "123") + tensors)) == message(field(1, "123__r7") + tensors));
    assert_true(request(message(field(2, "1") + field(3, "id") + field(1, "123") + tensors)) ==
                message(field(1, "123__r7") + field(2, "1") + field(3, "id") + tensors));
    assert_true(request(message(field(2, "1") + field(1, "123"))) == message(field(1, "123__r7") + field(2, "1")));
    assert_true(request(message("\x8a\x00\x83\x00"s + "123" + tensors)) == message(field(1, "123__r7") + tensors));
}


void the_messages_of_a_stream_go_on_one_by_one(void **)
{
    const auto one = message(field(1, "123") + tensors);
    const auto gone = message(field(1, "123__r7") + tensors);
    assert_true(request(one + one + message(field(1, "123")) + one, grpc_call::stream) ==
                gone + gone + message(field(1, "123__r7")) + gone);
    assert_holds(request(one + one), "more than one message");
}


void a_name_that_could_be_read_otherwise_is_refused(void **)
{
    assert_holds(request(message(field(1, "123") + tensors + field(1, "secret__r7"))), "more than once");
    assert_holds(request(message(field(1, "123") + "\x8a\x00\x03"s + "abc")), "more than once");
    assert_holds(request(message("\x08\x05"s + field(1, "123"))), "not a string");
    assert_holds(request(message(field(1, "123") + "\x0b\x0c"s)), "not a string");
    assert_holds(request(message(field(1, "123") + "\x13\x14"s)), "group");
    assert_holds(request(message(field(1, "123") + "\x17"s)), "not a protobuf message");
    assert_holds(request(message(field(1, "123") + "\x02\x00"s)), "not a protobuf message");
}


void a_name_that_is_none_is_refused(void **)
{
    assert_holds(request(""), "no message");
    assert_holds(request(message("")), "no model name");
    assert_holds(request(message(field(2, "1"))), "no model name");
    assert_holds(request(message(field(1, ""))), "no model name");
    assert_holds(request(message(field(1, std::string(256, 'x')))), "longer");
    assert_holds(request(message(field(2, std::string(4200, 'x')) + field(1, "123"))), "first 4 KiB");
}


void what_is_broken_is_refused(void **)
{
    assert_holds(request("\x01"s + message(field(1, "123")).substr(1)), "compressed");
    assert_holds(request("\x02"s + message(field(1, "123")).substr(1)), "not a sequence");
    assert_holds(request(message(field(1, "123") + tensors).substr(0, 100)), "ends before");
    assert_holds(request("\0\0"s), "ends before");
    assert_holds(request(message(field(1, "123")) + "\0\0"s), "ends before");
    assert_holds(request(message(field(1, "123") + "\x3a\x05"s + "abc")), "not a protobuf message");
    assert_holds(request(message(field(1, "123") + "\x3a"s)), "not a protobuf message");
    assert_holds(request(message(field(1, "123") + "\x35\x01"s)), "not a protobuf message");
    assert_holds(request(message(field(1, "123") + "\x10"s + std::string(10, '\xff') + "\x01")),
                 "not a protobuf message");
    assert_holds(request("\0\xff\xff\xff\xff"s), "2 GiB");
}


void answers_carry_the_clients_name(void **)
{
    assert_true(answer(message(field(1, "123__r7") + tensors), grpc_call::unary) ==
                message(field(1, "123") + tensors));
    assert_true(answer(message(field(1, "123__r7") + tensors), grpc_call::unary, std::string(200, 'n')) ==
                message(field(1, std::string(200, 'n')) + tensors));
    const auto inner = field(1, "123__r7") + tensors;
    const auto renamed = field(1, "123") + tensors;
    const auto error = message(field(1, "failed"));
    assert_true(answer(message(field(2, inner)) + error + message(field(2, inner) + field(9, "x")) + message(""),
                       grpc_call::stream) ==
                message(field(2, renamed)) + error + message(field(2, renamed) + field(9, "x")) + message(""));
    const std::string longest(200, 'n');
    assert_true(answer(message(field(2, field(1, "123__r7"))), grpc_call::stream, longest) ==
                message(field(2, field(1, longest))));
}


void other_answers_go_on_as_they_came(void **)
{
    for (const auto &body :
         {message(field(1, "other") + tensors), message(""), message(field(2, "123__r7")),
          "\x01"s + message(field(1, "123__r7")).substr(1), message(field(1, "123__r7")).substr(0, 9), "\0\0"s,
          message("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"s), message("\x0a"s),
          message(field(1, std::string(300, 'x')))}) {
        assert_true(answer(body, grpc_call::unary) == body);
        assert_true(answer(body, grpc_call::stream) == body);
    }
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_on_with_the_other_name),
        cmocka_unit_test(the_messages_of_a_stream_go_on_one_by_one),
        cmocka_unit_test(a_name_that_could_be_read_otherwise_is_refused),
        cmocka_unit_test(a_name_that_is_none_is_refused),
        cmocka_unit_test(what_is_broken_is_refused),
        cmocka_unit_test(answers_carry_the_clients_name),
        cmocka_unit_test(other_answers_go_on_as_they_came),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
