#include "worker/gateway/questions.hpp"

#include "common/link/frame.hpp"
#include "worker/async/completion.hpp"

#include <chrono>
#include <set>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto longest_count = 2000ms;
constexpr auto longest_measurement = 1000ms;


json_ptr question_of(rolloutd_frame type, std::uint64_t id, const std::string &model_id, const part_names &parts)
{
    json_ptr message = message_of(type);
    json_put(message.get(), "id", json_make_number(id));
    json_put(message.get(), "model_id", model_id);
    json_put(message.get(), "parts", json_make_array(parts));
    return message;
}

} // namespace


/// Adds up the answers of all that are asked.
class questions::count final : public operation {
  public:
    count(questions &all, count_fn done) : id(++all.last_id_), all_(all), done_(std::move(done))
    {
        all_.counts_.emplace(id, this);
        end_in(longest_count, std::nullopt);
    }
    ~count() override { all_.counts_.erase(id); }

    void cancel() override { end_unknown(); }

    void ask(const session_ptr &whom, const json_ptr &message)
    {
        asked_.insert(whom.get());
        whom->send(message);
    }

    void end_unknown() { end_in({}, std::nullopt); }

    void answer(const session &from, std::uint64_t requests)
    {
        if (asked_.erase(&from) == 0) {
            return;
        }
        sum_ += requests;
        if (asked_.empty()) {
            end_in({}, sum_);
        }
    }

    void on_end(const session &which)
    {
        if (asked_.contains(&which)) {
            end_unknown();
        }
    }

    const std::uint64_t id;

  private:
    void end_in(std::chrono::milliseconds time, std::optional<std::uint64_t> requests)
    {
        end_ = all_.time_.after(time, [this, requests] { done_(requests); });
    }

    questions &all_;
    completion<std::optional<std::uint64_t>> done_; ///< an answer may still come in after the time is over
    operation_ptr end_;
    std::set<const session *> asked_;
    std::uint64_t sum_ = 0;
};


/// Gathers the answers of all that are asked.
class questions::measurement final : public operation {
  public:
    measurement(questions &all, std::vector<std::uint64_t> revisions, measured_fn done)
        : id(++all.last_id_), all_(all), revisions_(std::move(revisions)), done_(std::move(done))
    {
        all_.measurements_.emplace(id, this);
    }
    ~measurement() override { all_.measurements_.erase(id); }

    void cancel() override { end_in({}); }

    void ask(const std::vector<session_ptr> &streams, const json_ptr &message)
    {
        for (const auto &stream : streams) {
            if (stream) {
                asked_.insert(stream.get());
                stream->send(message);
            }
        }
        end_in(asked_.empty() ? 0ms : longest_measurement);
    }

    void answer(const session &from, const json_t *message)
    {
        if (!asked_.contains(&from)) {
            return;
        }
        const json_t *counters = json_object_get(message, "counters");
        std::vector<traffic_counters> all;
        for (std::size_t i = 0; i < json_array_size(counters); ++i) {
            std::uint64_t revision = 0;
            const auto read = counters_from_json(json_array_get(counters, i), revision);
            if (read && i < revisions_.size() && revision == revisions_[i]) {
                all.push_back(*read);
            }
        }
        if (all.size() == revisions_.size()) {
            const json_t *last_minute = json_object_get(message, "last_minute");
            answers_.insert_or_assign(from.peer.gateway,
                                      gateway_control::gateway_traffic{
                                          std::move(all), json_is_integer(last_minute)
                                                              ? std::optional(json_count(message, "last_minute"))
                                                              : std::nullopt});
        }
        on_end(from);
    }

    /// Handles the end of a link, which will not answer any more.
    void on_end(const session &which)
    {
        if (asked_.erase(&which) != 0 && asked_.empty()) {
            end_in({});
        }
    }

    const std::uint64_t id;

  private:
    void end_in(std::chrono::milliseconds time)
    {
        end_ = all_.time_.after(time, [this] { done_(std::move(answers_)); });
    }

    questions &all_;
    std::vector<std::uint64_t> revisions_;
    completion<gateway_control::measured> done_; ///< an answer may still come in after the time is over
    operation_ptr end_;
    std::set<const session *> asked_;
    gateway_control::measured answers_;
};


operation_ptr questions::in_flight(const std::vector<session_ptr> &streams, const std::string &model_id,
                                   const part_names &parts, std::uint64_t revision, count_fn done)
{
    auto question = std::make_unique<count>(*this, std::move(done));
    json_ptr message = question_of(rolloutd_frame::sample, question->id, model_id, parts);
    json_put(message.get(), "revision", json_make_number(revision));
    for (const auto &stream : streams) {
        if (!stream) {
            question->end_unknown();
            return question;
        }
        question->ask(stream, message);
    }
    if (streams.empty()) {
        question->end_unknown();
    }
    return question;
}


operation_ptr questions::measure(const std::vector<session_ptr> &streams, const std::string &model_id,
                                 const part_names &parts, const std::vector<std::uint64_t> &revisions,
                                 measured_fn done)
{
    auto question = std::make_unique<measurement>(*this, revisions, std::move(done));
    json_ptr message = question_of(rolloutd_frame::measure, question->id, model_id, parts);
    json_ptr list = json_make_array();
    for (const auto revision : revisions) {
        json_add(list.get(), json_make_number(revision));
    }
    json_put(message.get(), "revisions", std::move(list));
    question->ask(streams, message);
    return question;
}


void questions::on_counters(const session &from, const json_t *message)
{
    if (const auto asked = counts_.find(json_count(message, "id")); asked != counts_.end()) {
        asked->second->answer(from, json_count(message, "in_flight"));
    }
}


void questions::on_measured(const session &from, const json_t *message)
{
    if (const auto asked = measurements_.find(json_count(message, "id")); asked != measurements_.end()) {
        asked->second->answer(from, message);
    }
}


void questions::on_end(const session &which)
{
    for (const auto &[_, question] : counts_) {
        question->on_end(which);
    }
    for (const auto &[_, question] : measurements_) {
        question->on_end(which);
    }
}

} // namespace rollout
