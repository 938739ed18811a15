#include "worker/leadership/etcd/word_receiver.hpp"
#include "worker/leadership/etcd/word_sender.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_etcd.hpp"

#include <memory>
#include <string>
#include <vector>

namespace {

using namespace rollout;
using namespace std::chrono_literals;

const word_keys keys{"/r/l/words/", "/r/a/"};
const std::string leader_key = "/r/s/leader";


/// A host that asks, and one that may lead.
struct bench {
    bench()
    {
        lease = etcd.apply(etcd::lease_request{4s})->id;
        keep();
    }

    /// Its host's lease does not end by itself.
    void keep()
    {
        time.post(
            [this] {
                static_cast<void>(etcd.apply(etcd::lease_renewal{lease}));
                lives ? keep() : void();
            },
            1s);
    }

    void send(const std::string &word)
    {
        const auto place = answers.size();
        answers.emplace_back();
        sender->send(word, [this, place](const outcome &result, const std::string &answer) {
            answers[place] += result ? "ok " + answer : result.detail;
        });
    }

    /// Another leader is elected: the same host, as far as the words go.
    void elect()
    {
        etcd.keys.erase(leader_key);
        etcd.put(leader_key, "b");
        receiver = std::make_unique<word_receiver>(
            leaders_way, leaders_time,
            word_receiver::settings{keys, leader_key, etcd.keys.at(leader_key).create_revision},
            [this](const std::string &host, const std::string &word, word_receiver::answer_word_fn answer) {
                received.push_back(host + ": " + word);
                held ? held_answers.push_back(std::move(answer)) : answer("done " + word);
            });
    }

    bool is_clean() const { return etcd.keys.size() == (etcd.keys.contains(leader_key) ? 1U : 0U); }

    fake_clock time;
    fake_etcd etcd{time};
    std::int64_t lease = 0;
    bool lives = true;
    host_clock own_time{time};
    host_clock leaders_time{time};
    way_to_etcd way{etcd, time, own_time};
    way_to_etcd leaders_way{etcd, time, leaders_time};
    std::vector<std::string> answers;
    std::vector<std::string> received;
    bool held = false;
    std::vector<word_receiver::answer_word_fn> held_answers;
    std::unique_ptr<word_sender> sender = std::make_unique<word_sender>(
        way, own_time, word_sender::settings{keys, "a", "p1"}, [this] { return lease; });
    std::unique_ptr<word_receiver> receiver;
};


void a_word_is_carried_out_and_answered_once(void **)
{
    bench b;
    b.elect();
    b.send("cancel 1");
    b.send("cancel 2");
    assert_text(b.answers[0], "");
    b.time.run_for(4s);
    assert_text(b.answers[0], "ok done cancel 1");
    assert_text(b.answers[1], "ok done cancel 2");
    assert_int_equal(b.received.size(), 2);
    assert_text(b.received[0], "a: cancel 1");
    b.time.run_for(1min);
    assert_int_equal(b.received.size(), 2);
    assert_true(b.is_clean());
}


void by_watches_it_takes_no_pause(void **)
{
    bench b;
    b.elect();
    b.time.run_for(5s);
    b.etcd.on_change = [&b](const std::string &key) {
        if (key.starts_with(keys.words)) {
            b.leaders_time.post([&b] { b.receiver->poll(); }, 1ms);
        } else if (key.starts_with(b.sender->answers_prefix())) {
            b.own_time.post([&b] { b.sender->poll(); }, 1ms);
        }
    };
    b.send("cancel 1");
    b.time.run_for(50ms);
    assert_text(b.answers[0], "ok done cancel 1");
}


void a_word_waits_for_a_leader(void **)
{
    bench b;
    b.send("cancel 1");
    b.time.run_for(5s);
    assert_text(b.answers[0], "");
    b.elect();
    b.time.run_for(3s);
    assert_text(b.answers[0], "ok done cancel 1");
}


void without_a_leader_it_fails_in_time_and_is_taken_back(void **)
{
    bench b;
    b.send("cancel 1");
    b.time.run_for(11s);
    assert_text(b.answers[0], "the leader has not answered within 10 s: it may still do what was asked");
    b.elect();
    b.time.run_for(10s);
    assert_int_equal(b.received.size(), 0);
    assert_true(b.is_clean());
}


void the_next_leader_answers_what_the_last_one_did_not(void **)
{
    bench b;
    b.held = true;
    b.elect();
    b.send("cancel 1");
    b.time.run_for(3s);
    assert_int_equal(b.received.size(), 1);
    b.held = false;
    b.elect();
    b.held_answers[0]("late"); // of one that was deposed
    b.time.run_for(3s);
    assert_int_equal(b.received.size(), 2); // at least once
    assert_text(b.answers[0], "ok done cancel 1");
}


void a_leader_that_is_none_any_more_cannot_answer(void **)
{
    bench b;
    b.held = true;
    b.elect();
    b.send("cancel 1");
    b.time.run_for(3s);
    b.etcd.keys.erase(leader_key);
    b.etcd.put(leader_key, "c"); // and it does not know yet
    b.held_answers[0]("by the old one");
    b.time.run_for(5s);
    assert_text(b.answers[0], "");
    assert_int_equal(b.received.size(), 1); // nor does it again what it has done
    b.held = false;
    b.elect();
    b.time.run_for(2s);
    assert_text(b.answers[0], "ok done cancel 1");
}


void an_answer_that_is_lost_is_put_again(void **)
{
    for (const bool arrives : {false, true}) {
        bench b;
        b.held = true;
        b.elect();
        b.send("cancel 1");
        b.time.run_for(3s);
        (arrives ? b.leaders_way.loses_answers : b.leaders_way.loses_requests) = true;
        b.held_answers[0]("yes");
        b.time.run_for(1s);
        b.leaders_way.loses_answers = b.leaders_way.loses_requests = false;
        b.time.run_for(4s);
        assert_text(b.answers[0], "ok yes");
        b.time.run_for(1min);
        assert_int_equal(b.received.size(), 1);
        assert_true(b.is_clean());
    }
}


void without_room_it_is_refused_and_not_done_twice(void **)
{
    bench b;
    b.etcd.full = true;
    b.send("cancel 1");
    b.time.run_for(1s);
    assert_text(b.answers[0], "database space exceeded");
    b.etcd.full = false;
    b.held = true;
    b.elect();
    b.send("cancel 2");
    b.time.run_for(3s);
    b.etcd.full = true;
    b.held_answers[0]("yes");
    b.time.run_for(3s);
    b.etcd.full = false;
    b.time.run_for(2s);
    assert_text(b.answers[1], "ok yes");
    assert_int_equal(b.received.size(), 1);
}


void words_end_with_their_host(void **)
{
    bench b;
    b.held = true;
    b.elect();
    b.send("cancel 1");
    b.send("cancel 2");
    b.time.run_for(3s);
    b.lives = false;
    b.sender.reset();
    b.held_answers[0]("yes"); // stays until the lease ends
    b.time.run_for(10s);
    b.held_answers[1]("too late");
    b.time.run_for(10s);
    assert_true(b.is_clean());
    assert_text(b.answers[0] + b.answers[1], "");
}


void a_host_that_is_not_registered_says_so(void **)
{
    bench b;
    b.lease = 0;
    b.send("cancel 1");
    assert_text(b.answers[0], ""); // never from inside
    b.time.settle();
    assert_holds(b.answers[0], "is not registered in etcd");
}


void both_may_be_destroyed_by_what_they_call(void **)
{
    bench b;
    b.sender->send("one", [&](const outcome &, const std::string &) { b.sender.reset(); });
    b.sender->send("two", [&](const outcome &, const std::string &) { fail_msg("it was destroyed"); });
    b.time.settle();
    etcd::put_request leader{leader_key, "b", 0};
    static_cast<void>(b.etcd.apply(leader));
    b.receiver = std::make_unique<word_receiver>(
        b.leaders_way, b.leaders_time,
        word_receiver::settings{keys, leader_key, b.etcd.keys.at(leader_key).create_revision},
        [&](const std::string &, const std::string &, const word_receiver::answer_word_fn &answer) {
            answer("yes");
            if (++b.leaders_way.request_takes == 3ms) {
                b.receiver.reset();
            }
        });
    b.time.run_for(10s);
    assert_null(b.receiver.get());
    assert_null(b.sender.get());
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_word_is_carried_out_and_answered_once),
        cmocka_unit_test(by_watches_it_takes_no_pause),
        cmocka_unit_test(a_word_waits_for_a_leader),
        cmocka_unit_test(without_a_leader_it_fails_in_time_and_is_taken_back),
        cmocka_unit_test(the_next_leader_answers_what_the_last_one_did_not),
        cmocka_unit_test(a_leader_that_is_none_any_more_cannot_answer),
        cmocka_unit_test(an_answer_that_is_lost_is_put_again),
        cmocka_unit_test(without_room_it_is_refused_and_not_done_twice),
        cmocka_unit_test(words_end_with_their_host),
        cmocka_unit_test(a_host_that_is_not_registered_says_so),
        cmocka_unit_test(both_may_be_destroyed_by_what_they_call),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
