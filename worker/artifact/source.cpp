#include "worker/artifact/source.hpp"

#include "worker/artifact/fetch.hpp"
#include "worker/words.hpp"

#include <algorithm>
#include <cctype>
#include <optional>

namespace rollout {
namespace {

constexpr std::size_t longest_source = 4096;

bool equal_ignoring_case(std::string_view one, std::string_view other) noexcept
{
    const auto low = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
    return std::ranges::equal(one, other, {}, low, low);
}


std::string the_source(std::string_view source)
{
    return "the source \"" + clean_text(source, 200) + "\"";
}


/// Decodes %XX once; nothing where one is cut short or hides a slash, a NUL or another control character.
std::optional<std::string> decode(std::string_view component)
{
    std::string decoded;
    for (std::size_t i = 0; i < component.size(); ++i) {
        char byte = component[i];
        if (byte == '%') {
            const auto digit = [&](std::size_t at) {
                const char *digits = "0123456789abcdef";
                const int low = at < component.size() ? std::tolower(static_cast<unsigned char>(component[at])) : 'x';
                const std::size_t value = std::string_view(digits).find(static_cast<char>(low));
                return value == std::string_view::npos ? 16 : value;
            };
            const std::size_t high = digit(i + 1);
            const std::size_t low = digit(i + 2);
            if (high > 15 || low > 15) {
                return std::nullopt;
            }
            byte = static_cast<char>(high * 16 + low);
            i += 2;
            if (byte == '/') {
                return std::nullopt;
            }
        }
        if (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7F) {
            return std::nullopt;
        }
        decoded += byte;
    }
    return decoded;
}


/// `/srv/models/123` or `/srv/models/123/`, still encoded.
result<file_source> parse_path(std::string_view path, std::string_view source)
{
    using failed = result<file_source>;

    file_source made{"/", path.ends_with('/')};
    if (path == "/") {
        return made;
    }
    if (made.is_folder) {
        path.remove_suffix(1);
    }
    std::string whole;
    while (!path.empty()) {
        path.remove_prefix(1); // the slash
        const std::string_view component = path.substr(0, path.find('/'));
        const auto decoded = decode(component);
        if (!decoded) {
            return failed::failure(the_source(source) + " holds a % that is no %XX, or a slash or control character");
        }
        if (decoded->empty() || *decoded == "." || *decoded == "..") {
            return failed::failure(the_source(source) + " holds an empty component, \".\" or \"..\"");
        }
        whole += '/';
        whole += *decoded;
        path.remove_prefix(component.size());
    }
    made.path = whole;
    return made;
}


bool allows(const file_source &allowed, const file_source &source)
{
    if (source.path == allowed.path) {
        return !allowed.is_folder; // with a slash at its end, what is in it is meant
    }
    return is_same_or_under(source.path.native(), allowed.path.native());
}

} // namespace


result<file_source> parse_file_source(std::string_view source)
{
    using failed = result<file_source>;

    if (source.size() > longest_source) {
        return failed::failure("the source is longer than " + size_words(longest_source));
    }
    const std::size_t colon = source.find(':');
    if (colon == std::string_view::npos) {
        return failed::failure(the_source(source) + " is no URL: it begins with file:///");
    }
    const std::string_view scheme = source.substr(0, colon);
    if (!equal_ignoring_case(scheme, "file")) {
        return failed::failure(the_source(source) + " has a scheme that is not known here: file:// is");
    }
    std::string_view rest = source.substr(colon + 1);
    if (!rest.starts_with("//")) {
        return failed::failure(the_source(source) + " lacks a slash: it begins with file:///");
    }
    rest.remove_prefix(2);
    const std::string_view host = rest.substr(0, rest.find('/'));
    if (!host.empty() && !equal_ignoring_case(host, "localhost")) {
        return failed::failure(the_source(source) + " names a host: a file's URL begins with file:///");
    }
    rest.remove_prefix(host.size());
    if (rest.empty()) {
        return failed::failure(the_source(source) + " names no path");
    }
    if (rest.find_first_of("?#") != std::string_view::npos) {
        return failed::failure(the_source(source) +
                               " has a query or a fragment; in a file's name they are %3F and %23");
    }
    return parse_path(rest, source);
}


bool is_same_or_under(std::string_view path, std::string_view folder) noexcept
{
    if (folder == "/") {
        return path.starts_with('/');
    }
    return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}


std::vector<file_source> allowed_paths(const std::vector<std::string> &allow)
{
    std::vector<file_source> paths;
    for (const std::string &prefix : allow) {
        if (auto parsed = parse_file_source(prefix)) {
            paths.push_back(std::move(*parsed));
        }
    }
    return paths;
}


std::string check_source(const std::string &source, const std::vector<std::string> &allow)
{
    const auto parsed = parse_file_source(source);
    if (!parsed) {
        return parsed.sentence();
    }
    const auto allowed = allowed_paths(allow);
    if (std::ranges::none_of(allowed, [&](const file_source &one) { return allows(one, *parsed); })) {
        return the_source(source) + " is not under an allowed prefix (artifacts.allow)";
    }
    return {};
}

} // namespace rollout
