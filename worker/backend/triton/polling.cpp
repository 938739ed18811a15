#include "worker/backend/triton/polling.hpp"

#include "worker/base/words.hpp"

#include <optional>
#include <utility>

namespace rollout {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds first_look{50};

/// Twice what Triton lets pass between two looks at its repository, unless told otherwise.
constexpr milliseconds old_failure{30000};

class arrival final : public watching {
  public:
    arrival(http_client &http, clock &time, const arrival_request &request, done_fn done)
        : watching(http, time, request, first_look, std::move(done))
    {
        on_thread(request.put_in, [this](outcome how) {
            if (how) {
                look();
            } else {
                finish(std::move(how));
            }
        });
    }

  private:
    void in_index(const index_entry &entry) override
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
        if (failed && (entry.reason != *first_failure_ || now() - began_ >= old_failure)) {
            finish(outcome::permanent(what_.server + " could not load " + what_.model + ": " + entry.reason));
            return;
        }
        last_ = failed ? "the server's index says " + entry.reason
                       : "the server's index has it as " + std::string(index_state_name(entry.is));
        look_again();
    }

    void index_refused(const http_answer &answer) override { trouble(answer, "show its repository index"); }

    void ready_answered(const http_answer &answer) override
    {
        switch (kserve::readiness_of(answer)) {
        case kserve::readiness::ready:
            finish(outcome::ok());
            return;
        case kserve::readiness::unclear:
            trouble(answer, "say whether " + what_.model + " is ready");
            return;
        case kserve::readiness::not_ready:
            const std::string words = server_words(answer.body);
            last_ = "the server says HTTP " + std::to_string(answer.status) + (words.empty() ? "" : ", " + words);
            look_again();
            return;
        }
    }

    /// The server did not say: asked again where that may help.
    void trouble(const http_answer &answer, const std::string &action)
    {
        outcome refused = refusal(answer, what_.server, action);
        if (refused.is == outcome::kind::permanent) {
            finish(std::move(refused));
            return;
        }
        last_ = std::move(refused.detail);
        look_again();
    }

    outcome too_late() const override
    {
        return outcome::permanent(what_.server + " has not loaded " + what_.model + " within " +
                                  duration_words(what_.timeout) + ": " + last_ +
                                  " (does it poll its repository, and often enough?)");
    }

    const milliseconds began_ = now();
    std::optional<std::string>
        first_failure_; ///< the index's reason at the first look; empty once it has said otherwise
    std::string last_;  ///< what was seen last
};

} // namespace


operation_ptr await_arrival(http_client &http, clock &time, const arrival_request &request, done_fn done)
{
    return std::make_unique<arrival>(http, time, request, std::move(done));
}

} // namespace rollout
