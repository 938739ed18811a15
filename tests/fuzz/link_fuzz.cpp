// The gateway's end of the link: what rolloutd, or whoever is in its place, may send to nginx at any moment, with clients that
// wait, ask and go. Input: a line for each thing that happens; a tab in a frame stands for its line feed.
//
//   f JSON   a frame comes            r BYTES  bytes come          e        the connection ends
//   c        it connects again        t        all timers run      x        the oldest waiting client goes
//   q ARGS   GET /deploy?ARGS         d ARGS   GET /delete?ARGS    m ARGS   GET /models?ARGS
//   s VERB   POST /deploy/abc/VERB    p JSON   POST /deploy        w        a client waits for task abc
//   l        a client asks for it     h TEXT   Prefer: TEXT        a ARGS   ?wait=
#include "tests/fuzz/fuzzing.hpp"
#include "tests/fuzz/nginx_stand_in.hpp"

#include "common/domain/identifiers.hpp"
#include "common/link/submission_line.hpp"
#include "module/handlers/task_list.hpp"
#include "module/handlers/task_verb.hpp"
#include "module/nginx/client_identity_of.hpp"
#include "module/nginx/preferences.hpp"
#include "module/zone/state_file.hpp"

#include <algorithm>
#include <deque>

using namespace rollout;

namespace {

/// What rolloutd takes (worker/gateway/gateway_server.hpp), as the frames' own contract has it.
void check_sent(const json_t *message, std::string_view lines)
{
    const auto type = json_text(message, "type");
    const auto is_kind = [&] { return kind_from(json_text(message, "kind")).has_value(); };
    if (type == "hello") {
        always(is_task_id(json_text(message, "gateway")), "a hello names the gateway");
    } else if (type == "submit") {
        always(!lines.empty(), "a submission is one");
        while (!lines.empty()) {
            json_error_t error;
            const auto line = read_submission(next_line(lines));
            always(line && json_is_object(json_read(line->config, JSON_REJECT_DUPLICATES, error).get()) &&
                       line_of(client_identity_from_line(line->by)) == line->by,
                   "a submission is whole");
        }
    } else if (type == "lookup") {
        always(is_kind() && is_task_id(json_text(message, "task_id")) != is_model_id(json_text(message, "model_id")),
               "a look-up asks for something");
    } else if (type == "steer") {
        always(is_kind() && is_task_id(json_text(message, "task_id")) && task_verb_from(json_text(message, "verb")),
               "a word to a task is one");
    } else if (type == "list") {
        const json_t *status = json_object_get(message, "status");
        const auto model = json_text(message, "model_id");
        always(is_kind() && json_count(message, "limit") >= 1 && json_count(message, "limit") <= limits::page_most &&
                   (status == nullptr || status_from(json_text(status))) && (model.empty() || is_model_id(model)),
               "a list is one");
    } else if (type == "models") {
        const auto after = json_text(message, "after");
        always(json_count(message, "limit") >= 1 && (after.empty() || is_model_id(after)), "a list of models is one");
    } else {
        always(type == "forget" || type == "applied" || type == "counters" || type == "measured" || type == "bye" ||
                   type == "pong",
               "nginx sends no other frames");
    }
}


std::string with_lines(std::string_view frame)
{
    std::string text(frame);
    std::ranges::replace(text, '\t', '\n');
    return text;
}


class gateway {
  public:
    gateway() : link_({str_of("/run/rolloutd.sock"), 5000, 200}, memory_.zone, &silent_)
    {
        stand_in::use_link(&link_);
        stand_in::run_timers();
    }

    ~gateway()
    {
        for (auto &one : clients_) {
            one->abort();
        }
        observe();
        stand_in::use_link(nullptr);
        check_tables();
    }

    void happens(char what, std::string_view how)
    {
        switch (what) {
        case 'f':
            append_frame(stand_in::the_peer().to_read, with_lines(how));
            stand_in::let_read();
            break;
        case 'r':
            stand_in::the_peer().to_read.append(how);
            stand_in::let_read();
            break;
        case 'e':
            stand_in::the_peer().ended = true;
            stand_in::let_read();
            break;
        case 'c':
        case 't':
            stand_in::run_timers();
            break;
        case 'x':
            if (const auto waits = std::ranges::find_if(clients_, [](const auto &one) { return !one->ended(); });
                waits != clients_.end()) {
                (*waits)->abort();
            }
            break;
        case 'q':
            ask_list({api_route::shape::collection, task_kind::deploy, {}}, how);
            break;
        case 'd':
            ask_list({api_route::shape::collection, task_kind::remove, {}}, how);
            break;
        case 'm':
            ask_list({api_route::shape::models, task_kind::deploy, {}}, how);
            break;
        case 's':
            steer_task(how);
            break;
        case 'p':
            submit(how);
            break;
        case 'w':
        case 'l':
            ask_task(what == 'w');
            break;
        case 'h': {
            preferences wants;
            parse_prefer(how, wants);
            always(wants.wait.value_or(0) <= limits::wait_s, "no client waits for longer than the bound");
            break;
        }
        case 'a': {
            auto &client = come(how, {});
            preferences wants;
            const auto fault = read_wait_argument(&client.r, wants);
            always(wants.wait.value_or(0) <= limits::wait_s, "no client waits for longer than the bound");
            always(fault.detail.empty() || fault.status == 422, "a wait that is none is refused");
            client.abort();
            break;
        }
        default:
            break;
        }
        stand_in::run_posted();
        always(!stand_in::is_locked(), "the zone's mutex is given back");
        observe();
    }

  private:
    stand_in::request &come(std::string_view args, std::string_view body)
    {
        clients_.push_back(std::make_unique<stand_in::request>(clients_.size() % 2 == 0 ? dialect::standard
                                                                                        : dialect::embedding_studio,
                                                               std::string(args), std::string(body)));
        return *clients_.back();
    }

    void ask_list(const api_route &route, std::string_view args)
    {
        auto &client = come(args, {});
        client.api.route = route;
        client.returned(list(client.api));
    }

    void steer_task(std::string_view verb)
    {
        const auto known = task_verb_from(verb.substr(0, verb.find('{')));
        const auto body = verb.find('{');
        auto &client = come({}, body == std::string_view::npos ? std::string_view() : verb.substr(body));
        client.api.route = {api_route::shape::steer, task_kind::deploy, "abc", known.value_or(task_verb::cancel)};
        client.api.submitting = true;
        client.returned(steer(client.api));
    }

    /// As task_submit does once a body is in.
    void submit(std::string_view body)
    {
        const auto parsed = parse_task_request(task_kind::deploy, body, std::nullopt);
        const auto *wanted = std::get_if<task_request>(&parsed);
        if (wanted == nullptr) {
            return;
        }
        auto &client = come({}, {});
        client.api.submitting = true;
        client.api.wait_until = ngx_current_msec + 1000;
        client.api.call.done = answer;
        client.api.call.asker = &client.api;
        suspend(client.api);
        const auto begun = link_.submit(client.api.call, *wanted, client_identity_of(&client.r));
        client.returned(begun == link_result::task ? NGX_DONE : NGX_HTTP_INTERNAL_SERVER_ERROR);
    }

    void ask_task(bool wait)
    {
        auto &client = come({}, {});
        client.api.wait_until = wait ? ngx_current_msec + 1000 : 0;
        client.api.call.done = answer;
        client.api.call.asker = &client.api;
        suspend(client.api);
        const auto begun = wait ? link_.watch(client.api.call, task_kind::deploy, "abc", 5, 1000)
                                : link_.lookup(client.api.call, task_kind::deploy, "abc", {});
        client.returned(begun == link_result::task ? NGX_DONE : NGX_HTTP_INTERNAL_SERVER_ERROR);
    }

    static void answer(link_call &call, link_result result, const task_record *task, const json_t *message)
    {
        auto &request = *static_cast<pending_request *>(call.asker);
        resume(request, [&] {
            switch (result) {
            case link_result::task:
                return answer_or_hold(request, *task);
            case link_result::rejected:
                return send_problem(request.r, rejection_of(message));
            default:
                return send_problem(request.r, away("so it is"));
            }
        });
    }

    /// Every frame that was written is one that rolloutd takes.
    void observe()
    {
        if (stand_in::connection() == nullptr) {
            reader_ = frame_reader();
            return;
        }
        std::string &written = stand_in::the_peer().written;
        reader_.feed(written);
        written.clear();
        json_ptr message;
        std::string reason;
        while (reader_.next(message, reason) == frame_reader::state::message) {
            check_sent(message.get(), reader_.lines());
        }
        always(reason.empty(), "nginx writes whole frames");
    }

    void check_tables()
    {
        const record_store store(memory_.zone.records);
        store.each(record_map::tasks, [&](std::string_view id) {
            always(!id.empty() && id.size() <= limits::task_id_bytes, "a task in the table has an id");
            bool found = false;
            for (const auto kind : {task_kind::deploy, task_kind::remove}) {
                std::string text;
                task_record task;
                const auto allocate = [&text](std::size_t size) {
                    text.assign(size, '\0');
                    return reinterpret_cast<unsigned char *>(text.data());
                };
                record_store records = store;
                if (task_table(records).by_id(kind, id, allocate, task) == record_store::found::yes) {
                    found = true;
                    always(task.task_id == id && task.document.starts_with('{') && task.document.ends_with('}'),
                           "a document in the table looks like one");
                    const auto words = status_name(task.status);
                    always(task.document.substr(task.status_at(), words.size()) == words,
                           "the status is where the table finds it");
                }
            }
            always(found, "a task in the table can be read");
        });
        const auto written = parsed_json(render_state(memory_.zone, {}).value());
        const json_t *routes = json_object_get(written.get(), "routes");
        for (std::size_t i = 0; i < json_array_size(routes); ++i) {
            std::string reason;
            always(route_from_json(json_array_get(routes, i), reason).has_value(), "a route in the table is one");
        }
    }

    ngx_log_t silent_{};
    stand_in::zone_memory memory_;
    worker_link link_;
    frame_reader reader_;
    std::deque<std::unique_ptr<stand_in::request>> clients_;
};

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    pieces input(data, size);
    gateway nginx;
    for (int lines = 0; !input.done() && lines < 64; ++lines) {
        const auto line = input.text('\n');
        if (!line.empty()) {
            nginx.happens(line.front(), line.substr(1));
        }
    }
    return 0;
}
