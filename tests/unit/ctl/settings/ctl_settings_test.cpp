// Where rolloutctl finds its gateway.
#include "ctl/settings/settings.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/ctl/command_fails.hpp"

#include <cstdlib>

namespace {

using rollout::ctl::setting_options;
using rollout::ctl::settings;

std::string url_with(const char *environment, const char *option)
{
    ::setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    environment != nullptr ? ::setenv("ROLLOUT_URL", environment, 1) : ::unsetenv("ROLLOUT_URL");
    setting_options options;
    if (option != nullptr) {
        options.url = option;
    }
    return read_settings(options).url;
}

void an_option_goes_before_the_environment_and_that_before_the_usual(void **)
{
    assert_text(url_with(nullptr, nullptr), "http://127.0.0.1:8080");
    assert_text(url_with("https://gateway.example/rollout/", nullptr), "https://gateway.example/rollout");
    assert_text(url_with("https://gateway.example", "10.0.0.7:80"), "http://10.0.0.7:80");
}

void what_is_no_url_is_refused(void **)
{
    for (const char *url : {"ftp://x", "http://x/?a=b", "file:///etc/passwd", "http://x y"}) {
        assert_holds(error_text([&] { url_with(nullptr, url); }), "2 \"");
    }
}

void a_file_sets_what_it_names(void **)
{
    settings to;
    read_settings_text(
        R"({"url": "https://g", "cert": "/c", "key": "/k", "cacert": "/a", "unix_socket": "/s", "netrc": true})", "f",
        to);
    assert_text(to.url, "https://g");
    assert_text(to.cert, "/c");
    assert_text(to.key, "/k");
    assert_text(to.cacert, "/a");
    assert_text(to.unix_socket, "/s");
    assert_true(to.netrc);
}

void a_malformed_file_says_where(void **)
{
    const auto fault = [](const char *text) {
        settings to;
        return error_text([&] { rollout::ctl::read_settings_text(text, "f.json", to); });
    };
    assert_holds(fault("{\n\"url\": }"), "2 The settings file f.json is not a JSON object, line 2: ");
    assert_holds(fault("[]"), "is not a JSON object.");
    assert_holds(fault(R"({"uri": "x"})"), "has a member \"uri\" that is unknown or mistyped; known are url, ");
    assert_holds(fault(R"({"netrc": "yes"})"), "has a member \"netrc\"");
}

void a_file_that_is_named_must_be_there(void **)
{
    setting_options options;
    options.file = "/nonexistent/rolloutctl.json";
    assert_holds(error_text([&] { read_settings(options); }),
                 "2 The settings file /nonexistent/rolloutctl.json cannot be read: No such file");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_option_goes_before_the_environment_and_that_before_the_usual),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(a_file_sets_what_it_names),
        cmocka_unit_test(a_malformed_file_says_where),
        cmocka_unit_test(a_file_that_is_named_must_be_there),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
