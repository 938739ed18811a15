// rolloutd's end of the link: what nginx, or whoever is in its place, may send at any moment over several connections, while
// the engine publishes routes and tasks and asks its questions. Input: a line for each thing that happens.
//
//   a FRAME, b FRAME a frame over the first or the second link, a | for its line feed     r BYTES  bytes over the first
//   x, y             the first or the second link ends             n, o     and a new one comes
//   t                a task changes                                u        a route changes
//   q                the engine asks how many requests are in flight, and what they came to, and waits for a route
#include "tests/fuzz/fuzzing.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "worker/gateway/gateway_server.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>

#include <sys/socket.h>
#include <unistd.h>

using namespace rollout;

namespace {

/// A journal of a few tasks in memory; what it is asked it answers with the next turn.
class small_journal final : public journal {
  public:
    small_journal()
    {
        for (const char *task_id : {"abc", "abd"}) {
            task made;
            made.task_id = task_id;
            made.model_id = "123";
            made.config = share(json_ptr(json_object()));
            put(made);
        }
    }

    void put(const task &made)
    {
        task_row &row = rows_[made.task_id];
        row.revision = ++revision_;
        row.sequence = row.sequence == 0 ? revision_ : row.sequence;
        row.kind = made.kind;
        row.status = made.status;
        row.task_id = made.task_id;
        row.document = document_of(made);
        changed_ = row;
    }

    const task_row &changed() const noexcept { return changed_; }

    void answer()
    {
        while (!answers_.empty()) {
            const auto next = std::move(answers_.front());
            answers_.pop_front();
            next();
        }
    }

    const std::string &id() const override { return id_; }
    std::uint64_t revision() const override { return revision_; }
    void create(const task &, bool, created_fn) override {}
    void save(const task &, const model *, saved_fn) override {}
    void save_model(const model &, saved_fn) override {}
    void remember_gateway(const std::string &gateway, const std::string &) override
    {
        always(is_task_id(gateway), "a gateway that is remembered has a name");
    }
    void forget_gateway(const std::string &) override {}
    void save_series(const std::string &, const std::string &, std::string, std::function<void(outcome)>) override {}
    void find_series(const std::string &, series_fn) override {}
    void purge(purge_position, std::int64_t, std::size_t, purged_fn) override {}
    void count_tasks(std::function<void(outcome, std::uint64_t)>) override {}

    void find(const std::string &task_id, found_fn done) override
    {
        always(is_task_id(task_id), "only an id is looked up");
        answers_.push_back([this, task_id, done] {
            const auto known = rows_.find(task_id);
            done(outcome::ok(), known == rows_.end() ? std::nullopt : std::optional(known->second));
        });
    }

    void find_latest(task_kind, const std::string &model_id, found_fn done) override
    {
        always(is_model_id(model_id), "only a model's id is looked up");
        answers_.push_back([this, done] { done(outcome::ok(), rows_.begin()->second); });
    }

    void read_after(std::uint64_t after, std::size_t,
                    std::function<void(outcome, std::vector<task_row>)> done) override
    {
        answers_.push_back([this, after, done] {
            std::vector<task_row> found;
            for (const auto &[_, row] : rows_) {
                if (row.revision > after) {
                    found.push_back(row);
                }
            }
            std::ranges::sort(found, {}, &task_row::revision);
            done(outcome::ok(), std::move(found));
        });
    }

    void list(const task_filter &which, std::size_t limit, std::size_t, listed_fn done) override
    {
        always(limit >= 1 && limit <= limits::page_most, "a page has its bounds");
        always(which.model_id.empty() || is_model_id(which.model_id), "a page is of a model");
        answers_.push_back([this, done] { done(outcome::ok(), {rows_.begin()->second}, true); });
    }

    void list_models(const std::string &after, std::size_t limit, models_fn done) override
    {
        always(limit >= 1 && limit <= limits::page_most && (after.empty() || is_model_id(after)),
               "a page has its bounds");
        answers_.push_back([done] {
            model one;
            one.model_id = "123";
            done(outcome::ok(), {one}, true);
        });
    }

    std::size_t count_unfinished() const override { return 0; }
    void list_unfinished(std::uint64_t, std::size_t, listed_fn) override {}

    void list_all_models(const std::string &, std::size_t, models_fn done) override
    {
        answers_.push_back([done] { done(outcome::ok(), {}, false); });
    }

    void list_gateways(std::function<void(outcome, std::vector<known_gateway>)> done) override
    {
        answers_.push_back([done] { done(outcome::ok(), {{"old", ""}}); });
    }

  private:
    std::string id_ = std::string(32, 'j');
    std::uint64_t revision_ = 0;
    std::map<std::string, task_row> rows_;
    task_row changed_;
    std::deque<std::function<void()>> answers_;
};


/// The other end of one link.
struct link_end {
    int fd = -1;
    frame_reader reader;

    bool is_open() const noexcept { return fd >= 0; }
    void close()
    {
        if (is_open()) {
            ::close(std::exchange(fd, -1));
        }
        reader = {};
    }
};


class sidecar {
  public:
    sidecar()
    {
        uv_loop_init(&loop_);
        server_ = std::make_unique<gateway_server>(&loop_, journal_);
        server_->on_submit = [this](submission wanted, answer_fn answer) {
            always(is_task_id(wanted.task_id) && is_model_id(wanted.model_id) &&
                       json_is_object(wanted.config.get()) &&
                       (wanted.parent_id.empty() || is_task_id(wanted.parent_id)),
                   "a submission that reaches the scheduler is one");
            give(wanted.task_id, json_is_true(json_object_get(wanted.config.get(), "refuse")), answer);
        };
        server_->on_steer = [this](const steer_request &wanted, const answer_fn &answer) {
            always(is_task_id(wanted.task_id) &&
                       (wanted.kind == task_kind::deploy || wanted.verb == task_verb::cancel ||
                        wanted.verb == task_verb::retry),
                   "a word that reaches the scheduler is one");
            give(wanted.task_id, wanted.verb == task_verb::pause, answer);
        };
        server_->load([](const outcome &result) { always(static_cast<bool>(result), "its journal can be read"); });
        journal_.answer();
        // It listens nowhere: the links are pairs of sockets.
        connect(0);
        connect(1);
    }

    ~sidecar()
    {
        questions_.clear();
        server_->close();
        for (auto &end : ends_) {
            end.close();
        }
        server_.reset();
        journal_.answer();
        uv_run(&loop_, UV_RUN_DEFAULT);
        always(uv_loop_close(&loop_) == 0, "every handle is closed");
    }

    void happens(char what, std::string_view how)
    {
        switch (what) {
        case 'a':
        case 'b': {
            std::string frame;
            std::string text(how);
            std::ranges::replace(text, '|', '\n');
            append_frame(frame, text);
            say(what == 'a' ? 0 : 1, frame);
            break;
        }
        case 'r':
            say(0, how);
            break;
        case 'x':
        case 'y':
            ends_[what == 'x' ? 0 : 1].close();
            break;
        case 'n':
        case 'o':
            connect(what == 'n' ? 0 : 1);
            break;
        case 't': {
            const auto before = journal_.revision();
            task made;
            made.task_id = "abc";
            made.model_id = "123";
            made.status = task_status::in_progress;
            journal_.put(made);
            server_->follow({{journal_.changed()}, {}, before, journal_.revision()});
            break;
        }
        case 'u': {
            model to;
            to.model_id = "123";
            to.route_revision = 7;
            to.blue.emplace();
            to.blue->revision = 7;
            to.blue->upstream = "inference";
            to.blue->copies = {{"123__r7", {""}, nullptr}};
            server_->follow({{}, {to}, journal_.revision(), journal_.revision()});
            break;
        }
        case 'q':
            if (questions_.size() < 16) {
                questions_.push_back(server_->in_flight("123", {""}, 7, [](auto) {}));
                questions_.push_back(server_->measure("123", {""}, {6, 7}, [](const auto &all) {
                    for (const auto &[_, counters] : all) {
                        always(counters.revisions.size() == 2, "what is measured is all that was asked for");
                    }
                }));
                for (const auto whom : {gateway_control::awaited::known, gateway_control::awaited::reachable}) {
                    questions_.push_back(server_->when_followed(7, whom, [](const outcome &) {}));
                }
            }
            break;
        default:
            break;
        }
        turn();
    }

  private:
    void connect(std::size_t which)
    {
        ends_[which].close();
        std::array<int, 2> pair{};
        always(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) == 0,
               "there are sockets");
        ends_[which].fd = pair[1];
        server_->serve(pair[0]);
    }

    void say(std::size_t which, std::string_view bytes)
    {
        // A socket takes some hundred kilobytes at once, an input is shorter.
        if (ends_[which].is_open()) {
            (void)!::send(ends_[which].fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        }
    }

    void give(const std::string &task_id, bool refuse, const answer_fn &answer)
    {
        if (refuse) {
            answer({nullptr, false, {422, "No.", {{"/config", "is not liked"}}, 1}});
            return;
        }
        task made;
        made.task_id = task_id;
        made.model_id = "123";
        journal_.put(made);
        const task_row row = journal_.changed();
        answer({&row, true, {}});
    }

    /// Until nothing moves any more.
    void turn()
    {
        for (int i = 0; i < 3; ++i) {
            uv_run(&loop_, UV_RUN_NOWAIT);
            journal_.answer();
            for (auto &end : ends_) {
                observe(end);
            }
        }
    }

    /// Every frame that rolloutd writes is one that nginx takes.
    static void observe(link_end &end)
    {
        static std::array<char, 1 << 16> buffer;
        while (end.is_open()) {
            const ssize_t n = ::recv(end.fd, buffer.data(), buffer.size(), 0);
            if (n < 0) {
                return;
            }
            if (n == 0) {
                end.close();
                return;
            }
            end.reader.feed({buffer.data(), static_cast<std::size_t>(n)});
            json_ptr message;
            std::string reason;
            while (end.reader.next(message, reason) == frame_reader::state::message) {
                static constexpr std::array<std::string_view, 14> types = {
                    "welcome",       "stream", "shared", "accepted", "rejected", "found",  "listed",
                    "listed_models", "update", "routes", "sample",   "measure",  "refuse", "ping"};
                always(std::ranges::find(types, json_text(message.get(), "type")) != types.end(),
                       "rolloutd sends no other frames");
            }
            always(reason.empty(), "rolloutd writes whole frames");
        }
    }

    uv_loop_t loop_{};
    small_journal journal_;
    std::unique_ptr<gateway_server> server_;
    std::array<link_end, 2> ends_;
    std::vector<operation_ptr> questions_;
};

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    pieces input(data, size);
    sidecar rolloutd;
    for (int lines = 0; !input.done() && lines < 64; ++lines) {
        const auto line = input.text('\n');
        if (!line.empty()) {
            rolloutd.happens(line.front(), line.substr(1));
        }
    }
    return 0;
}
