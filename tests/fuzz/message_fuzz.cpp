// Where a body names its model: requests and answers, in JSON, events and gRPC messages, cut into pieces anyhow. Input: a byte for the
// format, two for the cuts, and the body.
#include "tests/fuzz/fuzzing.hpp"

#include "module/messages/grpc_name.hpp"
#include "module/messages/json_name.hpp"

#include <algorithm>
#include <random>

using namespace rollout;

namespace {

constexpr std::string_view client = "123";
constexpr std::string_view server = "123__r7";

struct outcome {
    std::string body;
    std::string fault; ///< empty: none
    std::size_t names = 0;
};

/// As the module's rewriter goes on with a body. Every name of a request becomes the server's; an answer's becomes the client's.
outcome rewrite(name_reader &reader, bool is_request, std::string_view body, std::minstd_rand chance,
                std::size_t longest)
{
    outcome made;
    bool holds = false;
    bool passes = false;
    while (!body.empty()) {
        auto piece = body.substr(0, 1 + chance() % longest);
        body.remove_prefix(piece.size());
        while (!piece.empty() && !passes) {
            const auto step = reader.read(piece);
            always(step.pass + step.hold <= piece.size(), "no more is read than there is");
            made.body += piece.substr(0, step.pass);
            piece.remove_prefix(step.pass + step.hold);
            holds = holds || step.hold != 0;
            if (step.what == name_reader::found::refuse) {
                if (is_request) {
                    always(reader.fault() != nullptr && !reader.fault()->sentence.empty(),
                           "a refusal has a sentence");
                    made.fault = reader.fault()->sentence;
                    return made;
                }
                made.body += holds ? reader.held() : "";
                holds = false;
                passes = true;
            } else if (step.what == name_reader::found::name) {
                const bool is_ours = is_request || reader.name() == server;
                std::string memory(reader.room() + server.size(), '\0');
                const auto to = is_request ? server : client;
                made.body += is_ours ? memory.substr(0, reader.write(to, memory.data())) : std::string(reader.held());
                made.names += is_ours ? 1 : 0;
                holds = false;
            } else {
                always(step.pass + step.hold > 0, "reading goes on");
            }
        }
        made.body += piece;
    }
    made.body += holds ? reader.held() : "";
    if (is_request) {
        if (const auto *fault = reader.finish()) {
            made.fault = fault->sentence;
        }
    }
    return made;
}


template <class Reader, class Argument>
outcome read_as(bool is_request, Argument argument, std::string_view body, std::minstd_rand chance,
                std::size_t longest)
{
    Reader reader(argument);
    return rewrite(reader, is_request, body, chance, longest);
}


outcome read_in(unsigned format, std::string_view body, std::minstd_rand chance, std::size_t longest)
{
    switch (format) {
    case 0:
        return read_as<json_name_reader>(true, json_kind::request, body, chance, longest);
    case 1:
        return read_as<json_name_reader>(false, json_kind::answer, body, chance, longest);
    case 2:
        return read_as<json_name_reader>(false, json_kind::kserve, body, chance, longest);
    case 3:
        return read_as<event_name_reader>(false, json_kind::answer, body, chance, longest);
    case 4:
        return read_as<grpc_request_reader>(true, grpc_call::unary, body, chance, longest);
    case 5:
        return read_as<grpc_request_reader>(true, grpc_call::stream, body, chance, longest);
    case 6:
        return read_as<grpc_answer_reader>(false, grpc_call::unary, body, chance, longest);
    default:
        return read_as<grpc_answer_reader>(false, grpc_call::stream, body, chance, longest);
    }
}


/// What a server's parser makes of a JSON body that was let through: whatever it takes for the name is the server's own.
void check_json(const std::string &body)
{
    const auto parsed = parsed_json(body);
    if (!json_is_object(parsed.get())) {
        return;
    }
    const char *key = nullptr;
    json_t *value = nullptr;
    json_object_foreach(parsed.get(), key, value)
    {
        std::string name(key);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        always(name != "model" || (json_is_string(value) && json_string_value(value) == server),
               "a JSON body that goes on has the server's name alone");
    }
    always(json_is_string(json_object_get(parsed.get(), "model")), "a JSON body that goes on has a name");
}

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    pieces input(data, size);
    const unsigned format = input.byte() % 8U;
    const unsigned seed = input.byte() + 256U * input.byte();
    const auto body = input.rest();

    const auto whole = read_in(format, body, std::minstd_rand(seed + 1), body.size() + 1);
    const auto cut = read_in(format, body, std::minstd_rand(seed + 1), 1 + seed % 64);
    always(whole.fault == cut.fault, "a body is refused however it is cut");
    always(!whole.fault.empty() || whole.body == cut.body, "a body goes on the same however it is cut");

    const bool is_json = format < 4;
    const bool is_request = format == 0 || format == 4 || format == 5;
    if (is_request && whole.fault.empty()) {
        always(whole.names > 0, "a request that goes on has a name");
        const auto again = read_in(format, whole.body, std::minstd_rand(seed + 2), 32);
        always(again.fault.empty() && again.names == whole.names && again.body == whole.body,
               "a request that was written is one, and stays as it is");
        if (is_json) {
            check_json(whole.body);
        }
    }
    if (!is_request && (is_json || whole.names == 0)) {
        always(whole.body.size() == body.size(), "an answer of JSON keeps its length");
        always(whole.names > 0 || whole.body == body, "an answer without our name stays as it is");
    }
    return 0;
}
