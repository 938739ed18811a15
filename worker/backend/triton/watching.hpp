// A model that is looked at again and again until it is as it should be: in its server's repository index, or, where the server
// has none, by the model's own readiness.
#pragma once

#include "worker/backend/triton/kserve.hpp"
#include "worker/backend/triton/repository_index.hpp"
#include "worker/backend/triton/server_words.hpp"
#include "worker/backend/triton/steps.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace rollout {

struct watched_model {
    std::string url;
    std::string server; ///< for sentences
    std::string model;
    std::chrono::milliseconds timeout{};
    std::function<void()> no_index; ///< called where the server turns out to have no repository index
};

/// Who derives from it says what each answer means, and ends it or looks again. The pauses grow up to a second.
class watching : public steps {
  protected:
    using milliseconds = std::chrono::milliseconds;

    watching(http_client &http, clock &time, watched_model what, milliseconds first_look, done_fn done)
        : steps(http, time, std::move(done)), what_(std::move(what)), deadline_(now() + what_.timeout),
          between_(first_look)
    {
    }

    virtual void in_index(const index_entry &entry) = 0;

    /// The server has no index that could be read; the model's readiness is asked from now on.
    virtual void without_index() { look(); }

    virtual void index_refused(const http_answer &answer) = 0;
    virtual void ready_answered(const http_answer &answer) = 0;

    /// What the operation ends with when the time is over.
    virtual outcome too_late() const = 0;

    void look()
    {
        if (has_index_) {
            ask(bounded(kserve::index(what_.url)), [this](const http_answer &answer) { index_answered(answer); });
        } else {
            ask_readiness();
        }
    }

    void ask_readiness()
    {
        ask(bounded(kserve::ready(what_.url, what_.model)),
            [this](const http_answer &answer) { ready_answered(answer); });
    }

    void look_again()
    {
        after_a_pause([this] { look(); });
    }

    /// Where there is time left for it.
    void after_a_pause(std::function<void()> then)
    {
        const milliseconds left = time_left();
        if (left.count() <= 0) {
            finish(too_late());
            return;
        }
        wait(std::min(between_, left), std::move(then));
        between_ = std::min(between_ * 2, longest_between_looks);
    }

    const watched_model what_;

  private:
    static constexpr milliseconds longest_between_looks{1000};
    static constexpr milliseconds shortest_question{
        1000}; ///< the last look gets its answer even if that is past the time

    void index_answered(const http_answer &answer)
    {
        const auto entry = answer.status == 200 ? find_in_index(answer.body, what_.model) : std::nullopt;
        if (entry) {
            in_index(*entry);
        } else if ((answer.status == 200 && !is_html(answer.body)) || kserve::lacks_index(answer)) {
            has_index_ = false;
            what_.no_index();
            without_index();
        } else {
            index_refused(answer);
        }
    }

    milliseconds time_left() const { return deadline_ - now(); }

    http_request bounded(http_request question) const
    {
        question.timeout = std::min(question.timeout, std::max(time_left(), shortest_question));
        return question;
    }

    const milliseconds deadline_;
    milliseconds between_;
    bool has_index_ = true;
};

} // namespace rollout
