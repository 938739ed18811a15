// A source's text, and whether it is allowed. Input: a prefix that is allowed, the source.
#include "tests/fuzz/fuzzing.hpp"

#include "worker/artifact/fetch.hpp"
#include "worker/base/format.hpp"
#include "worker/base/paths.hpp"
#include "worker/net/source_url.hpp"

#include <algorithm>
#include <filesystem>

using namespace rollout;

namespace {

std::string url_of(const file_source &of)
{
    std::string url = "file://";
    for (const char c : of.path) {
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


namespace {

/// What a path of a source is, wherever it leads.
void check_path(const file_source &of)
{
    const std::string &path = of.path;
    const std::filesystem::path components = path;
    always(path.starts_with('/'), "a source's path is absolute");
    always(path == "/" || !path.ends_with('/'), "a source's path has no slash at its end");
    always(std::ranges::none_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }),
           "a source's path has no control characters");
    always(components.lexically_normal() == components, "a source's path has no way around");
    for (const auto &component : components) {
        always(component != ".." && component != "." && !component.empty(), "a source's path has no way around");
    }
}


void check_under(const file_source &source, const file_source &allowed)
{
    always(is_same_or_under(source.path, allowed.path), "what is allowed is under the prefix");
    const auto relative = std::filesystem::path(source.path).lexically_relative(allowed.path);
    always(!relative.empty() && *relative.begin() != "..", "what is allowed is under the prefix");
    always(!allowed.is_folder || relative != ".", "of a prefix with a slash at its end, what is in it is allowed");
}


void check_web(const std::string &source, const std::string &prefix, const std::string &refused)
{
    const auto parsed = parse_web_source(source);
    if (!parsed) {
        always(!refused.empty(), "a source that is none is not allowed");
        return;
    }
    check_path(parsed->place);
    always(parsed->url == source, "a URL is used as it was written");
    always(parsed->origin.starts_with("http") &&
               std::ranges::none_of(parsed->origin, [](char c) { return c >= 'A' && c <= 'Z'; }),
           "an origin is lower-case");
    const auto query = source.find('?');
    always(query == std::string::npos || query + 8 > source.size() ||
               parsed->shown.find(source.substr(query)) == std::string::npos,
           "a query, which may hold a key, is not shown");

    bool may_be_local = false;
    const auto allowed = allowed_web_source(source, {prefix}, may_be_local);
    always(static_cast<bool>(allowed) == refused.empty(), "a source is allowed or it is not");
    if (allowed) {
        const auto root = parse_web_source(prefix);
        always(root && root->origin == parsed->origin, "what is allowed is of the prefix's server");
        check_under(parsed->place, root->place);
        always(may_be_local == root->is_written_address, "only a written address may be a local one");
    }
}

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    pieces input(data, size);
    const std::string prefix(input.text());
    const std::string source(input.rest());

    const auto refused = check_source(source, {prefix});
    always(valid_utf8(refused) == refused, "a source that is none says why, in UTF-8");
    if (is_web_source(source)) {
        check_web(source, prefix, refused);
        return 0;
    }
    const auto parsed = parse_file_source(source);
    if (!parsed) {
        always(!parsed.sentence().empty() && valid_utf8(parsed.sentence()) == parsed.sentence(),
               "a source that is none says why, in UTF-8");
        always(!refused.empty(), "a source that is none is not allowed");
        return 0;
    }
    check_path(*parsed);

    const std::string url = url_of(*parsed);
    const auto again = parse_file_source(url.size() > 4096 ? source : url); // over the bound of a source
    always(again && again->path == parsed->path && again->is_folder == parsed->is_folder,
           "a source, written and read, is the same");

    if (refused.empty()) {
        const auto allowed = allowed_paths({prefix});
        always(allowed.size() == 1, "what is allowed is under the prefix");
        check_under(*parsed, allowed[0]);
    }
    return 0;
}
