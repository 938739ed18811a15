// Servers of upstream blocks, in a hello, and what a configuration has that they lack.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/logged.hpp"
#include "worker/gateway/server_warnings.hpp"
#include "worker/gateway/upstream_servers.hpp"

#include <string>

namespace {

using rollout::upstream_servers;

upstream_servers hello(const std::string &servers)
{
    return upstream_servers::of_hello(json_of(R"({"type": "hello", "servers": )" + servers + "}").get());
}

void a_peer_is_found_however_it_is_written(void **)
{
    const auto known =
        hello(R"({"Inference": ["10.0.0.1:8000", "gpu2:8000", "[fd00::2]:8000", "unix:/run/T.sock", "plain"]})");
    for (const char *peer :
         {"10.0.0.1:8000", "GPU2:8000", "[fd00:0::0002]:8000", "[FD00::2]:8000", "unix:/run/T.sock", "plain:80"}) {
        assert_false(known.lacks("inference", peer));
    }
    for (const char *peer :
         {"10.0.0.2:8000", "10.0.0.1:8001", "gpu2:80", "[fd00::3]:8000", "unix:/run/t.sock", "plain:8000"}) {
        assert_true(known.lacks("INFERENCE", peer));
    }
}

void nothing_is_said_of_blocks_that_are_not_known(void **)
{
    assert_false(hello(R"({"other": []})").lacks("inference", "a:1"));
    assert_false(hello("null").lacks("inference", "a:1"));
    assert_false(hello("[]").lacks("inference", "a:1"));
    assert_false(hello(R"({"inference": [")" + std::string(300000, 'x') + R"("]})").lacks("inference", "a:1"));
    assert_true(hello(R"({"inference": [7]})").lacks("inference", "a:1"));
}

void what_is_missing_is_said_once_for_a_gateway(void **)
{
    rollout::settings config;
    auto &backend = config.backends["default"];
    backend.upstream = "inference";
    backend.servers = {{"http://a:1", "a:1", "", ""}, {"http://b:1", "b:1", "", ""}};
    rollout::server_warnings warnings;
    warnings.use(config);
    rollout::session_peer peer;
    peer.gateway = "g";
    peer.servers = hello(R"({"inference": ["a:1"]})");
    const auto check = [&] { warnings.check(peer); };
    const std::string text = logged(check);
    assert_true(text.find("has no server b:1") != std::string::npos);
    assert_true(text.find("/backends/default/servers/1/peer") != std::string::npos);
    assert_true(text.find("has no server a:1") == std::string::npos);
    assert_text(logged(check), "");
    warnings.use(config);
    assert_true(logged(check).find("has no server b:1") != std::string::npos);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_is_found_however_it_is_written),
        cmocka_unit_test(nothing_is_said_of_blocks_that_are_not_known),
        cmocka_unit_test(what_is_missing_is_said_once_for_a_gateway),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
