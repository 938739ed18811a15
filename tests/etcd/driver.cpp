// The client of etcd by commands: each line of standard input is a JSON object, `{"id": 1, "do": "put", …}`, and each line of
// standard output one of its results, `{"id": 1, "ok": {…}}` or `{"id": 1, "failed": {"kind", "cause", "sentence"}}`, or what a watch or a
// lease has to tell. At the end of its input it destroys all, with what is under way, and ends. SIGTERM ends it in order: candidates
// for leadership resign.
#include "common/base/json.hpp"
#include "tests/etcd/command_input.hpp"
#include "tests/etcd/driven_candidate.hpp"
#include "worker/async/loop_clock.hpp"
#include "worker/etcd/client.hpp"
#include "worker/etcd/keep_alive.hpp"
#include "worker/etcd/rpc_thread.hpp"
#include "worker/etcd/watch.hpp"
#include "worker/os/signals.hpp"

#include <uv.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace {

using namespace rollout;

void print(const json_ptr &line)
{
    const std::string text = json_compact(line.get()) + '\n';
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}


void put_number(json_t *to, const char *member, std::int64_t number)
{
    json_put(to, member, json_made(json_integer(number)));
}


json_ptr of_failure(const etcd::failure &why)
{
    auto made = json_make_object();
    json_put(made.get(), "kind", etcd::name_of(why.is));
    json_put(made.get(), "cause", etcd::name_of(why.because));
    json_put(made.get(), "sentence", why.sentence);
    return made;
}


json_ptr of_header(const etcd::answer_header &header)
{
    auto made = json_make_object();
    put_number(made.get(), "revision", header.revision);
    json_put(made.get(), "member", std::to_string(header.member_id));
    return made;
}


json_ptr of_entry(const etcd::key_value &entry)
{
    auto made = json_make_object();
    json_put(made.get(), "key", entry.key);
    if (entry.value.size() <= 1000) {
        json_put(made.get(), "value", entry.value);
    }
    put_number(made.get(), "size", static_cast<std::int64_t>(entry.value.size()));
    put_number(made.get(), "created", entry.create_revision);
    put_number(made.get(), "modified", entry.mod_revision);
    put_number(made.get(), "version", entry.version);
    put_number(made.get(), "lease", entry.lease);
    return made;
}


json_ptr shown(const etcd::put_answer &answer)
{
    return of_header(answer.header);
}


json_ptr shown(const etcd::compact_answer &answer)
{
    return of_header(answer.header);
}


json_ptr shown(const etcd::revoke_answer &answer)
{
    return of_header(answer.header);
}


json_ptr shown(const etcd::delete_answer &answer)
{
    auto made = of_header(answer.header);
    put_number(made.get(), "deleted", answer.deleted);
    return made;
}


json_ptr shown(const etcd::range_answer &answer)
{
    auto made = of_header(answer.header);
    auto found = json_make_array();
    for (const auto &entry : answer.found) {
        json_add(found.get(), of_entry(entry));
    }
    json_put(made.get(), "found", std::move(found));
    put_number(made.get(), "count", answer.count);
    json_put(made.get(), "more", json_ptr(json_boolean(answer.more)));
    return made;
}


json_ptr shown(const etcd::txn_answer &answer)
{
    auto made = of_header(answer.header);
    json_put(made.get(), "succeeded", json_ptr(json_boolean(answer.succeeded)));
    auto parts = json_make_array();
    for (const auto &part : answer.parts) {
        json_add(parts.get(), std::visit([](const auto &of) { return shown(of); }, part.is));
    }
    json_put(made.get(), "parts", std::move(parts));
    return made;
}


json_ptr shown(const etcd::lease_answer &answer)
{
    auto made = of_header(answer.header);
    put_number(made.get(), "lease", answer.id);
    put_number(made.get(), "ttl", answer.ttl.count());
    return made;
}


json_ptr shown(const etcd::status_answer &answer)
{
    auto made = of_header(answer.header);
    json_put(made.get(), "version", answer.version);
    put_number(made.get(), "db_size", answer.db_size_bytes);
    put_number(made.get(), "db_used", answer.db_used_bytes);
    json_put(made.get(), "has_leader", json_ptr(json_boolean(answer.leader != 0)));
    json_put(made.get(), "learner", json_ptr(json_boolean(answer.is_learner)));
    json_put(made.get(), "errors", json_make_array(answer.errors));
    return made;
}


std::string text_of(const json_t *from, const char *member)
{
    return std::string(json_text(from, member));
}


/// A value as it stands, or of `size` bytes.
std::string value_of(const json_t *from)
{
    const auto size = json_count(from, "size");
    return size != 0 ? std::string(size, 'v') : text_of(from, "value");
}


etcd::range_request range_of(const json_t *from)
{
    return {text_of(from, "key"),
            text_of(from, "end"),
            json_number(from, "limit"),
            json_number(from, "revision"),
            json_is_true(json_object_get(from, "serializable")),
            json_is_true(json_object_get(from, "keys_only")),
            json_is_true(json_object_get(from, "count_only"))};
}


etcd::compare compare_of(const json_t *from)
{
    using compare = etcd::compare;
    static const std::map<std::string, compare::field> fields{{"version", compare::field::version},
                                                              {"created", compare::field::create_revision},
                                                              {"modified", compare::field::mod_revision},
                                                              {"lease", compare::field::lease},
                                                              {"value", compare::field::value}};
    static const std::map<std::string, compare::relation> relations{{"=", compare::relation::equal},
                                                                    {"!=", compare::relation::not_equal},
                                                                    {"<", compare::relation::less},
                                                                    {">", compare::relation::greater}};
    return {text_of(from, "key"), fields.at(text_of(from, "of")), relations.at(text_of(from, "is")),
            json_number(from, "number"), text_of(from, "value")};
}


etcd::txn_request txn_of(const json_t *from);


etcd::txn_step step_of(const json_t *from)
{
    const std::string what = text_of(from, "do");
    if (what == "put") {
        return {etcd::put_request{text_of(from, "key"), value_of(from), json_number(from, "lease")}};
    }
    if (what == "remove") {
        return {etcd::delete_request{text_of(from, "key"), text_of(from, "end")}};
    }
    if (what == "txn") {
        return {txn_of(from)};
    }
    return {range_of(from)};
}


etcd::txn_request txn_of(const json_t *from)
{
    etcd::txn_request made;
    std::size_t i = 0;
    const json_t *one = nullptr;
    json_array_foreach(json_object_get(from, "compares"), i, one)
    {
        made.compares.push_back(compare_of(one));
    }
    json_array_foreach(json_object_get(from, "then"), i, one)
    {
        made.then.push_back(step_of(one));
    }
    json_array_foreach(json_object_get(from, "otherwise"), i, one)
    {
        made.otherwise.push_back(step_of(one));
    }
    return made;
}


/// A watch that tells of its changes, and goes on by itself unless it is held.
class told_watch final : public etcd::watcher {
  public:
    told_watch(json_int_t id, bool held) : id_(id), held_(held) {}

    std::unique_ptr<etcd::watch> watch;

    void on_events(std::vector<etcd::watch_event> events) override
    {
        auto all = json_make_array();
        for (const auto &event : events) {
            auto entry = of_entry(event.entry);
            json_put(entry.get(), "deleted", json_ptr(json_boolean(event.is_delete)));
            json_add(all.get(), std::move(entry));
        }
        tell("events", std::move(all));
        if (!held_) {
            watch->applied(events.back().entry.mod_revision);
        }
    }

    void on_compacted(std::int64_t oldest) override { tell("compacted", json_made(json_integer(oldest))); }
    void on_trouble(const etcd::failure &why) override { tell("trouble", of_failure(why)); }

  private:
    void tell(const char *what, json_ptr value) const
    {
        auto line = json_make_object();
        put_number(line.get(), "watch", id_);
        json_put(line.get(), what, std::move(value));
        print(line);
    }

    json_int_t id_;
    bool held_;
};


class driver {
  public:
    explicit driver(uv_loop_t *loop) : loop_(loop), clock_(loop) {}

    void command(const json_t *line)
    {
        const auto id = json_number(line, "id");
        const std::string what = text_of(line, "do");
        if (what == "open") {
            open(id, line);
        } else if (what == "close") {
            close();
            ok(id, json_make_object());
        } else if (what == "threads") {
            auto count = json_make_object();
            put_number(count.get(), "count",
                       std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
            ok(id, std::move(count));
        } else if (what == "watch") {
            auto made = std::make_unique<told_watch>(id, json_is_true(json_object_get(line, "held")));
            made->watch = std::make_unique<etcd::watch>(
                *thread_, clock_, access_,
                etcd::watched_range{text_of(line, "key"), text_of(line, "end"), json_number(line, "applied"),
                                    std::chrono::milliseconds(json_number(line, "silence_ms"))},
                *made);
            watches_[id] = std::move(made);
        } else if (what == "applied") {
            watches_.at(json_number(line, "watch"))->watch->applied(json_number(line, "revision"));
        } else if (what == "unwatch") {
            watches_.erase(json_number(line, "watch"));
            ok(id, json_make_object());
        } else if (what == "keep_alive") {
            keep_alive(id, json_number(line, "ttl"));
        } else if (what == "candidate") {
            stand(id, line);
        } else if (what == "stand") {
            candidates_.at(json_number(line, "candidate"))->stand(json_is_true(json_object_get(line, "wanted")));
            ok(id, json_make_object());
        } else if (what == "write") {
            candidates_.at(json_number(line, "candidate"))->write(text_of(line, "key"));
            ok(id, json_make_object());
        } else if (what == "leadership") {
            ok(id, candidates_.at(json_number(line, "candidate"))->shown());
        } else if (what == "say") {
            candidates_.at(json_number(line, "candidate"))
                ->say(text_of(line, "word"), [id](const outcome &result, const std::string &answer) {
                    auto told = json_make_object();
                    json_put(told.get(), result ? "answer" : "trouble", result ? answer : result.detail);
                    ok(id, std::move(told));
                });
        } else if (what == "resign") {
            candidates_.at(json_number(line, "candidate"))->resign([id] { ok(id, json_make_object()); });
        } else if (what == "cancel") {
            calls_.at(json_number(line, "call"))->cancel();
        } else if (what == "abandon") {
            calls_.erase(json_number(line, "call"));
        } else if (client_) {
            calls_[id] = call(id, what, line);
        } else {
            throw std::runtime_error("no client is open");
        }
    }

    /// All candidates resign, then it is closed.
    void end(std::function<void()> done)
    {
        ended_ = std::move(done);
        resigning_ = candidates_.size() + 1;
        for (const auto &[_, candidate] : candidates_) {
            candidate->resign([this] { resigned(); });
        }
        resigned();
    }

    void close()
    {
        candidates_.clear();
        leases_.clear();
        watches_.clear();
        client_.reset(); // with the calls under way
        thread_.reset();
        access_.reset();
        calls_.clear();
    }

  private:
    void open(json_int_t id, const json_t *line)
    {
        etcd::access_settings settings;
        std::size_t i = 0;
        const json_t *one = nullptr;
        json_array_foreach(json_object_get(line, "endpoints"), i, one)
        {
            settings.endpoints.emplace_back(json_text(one));
        }
        settings.ca_file = text_of(line, "ca_file");
        settings.cert_file = text_of(line, "cert_file");
        settings.key_file = text_of(line, "key_file");
        settings.user = text_of(line, "user");
        settings.password = text_of(line, "password");
        settings.insecure = json_is_true(json_object_get(line, "insecure"));
        settings.host = text_of(line, "host");
        auto opened = etcd::access::open(std::move(settings));
        if (!opened) {
            auto result = json_make_object();
            put_number(result.get(), "id", id);
            json_put(result.get(), "fault", opened.sentence());
            print(result);
            return;
        }
        access_ = *opened;
        thread_ = std::make_unique<etcd::rpc_thread>(loop_);
        client_ = std::make_unique<etcd::client>(*thread_, clock_, access_,
                                                 std::chrono::milliseconds(json_number(line, "timeout_ms", 2000)));
        ok(id, json_make_object());
    }

    void stand(json_int_t id, const json_t *line)
    {
        const cluster_place place{text_of(line, "prefix"), text_of(line, "host"),
                                  std::chrono::seconds(json_number(line, "lease", 4))};
        candidates_[id] = std::make_unique<driven_candidate>(*thread_, clock_, access_, place,
                                                             !json_is_false(json_object_get(line, "wanted")),
                                                             [id](const char *what, json_ptr value) {
                                                                 auto told = json_make_object();
                                                                 put_number(told.get(), "candidate", id);
                                                                 json_put(told.get(), what, std::move(value));
                                                                 print(told);
                                                             });
    }

    void resigned()
    {
        if (--resigning_ == 0) {
            soon_ = clock_.after(std::chrono::milliseconds(0), [this] {
                close();
                ended_();
            });
        }
    }

    operation_ptr call(json_int_t id, const std::string &what, const json_t *line)
    {
        const auto tell = [this, id](const auto &answer) { told(id, answer); };
        if (what == "range") {
            return client_->range(range_of(line), tell);
        }
        if (what == "put") {
            return client_->put({text_of(line, "key"), value_of(line), json_number(line, "lease")}, tell);
        }
        if (what == "remove") {
            return client_->remove({text_of(line, "key"), text_of(line, "end")}, tell);
        }
        if (what == "txn") {
            return client_->txn(txn_of(line), tell);
        }
        if (what == "compact") {
            return client_->compact({json_number(line, "revision"), json_is_true(json_object_get(line, "physical"))},
                                    tell);
        }
        if (what == "grant") {
            return client_->grant({std::chrono::seconds(json_number(line, "ttl"))}, tell);
        }
        if (what == "renew") {
            return client_->renew({json_number(line, "lease")}, tell);
        }
        if (what == "revoke") {
            return client_->revoke({json_number(line, "lease")}, tell);
        }
        if (what == "status") {
            return client_->status({}, tell);
        }
        throw std::runtime_error("there is no command " + what);
    }

    void keep_alive(json_int_t id, json_int_t ttl)
    {
        const auto asked_at = clock_.now();
        calls_[id] = client_->grant({std::chrono::seconds(ttl)},
                                    [this, id, asked_at](const etcd::answer<etcd::lease_answer> &granted) {
                                        if (granted) {
                                            leases_[id] = kept(id, *granted, asked_at);
                                        }
                                        told(id, granted);
                                    });
    }

    std::unique_ptr<etcd::keep_alive> kept(json_int_t id, const etcd::lease_answer &lease,
                                           std::chrono::milliseconds asked_at)
    {
        return std::make_unique<etcd::keep_alive>(
            [this](etcd::lease_renewal request, etcd::answer_fn<etcd::lease_answer> done) {
                return client_->renew(request, std::move(done));
            },
            clock_, lease, asked_at,
            [this, id](const std::string &why) {
                auto line = json_make_object();
                put_number(line.get(), "keep_alive", id);
                json_put(line.get(), "lost", why);
                print(line);
                leases_.erase(id);
            });
    }

    template <typename Answer>
    void told(json_int_t id, const etcd::answer<Answer> &answer)
    {
        if (answer) {
            ok(id, shown(*answer));
        } else {
            auto line = json_make_object();
            put_number(line.get(), "id", id);
            json_put(line.get(), "failed", of_failure(answer.why()));
            print(line);
        }
        calls_.erase(id);
    }

    static void ok(json_int_t id, json_ptr value)
    {
        auto line = json_make_object();
        put_number(line.get(), "id", id);
        json_put(line.get(), "ok", std::move(value));
        print(line);
    }

    uv_loop_t *loop_;
    loop_clock clock_;
    std::shared_ptr<const etcd::access> access_;
    std::unique_ptr<etcd::rpc_thread> thread_;
    std::unique_ptr<etcd::client> client_;
    std::map<json_int_t, operation_ptr> calls_;
    std::map<json_int_t, std::unique_ptr<told_watch>> watches_;
    std::map<json_int_t, std::unique_ptr<etcd::keep_alive>> leases_;
    std::map<json_int_t, std::unique_ptr<driven_candidate>> candidates_;
    std::size_t resigning_ = 0;
    std::function<void()> ended_;
    operation_ptr soon_;
};

} // namespace


int main()
{
    std::thread([] {
    }).join(); // from the first one on ThreadSanitizer has a thread of its own, which tests do not count
    uv_loop_t loop;
    uv_loop_init(&loop);
    {
        signal_catcher signals(&loop);
        driver all(&loop);
        command_input in([&all](const json_t *line) { all.command(line); },
                         [&all, &signals] {
                             all.close();
                             signals.ignore();
                         });
        signals.start([&](int) { all.end([&in] { in.close(); }); });
        in.start(&loop);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    uv_run(&loop, UV_RUN_DEFAULT); // what was closed last
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}
