#include "tests/unit/worker/config/settings_text.hpp"
#include "worker/config/settings_diff.hpp"

namespace {

const std::string in_etcd = with(with(smallest, "/journal/type", R"("etcd")"), "/journal/etcd",
                                 R"({"endpoints": ["https://10.0.0.1:2379"], "host": "a"})");

void the_least_of_a_cluster_is_enough_and_the_rest_has_its_default(void **)
{
    const auto made = read_good(in_etcd);
    assert_true(made.journal.etcd.has_value());
    const auto &cluster = *made.journal.etcd;
    assert_int_equal(cluster.endpoints.size(), 1);
    assert_text(cluster.endpoints[0], "https://10.0.0.1:2379");
    assert_text(cluster.prefix, "/rollout/default/");
    assert_text(cluster.host, "a");
    assert_text(cluster.ca_file + cluster.cert_file + cluster.key_file + cluster.user + cluster.password, "");
    assert_int_equal(cluster.lease_s, 4);
    assert_int_equal(cluster.isolation_s, 600);
    assert_int_equal(cluster.compact_s, 0);
    assert_int_equal(cluster.quota_bytes, 2147483648);
    assert_true(cluster.leader);
    assert_false(cluster.insecure);
    assert_int_equal(made.journal.max_tasks, 200000);
    assert_int_equal(read_good(with(in_etcd, "/journal/max_tasks", "7")).journal.max_tasks, 7);
    assert_false(read_good(with(in_etcd, "/journal/etcd/host", nullptr)).journal.etcd->host.empty());
    assert_false(read_good(smallest).journal.etcd.has_value());
    assert_false(read_good(with(smallest, "/journal/type", R"("sqlite")")).journal.etcd.has_value());
}

void what_is_wrong_with_a_cluster_is_named(void **)
{
    const auto refused = [](const char *pointer, const char *value, const char *fault) {
        assert_text(faults_of(with(in_etcd, pointer, value)), (std::string(pointer) + ": " + fault + '\n').c_str());
    };
    refused("/journal/etcd", nullptr, "is missing");
    refused("/journal/etcd/endpoints", nullptr, "is missing");
    refused("/journal/etcd/endpoint", "[]", "is not a known member");
    refused("/journal/etcd/lease_s", "1", "must be a whole number from 2 to 60");
    refused("/journal/etcd/isolation_s", "-1", "must be a whole number from 0 to 86400");
    refused("/journal/etcd/quota_bytes", "-1", "must be a whole number from 0 to 1125899906842624");
    refused("/journal/etcd/ca_file", "\"ca.pem\"", "must be an absolute path");
    for (const char *host : {"\"a/b\"", "\"a b\"", "\"\u00e4\""}) {
        refused(
            "/journal/etcd/host", host,
            "must be this machine's name in the cluster: letters, digits, '.', '-' and '_', at most 253 characters");
    }
    assert_text(faults_of(with(smallest, "/journal/etcd", R"({"endpoints": ["http://127.0.0.1"]})")),
                "/journal/etcd: is for a journal of the type \"etcd\"\n");
}

void what_of_a_cluster_takes_a_restart_stays(void **)
{
    const auto running = read_good(in_etcd);
    auto wanted = read_good(with(with(in_etcd, "/journal/etcd/leader", "false"), "/journal/etcd/isolation_s", "5"));
    assert_true(rollout::keep_what_takes_a_restart(running, wanted).empty());
    assert_false(wanted.journal.etcd->leader);
    assert_int_equal(wanted.journal.etcd->isolation_s, 5);
    assert_text(rollout::changes_between(running, wanted), "journal");

    wanted = read_good(with(with(in_etcd, "/journal/etcd/leader", "false"), "/journal/etcd/host", "\"b\""));
    auto kept = rollout::keep_what_takes_a_restart(running, wanted);
    assert_int_equal(kept.size(), 1);
    assert_text(kept[0], "/journal/etcd");
    assert_text(wanted.journal.etcd->host, "a");
    assert_false(wanted.journal.etcd->leader);

    wanted = read_good(smallest);
    kept = rollout::keep_what_takes_a_restart(running, wanted);
    assert_int_equal(kept.size(), 1);
    assert_text(kept[0], "/journal/type");
    assert_true(wanted.journal.etcd.has_value());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_least_of_a_cluster_is_enough_and_the_rest_has_its_default),
        cmocka_unit_test(what_is_wrong_with_a_cluster_is_named),
        cmocka_unit_test(what_of_a_cluster_takes_a_restart_stays),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
