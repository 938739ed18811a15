// A source's text, and whether it is allowed. Input: a prefix that is allowed, the source.
#include "tests/fuzz/fuzzing.hpp"

#include "worker/artifact/fetch.hpp"
#include "worker/artifact/source.hpp"
#include "worker/words.hpp"

#include <algorithm>

using namespace rollout;

namespace {

std::string url_of(const file_source &of)
{
    std::string url = "file://";
    for (const char c : of.path.native()) {
        if (c == '%' || c == '?' || c == '#' || static_cast<unsigned char>(c) >= 0x80) {
            char escaped[4];
            std::snprintf(escaped, sizeof(escaped), "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
            url += escaped;
        } else {
            url += c;
        }
    }
    return of.is_folder && of.path != "/" ? url + "/" : url;
}

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    pieces input(data, size);
    const std::string prefix(input.text());
    const std::string source(input.rest());

    const auto parsed = parse_file_source(source);
    const auto refused = check_source(source, {prefix});
    if (!parsed) {
        always(!parsed.sentence().empty() && valid_utf8(parsed.sentence()) == parsed.sentence(),
               "a source that is none says why, in UTF-8");
        always(!refused.empty(), "a source that is none is not allowed");
        return 0;
    }
    const std::string &path = parsed->path.native();
    always(path.starts_with('/'), "a source's path is absolute");
    always(path == "/" || !path.ends_with('/'), "a source's path has no slash at its end");
    always(std::ranges::none_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }),
           "a source's path has no control characters");
    always(parsed->path.lexically_normal() == parsed->path, "a source's path has no way around");
    for (const auto &component : parsed->path) {
        always(component != ".." && component != "." && !component.empty(), "a source's path has no way around");
    }

    const auto again = parse_file_source(url_of(*parsed));
    always(again && again->path == parsed->path && again->is_folder == parsed->is_folder,
           "a source, written and read, is the same");

    if (refused.empty()) {
        const auto allowed = allowed_paths({prefix});
        always(allowed.size() == 1 && is_same_or_under(path, allowed[0].path.native()),
               "what is allowed is under the prefix");
        const auto relative = parsed->path.lexically_relative(allowed[0].path);
        always(!relative.empty() && *relative.begin() != "..", "what is allowed is under the prefix");
        always(!allowed[0].is_folder || relative != ".",
               "of a prefix with a slash at its end, what is in it is allowed");
    }
    return 0;
}
