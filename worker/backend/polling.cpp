#include "worker/backend/polling.hpp"

#include "worker/backend/kserve.hpp"
#include "worker/backend/repository_index.hpp"
#include "worker/backend/server_words.hpp"
#include "worker/words.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace rollout {
namespace {

using std::chrono::milliseconds;
using clock = std::chrono::steady_clock;

constexpr milliseconds first_look{50};
constexpr milliseconds longest_between_looks{1000};
constexpr milliseconds shortest_question{1000}; ///< the last look gets its answer even if that is past the time

/// Twice what Triton lets pass between two looks at its repository, unless told otherwise.
constexpr milliseconds old_failure{30000};

class arrival final : public steps {
  public:
    arrival(http_client &http, arrival_request request, done_fn done)
        : steps(http, std::move(done)), request_(std::move(request)), began_(clock::now())
    {
        on_thread(request_.put_in, [this](outcome how) {
            if (how) {
                look();
            } else {
                finish(std::move(how));
            }
        });
    }

  private:
    void look()
    {
        if (has_index_) {
            ask(bounded(kserve::index(request_.url)), [this](const http_answer &answer) { index_answered(answer); });
        } else {
            ask(bounded(kserve::ready(request_.url, request_.model)),
                [this](const http_answer &answer) { ready_answered(answer); });
        }
    }

    void index_answered(const http_answer &answer)
    {
        const auto entry = answer.status == 200 ? find_in_index(answer.body, request_.model) : std::nullopt;
        if (entry) {
            judge(*entry);
        } else if (answer.status == 200 || kserve::lacks_index(answer)) {
            has_index_ = false;
            request_.no_index();
            look();
        } else {
            trouble(answer, "show its repository index");
        }
    }

    void judge(const index_entry &entry)
    {
        if (entry.is == index_state::ready) {
            finish(outcome::ok());
            return;
        }
        const bool failed = entry.is == index_state::failed;
        if (!first_failure_) {
            first_failure_ = failed ? entry.reason : "";
        } else if (!failed) {
            first_failure_ = "";
        }
        if (failed && (entry.reason != *first_failure_ || clock::now() - began_ >= old_failure)) {
            finish(outcome::permanent(request_.server + " could not load " + request_.model + ": " + entry.reason));
            return;
        }
        last_ = failed ? "the server's index says " + entry.reason
                       : "the server's index has it as " + std::string(index_state_name(entry.is));
        look_again();
    }

    void ready_answered(const http_answer &answer)
    {
        if (kserve::says_ready(answer)) {
            finish(outcome::ok());
        } else if (says_nothing_yet(answer) || answer.status == 0 || answer.status == 401 || answer.status == 403) {
            trouble(answer, "say whether " + request_.model + " is ready");
        } else {
            const std::string words = server_words(answer.body);
            last_ = "the server says HTTP " + std::to_string(answer.status) + (words.empty() ? "" : ", " + words);
            look_again();
        }
    }

    /// The server did not say: asked again where that may help.
    void trouble(const http_answer &answer, const std::string &action)
    {
        outcome refused = refusal(answer, request_.server, action);
        if (refused.is == outcome::kind::permanent) {
            finish(std::move(refused));
            return;
        }
        last_ = std::move(refused.detail);
        look_again();
    }

    void look_again()
    {
        const milliseconds left = time_left();
        if (left.count() <= 0) {
            finish(outcome::permanent(request_.server + " has not loaded " + request_.model + " within " +
                                      duration_words(request_.timeout) + ": " + last_ +
                                      " (does it poll its repository, and often enough?)"));
            return;
        }
        wait(std::min(between_, left), [this] { look(); });
        between_ = std::min(between_ * 2, longest_between_looks);
    }

    milliseconds time_left() const
    {
        return std::chrono::ceil<milliseconds>(began_ + request_.timeout - clock::now());
    }

    http_request bounded(http_request question) const
    {
        question.timeout = std::min(question.timeout, std::max(time_left(), shortest_question));
        return question;
    }

    arrival_request request_;
    clock::time_point began_;
    milliseconds between_ = first_look;
    bool has_index_ = true;
    std::optional<std::string>
        first_failure_; ///< the index's reason at the first look; empty once it has said otherwise
    std::string last_;  ///< what was seen last
};

} // namespace


operation_ptr await_arrival(http_client &http, arrival_request request, done_fn done)
{
    return std::make_unique<arrival>(http, std::move(request), std::move(done));
}

} // namespace rollout
