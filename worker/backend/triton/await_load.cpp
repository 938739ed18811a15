#include "worker/backend/triton/await_load.hpp"

#include "worker/base/format.hpp"

#include <optional>
#include <utility>

namespace rollout {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds first_load_pause{50};

/// Twice Triton's default interval between two polls of its repository.
constexpr milliseconds old_failure{30000};

class load_wait final : public index_poller {
  public:
    load_wait(server_access access, const load_request &request, done_fn done)
        : index_poller(std::move(access), request, first_load_pause, std::move(done)), began_(time().now())
    {
        on_thread(request.put_in, [this](outcome result) {
            if (result) {
                poll();
            } else {
                finish(std::move(result));
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
        if (failed && (entry.reason != *first_failure_ || time().now() - began_ >= old_failure)) {
            finish(outcome::permanent(model_.server + " could not load " + model_.model + ": " + entry.reason));
            return;
        }
        last_ = failed ? "the server's index says " + entry.reason
                       : "the server's index has it as " + std::string(index_state_name(entry.is));
        poll_again();
    }

    void index_refused(const http_answer &answer) override { trouble(answer, "show its repository index"); }

    void ready_answered(const http_answer &answer) override
    {
        switch (kserve::readiness_of(answer)) {
        case kserve::readiness::ready:
            finish(outcome::ok());
            return;
        case kserve::readiness::unclear:
            trouble(answer, "say whether " + model_.model + " is ready");
            return;
        case kserve::readiness::not_ready:
            const std::string words = error_text(answer.body);
            last_ = "the server says HTTP " + std::to_string(answer.status) + (words.empty() ? "" : ", " + words);
            poll_again();
            return;
        }
    }

    /// The server has not answered the question: asks again if that may help.
    void trouble(const http_answer &answer, const std::string &action)
    {
        outcome refused = refusal(answer, model_.server, action);
        if (refused.is == outcome::kind::permanent) {
            finish(std::move(refused));
            return;
        }
        last_ = std::move(refused.detail);
        poll_again();
    }

    outcome too_late() const override
    {
        return outcome::permanent(model_.server + " has not loaded " + model_.model + " within " +
                                  format_duration(model_.timeout) + ": " + last_ +
                                  " (does it poll its repository, and often enough?)");
    }

    const milliseconds began_;                 ///< clock time
    std::optional<std::string> first_failure_; ///< the index's first reason; empty once it has said otherwise
    std::string last_;                         ///< the server's last text
};

} // namespace


operation_ptr await_load(server_access access, const load_request &request, done_fn done)
{
    return std::make_unique<load_wait>(std::move(access), request, std::move(done));
}

} // namespace rollout
