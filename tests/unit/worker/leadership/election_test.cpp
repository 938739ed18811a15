#include "worker/leadership/etcd/election.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_etcd.hpp"
#include "worker/leadership/etcd/host_record.hpp"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace rollout;
using namespace std::chrono_literals;

const std::string leader_key = "/r/s/leader";
const std::string hosts_prefix = "/r/l/hosts/";


struct host {
    host(fake_etcd &etcd, fake_clock &clock, std::string named)
        : name(std::move(named)), time(clock), way(etcd, clock, time)
    {
        etcd.put(hosts_prefix + name, text_of(host_record{}));
        begin();
    }

    void begin()
    {
        own = std::make_unique<election>(
            way, time, election_settings{name, leader_key, hosts_prefix, 4s},
            election::events{[this](leader_token token) { story.push_back("elected " + std::to_string(token)); },
                             [this](const std::string &why) { story.push_back("deposed: " + why); },
                             [this] { ++changes; }});
        own->start();
    }

    std::string name;
    host_clock time;
    way_to_etcd way;
    std::vector<std::string> story;
    int changes = 0;
    std::unique_ptr<election> own;
};


/// Hosts a, b, c …, of which never two lead at a time by what they believe, nor one that etcd has another one for.
struct cluster {
    explicit cluster(std::size_t size)
    {
        for (std::size_t i = 0; i < size; ++i) {
            hosts.push_back(std::make_unique<host>(etcd, time, std::string(1, static_cast<char>('a' + i))));
        }
        time.after_each = [this] { check(); };
    }

    void watches()
    {
        etcd.on_change = [this](const std::string &key) {
            for (auto &of : hosts) {
                if (key == leader_key && of->own) {
                    of->time.post([&of] { of->own ? of->own->poll() : void(); }, 1ms);
                }
            }
        };
    }

    void check()
    {
        int leaders = 0;
        for (const auto &of : hosts) {
            const auto token = of->own && !of->time.is_stopped() ? of->own->token() : std::nullopt;
            if (!token) {
                continue;
            }
            ++leaders;
            const auto found = etcd.keys.find(leader_key);
            if (found != etcd.keys.end() && found->second.create_revision > *token && !early) {
                fail_msg("%s leads with %lld, and etcd has another leader", of->name.c_str(),
                         static_cast<long long>(*token));
            }
        }
        if (leaders > 1 && !early) {
            fail_msg("%d lead at a time", leaders);
        }
    }

    host *leader()
    {
        const auto found = std::ranges::find_if(
            hosts, [](const auto &of) { return of->own && !of->time.is_stopped() && of->own->token(); });
        return found == hosts.end() ? nullptr : found->get();
    }

    host &await_leader(std::chrono::milliseconds within)
    {
        const auto until = time.now() + within;
        while (leader() == nullptr && time.now() <= until && time.next()) {
        }
        assert_true(leader() != nullptr && time.now() <= until);
        return *leader();
    }

    bool early = false; ///< etcd ends leases before their time: then only the compares of writes protect
    fake_clock time;
    fake_etcd etcd{time};
    std::vector<std::unique_ptr<host>> hosts;
};


void a_candidate_alone_is_elected(void **)
{
    cluster c(1);
    auto &a = c.await_leader(100ms);
    const auto &key = c.etcd.keys.at(leader_key);
    assert_int_equal(*a.own->token(), key.create_revision);
    assert_text(key.value, "{\"host\":\"a\"}");
    assert_true(key.lease != 0);
    assert_text(a.story.at(0), "elected " + std::to_string(key.create_revision));
    assert_true(*a.own->leader() == (known_leader{"a", key.create_revision}));
    c.time.run_for(1min);
    assert_int_equal(a.story.size(), 1);
    assert_true(a.own->leads_until() > c.time.now());
}


void one_of_three_leads_and_the_others_know_it(void **)
{
    cluster c(3);
    const auto &first = c.await_leader(1s);
    c.time.run_for(1min);
    for (const auto &of : c.hosts) {
        assert_text(of->own->leader()->host, first.name);
        assert_int_equal(of->own->leader()->token, *first.own->token());
        assert_int_equal(of->story.size(), of.get() == &first ? 1 : 0);
        assert_text(of->own->trouble(), "");
    }
    assert_int_equal(c.etcd.leases(), 1);
}


void another_leads_soon_after_the_leader_has_died(void **)
{
    cluster c(3);
    c.watches();
    auto &first = c.await_leader(1s);
    const auto token = *first.own->token();
    first.own.reset();
    c.time.run_for(1ms);
    auto &second = c.await_leader(4s + 450ms);
    assert_true(&second != &first && *second.own->token() > token);
}


void without_a_watch_as_well(void **)
{
    cluster c(3);
    auto &first = c.await_leader(1s);
    first.own.reset();
    c.await_leader(4s + 2s + 450ms);
}


void a_leader_that_resigns_is_followed_at_once(void **)
{
    cluster c(3);
    c.watches();
    auto &first = c.await_leader(1s);
    bool is_done = false;
    first.own->resign([&] { is_done = true; });
    assert_false(first.own->token().has_value());
    assert_false(is_done);
    auto &second = c.await_leader(50ms);
    assert_true(is_done);
    assert_true(&second != &first);
    assert_int_equal(first.story.size(), 1); // nothing is said of what it wanted itself
    c.time.run_for(1min);
    assert_true(first.own->state() == election_state::stopped);
    assert_true(c.leader() == &second);
}


void a_leader_that_is_cut_off_stops_before_etcd_ends_its_lease(void **)
{
    cluster c(2);
    c.watches();
    auto &first = c.await_leader(1s);
    const auto token = *first.own->token();
    first.way.loses_requests = true;
    assert_true(c.time.run_until([&] { return first.story.size() == 2; }));
    assert_holds(first.story.at(1), "deposed: the lease was not renewed within 3.6 s: etcd does not answer");
    assert_int_equal(c.etcd.keys.at(leader_key).create_revision, token); // still
    auto &second = c.await_leader(1s);
    assert_true(&second != &first);
    assert_holds(first.own->trouble(), "etcd does not answer");
    first.way.loses_requests = false;
    c.time.run_for(10s);
    assert_text(first.own->leader()->host, second.name);
    assert_text(first.own->trouble(), "");
    assert_int_equal(first.story.size(), 2);
}


void a_leader_that_was_stopped_knows_at_once_that_its_time_is_over(void **)
{
    cluster c(2);
    c.watches();
    auto &first = c.await_leader(1s);
    first.time.stop();
    c.time.run_for(500ms);
    first.time.resume();
    assert_true(first.own->token().has_value()); // that was short
    c.time.run_for(5s);
    assert_true(first.own->token().has_value());
    first.time.stop();
    c.time.run_for(10s);
    auto &second = *c.leader();
    assert_true(&second != &first);
    first.time.resume();
    assert_false(first.own->token().has_value()); // before it is told
    assert_int_equal(first.story.size(), 1);
    c.time.run_for(1s);
    assert_int_equal(first.story.size(), 2);
    assert_true(c.leader() == &second);
    assert_text(first.own->leader()->host, second.name);
}


void a_lease_that_etcd_ends_early_deposes_though_its_renewals_are_answered(void **)
{
    cluster c(1);
    c.early = true;
    c.etcd.renews_blindly = true;
    auto &first = c.await_leader(1s);
    const auto token = *first.own->token();
    c.etcd.end_lease(c.etcd.keys.at(leader_key).lease);
    c.time.run_for(1s + 10ms);
    assert_true(first.story.size() >= 2);
    assert_text(first.story.at(1), "deposed: etcd has ended its lease");
    assert_true(*c.await_leader(1s).own->token() > token);
}


void a_renewal_that_says_so_deposes_as_well(void **)
{
    cluster c(1);
    auto &first = c.await_leader(1s);
    c.etcd.end_lease(c.etcd.keys.at(leader_key).lease);
    c.time.run_for(1s + 10ms);
    assert_text(first.story.at(1), "deposed: etcd has ended the lease");
    c.await_leader(1s); // the same one
    assert_int_equal(first.story.size(), 3);
}


void a_claim_whose_answer_is_lost_is_read_back(void **)
{
    cluster c(1);
    auto &a = *c.hosts[0];
    assert_true(c.time.run_until([&] { return a.own->state() == election_state::claiming; }));
    a.way.loses_answers = true;
    assert_true(c.time.run_until([&] { return c.etcd.keys.contains(leader_key); }));
    assert_true(a.own->state() == election_state::claiming);
    c.time.run_for(1ms);
    a.way.loses_answers = false;
    assert_true(c.time.run_until([&] { return a.own->state() == election_state::confirming; }));
    c.await_leader(10ms);
    assert_int_equal(*a.own->token(), c.etcd.keys.at(leader_key).create_revision);
}


void a_claim_that_was_lost_is_made_again_with_another_lease(void **)
{
    cluster c(1);
    auto &a = *c.hosts[0];
    assert_true(c.time.run_until([&] { return a.own->state() == election_state::granting; }));
    c.time.run_for(1ms);
    a.way.request_takes = 3s; // the claim and what comes after it; it arrives when it is given up
    assert_true(c.time.run_until([&] { return a.own->state() == election_state::claiming; }));
    a.way.request_takes = 1ms;
    assert_true(c.time.run_until([&] { return a.own->state() == election_state::confirming; }));
    auto &leader = c.await_leader(100ms);
    c.time.run_for(1min);
    assert_true(c.leader() == &leader);
    assert_int_equal(leader.story.size(), 1);
    assert_int_equal(c.etcd.leases(), 1);
}


void without_room_nobody_is_elected_and_it_says_so(void **)
{
    cluster c(2);
    c.etcd.full = true;
    c.time.run_for(1min);
    assert_true(c.leader() == nullptr);
    for (const auto &of : c.hosts) {
        assert_text(of->own->trouble(), "database space exceeded");
        assert_int_equal(of->changes, 1);
    }
    c.etcd.full = false;
    const auto &first = c.await_leader(2s);
    assert_text(first.own->trouble(), "");
    c.time.run_for(5s);
    assert_text(c.hosts[&first == c.hosts[0].get() ? 1 : 0]->own->trouble(), "");
    // Who leads goes on.
    c.etcd.full = true;
    c.time.run_for(1min);
    assert_true(c.leader() == &first);
}


void who_is_not_to_lead_only_follows(void **)
{
    cluster c(2);
    c.watches();
    auto &a = *c.hosts[0];
    auto &b = *c.hosts[1];
    a.own->stand(false);
    const auto &first = c.await_leader(1s);
    assert_true(&first == &b);
    c.time.run_for(2s);
    assert_text(a.own->leader()->host, "b");
    b.own->stand(false);
    assert_int_equal(b.story.size(), 1); // never from inside
    assert_false(b.own->token().has_value());
    c.time.run_for(10s);
    assert_text(b.story.at(1), "deposed: it may not lead any more");
    assert_false(c.etcd.keys.contains(leader_key));
    assert_false(a.own->leader().has_value());
    a.own->stand(true);
    assert_true(&c.await_leader(500ms) == &a);
}


void a_key_without_a_lease_is_reported(void **)
{
    cluster c(1);
    c.etcd.put(leader_key, "by hand");
    c.time.run_for(10s);
    assert_true(c.leader() == nullptr);
    assert_holds(c.hosts[0]->own->trouble(), "etcdctl del");
    c.etcd.keys.erase(leader_key);
    c.await_leader(3s);
    assert_text(c.hosts[0]->own->trouble(), "");
}


void to_resign_ends_also_where_etcd_is_away(void **)
{
    cluster c(1);
    auto &a = c.await_leader(1s);
    a.way.loses_requests = true;
    bool is_done = false;
    a.own->resign([&] { is_done = true; });
    c.time.run_for(3s);
    assert_true(is_done);
    assert_true(a.own->state() == election_state::stopped);
}


void who_is_no_leader_resigns_as_well(void **)
{
    for (const auto at : {election_state::following, election_state::ranking, election_state::waiting,
                          election_state::granting, election_state::claiming, election_state::leading}) {
        cluster c(1);
        auto &a = *c.hosts[0];
        assert_true(c.time.run_until([&] { return a.own->state() == at; }));
        bool is_done = false;
        a.own->resign([&] { is_done = true; });
        assert_false(is_done);
        c.time.run_for(10s);
        assert_true(is_done);
        assert_true(a.own->state() == election_state::stopped);
        assert_false(c.etcd.keys.contains(leader_key));
        assert_int_equal(c.etcd.leases(), 0);
    }
}


void those_who_are_told_may_destroy_it(void **)
{
    fake_clock time;
    fake_etcd etcd(time);
    host_clock own_time(time);
    way_to_etcd way(etcd, time, own_time);
    const election_settings settings{"a", leader_key, hosts_prefix, 4s};
    std::unique_ptr<election> own;
    own = std::make_unique<election>(way, own_time, settings,
                                     election::events{[&](leader_token) { own.reset(); }, {}, {}});
    own->start();
    time.run_for(10s);
    assert_null(own.get());
    own = std::make_unique<election>(way, own_time, settings, election::events{{}, {}, [&] { own.reset(); }});
    own->start();
    time.run_for(10s);
    assert_null(own.get());
    own = std::make_unique<election>(way, own_time, settings,
                                     election::events{{}, [&](const std::string &) { own.reset(); }, {}});
    own->start();
    time.run_for(3s);
    way.loses_requests = true;
    time.run_for(10s);
    assert_null(own.get());
}


/// Faults in any order; then none, and one leads.
void whatever_happens_one_leads_at_a_time(void **)
{
    for (unsigned seed = 0; seed < 300; ++seed) {
        std::mt19937 random(seed);
        const auto below = [&random](unsigned bound) { return static_cast<unsigned>(random() % bound); };
        cluster c(3);
        if (below(2) == 0) {
            c.watches();
        }
        for (int fault = 0; fault < 60; ++fault) {
            auto &of = *c.hosts[below(3)];
            switch (below(8)) {
            case 0:
                of.way.loses_requests = !of.way.loses_requests;
                break;
            case 1:
                of.way.loses_answers = !of.way.loses_answers;
                break;
            case 2:
                of.time.is_stopped() ? of.time.resume() : of.time.stop();
                break;
            case 3:
                of.own.reset(); // kill -9, and another start
                of.begin();
                break;
            case 4:
                of.way.request_takes = std::chrono::milliseconds(below(3) == 0 ? below(5000) : below(50));
                break;
            case 5:
                of.way.answer_takes = std::chrono::milliseconds(below(3) == 0 ? below(5000) : below(50));
                break;
            case 6:
                c.etcd.full = below(4) == 0;
                break;
            default:
                of.own->poll();
                break;
            }
            c.time.run_for(std::chrono::milliseconds(below(2000)));
        }
        c.etcd.full = false;
        for (const auto &of : c.hosts) {
            of->way.loses_requests = of->way.loses_answers = false;
            of->way.request_takes = of->way.answer_takes = 1ms;
            of->time.resume();
        }
        c.await_leader(15s);
        c.time.run_for(1min);
        const auto &last = *c.leader();
        for (const auto &of : c.hosts) {
            assert_text(of->own->leader()->host, last.name);
            std::int64_t before = 0;
            for (const auto &line : of->story) {
                if (line.starts_with("elected ")) {
                    assert_true(std::stoll(line.substr(8)) > before);
                    before = std::stoll(line.substr(8));
                }
            }
        }
    }
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_candidate_alone_is_elected),
        cmocka_unit_test(one_of_three_leads_and_the_others_know_it),
        cmocka_unit_test(another_leads_soon_after_the_leader_has_died),
        cmocka_unit_test(without_a_watch_as_well),
        cmocka_unit_test(a_leader_that_resigns_is_followed_at_once),
        cmocka_unit_test(a_leader_that_is_cut_off_stops_before_etcd_ends_its_lease),
        cmocka_unit_test(a_leader_that_was_stopped_knows_at_once_that_its_time_is_over),
        cmocka_unit_test(a_lease_that_etcd_ends_early_deposes_though_its_renewals_are_answered),
        cmocka_unit_test(a_renewal_that_says_so_deposes_as_well),
        cmocka_unit_test(a_claim_whose_answer_is_lost_is_read_back),
        cmocka_unit_test(a_claim_that_was_lost_is_made_again_with_another_lease),
        cmocka_unit_test(without_room_nobody_is_elected_and_it_says_so),
        cmocka_unit_test(who_is_not_to_lead_only_follows),
        cmocka_unit_test(a_key_without_a_lease_is_reported),
        cmocka_unit_test(to_resign_ends_also_where_etcd_is_away),
        cmocka_unit_test(who_is_no_leader_resigns_as_well),
        cmocka_unit_test(those_who_are_told_may_destroy_it),
        cmocka_unit_test(whatever_happens_one_leads_at_a_time),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
