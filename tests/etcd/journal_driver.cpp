// Journals in etcd by commands, several in one process, as driver.cpp has the client's: `{"id": 1, "do": "create", "journal": "a", …}`
// on a line of standard input, `{"id": 1, "ok": {…}}` on one of standard output. At the end of its input all journals are stopped, and
// the process ends when nothing is left.
#include "common/base/json.hpp"
#include "tests/etcd/command_input.hpp"
#include "worker/async/loop_clock.hpp"
#include "worker/etcd/rpc_thread.hpp"
#include "worker/journal/etcd/etcd_journal.hpp"
#include "worker/os/signals.hpp"

#include <uv.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace rollout;

void print(const json_ptr &line)
{
    const std::string text = json_compact(line.get()) + '\n';
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}


void put_number(json_t *to, const char *member, std::uint64_t number)
{
    json_put(to, member, json_make_number(number));
}


void ok(json_int_t id, json_ptr value)
{
    auto line = json_make_object();
    put_number(line.get(), "id", static_cast<std::uint64_t>(id));
    json_put(line.get(), "ok", std::move(value));
    print(line);
}


std::string_view name_of(outcome::kind kind)
{
    switch (kind) {
    case outcome::kind::ok:
        return "ok";
    case outcome::kind::transient:
        return "transient";
    case outcome::kind::permanent:
        return "permanent";
    case outcome::kind::canceled:
        return "canceled";
    case outcome::kind::lost:
        return "lost";
    }
    return "";
}


std::string_view name_of(journal::creation creation)
{
    switch (creation) {
    case journal::creation::created:
        return "created";
    case journal::creation::existed:
        return "existed";
    case journal::creation::conflict:
        return "conflict";
    case journal::creation::absent:
        return "absent";
    }
    return "";
}


json_ptr of_outcome(const outcome &ended)
{
    auto made = json_make_object();
    json_put(made.get(), "outcome", name_of(ended.is));
    json_put(made.get(), "detail", ended.detail);
    return made;
}


json_ptr of_row(const task_row &row)
{
    auto made = json_make_object();
    json_put(made.get(), "task_id", row.task_id);
    json_put(made.get(), "model_id", row.model_id);
    json_put(made.get(), "status", status_name(row.status));
    put_number(made.get(), "sequence", row.sequence);
    put_number(made.get(), "revision", row.revision);
    const auto read = task_of(row);
    json_put(made.get(), "detail", read ? read->detail : "unreadable");
    return made;
}


std::string text_of(const json_t *from, const char *member)
{
    return std::string(json_text(from, member));
}


struct opened {
    std::unique_ptr<etcd_journal> journal;
    std::map<std::string, task> tasks; ///< as this journal last had them
    std::map<std::string, model> models;
    std::map<std::string, std::uint64_t> news; ///< the last revision of each task that was told
    std::uint64_t last_news = 0;
    bool news_in_order = true;
    std::uint64_t resynchronised = 0;
    bool was_other = false;
    std::uint64_t failed_attempts = 0;
};


class driver {
  public:
    explicit driver(uv_loop_t *loop) : loop_(loop), clock_(loop), thread_(std::make_unique<etcd::rpc_thread>(loop)) {}

    void command(const json_t *line)
    {
        const auto id = json_number(line, "id");
        const auto what = text_of(line, "do");
        const auto name = text_of(line, "journal");
        if (what == "open") {
            open(id, name, line);
            return;
        }
        if (what == "burst") {
            burst(id, line);
            return;
        }
        opened &of = journals_.at(name);
        if (what == "create") {
            create(id, of, line);
        } else if (what == "save") {
            save(id, of, line);
        } else if (what == "find") {
            of.journal->find(text_of(line, "task_id"), found(id, of));
        } else if (what == "find_latest") {
            of.journal->find_latest(task_kind::deploy, text_of(line, "model_id"), found(id, of));
        } else if (what == "rows") {
            of.journal->read_after(0, std::size_t{1} << 30, [id](const outcome &ended, const auto &rows) {
                auto made = of_outcome(ended);
                auto all = json_make_array();
                for (const auto &row : rows) {
                    json_add(all.get(), of_row(row));
                }
                json_put(made.get(), "rows", std::move(all));
                ok(id, std::move(made));
            });
        } else if (what == "save_series") {
            of.journal->save_series(text_of(line, "task_id"), text_of(line, "model_id"), text_of(line, "document"),
                                    [id](const outcome &ended) { ok(id, of_outcome(ended)); });
        } else if (what == "find_series") {
            of.journal->find_series(text_of(line, "task_id"),
                                    [id](const outcome &ended, const std::optional<stored_series> &found) {
                                        auto made = of_outcome(ended);
                                        if (found) {
                                            json_put(made.get(), "model_id", found->model_id);
                                            json_put(made.get(), "document", found->document);
                                        }
                                        ok(id, std::move(made));
                                    });
        } else if (what == "models") {
            of.journal->list_models("", 1000, [id](const outcome &ended, const auto &models, bool) {
                auto made = of_outcome(ended);
                auto all = json_make_object();
                for (const auto &read : models) {
                    put_number(all.get(), read.model_id.c_str(), read.route_revision);
                }
                json_put(made.get(), "models", std::move(all));
                ok(id, std::move(made));
            });
        } else if (what == "purge") {
            of.journal->purge({}, INT64_MAX, 1000, [id](const outcome &ended, const purge_step &step) {
                auto made = of_outcome(ended);
                put_number(made.get(), "removed", step.removed);
                ok(id, std::move(made));
            });
        } else if (what == "count") {
            of.journal->count_tasks([id](const outcome &ended, std::uint64_t count) {
                auto made = of_outcome(ended);
                put_number(made.get(), "count", count);
                ok(id, std::move(made));
            });
        } else if (what == "lead") {
            of.journal->lead(json_number(line, "token"));
            ok(id, json_make_object());
        } else if (what == "current") {
            of.journal->current([id](bool is_current) {
                auto made = json_make_object();
                json_put(made.get(), "current", json_ptr(json_boolean(is_current)));
                ok(id, std::move(made));
            });
        } else if (what == "state") {
            state(id, of);
        } else if (what == "close") {
            close_one(name, [id] { ok(id, json_make_object()); });
        } else {
            throw std::runtime_error("there is no command " + what);
        }
    }

    void close()
    {
        std::vector<std::string> names;
        for (const auto &[name, of] : journals_) {
            names.push_back(name);
        }
        for (const auto &name : names) {
            close_one(name, [this] {
                if (journals_.empty()) {
                    thread_.reset();
                }
            });
        }
        if (names.empty()) {
            thread_.reset();
        }
    }

  private:
    void open(json_int_t id, const std::string &name, const json_t *line)
    {
        etcd::access_settings settings;
        std::size_t i = 0;
        const json_t *url = nullptr;
        json_array_foreach(json_object_get(line, "endpoints"), i, url)
        {
            settings.endpoints.emplace_back(json_text(url));
        }
        settings.host = name;
        auto access = etcd::access::open(std::move(settings));
        if (!access) {
            throw std::runtime_error(access.sentence());
        }
        opened &of = journals_[name];
        try {
            of.journal = std::make_unique<etcd_journal>(
                loop_, clock_, *thread_,
                etcd_journal::place{text_of(line, "path"), text_of(line, "prefix"), *access});
        } catch (const std::exception &why) {
            journals_.erase(name);
            auto made = json_make_object();
            json_put(made.get(), "fault", std::string_view(why.what()));
            ok(id, std::move(made));
            return;
        }
        of.last_news = of.journal->revision();
        of.journal->on_commit = [&of](const journal_news &news) {
            of.news_in_order = of.news_in_order && news.before <= news.now;
            for (const auto &row : news.rows) {
                of.news_in_order = of.news_in_order && row.revision > of.last_news && row.revision > news.before;
                of.last_news = row.revision;
                of.news[row.task_id] = row.revision;
            }
        };
        of.journal->on_resynchronised = [&of](bool is_other) {
            ++of.resynchronised;
            of.was_other = is_other;
            of.last_news = of.journal->revision();
        };
        of.journal->on_attempt = [&of](std::chrono::nanoseconds, bool worked) {
            of.failed_attempts += worked ? 0 : 1;
        };
        of.journal->start();
        ok(id, json_make_object());
    }

    static task task_from(const json_t *line)
    {
        task wanted;
        wanted.task_id = text_of(line, "task_id");
        wanted.model_id = text_of(line, "model_id");
        wanted.created_us = wanted.updated_us = 1000000;
        auto config = json_make_object();
        json_put(config.get(), "body", text_of(line, "body"));
        wanted.config = share(std::move(config));
        return wanted;
    }

    void create(json_int_t id, opened &of, const json_t *line)
    {
        const bool only_find = json_is_true(json_object_get(line, "only_find"));
        of.journal->create(task_from(line), only_find,
                           [id, &of](const outcome &ended, journal::creation creation, const task_row &row) {
                               auto made = of_outcome(ended);
                               json_put(made.get(), "creation", name_of(creation));
                               json_put(made.get(), "row", of_row(row));
                               remember(of, row);
                               ok(id, std::move(made));
                           });
    }

    void save(json_int_t id, opened &of, const json_t *line)
    {
        task &changed = of.tasks.at(text_of(line, "task_id"));
        changed.detail = text_of(line, "detail");
        if (const auto status = status_from(text_of(line, "status"))) {
            changed.status = *status;
        }
        model *with = nullptr;
        if (json_is_true(json_object_get(line, "with_model"))) {
            with = &of.models[changed.model_id];
            with->model_id = changed.model_id;
            with->last_revision += 1;
            with->blue.emplace();
            with->blue->revision = with->last_revision;
            with->blue->upstream = "inference";
            with->blue->copies = {{"name", {""}, nullptr}};
        }
        of.journal->save(changed, with,
                         [id, &of, task_id = changed.task_id](const outcome &ended, std::uint64_t revision) {
                             auto made = of_outcome(ended);
                             put_number(made.get(), "revision", revision);
                             if (ended) {
                                 of.tasks.at(task_id).revision = revision;
                             }
                             ok(id, std::move(made));
                         });
    }

    static void remember(opened &of, const task_row &row)
    {
        if (auto read = task_of(row)) {
            of.tasks[row.task_id] = std::move(*read);
        }
    }

    static journal::found_fn found(json_int_t id, opened &of)
    {
        return [id, &of](const outcome &ended, const std::optional<task_row> &row) {
            auto made = of_outcome(ended);
            if (row) {
                json_put(made.get(), "row", of_row(*row));
                remember(of, *row);
            }
            ok(id, std::move(made));
        };
    }

    static void state(json_int_t id, const opened &of)
    {
        auto made = json_make_object();
        json_put(made.get(), "following", json_ptr(json_boolean(of.journal->is_following())));
        json_put(made.get(), "trouble", of.journal->trouble());
        json_put(made.get(), "journal_id", of.journal->id());
        put_number(made.get(), "revision", of.journal->revision());
        put_number(made.get(), "news", of.news.size());
        json_put(made.get(), "in_order", json_ptr(json_boolean(of.news_in_order)));
        put_number(made.get(), "resynchronised", of.resynchronised);
        json_put(made.get(), "was_other", json_ptr(json_boolean(of.was_other)));
        put_number(made.get(), "failed_attempts", of.failed_attempts);
        put_number(made.get(), "unfinished", of.journal->count_unfinished());
        ok(id, std::move(made));
    }

    /// Creates made at one journal, so many at a time, each looked up at the others as soon as it is answered. One that
    /// fails is repeated, as a client does.
    struct burst_state {
        json_int_t id = 0;
        std::string prefix;
        etcd_journal *at = nullptr;
        std::vector<etcd_journal *> elsewhere;
        std::uint64_t count = 0;
        std::uint64_t begun = 0;
        std::uint64_t left = 0;
        std::uint64_t created = 0;
        std::uint64_t existed = 0;
        std::uint64_t repeated = 0;
        std::uint64_t lookups = 0;
        std::uint64_t unanswered = 0; ///< look-ups
        std::uint64_t missed = 0;
        std::uint64_t wrong = 0; ///< found, but not with the revision that was answered
    };
    using burst_ptr = std::shared_ptr<burst_state>;

    void burst(json_int_t id, const json_t *line)
    {
        const auto of = std::make_shared<burst_state>();
        of->id = id;
        of->prefix = text_of(line, "prefix");
        of->at = journals_.at(text_of(line, "at")).journal.get();
        std::size_t i = 0;
        const json_t *name = nullptr;
        json_array_foreach(json_object_get(line, "elsewhere"), i, name)
        {
            of->elsewhere.push_back(journals_.at(std::string(json_text(name))).journal.get());
        }
        of->count = of->left = json_count(line, "count");
        const auto at_once = json_number(line, "at_once", 64);
        for (json_int_t n = 0; n < at_once; ++n) {
            next(of);
        }
    }

    void next(const burst_ptr &of)
    {
        if (of->begun < of->count) {
            begin(of, of->prefix + std::to_string(of->begun++));
        }
    }

    void begin(const burst_ptr &of, const std::string &task_id)
    {
        task wanted;
        wanted.task_id = task_id;
        wanted.model_id = "m" + std::to_string(of->begun % 7);
        wanted.created_us = wanted.updated_us = 1000000;
        of->at->create(wanted, false,
                       [this, of, task_id](const outcome &ended, journal::creation creation, const task_row &row) {
                           if (!ended) {
                               ++of->repeated;
                               pauses_[task_id] = clock_.after(std::chrono::milliseconds(100),
                                                               [this, of, task_id] { begin(of, task_id); });
                               return;
                           }
                           of->created += creation == journal::creation::created ? 1 : 0;
                           of->existed += creation == journal::creation::existed ? 1 : 0;
                           look_up(of, row);
                           next(of);
                       });
    }

    static void look_up(const burst_ptr &of, const task_row &row)
    {
        const auto waits = std::make_shared<std::size_t>(of->elsewhere.size());
        if (*waits == 0) {
            ended_one(of);
        }
        for (auto *there : of->elsewhere) {
            there->find(row.task_id, [of, waits, revision = row.revision](const outcome &ended,
                                                                          const std::optional<task_row> &found) {
                ++of->lookups;
                of->unanswered += ended ? 0 : 1;
                of->missed += ended && !found ? 1 : 0;
                of->wrong += found && found->revision != revision ? 1 : 0;
                if (--*waits == 0) {
                    ended_one(of);
                }
            });
        }
    }

    static void ended_one(const burst_ptr &of)
    {
        if (--of->left != 0) {
            return;
        }
        auto made = json_make_object();
        put_number(made.get(), "created", of->created);
        put_number(made.get(), "existed", of->existed);
        put_number(made.get(), "repeated", of->repeated);
        put_number(made.get(), "lookups", of->lookups);
        put_number(made.get(), "unanswered", of->unanswered);
        put_number(made.get(), "missed", of->missed);
        put_number(made.get(), "wrong", of->wrong);
        ok(of->id, std::move(made));
    }

    /// A journal is destroyed when it has nothing under way.
    void close_one(const std::string &name, std::function<void()> done)
    {
        journals_.at(name).journal->stop();
        await_rest(name, std::move(done));
    }

    void await_rest(const std::string &name, std::function<void()> done)
    {
        pauses_["close " + name] = clock_.after(std::chrono::milliseconds(5), [this, name, done = std::move(done)] {
            if (journals_.at(name).journal->busy()) {
                await_rest(name, done);
                return;
            }
            journals_.erase(name);
            done();
        });
    }

    uv_loop_t *loop_;
    loop_clock clock_;
    std::unique_ptr<etcd::rpc_thread> thread_;
    std::map<std::string, opened> journals_;
    std::map<std::string, operation_ptr> pauses_;
};

} // namespace


int main()
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    {
        signal_catcher signals(&loop);
        std::function<void()> close;
        signals.start([&close](int) { close(); }); // before there is a thread of gRPC's
        driver all(&loop);
        command_input in([&all](const json_t *line) { all.command(line); },
                         [&all, &signals] {
                             all.close();
                             signals.ignore();
                         });
        close = [&in] { in.close(); };
        in.start(&loop);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}
