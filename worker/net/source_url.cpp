#include "worker/net/source_url.hpp"

#include "common/base/text.hpp"
#include "worker/base/format.hpp"
#include "worker/base/paths.hpp"
#include "worker/net/curl.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <optional>

namespace rollout {
namespace {

constexpr std::size_t longest_source = 4096;

constexpr std::string_view not_allowed = " is not under an allowed prefix (artifacts.allow)";


/// Removes what may be secret: the query, which contains the key of a signed URL, the fragment, and the user and
/// password.
std::string masked(std::string_view source)
{
    source = source.substr(0, source.find_first_of("?#"));
    std::size_t begin = source.find("://");
    begin = begin == std::string_view::npos ? 0 : begin + 3;
    const auto authority = source.substr(begin, source.substr(begin).find('/'));
    const std::size_t position = authority.rfind('@');
    if (position == std::string_view::npos) {
        return std::string(source);
    }
    return std::string(source.substr(0, begin)) + "***" + std::string(source.substr(begin + position));
}


std::string the_source(std::string_view source)
{
    return "the source \"" + clean_text(masked(source), 200) + "\"";
}


std::string too_long()
{
    return "the source is longer than " + format_size(longest_source);
}


/// Returns the value of the two hexadecimal digits; nothing if they are others.
std::optional<char> byte_of(std::string_view digits)
{
    std::uint8_t value = 0;
    const auto end = digits.data() + digits.size();
    return digits.size() == 2 && std::from_chars(digits.data(), end, value, 16).ptr == end
               ? std::optional(static_cast<char>(value))
               : std::nullopt;
}


/// Appends the component, with %XX decoded once. Returns false if one is incomplete, or encodes a slash, a NUL or
/// another control character.
bool append_decoded(std::string &to, std::string_view component)
{
    for (std::size_t i = 0; i < component.size(); ++i) {
        char byte = component[i];
        if (byte == '%') {
            const auto decoded = byte_of(component.substr(i + 1, 2));
            if (!decoded || *decoded == '/') {
                return false;
            }
            byte = *decoded;
            i += 2;
        }
        if (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7F) {
            return false;
        }
        to += byte;
    }
    return true;
}


/// Parses `/srv/models/123` or `/srv/models/123/`, still encoded.
result<file_source> parse_path(std::string_view path, std::string_view source)
{
    using failed = result<file_source>;

    file_source parsed{"/", path.ends_with('/')};
    if (path == "/") {
        return parsed;
    }
    if (parsed.is_folder) {
        path.remove_suffix(1);
    }
    parsed.path.clear();
    parsed.path.reserve(path.size());
    while (!path.empty()) {
        path.remove_prefix(1); // the slash
        const std::string_view component = path.substr(0, path.find('/'));
        parsed.path += '/';
        const std::size_t begin = parsed.path.size();
        if (!append_decoded(parsed.path, component)) {
            return failed::failure(the_source(source) + " contains a % that is not followed by two hexadecimal "
                                                        "digits, or an encoded slash or control character");
        }
        const auto decoded = std::string_view(parsed.path).substr(begin);
        if (decoded.empty() || decoded == "." || decoded == "..") {
            return failed::failure(the_source(source) + " holds an empty component, \".\" or \"..\"");
        }
        path.remove_prefix(component.size());
    }
    return parsed;
}


bool allows(const file_source &allowed, const file_source &source)
{
    if (source.path == allowed.path) {
        return !allowed.is_folder; // with a slash at its end, only what is in it is allowed
    }
    return is_same_or_under(source.path, allowed.path);
}


/// Accepts `localhost` or a numeric address (libcurl has normalized IPv4's odd spellings).
bool is_written_address(const std::string &host)
{
    in_addr four{};
    return host == "localhost" || host.starts_with('[') || ::inet_pton(AF_INET, host.c_str(), &four) == 1;
}

} // namespace


result<file_source> parse_file_source(std::string_view source)
{
    using failed = result<file_source>;

    if (source.size() > longest_source) {
        return failed::failure(too_long());
    }
    const std::size_t colon = source.find(':');
    if (colon == std::string_view::npos) {
        return failed::failure(the_source(source) +
                               " is not a URL: it must begin with file:///, https:// or http://");
    }
    const std::string_view scheme = source.substr(0, colon);
    if (!equal_ignoring_case(scheme, "file")) {
        return failed::failure(the_source(source) + " has an unknown scheme: file, https and http are supported");
    }
    std::string_view rest = source.substr(colon + 1);
    if (!rest.starts_with("//")) {
        return failed::failure(the_source(source) + " lacks a slash: it must begin with file:///");
    }
    rest.remove_prefix(2);
    const std::string_view host = rest.substr(0, rest.find('/'));
    if (!host.empty() && !equal_ignoring_case(host, "localhost")) {
        return failed::failure(the_source(source) + " names a host: the URL of a file must begin with file:///");
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


bool is_web_source(std::string_view source) noexcept
{
    const std::string_view scheme = source.substr(0, source.find("://"));
    return scheme.size() < source.size() &&
           (equal_ignoring_case(scheme, "http") || equal_ignoring_case(scheme, "https"));
}


result<web_source> parse_web_source(std::string_view source)
{
    using failed = result<web_source>;

    if (source.size() > longest_source) {
        return failed::failure(too_long());
    }
    if (!is_web_source(source) || source.find('\0') != std::string_view::npos) {
        return failed::failure(the_source(source) + " is not an http:// or https:// URL");
    }
    web_source parsed{std::string(source), {}, {}, {}, false};
    const std::string_view without_query = source.substr(0, source.find('?'));
    const curl_url_ptr url(curl_url());
    if (!url) {
        return failed::failure("no memory to read " + the_source(without_query));
    }
    switch (curl_url_set(url.get(), CURLUPART_URL, parsed.url.c_str(), CURLU_PATH_AS_IS | CURLU_DISALLOW_USER)) {
    case CURLUE_OK:
        break;
    case CURLUE_USER_NOT_ALLOWED:
        return failed::failure(
            "the source names a user or a password, which would be seen in the task; let the server "
            "know rolloutd by its address, or use a URL that is signed for the purpose");
    default:
        return failed::failure(the_source(without_query) + " is not a valid URL");
    }
    if (source.find('#') != std::string_view::npos) {
        return failed::failure(the_source(without_query) + " has a fragment; in a path # is %23");
    }
    const std::string host = url_part(url.get(), CURLUPART_HOST);
    std::string low_host;
    std::ranges::transform(host, std::back_inserter(low_host),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    parsed.origin = url_part(url.get(), CURLUPART_SCHEME) + "://" + low_host + ":" +
                    url_part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
    parsed.shown = clean_text(without_query, 200);
    parsed.is_written_address = is_written_address(low_host);
    auto place = parse_path(url_part(url.get(), CURLUPART_PATH), without_query);
    if (!place) {
        return failed::failure(place.sentence());
    }
    if (place->path.find('\\') != std::string::npos) {
        return failed::failure(the_source(without_query) + " holds a backslash, which some servers take for a slash");
    }
    parsed.place = std::move(*place);
    return parsed;
}


result<web_source> allowed_web_source(std::string_view source, const std::vector<std::string> &allow,
                                      bool &may_be_local)
{
    auto parsed = parse_web_source(source);
    if (!parsed) {
        return parsed;
    }
    may_be_local = false;
    for (const std::string &prefix : allow) {
        const auto allowed = is_web_source(prefix) ? parse_web_source(prefix) : result<web_source>::failure("");
        if (allowed && allowed->origin == parsed->origin && allows(allowed->place, parsed->place)) {
            may_be_local = allowed->is_written_address;
            return parsed;
        }
    }
    return result<web_source>::failure(the_source(parsed->shown) + std::string(not_allowed));
}


std::string check_prefix(const std::string &prefix)
{
    if (!is_web_source(prefix)) {
        return parse_file_source(prefix).sentence();
    }
    if (prefix.find('?') != std::string::npos) {
        return "a prefix has no query";
    }
    return parse_web_source(prefix).sentence();
}


std::string check_source(const std::string &source, const std::vector<std::string> &allow)
{
    if (is_web_source(source)) {
        bool may_be_local = false;
        return allowed_web_source(source, allow, may_be_local).sentence();
    }
    const auto parsed = parse_file_source(source);
    if (!parsed) {
        return parsed.sentence();
    }
    const auto allowed_by = [&](const std::string &prefix) {
        const auto allowed = parse_file_source(prefix);
        return allowed && allows(*allowed, *parsed);
    };
    if (std::ranges::none_of(allow, allowed_by)) {
        return the_source(source) + std::string(not_allowed);
    }
    return {};
}

} // namespace rollout
