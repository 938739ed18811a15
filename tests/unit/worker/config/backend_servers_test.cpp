#include "tests/unit/worker/config/settings_text.hpp"
#include "worker/config/backend_servers.hpp"

namespace {

using rollout::backend_settings;
using rollout::json_fault;
using rollout::required_servers;

/// A configuration whose only backend has these members beside its upstream.
std::string with_backend(const std::string &members)
{
    return R"({"listen": {"path": "/run/rollout/rolloutd.sock"}, "journal": {"path": "/var/lib/rollout/journal.db"},
               "backends": {"default": {"upstream": "inference", )" +
           members + "}}}";
}

backend_settings read_backend(const std::string &members)
{
    return read_good(with_backend(members)).backends.at("default");
}

void assert_fault(const std::string &members, std::string_view pointer, std::string_view part)
{
    std::vector<json_fault> faults;
    read(with_backend(members), faults);
    for (const auto &fault : faults) {
        if (fault.pointer == pointer && fault.detail.find(part) != std::string::npos) {
            return;
        }
    }
    std::string all;
    for (const auto &fault : faults) {
        all += fault.pointer + ": " + fault.detail + "\n";
    }
    fail_msg("no fault at %s with \"%s\", but:\n%s", std::string(pointer).c_str(), std::string(part).c_str(),
             all.c_str());
}

void servers_have_the_repository_of_all_or_their_own(void **)
{
    const auto backend = read_backend(R"("repository": "/mnt/models/", "servers": [
        {"url": "http://10.0.0.1:8000/"},
        {"url": "http://10.0.0.2:8000", "peer": "unix:/run/two.sock", "repository": "/mnt/two/"},
        {"url": "https://[fd00::3]", "repository": "/mnt/three", "staging": "/mnt/three.new"}])");
    assert_text(backend.url, "");
    assert_int_equal(backend.servers.size(), 3);
    assert_text(backend.servers[0].url, "http://10.0.0.1:8000");
    assert_text(backend.servers[0].peer, "10.0.0.1:8000");
    assert_text(backend.servers[0].repository, "/mnt/models");
    assert_text(backend.servers[0].staging, "/mnt/models.staging");
    assert_text(backend.servers[1].peer, "unix:/run/two.sock");
    assert_text(backend.servers[1].repository, "/mnt/two");
    assert_text(backend.servers[1].staging, "/mnt/two.staging");
    assert_text(backend.servers[2].peer, "[fd00::3]:443");
    assert_text(backend.servers[2].staging, "/mnt/three.new");
    assert_int_equal(backend.max_parallel_loads, 4);
    assert_int_equal(backend.min_servers.of(3), 3);
    const auto all = rollout::repositories_of(backend);
    assert_int_equal(all.size(), 3);
    assert_text(all[0].pointer, "");
    assert_text(all[2].pointer, "/servers/2");
}

void a_url_without_a_port_has_its_schemes(void **)
{
    const auto backend =
        read_backend(R"("repository": "/r", "servers": [{"url": "http://gpu1"}, {"url": "https://gpu1/x"}])");
    assert_text(backend.servers[0].peer, "gpu1:80");
    assert_text(backend.servers[1].peer, "gpu1:443");
}

void the_least_number_of_servers_is_all_a_number_or_a_percentage_rounded_up(void **)
{
    const auto least = [](const std::string &text) {
        return read_backend(R"("repository": "/r", "servers": [{"url": "http://a:1"}, {"url": "http://b:1"},
                            {"url": "http://c:1"}], "min_servers": )" +
                            text)
            .min_servers.of(3);
    };
    assert_int_equal(least("\"all\""), 3);
    assert_int_equal(least("1"), 1);
    assert_int_equal(least("2.0"), 2);
    assert_int_equal(least("\"1%\""), 1);
    assert_int_equal(least("\"34%\""), 2);
    assert_int_equal(least("\"50%\""), 2);
    assert_int_equal(least("\"67%\""), 3);
    assert_int_equal(least("\"100%\""), 3);
    assert_int_equal(required_servers().of(0), 1);
}

void what_is_wrong_with_servers_is_named_by_its_pointer(void **)
{
    const std::string two = R"("repository": "/r", "servers": [{"url": "http://a:1"}, {"url": "http://b:1"}])";
    const auto at = [](const std::string &pointer) { return "/backends/default" + pointer; };
    assert_fault(R"("url": "http://a:1", )" + two, at("/url"), "beside \"servers\"");
    assert_fault(R"("repository": "/r", "servers": [])", at("/servers"), "1 to 64");
    assert_fault(R"("repository": "/r", "servers": {})", at("/servers"), "array");
    assert_fault(R"("repository": "/r", "servers": ["http://a:1"])", at("/servers/0"), "an object");
    assert_fault(R"("repository": "/r", "servers": [{"peer": "a:1"}])", at("/servers/0/url"), "is missing");
    assert_fault(R"("repository": "/r", "servers": [{"url": "a:1"}])", at("/servers/0/url"), "http://");
    assert_fault(R"("repository": "/r", "servers": [{"url": "http://a:1", "weight": 2}])", at("/servers/0/weight"),
                 "");
    assert_fault(R"("repository": "/r", "servers": [{"url": "http://a:1"}, {"url": "http://a:1/"}])",
                 at("/servers/1/url"), "that of servers/0");
    assert_fault(R"("repository": "/r", "servers": [{"url": "http://a:1"}, {"url": "http://b:1", "peer": "A:1"}])",
                 at("/servers/1/peer"), "could not tell them apart");
    for (const char *peer :
         {"b", "b:", "b:0", "b:99999", ":1", "b/c:1", "unix:x", "::1:80", "[::1]", "[x]:1", "b:1;"}) {
        assert_fault(R"("repository": "/r", "servers": [{"url": "http://a:1", "peer": ")" + std::string(peer) +
                         "\"}]",
                     at("/servers/0/peer"), "address");
    }
    assert_fault(R"("servers": [{"url": "http://a:1", "repository": "/r"}, {"url": "http://b:1"}])",
                 at("/servers/1/repository"), "is missing");
    assert_fault(R"("servers": [{"url": "http://a:1", "repository": "r"}])", at("/servers/0/repository"), "absolute");
    assert_fault(
        R"("servers": [{"url": "http://a:1", "repository": "/r"}, {"url": "http://b:1", "repository": "/r/two"}])",
        at("/servers/1/repository"), "inside of the other");
    assert_fault(
        R"("repository": "/r", "servers": [{"url": "http://a:1"}, {"url": "http://b:1", "repository": "/r.staging"}])",
        at("/servers/1/repository"), "inside of the other");
    assert_fault(R"("servers": [{"url": "http://a:1", "repository": "/r"},
                                {"url": "http://b:1", "repository": "/r", "staging": "/s"}])",
                 at("/servers/1/staging"), "staged once");
    assert_fault(R"("servers": [{"url": "http://a:1", "repository": "/r", "staging": "/s"},
                                {"url": "http://b:1", "repository": "/q", "staging": "/s"}])",
                 at("/servers/1/staging"), "is taken");
    assert_fault(two + R"(, "min_servers": 3)", at("/min_servers"), "is 3, but the backend has 2 servers");
    for (const char *least : {"0", "-1", "\"\"", "\"0%\"", "\"101%\"", "\"half\"", "\"5\"", "true", "1.5", "\"%\""}) {
        assert_fault(two + R"(, "min_servers": )" + least, at("/min_servers"), "\"all\", a number of servers");
    }
    assert_fault(two + R"(, "max_parallel_loads": 0)", at("/max_parallel_loads"), "1 to 64");
}

void several_servers_need_an_upstream_block(void **)
{
    std::vector<json_fault> faults;
    read(R"({"listen": {"path": "/l.sock"}, "journal": {"path": "/j.db"}, "backends": {"default": {"repository": "/r",
             "servers": [{"url": "http://a:1"}]}}})",
         faults);
    assert_int_equal(faults.size(), 1);
    assert_text(faults[0].pointer, "/backends/default/upstream");
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(servers_have_the_repository_of_all_or_their_own),
        cmocka_unit_test(a_url_without_a_port_has_its_schemes),
        cmocka_unit_test(the_least_number_of_servers_is_all_a_number_or_a_percentage_rounded_up),
        cmocka_unit_test(what_is_wrong_with_servers_is_named_by_its_pointer),
        cmocka_unit_test(several_servers_need_an_upstream_block),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
