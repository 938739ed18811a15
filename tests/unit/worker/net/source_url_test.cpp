#include "tests/unit/cmocka.hpp"
#include "worker/net/source_url.hpp"

namespace {

using rollout::check_source;
using rollout::parse_file_source;

const std::vector<std::string> allow = {"file:///srv/models/", "https://models.example.com/", "file:///opt/one.onnx",
                                        "file:///data/a%20b"};

void refused(const std::string &source, std::string_view words)
{
    const std::string why = check_source(source, allow);
    if (why.find(words) == std::string::npos || why.empty()) {
        fail_msg("%s: \"%s\"", source.c_str(), why.c_str());
    }
}

void what_is_under_an_allowed_prefix_is_good(void **)
{
    for (const char *source :
         {"file:///srv/models/123", "file:///srv/models/123/", "file:///srv/models/a/b/model.onnx",
          "file://localhost/srv/models/123", "FILE:///srv/models/123", "file:///srv/models/caf%C3%A9",
          "file:///srv/%6Dodels/123", "file:///opt/one.onnx", "file:///data/a%20b", "file:///data/a%20b/c"}) {
        assert_text(check_source(source, allow), "");
    }
}

void what_is_under_none_is_refused(void **)
{
    for (const char *source : {"file:///etc/passwd", "file:///srv", "file:///srv/models-old/1", "file:///srv/modelsx",
                               "file:///opt/one.onnx2", "file:///opt", "file:///"}) {
        refused(source, "is not under an allowed prefix (artifacts.allow)");
    }
}

void an_allowed_folder_itself_is_no_source(void **)
{
    refused("file:///srv/models/", "is not under an allowed prefix");
    refused("file:///srv/models", "is not under an allowed prefix");
}

void nothing_is_allowed_where_nothing_is_listed(void **)
{
    assert_holds(check_source("file:///srv/models/1", {}), "is not under an allowed prefix");
    assert_holds(check_source("file:///srv/models/1", {"https://models.example.com/", "srv/models", ""}),
                 "is not under an allowed prefix");
}

void a_way_out_of_the_prefix_is_refused(void **)
{
    for (const char *source : {"file:///srv/models/../../etc/passwd", "file:///srv/models/..",
                               "file:///srv/models/./1", "file:///srv/models//1", "file:///srv/models/%2e%2e/x",
                               "file:///srv/models/%2E", "file:////srv/models/1", "file:///srv/models/1//"}) {
        refused(source, "holds an empty component, \".\" or \"..\"");
    }
}

void tricks_with_percents_are_refused(void **)
{
    for (const char *source : {"file:///srv/models/a%2fb", "file:///srv/models/a%2Fb", "file:///srv/models/%00",
                               "file:///srv/models/%0a", "file:///srv/models/%7f", "file:///srv/models/%",
                               "file:///srv/models/%4", "file:///srv/models/%zz", "file:///srv/models/a\nb"}) {
        refused(
            source,
            "contains a % that is not followed by two hexadecimal digits, or an encoded slash or control character");
    }
    refused(std::string("file:///srv/models/a\0b", 22), "control character");
    // Decoded once: what comes out is a name.
    assert_text(parse_file_source("file:///srv/models/%252e%252e")->path, "/srv/models/%2e%2e");
}

void what_is_no_file_url_is_refused(void **)
{
    refused("", "is not a URL: it must begin with file:///, https:// or http://");
    refused("/srv/models/1", "is not a URL: it must begin with file:///, https:// or http://");
    refused("file:/srv/models/1", "lacks a slash");
    refused("file://host/srv/models/1", "names a host");
    refused("file://srv/models/1", "names a host");
    refused("file://", "names no path");
    refused("file:///srv/models/1?x", "has a query or a fragment");
    refused("file:///srv/models/1#x", "has a query or a fragment");
    refused("ftp://h/x", "has an unknown scheme");
    refused("file:///srv/models/" + std::string(4096, 'x'), "is longer than 4.0 KiB");
}

void a_web_source_is_good_under_a_prefix_of_its_scheme_host_port_and_path(void **)
{
    const std::vector<std::string> web = {"https://models.example.com/", "http://10.0.0.7:8080/public/",
                                          "https://one.example.com/only.onnx"};
    for (const char *source :
         {"https://models.example.com/123/model.onnx", "HTTPS://Models.Example.COM/123.tar.gz",
          "https://models.example.com:443/a", "https://models.example.com/a%20b?X-Signature=abc%2Fdef&x=1",
          "http://10.0.0.7:8080/public/a", "https://one.example.com/only.onnx"}) {
        assert_text(check_source(source, web), "");
    }
    for (const char *source :
         {"http://models.example.com/1", "https://models.example.com:8443/1", "https://models.example.com.evil.org/1",
          "https://evil.org/https://models.example.com/1x", "https://evil.org/?https://models.example.com/1",
          "http://10.0.0.7/public/a", "http://10.0.0.7:8080/public", "http://10.0.0.7:8080/publicly/a",
          "https://one.example.com/only.onnx2", "https://models.example.com./1", "https://models.example.com/"}) {
        const std::string why = check_source(source, web);
        if (why.find("an allowed prefix") == std::string::npos && why.find("empty component") == std::string::npos) {
            fail_msg("%s: \"%s\"", source, why.c_str());
        }
    }
}

void a_web_source_has_no_way_out_of_its_prefix_and_no_secret(void **)
{
    const std::vector<std::string> web = {"https://models.example.com/public/"};
    const auto refuses = [&](const std::string &source, std::string_view words) {
        const std::string why = check_source(source, web);
        if (why.find(words) == std::string::npos || why.empty()) {
            fail_msg("%s: \"%s\"", source.c_str(), why.c_str());
        }
    };
    for (const char *path : {"../private/x", "a/../../private/x", "%2e%2e/private/x", "a//b", "./x"}) {
        refuses(std::string("https://models.example.com/public/") + path, "holds an empty component");
    }
    refuses("https://models.example.com/public/a%2f..%2fb", "an encoded slash or control character");
    refuses("https://models.example.com/public/a\\..\\b", "holds a backslash");
    refuses("https://models.example.com/public/a#b", "has a fragment");
    refuses("https://models.example.com@evil.org/public/a", "names a user or a password");
    refuses("https://user:secret@models.example.com/public/a", "names a user or a password");
    refuses("https://", "is not a valid URL");
    refuses("https://models.example.com:99999/public/a", "is not a valid URL");
    refuses("https://models.example.com/public/" + std::string(4096, 'x'), "is longer than 4.0 KiB");
    const std::string hidden = check_source("https://models.example.com/private?key=secret", web);
    assert_true(hidden.find("secret") == std::string::npos && !hidden.empty());
}

void a_prefix_that_names_an_address_may_lead_to_this_machine(void **)
{
    const std::vector<std::string> web = {"http://127.0.0.1:8000/", "http://localhost/", "http://[::1]:80/",
                                          "https://models.example.com/"};
    const auto may_be_local = [&](const char *source) {
        bool is = false;
        assert_true(static_cast<bool>(rollout::allowed_web_source(source, web, is)));
        return is;
    };
    assert_true(may_be_local("http://127.0.0.1:8000/a"));
    assert_true(may_be_local("http://0x7f.1:8000/a"));
    assert_true(may_be_local("http://localhost/a"));
    assert_true(may_be_local("http://[::1]/a"));
    assert_false(may_be_local("https://models.example.com/a"));
}

void a_prefix_is_a_source_without_a_query(void **)
{
    for (const char *good : {"file:///srv/models/", "https://models.example.com", "http://h:8080/x/"}) {
        assert_text(rollout::check_prefix(good), "");
    }
    for (const char *bad :
         {"", "/srv/models/", "https://", "s3://bucket/", "https://h/?x", "https://u@h/", "file://"}) {
        assert_false(rollout::check_prefix(bad).empty());
    }
}

void a_hostile_source_is_shown_clean(void **)
{
    const std::string why = check_source("x\n{\"level\":\"error\"}\x1b[31m" + std::string(3000, 'y'), allow);
    assert_true(why.find('\n') == std::string::npos && why.find('\x1b') == std::string::npos && why.size() < 400);
}

void a_source_is_read_to_its_path(void **)
{
    assert_text(parse_file_source("file:///srv/models/1/")->path, "/srv/models/1");
    assert_true(parse_file_source("file:///srv/models/1/")->is_folder);
    assert_false(parse_file_source("file:///srv/models/1")->is_folder);
    assert_text(parse_file_source("file:///a%20b%3F%23%25")->path, "/a b?#%");
    assert_text(parse_file_source("file:///")->path, "/");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_is_under_an_allowed_prefix_is_good),
        cmocka_unit_test(what_is_under_none_is_refused),
        cmocka_unit_test(an_allowed_folder_itself_is_no_source),
        cmocka_unit_test(nothing_is_allowed_where_nothing_is_listed),
        cmocka_unit_test(a_way_out_of_the_prefix_is_refused),
        cmocka_unit_test(tricks_with_percents_are_refused),
        cmocka_unit_test(what_is_no_file_url_is_refused),
        cmocka_unit_test(a_web_source_is_good_under_a_prefix_of_its_scheme_host_port_and_path),
        cmocka_unit_test(a_web_source_has_no_way_out_of_its_prefix_and_no_secret),
        cmocka_unit_test(a_prefix_that_names_an_address_may_lead_to_this_machine),
        cmocka_unit_test(a_prefix_is_a_source_without_a_query),
        cmocka_unit_test(a_hostile_source_is_shown_clean),
        cmocka_unit_test(a_source_is_read_to_its_path),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
