#include "worker/backend/triton/unloading.hpp"

#include "worker/base/words.hpp"

#include <optional>
#include <utility>

namespace rollout {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds first_look{20};

class unloading final : public watching {
  public:
    unloading(http_client &http, clock &time, const unload_request &request, done_fn done)
        : watching(http, time, request, first_look, std::move(done)), withdraw_(request.withdraw),
          in_sight_(request.withdraw != nullptr)
    {
        if (in_sight_) {
            look();
        } else {
            ask_unload();
        }
    }

  private:
    void ask_unload()
    {
        ask(kserve::unload(what_.url, what_.model, what_.timeout),
            [this](const http_answer &answer) { unload_answered(answer); });
    }

    void withdraw()
    {
        on_thread(withdraw_, [this](outcome how) {
            if (how) {
                in_sight_ = false;
                look();
            } else {
                finish(std::move(how));
            }
        });
    }

    void unload_answered(const http_answer &answer)
    {
        if (kserve::is_done(answer)) {
            look();
            return;
        }
        outcome refused = repository_refusal(answer, what_.server, "unload " + what_.model, what_.model);
        if (refused.is == outcome::kind::transient) {
            if (says_nothing_yet(answer)) {
                finish(std::move(refused));
                return;
            }
            // It is being loaded: a load goes on when nobody waits for it any more.
            trouble_ = std::move(refused.detail);
            after_a_pause([this] { ask_unload(); });
            return;
        }
        trouble_.clear();
        // Some servers refuse to unload what is not loaded: gone is gone. Only a model that is there makes it a failure.
        refused_ = std::move(refused);
        look();
    }

    void in_index(const index_entry &entry) override
    {
        if (in_sight_ && entry.is != index_state::loading) {
            withdraw(); // not from under a server that reads the files
        } else if (entry.is_gone() && withdraw_) {
            // Triton's index lists the folders that are there: without one, only the model itself can still say that it is.
            ask_readiness();
        } else if (entry.is_gone()) {
            finish(outcome::ok());
        } else if (entry.is == index_state::ready && refused_) {
            finish(std::move(*refused_));
        } else {
            still_ = index_state_name(entry.is);
            trouble_.clear();
            look_again();
        }
    }

    void without_index() override
    {
        if (in_sight_) {
            withdraw();
        } else {
            look();
        }
    }

    void index_refused(const http_answer &answer) override
    {
        if (answer.status == 401 || answer.status == 403) {
            finish(refusal(answer, what_.server, "show its repository index"));
        } else {
            trouble_ = refusal(answer, what_.server, "show its repository index").detail;
            look_again();
        }
    }

    void ready_answered(const http_answer &answer) override
    {
        const auto is = kserve::readiness_of(answer);
        if (answer.status == 401 || answer.status == 403) {
            finish(refusal(answer, what_.server, "say whether " + what_.model + " is ready"));
        } else if (is == kserve::readiness::unclear) {
            trouble_ = refusal(answer, what_.server, "say whether " + what_.model + " is ready").detail;
            look_again();
        } else if (is == kserve::readiness::not_ready) {
            finish(outcome::ok());
        } else if (refused_) {
            finish(std::move(*refused_));
        } else {
            still_ = "ready";
            trouble_.clear();
            look_again();
        }
    }

    outcome too_late() const override
    {
        const std::string after = " after " + duration_words(what_.timeout);
        if (!trouble_.empty()) {
            return outcome::transient("whether " + what_.model + " is unloaded is not known" + after + ": " +
                                      trouble_);
        }
        return outcome::transient(
            what_.model + " is still " + still_ + " on " + what_.server + after +
            (withdraw_ ? ": its requests have not ended, or the server has not looked at its repository"
                       : ": its requests have not ended"));
    }

    std::function<outcome(const stop_flag &)> withdraw_;
    bool in_sight_;                  ///< of a server that polls: the files are, or may be
    std::optional<outcome> refused_; ///< what the server said to the unload, where that may mean "it is not loaded"
    std::string still_;              ///< the state that was seen last
    std::string trouble_;            ///< why the last look showed nothing
};

} // namespace


operation_ptr unload_and_wait(http_client &http, clock &time, const unload_request &request, done_fn done)
{
    return std::make_unique<unloading>(http, time, request, std::move(done));
}

} // namespace rollout
