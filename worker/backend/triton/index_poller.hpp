// Polls a model until it is in the wanted state: in its server's repository index, or by the model's own readiness if the
// server has no index.
#pragma once

#include "worker/backend/triton/error_text.hpp"
#include "worker/backend/triton/kserve.hpp"
#include "worker/backend/triton/repository_index.hpp"
#include "worker/backend/triton/request_sequence.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace rollout {

struct polled_model {
    std::string url;
    std::string server; ///< for messages
    std::string model;
    std::chrono::milliseconds timeout{};
    std::function<void()> no_index; ///< called if the server turns out to have no repository index
};

/// A derived class decides what each answer means, and finishes or polls again. The pauses grow up to one second.
class index_poller : public request_sequence {
  protected:
    using milliseconds = std::chrono::milliseconds;

    index_poller(server_access access, polled_model model, milliseconds first_pause, done_fn done)
        : request_sequence(std::move(access), std::move(done)), model_(std::move(model)),
          deadline_(time().now() + model_.timeout), pause_(first_pause)
    {
    }

    virtual void in_index(const index_entry &entry) = 0;

    /// Called if the server has no readable index: from now on the model's readiness is asked.
    virtual void without_index() { poll(); }

    virtual void index_refused(const http_answer &answer) = 0;
    virtual void ready_answered(const http_answer &answer) = 0;

    /// The outcome when the time is over.
    virtual outcome too_late() const = 0;

    void poll()
    {
        if (has_index_) {
            ask(bounded(kserve::index(model_.url)), [this](const http_answer &answer) { index_answered(answer); });
        } else {
            ask_readiness();
        }
    }

    void ask_readiness()
    {
        ask(bounded(kserve::ready(model_.url, model_.model)),
            [this](const http_answer &answer) { ready_answered(answer); });
    }

    void poll_again()
    {
        after_a_pause([this] { poll(); });
    }

    /// Finishes with `too_late` if no time is left.
    void after_a_pause(std::function<void()> then)
    {
        const milliseconds left = time_left();
        if (left.count() <= 0) {
            finish(too_late());
            return;
        }
        pause_for(std::min(pause_, left), std::move(then));
        pause_ = std::min(pause_ * 2, longest_pause);
    }

    const polled_model model_;

  private:
    static constexpr milliseconds longest_pause{1000};
    static constexpr milliseconds shortest_question{
        1000}; ///< the last question gets its answer even after the deadline

    void index_answered(const http_answer &answer)
    {
        const auto entry = answer.status == 200 ? find_in_index(answer.body, model_.model) : std::nullopt;
        if (entry) {
            in_index(*entry);
        } else if ((answer.status == 200 && !is_html(answer.body)) || kserve::lacks_index(answer)) {
            has_index_ = false;
            model_.no_index();
            without_index();
        } else {
            index_refused(answer);
        }
    }

    milliseconds time_left() const { return deadline_ - time().now(); }

    http_request bounded(http_request question) const
    {
        question.timeout = std::min(question.timeout, std::max(time_left(), shortest_question));
        return question;
    }

    const milliseconds deadline_; ///< clock time
    milliseconds pause_;          ///< before the next question
    bool has_index_ = true;
};

} // namespace rollout
