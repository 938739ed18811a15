#include "worker/leadership/etcd/config_comparison.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_etcd.hpp"
#include "tests/unit/logged.hpp"
#include "worker/leadership/etcd/host_record.hpp"

#include <string>

namespace {

using namespace rollout;
using namespace std::chrono_literals;

const std::string same = "backends:1 limits:2 models:3 rollout:4";

struct bench {
    explicit bench(const std::string &host) : own(way, host_time, cluster::keys("/r/"), host) {}

    void put(const std::string &host, const std::string &config)
    {
        host_record record;
        record.config = config;
        etcd.put("/r/l/hosts/" + host, text_of(record));
        own.poll();
    }

    std::string log_of(std::chrono::milliseconds span)
    {
        return logged([&] { time.run_for(span); });
    }

    fake_clock time;
    fake_etcd etcd{time};
    host_clock host_time{time};
    way_to_etcd way{etcd, time, host_time};
    config_comparison own;
};


void what_differs_is_named(void **)
{
    assert_text(differing_parts(same, same), "");
    assert_text(differing_parts(same, "backends:9 limits:2 models:3 rollout:4"), "backends");
    assert_text(differing_parts(same, "backends:9 limits:2 models:9 rollout:4"), "backends and models");
    assert_text(differing_parts(same, "backends:9 limits:9 models:9 rollout:4"), "backends, limits and models");
    assert_text(differing_parts(same, "rollout:4 models:3 limits:2 backends:1"), "");
    assert_text(differing_parts(same, ""), ""); // an older rolloutd
    assert_text(differing_parts("", same), "");
    assert_text(differing_parts(same, same + " more:5"), ""); // a newer one
}


void the_leader_names_each_host_that_differs_once(void **)
{
    bench b("a");
    b.own.use(same);
    b.put("a", same);
    b.put("b", same);
    b.put("c", "backends:1 limits:9 models:3 rollout:4");
    b.put("d", "");
    assert_text(b.log_of(10min), ""); // nobody leads
    b.own.follow("a");
    const auto said = b.log_of(10min);
    assert_holds(said, "The rolloutd.json of host c has other limits than that of this host, which leads");
    assert_int_equal(said.find("\"message\"", said.find("\"message\"") + 1), std::string::npos);
    b.put("c", "backends:1 limits:9 models:9 rollout:4");
    assert_holds(b.log_of(2s), "host c has other limits and models than");
    b.put("c", same);
    assert_holds(b.log_of(2s), "host c says the same as this host's again");
    b.own.use("backends:7 limits:2 models:3 rollout:4"); // a reload
    const auto both = b.log_of(10min);
    assert_holds(both, "host b has other backends than");
    assert_holds(both, "host c has other backends than");
}


void another_host_compares_itself_with_the_leader_alone(void **)
{
    bench b("a");
    b.own.use(same);
    b.put("a", same);
    b.put("b", "backends:9 limits:2 models:3 rollout:4");
    b.put("c", same);
    b.own.follow("c");
    assert_text(b.log_of(10min), "");
    b.own.follow("b");
    assert_holds(b.log_of(2s),
                 "The rolloutd.json of host b, which leads, has other backends than that of this host:");
    b.own.follow("");
    assert_text(b.log_of(10min), "");
    b.own.follow("b");
    assert_holds(b.log_of(2s), "host b, which leads, has other backends");
    b.put("b", same);
    assert_holds(b.log_of(2s), "host b, which leads, says the same");
}


void a_change_that_no_watch_tells_is_seen_within_a_minute(void **)
{
    bench b("a");
    b.own.use(same);
    b.put("a", same);
    b.own.follow("a");
    assert_text(b.log_of(10min), "");
    host_record record;
    record.config = "backends:9 limits:2 models:3 rollout:4";
    b.etcd.put("/r/l/hosts/b", text_of(record));
    assert_holds(b.log_of(61s), "host b");
    b.way.loses_requests = true;
    assert_text(b.log_of(10min), "");
    b.way.loses_requests = false;
    b.put("b", same);
    assert_holds(b.log_of(61s), "the same");
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_differs_is_named),
        cmocka_unit_test(the_leader_names_each_host_that_differs_once),
        cmocka_unit_test(another_host_compares_itself_with_the_leader_alone),
        cmocka_unit_test(a_change_that_no_watch_tells_is_seen_within_a_minute),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
