#include "worker/fleet/fleet_control.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_etcd.hpp"
#include "tests/unit/fakes/fake_local_gateways.hpp"
#include "worker/journal/etcd/revision.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

namespace {

using namespace rollout;
using namespace std::chrono_literals;
using awaited = gateway_control::awaited;

/// The gateways of this host, as the engine asks them.
class own_gateways final : public gateway_control {
  public:
    own_gateways(rollout::clock &time, fake_local_gateways &all) : time_(time), all_(all) {}

    std::optional<std::uint64_t> requests = 0;

    std::string missing() const override { return is_lost() ? "gateway own has had no link" : ""; }
    operation_ptr when_followed(std::uint64_t, awaited, done_fn) override
    {
        fail_msg("the fleet waits by itself");
        return nullptr;
    }
    followers followers_of(std::uint64_t revision, awaited) const override
    {
        followers found;
        for (const auto &state : all_.all) {
            ++found.known;
            found.behind += (state.is_linked ? state.followed : 0) < revision ? 1 : 0;
        }
        return found;
    }
    std::string routing_before(std::uint64_t revision) const override
    {
        for (const auto &state : all_.all) {
            if (state.followed < revision) {
                return "gateway " + state.id + " does not follow";
            }
        }
        return {};
    }
    operation_ptr in_flight(const std::string &, const part_names &, std::uint64_t,
                            std::function<void(std::optional<std::uint64_t>)> done) override
    {
        return time_.after(1ms, [this, done] { done(requests); });
    }
    operation_ptr measure(const std::string &, const part_names &, const std::vector<std::uint64_t> &,
                          std::function<void(const measured &)> done) override
    {
        return time_.after(1ms, [done] { done({}); });
    }

  private:
    bool is_lost() const
    {
        return std::ranges::any_of(all_.all, [](const auto &state) { return !state.is_linked; });
    }

    rollout::clock &time_;
    fake_local_gateways &all_;
};


struct bench {
    bench()
    {
        etcd.put("/r/s/leader", "a");
        etcd.put("/r/l/hosts/b", "x");
        control.on_progress = [this] { ++progress; };
        view.lead(etcd.revision() - 1);
    }

    /// A route has changed, as every gateway must follow now.
    std::uint64_t change_route()
    {
        etcd.put("/r/s/models/m", "x");
        own.routed["m"] = cluster::revision_of(etcd.revision(), 0);
        return own.routed["m"];
    }

    void put(const std::string &gateway, const std::string &host, std::uint64_t followed,
             decltype(gateway_record::busy) busy = {}, bool is_linked = true)
    {
        etcd.put("/r/l/gateways/" + gateway, text_of({host, is_linked, 0, "", followed, std::move(busy)}));
        view.poll();
    }

    void link_own(std::uint64_t followed)
    {
        own.link("own");
        own.of("own").followed = followed;
    }

    void settle() { time.run_for(100ms); }

    fake_clock time;
    fake_etcd etcd{time};
    host_clock own_time{time};
    way_to_etcd way{etcd, time, own_time};
    fake_local_gateways own{own_time};
    own_gateways own_control{own_time, own};
    int progress = 0;
    fleet_view view{way, own_time, cluster::keys("/r/"), [this](bool changed) { control.on_read(changed); }};
    fleet_control control{own_control, own, view, own_time};
};


/// A wait, and how it ended.
struct follow_wait {
    follow_wait(bench &b, std::uint64_t revision, awaited whom)
        : work(b.control.when_followed(revision, whom,
                                       [this](const outcome &how) { ended = how ? "ok" : how.detail; }))
    {
    }

    std::string ended = "waits";
    operation_ptr work;
};


/// What the engine is told that wants to know what is in flight on a revision.
std::string in_flight(bench &b, std::uint64_t revision = 1)
{
    std::string said = "nothing";
    const auto asked = b.control.in_flight("m", {""}, revision, [&said](std::optional<std::uint64_t> requests) {
        said = requests ? std::to_string(*requests) : "unknown";
    });
    assert_text(said, "nothing"); // never from inside the call
    b.settle();
    return said;
}


void nothing_may_be_unloaded_before_the_records_were_read(void **)
{
    bench b;
    const auto revision = b.change_route();
    b.link_own(revision);
    assert_holds(b.control.routing_before(revision), "are being read from etcd");
    const auto progress = b.progress;
    b.settle();
    assert_true(b.progress > progress);
    assert_text(b.control.routing_before(revision), "");

    // Those that were read are from before the next change.
    const auto next = b.change_route();
    b.own.of("own").followed = next;
    const auto before = b.progress;
    assert_holds(b.control.routing_before(next), "are being read from etcd");
    b.settle();
    assert_true(b.progress > before); // though they have not changed
    assert_text(b.control.routing_before(next), "");
}


void one_that_came_before_the_change_is_waited_for(void **)
{
    bench b;
    b.put("theirs00more", "b", 0);
    const auto revision = b.change_route();
    b.link_own(revision);
    b.settle();
    assert_text(b.control.routing_before(revision),
                "gateway theirs00 of host b does not follow the newest routes yet");
    b.put("theirs00more", "b", revision - 1);
    b.settle();
    assert_holds(b.control.routing_before(revision), "does not follow");
    b.put("theirs00more", "b", revision);
    b.settle();
    assert_text(b.control.routing_before(revision), "");
    assert_text(b.control.missing(), "");
}


void a_wait_for_all_ends_when_every_host_says_so(void **)
{
    bench b;
    b.link_own(0);
    b.put("g", "b", 0);
    b.put("lost", "b", 0, {}, false);
    b.put("away", "c", 0);
    const auto revision = b.change_route();
    follow_wait reachable(b, revision, awaited::reachable);
    follow_wait known(b, revision, awaited::known);
    b.settle();
    const auto count = b.control.followers_of(revision, awaited::known);
    assert_int_equal(count.known, 4);
    assert_int_equal(count.behind, 4);
    assert_int_equal(b.control.followers_of(revision, awaited::reachable).known, 2);
    assert_holds(b.control.missing(), "gateway lost of host b has had no link since 1970-01-01T00:00:00");
    assert_holds(b.control.missing(), "gateway away of host c, which has been away since 20");
    b.put("g", "b", revision);
    b.settle();
    assert_text(reachable.ended, "waits");
    b.own.of("own").followed = revision;
    b.control.note_progress();
    b.settle();
    assert_text(reachable.ended, "ok");
    assert_text(known.ended, "waits");
    b.put("lost", "b", revision, {}, false); // it had said so before
    b.etcd.keys.erase("/r/l/gateways/away");
    b.view.poll();
    b.settle();
    assert_text(known.ended, "ok");
}


void at_least_one_gateway_must_follow_and_it_may_be_elsewhere(void **)
{
    bench b;
    const auto revision = b.change_route();
    follow_wait reachable(b, revision, awaited::reachable);
    follow_wait known(b, revision, awaited::known);
    b.time.run_for(5s);
    assert_text(reachable.ended, "waits");
    assert_text(known.ended, "waits");
    b.put("g", "c", revision); // of a host that is away
    b.settle();
    assert_text(reachable.ended, "waits");
    assert_text(known.ended, "ok");
    b.put("h", "b", revision);
    b.settle();
    assert_text(reachable.ended, "ok");
}


void a_wait_that_is_canceled_or_destroyed(void **)
{
    bench b;
    const auto revision = b.change_route();
    auto canceled = std::make_unique<follow_wait>(b, revision, awaited::known);
    follow_wait dropped(b, revision, awaited::known);
    dropped.work.reset();
    canceled->work->cancel();
    assert_text(canceled->ended, "waits");
    b.settle();
    assert_text(canceled->ended, "canceled");
    b.put("g", "b", revision);
    b.settle();
    assert_text(dropped.ended, "waits");
}


void requests_in_flight_are_those_of_all_hosts(void **)
{
    bench b;
    const auto revision = b.change_route();
    assert_text(in_flight(b), "unknown"); // there is no gateway
    b.link_own(revision);
    assert_text(in_flight(b), "0");
    b.own_control.requests = 2;
    b.put("g", "b", revision, {{{"m", 1}, 3}, {{"m", 2}, 100}, {{"n", 1}, 100}});
    b.settle();
    assert_text(in_flight(b), "5");
    b.own.forget("own");
    assert_text(in_flight(b), "3");
    b.put("h", "b", revision, {{{"m", 1}, std::nullopt}});
    b.settle();
    assert_text(in_flight(b), "unknown");
    b.put("h", "b", revision);
    b.settle();
    assert_text(in_flight(b), "3");
    b.put("h", "b", revision - 1); // it may still be given some
    b.settle();
    assert_text(in_flight(b), "unknown");
    b.put("h", "b", revision, {}, false); // it cannot, though it is lost
    b.put("g", "b", revision);
    b.settle();
    assert_text(in_flight(b), "0");
    const auto asked = b.control.in_flight(
        "m", {""}, 1, [](std::optional<std::uint64_t> requests) { assert_false(requests.has_value()); });
    asked->cancel();
    b.settle();
}


void requests_in_flight_are_not_known_before_the_records_were_read(void **)
{
    bench b;
    b.settle();
    b.link_own(b.change_route());
    assert_text(in_flight(b), "unknown");
    assert_text(in_flight(b), "0");
}


void a_damaged_record_may_route_to_anything(void **)
{
    bench b;
    const auto revision = b.change_route();
    b.link_own(revision);
    b.etcd.put("/r/l/gateways/g", "damaged");
    b.view.poll();
    b.settle();
    assert_text(b.control.routing_before(revision),
                "gateway g, whose record in etcd cannot be read, may still route");
    assert_text(in_flight(b), "unknown");
    follow_wait known(b, revision, awaited::known);
    follow_wait reachable(b, revision, awaited::reachable);
    b.settle();
    assert_text(known.ended, "waits");
    assert_text(reachable.ended, "ok");
}


/// A leader that takes over waits for the last write of a model, though no route came with it.
void a_write_that_changed_no_route_is_followed_with_the_change_before_it(void **)
{
    bench b;
    const auto change = b.change_route();
    b.put("g", "b", change);
    b.etcd.put("/r/s/models/m", "again");
    const auto write = cluster::revision_of(b.etcd.revision(), 0);
    b.view.poll();
    b.settle();
    assert_holds(b.control.routing_before(write), "does not follow"); // the journal here has not come to it
    b.own.here = {change, write, write};
    assert_text(b.control.routing_before(write), "");
    assert_int_equal(b.control.followers_of(write, awaited::known).behind, 0);
    b.put("g", "b", change - 1);
    b.settle();
    assert_holds(b.control.routing_before(write), "does not follow");
}


/// Its own records are of the gateways that it has links to, and says less of them.
void records_of_this_host_are_those_of_gateways_that_it_does_not_know(void **)
{
    bench b;
    b.etcd.put("/r/l/hosts/a", "x");
    const auto revision = b.change_route();
    b.link_own(revision);
    b.put("own", "a", 0);
    b.settle();
    assert_text(b.control.routing_before(revision), "");
    b.put("earlier", "a", 0);
    b.settle();
    assert_holds(b.control.routing_before(revision), "of host a does not follow");
}


void a_message_names_some_and_counts_the_rest(void **)
{
    bench b;
    for (char name = 'a'; name < 'h'; ++name) {
        b.put(std::string(1, name), "b", 0);
    }
    const auto revision = b.change_route();
    b.settle();
    b.control.routing_before(revision);
    b.settle();
    assert_text(b.control.routing_before(revision),
                "gateway a of host b does not follow the newest routes yet; gateway b of host b does not follow the "
                "newest routes yet; gateway c of host b does not follow the newest routes yet; and 4 more");
}


void a_new_leader_knows_nothing_until_it_has_read(void **)
{
    bench b;
    const auto revision = b.change_route();
    b.link_own(revision);
    b.put("g", "b", revision);
    b.settle();
    assert_text(b.control.routing_before(revision), "");
    b.view.lead(0);
    assert_holds(b.control.routing_before(revision), "are being read");
    b.settle();
    assert_holds(b.control.routing_before(revision), "are being read"); // as it does not lead
    b.view.lead(100);
    b.settle();
    assert_text(b.control.routing_before(revision), "");
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(nothing_may_be_unloaded_before_the_records_were_read),
        cmocka_unit_test(one_that_came_before_the_change_is_waited_for),
        cmocka_unit_test(a_wait_for_all_ends_when_every_host_says_so),
        cmocka_unit_test(at_least_one_gateway_must_follow_and_it_may_be_elsewhere),
        cmocka_unit_test(a_wait_that_is_canceled_or_destroyed),
        cmocka_unit_test(requests_in_flight_are_those_of_all_hosts),
        cmocka_unit_test(requests_in_flight_are_not_known_before_the_records_were_read),
        cmocka_unit_test(a_damaged_record_may_route_to_anything),
        cmocka_unit_test(a_write_that_changed_no_route_is_followed_with_the_change_before_it),
        cmocka_unit_test(records_of_this_host_are_those_of_gateways_that_it_does_not_know),
        cmocka_unit_test(a_message_names_some_and_counts_the_rest),
        cmocka_unit_test(a_new_leader_knows_nothing_until_it_has_read),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
