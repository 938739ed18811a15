#include "module/link/worker_link.hpp"

#include "common/base/text.hpp"
#include "common/domain/identifiers.hpp"
#include "common/domain/upstream_name.hpp"
#include "common/link/frame.hpp"
#include "common/link/version.hpp"
#include "module/link/measurements.hpp"
#include "module/link/record_of.hpp"
#include "module/nginx/guard.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace rollout {

namespace {

/// The most bytes that may wait to be sent before a new question is refused.
constexpr std::size_t max_unsent_bytes = 8 * 1024 * 1024;

/// How long failed requests are gathered before they are reported: shorter than the gate's interval.
constexpr ngx_msec_t failures_pause_ms = 100;

constexpr char unreadable_answer[] = "an answer without a readable task";


/// Sets the subject of a look-up or a watch.
void name_subject(link_call &call, task_kind kind, std::string_view name, bool is_model, std::uint64_t after) noexcept
{
    call.kind = kind;
    call.after = after;
    call.name_is_model = is_model;
    call.name_bytes = static_cast<std::uint8_t>(std::min(name.size(), sizeof(call.name)));
    ngx_memcpy(call.name, name.data(), call.name_bytes);
}

} // namespace


worker_link::worker_link(const link_settings &settings, shared_zone &zone, ngx_log_t *log, known_upstreams upstreams)
    : settings_(settings), zone_(zone), log_(log), upstreams_(std::move(upstreams)), replica_(zone, log),
      calls_(settings.max_waiting, log,
             {[this] { zone_.mark_incomplete(); }, [this](std::uint64_t question) { forget_watch(question); }}),
      connection_(settings, log, *this), state_file_(zone, log, [this](std::uint64_t write) { on_kept(write); })
{
    failures_timer_.handler = on_failures_timer;
    failures_timer_.data = this;
    failures_timer_.log = log;
    failures_timer_.cancelable = 1;
}


worker_link::~worker_link()
{
    if (failures_timer_.timer_set) {
        ngx_del_timer(&failures_timer_);
    }
    state_file_
        .finish(); // first of all that is sent, so that the next process to get the stream finds an up-to-date state file
    if (up()) {
        // Tells rolloutd not to wait for this process.
        guarded_by([this] { connection_.send_last(message_of(gateway_frame::bye).get()); },
                   [](const std::exception &) {});
    }
}


bool worker_link::has_current_routes() noexcept
{
    if (!freshness_.catches_up()) {
        if (!connection_.stood_still()) {
            return true;
        }
        on_standstill();
        connection_.read_soon();
    }
    return freshness_.is_current(zone_.routes_revision());
}


// The questions.

link_result worker_link::submit(link_call &call, const task_request &request, const client_identity &by)
{
    return ask(call, true, [&] {
        const std::string who = line_of(by);
        connection_.send(submission_line{call.id, request.kind, request.task_id, request.model_id, request.parent_id,
                                         request.config, who});
    });
}


link_result worker_link::lookup(link_call &call, task_kind kind, std::string_view task_id, std::string_view model_id)
{
    if (!connection_.open()) {
        return link_result::lost;
    }
    name_subject(call, kind, task_id.empty() ? model_id : task_id, task_id.empty(), 0);
    call.survives = false;
    call.submits = false;
    return calls_.begin(call, settings_.ack_timeout, [&] { send_lookup(call); });
}


link_result worker_link::steer(link_call &call, task_kind kind, std::string_view task_id, task_verb verb,
                               std::string_view new_task_id, const std::optional<std::vector<std::uint64_t>> &only_at,
                               const client_identity &by)
{
    json_ptr message = message_of(gateway_frame::steer);
    json_put(message.get(), "kind", kind_name(kind));
    json_put(message.get(), "task_id", task_id);
    json_put(message.get(), "verb", verb_name(verb));
    if (!new_task_id.empty()) {
        json_put(message.get(), "new_task_id", new_task_id);
    }
    if (only_at) {
        json_put(message.get(), "only_at", json_make_array(*only_at));
    }
    return ask(call, true, [&] {
        json_put(message.get(), "id", json_make_number(call.id));
        connection_.send(message.get(), line_of(by));
    });
}


link_result worker_link::list(link_call &call, const task_page &page)
{
    json_ptr message = message_of(gateway_frame::list);
    json_put(message.get(), "limit", json_make_number(page.limit));
    json_put(message.get(), "kind", kind_name(page.kind));
    if (page.before) {
        json_put(message.get(), "before", json_make_number(*page.before));
    }
    if (page.model_id) {
        json_put(message.get(), "model_id", *page.model_id);
    }
    if (page.status) {
        json_put(message.get(), "status", status_name(*page.status));
    }
    json_put(message.get(), "in_lines", json_ptr(json_true()));
    return ask_page(call, message.get());
}


link_result worker_link::list(link_call &call, const model_page &page)
{
    json_ptr message = message_of(gateway_frame::models);
    json_put(message.get(), "limit", json_make_number(page.limit));
    json_put(message.get(), "after", page.after);
    json_put(message.get(), "in_lines", json_ptr(json_true()));
    return ask_page(call, message.get());
}


link_result worker_link::series(link_call &call, std::string_view task_id)
{
    json_ptr message = message_of(gateway_frame::series);
    json_put(message.get(), "task_id", task_id);
    return ask_page(call, message.get());
}


link_result worker_link::metrics(link_call &call)
{
    return ask_page(call, message_of(gateway_frame::metrics).get());
}


link_result worker_link::ask_page(link_call &call, json_t *message)
{
    return ask(call, false, [&] {
        json_put(message, "id", json_make_number(call.id));
        connection_.send(message);
    });
}


link_result worker_link::ask(link_call &call, bool submits, const function_ref<void()> &send_it)
{
    if (!connection_.open()) {
        return link_result::lost;
    }
    if (connection_.unsent_bytes() > max_unsent_bytes) {
        return link_result::full;
    }
    call.survives = false;
    call.submits = submits;
    return calls_.begin(call, settings_.ack_timeout, send_it);
}


link_result worker_link::watch(link_call &call, task_kind kind, std::string_view task_id, std::uint64_t after,
                               ngx_msec_t timeout)
{
    name_subject(call, kind, task_id, false, after);
    return calls_.begin_watch(call, timeout, [&] {
        if (up()) {
            send_lookup(call);
        }
    });
}


void worker_link::send_lookup(const link_call &call)
{
    json_ptr message = message_of(gateway_frame::lookup);
    json_put(message.get(), "id", json_make_number(call.id));
    json_put(message.get(), "kind", kind_name(call.kind));
    json_put(message.get(), call.name_is_model ? "model_id" : "task_id", {call.name, call.name_bytes});
    if (call.survives) {
        json_put(message.get(), "after", json_make_number(call.after));
    }
    connection_.send(message.get());
}


void worker_link::forget_watch(std::uint64_t question) noexcept
{
    if (!up()) {
        return;
    }
    guarded(log_, [&] {
        json_ptr message = message_of(gateway_frame::forget);
        json_put(message.get(), "id", json_make_number(question));
        connection_.send(message.get());
    });
}


// The callbacks of the connection.

void worker_link::on_open()
{
    send_hello();
}


void worker_link::on_end() noexcept
{
    freshness_.trust();
    const bool in_doubt = calls_.in_doubt();
    replica_.end_stream();
    unkept_.clear();
    calls_.forget_unanswered();
    if (in_doubt) {
        zone_.mark_incomplete();
    }
    calls_.end_questions(link_result::lost);
}


void worker_link::on_unreachable() noexcept
{
    refusal_.clear();
    freshness_.trust();
}


void worker_link::on_standstill() noexcept
{
    ngx_log_error(
        NGX_LOG_WARN, log_, 0,
        "rollout: this process was suspended for a while: requests wait until rolloutd at \"unix:%V\" has sent "
        "it the current routes",
        &settings_.path);
    freshness_.begin_to_catch_up(ngx_current_msec + settings_.ack_timeout);
}


void worker_link::on_message(const json_t *message, std::string_view lines)
{
    const auto type = rolloutd_frame_from(json_text(message, "type"));
    if (!type) {
        connection_.disconnect("a frame of an unknown type");
        return;
    }
    switch (*type) {
    case rolloutd_frame::welcome:
        on_welcome(message);
        break;
    case rolloutd_frame::accepted:
        on_accepted(lines);
        break;
    case rolloutd_frame::rejected: {
        const auto id = json_count(message, "id");
        calls_.note_answer(id);
        calls_.answer(id, link_result::rejected, nullptr, message);
        break;
    }
    case rolloutd_frame::found:
        on_found(message, lines);
        break;
    case rolloutd_frame::listed:
        on_page(message, lines, true);
        break;
    case rolloutd_frame::listed_models:
    case rolloutd_frame::metered:
    case rolloutd_frame::series_found:
        on_page(message, lines, false);
        break;
    case rolloutd_frame::update:
        on_update(message, lines);
        break;
    case rolloutd_frame::shared:
        zone_.mark_incomplete();
        break;
    case rolloutd_frame::routes:
        on_routes(message);
        break;
    case rolloutd_frame::sample:
        connection_.send(sampled(zone_, message).get());
        break;
    case rolloutd_frame::measure:
        connection_.send(measured(zone_, message, static_cast<std::uint32_t>(ngx_current_msec / 1000)).get());
        break;
    case rolloutd_frame::stream:
        send_hello();
        break;
    case rolloutd_frame::ping:
        on_ping(message);
        break;
    case rolloutd_frame::refuse:
        on_refusal(message);
        break;
    }
}


void worker_link::disconnect(const link_fault &fault) noexcept
{
    connection_.disconnect(fault->c_str());
}


// The greeting.

void worker_link::send_hello()
{
    json_ptr message = message_of(gateway_frame::hello);
    put_protocols(message.get(), spoken_protocols);
    json_put(message.get(), "pid", json_make_number(static_cast<std::uint64_t>(ngx_pid)));
    json_put(message.get(), "gateway", zone_.gateway());
    const auto held = replica_.greet();
    if (upstreams_.names) {
        json_put(message.get(), "upstreams", json_make_array(*upstreams_.names));
    }
    if (!upstreams_.servers.empty()) {
        json_ptr blocks = json_make_object();
        for (const auto &[name, servers] : upstreams_.servers) {
            json_put(blocks.get(), name.c_str(), json_make_array(servers));
        }
        json_put(message.get(), "servers", std::move(blocks));
    }
    json_put(message.get(), "journal", held.journal);
    json_put(message.get(), "revision", json_make_number(held.revision));
    connection_.send(message.get());
}


void worker_link::on_welcome(const json_t *message)
{
    const auto protocol = json_number(message, "protocol");
    if (!common_protocol(spoken_protocols, {protocol, protocol})) {
        refusal_ = "rolloutd answers in version " + std::to_string(protocol) +
                   " of the protocol, this module speaks " + format_versions(spoken_protocols) +
                   "; upgrade the older of the two";
        connection_.refuse(refusal_, false);
        return;
    }
    if (const auto fault = replica_.on_welcome(message)) {
        disconnect(fault);
        return;
    }
    refusal_.clear();
    freshness_.expect(json_count(message, "routes"));
    takes_suspects_ = json_is_true(json_object_get(message, "suspects"));
    takes_failures_ = json_is_true(json_object_get(message, "failures"));
    has_series_ = json_is_true(json_object_get(message, "series"));
    compares_revisions_ = json_is_true(json_object_get(message, "compares_revisions"));
    take_state(message);
    if (up()) {
        return;
    }
    connection_.welcomed();
    calls_.ask_again([this](const link_call &call) { send_lookup(call); });
}


void worker_link::report_suspect(std::string_view upstream, std::string_view peer) noexcept
{
    if (!up() || !takes_suspects_ || !suspects_.is_due(upstream, peer, ngx_current_msec)) {
        return;
    }
    guarded(log_, [&] {
        json_ptr report = message_of(gateway_frame::suspect);
        json_put(report.get(), "upstream", upstream);
        json_put(report.get(), "peer", peer);
        connection_.send(report.get());
    });
}


void worker_link::report_failure(std::string_view model_id, std::uint64_t revision, std::string_view peer) noexcept
{
    if (!up() || !takes_failures_) {
        return;
    }
    guarded(log_, [&] { failures_.add(model_id, revision, peer); });
    if (!failures_timer_.timer_set) {
        ngx_add_timer(&failures_timer_, failures_pause_ms);
    }
}


void worker_link::on_failures_timer(ngx_event_t *event) noexcept
{
    auto &link = *static_cast<worker_link *>(event->data);
    guarded(link.log_, [&link] { link.send_failures(); });
}


void worker_link::send_failures()
{
    const auto failures = failures_.take();
    if (!up()) {
        return;
    }
    json_ptr report = message_of(gateway_frame::failures);
    json_ptr list = json_make_array();
    for (const auto &server : failures) {
        json_ptr entry = json_make_object();
        json_put(entry.get(), "model_id", server.model_id);
        json_put(entry.get(), "revision", json_make_number(server.revision));
        json_put(entry.get(), "peer", server.peer);
        json_put(entry.get(), "failures", json_make_number(server.failures));
        json_add(list.get(), std::move(entry));
    }
    json_put(report.get(), "servers", std::move(list));
    connection_.send(report.get());
}


void worker_link::on_ping(const json_t *message)
{
    take_state(message);
    connection_.send(message_of(gateway_frame::pong).get());
    if (ngx_exiting) {
        calls_.end_watches(link_result::late); // clients that only wait for news do not keep an old process alive
    }
}


/// What a welcome and a ping say of rolloutd.
void worker_link::take_state(const json_t *message)
{
    constexpr std::size_t longest = 1000;
    trouble_ = clean_text(json_text(message, "trouble"), longest);
    if (zone_.set_routes_until(json_count(message, "routes_until")) && zone_.state_file.len != 0) {
        state_file_.write();
    }
}


void worker_link::on_refusal(const json_t *message)
{
    constexpr std::size_t longest = 1000;
    refusal_ = clean_text(json_text(message, "reason"), longest);
    connection_.refuse("rolloutd refused it: " + refusal_, refusal_.find("allow_users") != std::string_view::npos);
}


// Answers.

/// Handles the answers a group at a time, as the tables' memory is fetched for a group in the time of one.
void worker_link::on_accepted(std::string_view lines)
{
    constexpr std::size_t most = 32;
    const std::string all(lines); // a copy: when its client ends, the connection may end
    std::vector<std::pair<std::uint64_t, std::string_view>> results;
    std::vector<task_record> tasks;
    for (std::string_view rest = all; !rest.empty(); results.clear(), tasks.clear()) {
        bool readable = true;
        while (readable && !rest.empty() && tasks.size() < most) {
            auto line = next_line(rest);
            std::uint64_t id = 0;
            const bool numbered = read_number(next_part(line, ' '), id);
            const auto result = next_part(line, ' ');
            const bool known = result == "new" || result == "existed" || result == "steered";
            const auto task = numbered && known ? record_of(line) : std::nullopt;
            readable = task.has_value();
            if (task) {
                results.emplace_back(id, result);
                tasks.push_back(*task);
            }
        }
        replica_.expect(tasks);
        for (std::size_t i = 0; i < tasks.size(); ++i) {
            on_accepted(results[i].first, results[i].second, tasks[i]);
        }
        if (!readable) {
            connection_.disconnect(unreadable_answer);
            return;
        }
    }
}


void worker_link::on_accepted(std::uint64_t id, std::string_view result, const task_record &task)
{
    calls_.note_answer(id);
    link_fault fault;
    if (result == "existed") {
        replica_.on_existing(task);
    } else {
        fault = replica_.on_accepted(task);
    }
    calls_.answer(id, link_result::task, &task, nullptr);
    if (fault) {
        disconnect(fault);
    }
}


void worker_link::on_found(const json_t *message, std::string_view lines)
{
    const auto id = json_count(message, "id");
    calls_.note_answer(id);
    if (json_is_true(json_object_get(message, "failed"))) {
        calls_.answer(id, link_result::lost, nullptr, nullptr);
        return;
    }

    const std::string line(next_line(lines)); // a copy: when its client ends, the connection may end
    if (line.empty()) {
        calls_.answer(id, link_result::none, nullptr, nullptr);
        return;
    }
    const auto task = record_of(line);
    if (!task) {
        connection_.disconnect(unreadable_answer);
        return;
    }
    const auto fault = replica_.on_found(*task);
    calls_.answer(id, link_result::task, &*task, nullptr);
    if (fault) {
        disconnect(fault);
    }
}


/// Handles one of several frames of a list. The last one says where the next page begins.
void worker_link::on_page(const json_t *message, std::string_view lines, bool has_tasks)
{
    const auto id = json_count(message, "id");
    if (!on_documents(id, lines, has_tasks)) {
        connection_.disconnect("a list without readable documents");
        return;
    }
    if (json_is_true(json_object_get(message, "more"))) {
        return;
    }
    calls_.note_answer(id);
    calls_.answer(id, link_result::page, nullptr, message);
}


bool worker_link::on_documents(std::uint64_t id, std::string_view lines, bool are_tasks)
{
    link_call *call = calls_.find(id);
    while (!lines.empty()) {
        const auto line = next_line(lines);
        const auto task = are_tasks ? record_of(line) : std::nullopt;
        if (are_tasks ? !task : !line.starts_with('{') || !line.ends_with('}')) {
            return false;
        }
        if (call != nullptr && call->document != nullptr) {
            call->document(*call, task ? task->document : line, task ? &*task : nullptr);
        }
    }
    return true;
}


// The replica.

void worker_link::on_update(const json_t *message, std::string_view lines)
{
    const auto result = replica_.on_update(message, lines);
    if (result.fault) {
        disconnect(result.fault);
    } else if (result.is_to_greet) {
        send_hello();
    }
}


void worker_link::on_routes(const json_t *message)
{
    const auto result = replica_.on_routes(message);
    if (result.in_force) {
        keep_routes(*result.in_force);
    }
    if (result.fault) {
        disconnect(result.fault);
        return;
    }
    warn_of_servers(result.routes);
}


/// Answers `applied`. A restarted nginx must know these routes as well: with a state file, the answer is sent once
/// the file holds them, or there is no file any more.
void worker_link::keep_routes(std::uint64_t revision)
{
    if (zone_.state_file.len == 0) {
        send_applied(revision);
    } else {
        unkept_.add(state_file_.write(), revision);
    }
}


void worker_link::on_kept(std::uint64_t write) noexcept
{
    guarded_by(
        [&] {
            if (const auto revision = unkept_.take(write)) { // otherwise they came over an earlier connection
                send_applied(*revision);
            }
        },
        [this](const std::exception &error) { connection_.disconnect(error.what()); });
}


void worker_link::send_applied(std::uint64_t revision)
{
    json_ptr answer = message_of(gateway_frame::applied);
    json_put(answer.get(), "revision", json_make_number(revision));
    connection_.send(answer.get());
}


/// Warns, once for each upstream, of max_fails, with which nginx takes a failing server out for all models, whichever
/// revision has failed, and of a missing rollout_ready.
void worker_link::warn_of_servers(const std::vector<route> &routes)
{
    for (const auto &changed : routes) {
        for (const auto *slot : {&changed.blue, &changed.green}) {
            if (slot->has_value() && upstreams_.taking_servers_out.erase(upstream_key((*slot)->upstream)) != 0) {
                ngx_log_error(NGX_LOG_WARN, log_, 0,
                              "rollout: upstream \"%s\" has several servers with max_fails: failures of one model's "
                              "green make nginx "
                              "take them out for every model; write \"max_fails=0\" behind each of its servers",
                              (*slot)->upstream.c_str());
            }
            if (slot->has_value() && (*slot)->peers &&
                upstreams_.unready.erase(upstream_key((*slot)->upstream)) != 0) {
                ngx_log_error(NGX_LOG_WARN, log_, 0,
                              "rollout: rolloutd says which servers have a model, but upstream \"%s\" has no "
                              "\"rollout_ready\": requests go to the others too",
                              (*slot)->upstream.c_str());
            }
        }
    }
}

} // namespace rollout
