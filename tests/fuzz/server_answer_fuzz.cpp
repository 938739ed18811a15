// What an inference server answers: an error's body, a repository's index. Input: two bytes of status, a byte of what else went
// wrong, the body.
#include "tests/fuzz/fuzzing.hpp"

#include "worker/backend/triton/error_text.hpp"
#include "worker/backend/triton/repository_index.hpp"
#include "worker/base/format.hpp"

#include <algorithm>

using namespace rollout;

namespace {

/// In UTF-8 that is valid.
std::size_t characters_of(std::string_view text)
{
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}


void check_words(const std::string &words)
{
    always(valid_utf8(words) == words, "a server's words are UTF-8");
    always(characters_of(words) <= server_words_characters, "a server's words are bounded");
    always(std::ranges::none_of(words, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }),
           "a server's words are one line without control characters");
    always(clean_text(words, server_words_characters) == words, "a server's words are clean");
}

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    pieces input(data, size);
    http_answer answer;
    answer.status = (input.byte() + 256 * input.byte()) % 700;
    const auto trouble = input.byte();
    answer.canceled = (trouble & 1) != 0;
    answer.timed_out = (trouble & 2) != 0;
    answer.error = (trouble & 4) != 0 ? "the connection was reset" : "";
    answer.body = input.rest();

    check_words(error_text(answer.body));
    check_words(reason_text(answer.body));

    const auto refused = refusal(answer, "the server", "load 123__r7");
    always(!refused, "a refusal is no success");
    always(answer.canceled || !refused.detail.empty(), "a refusal has a sentence");
    always(refused.detail.size() < 4 * server_words_characters + 1024, "a refusal's sentence is bounded");
    const auto of_repository = repository_refusal(answer, "the server", "load 123__r7", "123__r7");
    always(!of_repository && of_repository.detail.starts_with(refused.detail), "a repository's refusal is a refusal");

    for (const std::string_view model : {"123__r7", "", "a"}) {
        if (const auto entry = find_in_index(answer.body, model)) {
            check_words(entry->reason);
            always(!index_state_name(entry->is).empty(), "a state has a name");
            always((entry->is == index_state::failed) == !entry->reason.empty(),
                   "what failed has a reason, and only that");
        }
    }
    return 0;
}
