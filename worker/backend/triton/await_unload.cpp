#include "worker/backend/triton/await_unload.hpp"

#include "worker/base/format.hpp"

#include <optional>
#include <utility>

namespace rollout {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds first_unload_pause{20};

class unload_wait final : public index_poller {
  public:
    unload_wait(server_access access, const unload_request &request, done_fn done)
        : index_poller(std::move(access), request, first_unload_pause, std::move(done)), withdraw_(request.withdraw),
          in_sight_(request.withdraw != nullptr)
    {
        if (in_sight_) {
            poll();
        } else {
            ask_unload();
        }
    }

  private:
    void ask_unload()
    {
        ask(kserve::unload(model_.url, model_.model, model_.timeout),
            [this](const http_answer &answer) { unload_answered(answer); });
    }

    void withdraw()
    {
        on_thread(withdraw_, [this](outcome result) {
            if (result) {
                in_sight_ = false;
                poll();
            } else {
                finish(std::move(result));
            }
        });
    }

    void unload_answered(const http_answer &answer)
    {
        if (kserve::is_done(answer)) {
            poll();
            return;
        }
        outcome refused = repository_refusal(answer, model_.server, "unload " + model_.model, model_.model);
        if (refused.is == outcome::kind::transient) {
            if (says_nothing_yet(answer)) {
                finish(std::move(refused));
                return;
            }
            // It is being loaded, and a load continues even if nobody waits for it any more.
            trouble_ = std::move(refused.detail);
            after_a_pause([this] { ask_unload(); });
            return;
        }
        trouble_.clear();
        // Some servers refuse to unload a model that is not loaded, which is as good as success. It is a failure only if
        // the model is still there.
        refused_ = std::move(refused);
        poll();
    }

    void in_index(const index_entry &entry) override
    {
        if (in_sight_ && entry.is != index_state::loading) {
            withdraw(); // not while the server reads the files
        } else if (entry.is_gone() && withdraw_) {
            // Triton's index lists the folders that exist. Without a folder, only the model itself can say whether it is
            // still loaded.
            ask_readiness();
        } else if (entry.is_gone()) {
            finish(outcome::ok());
        } else if (entry.is == index_state::ready && refused_) {
            finish(std::move(*refused_));
        } else {
            still_ = index_state_name(entry.is);
            trouble_.clear();
            poll_again();
        }
    }

    void without_index() override
    {
        if (in_sight_) {
            withdraw();
        } else {
            poll();
        }
    }

    void index_refused(const http_answer &answer) override
    {
        if (answer.status == 401 || answer.status == 403) {
            finish(refusal(answer, model_.server, "show its repository index"));
        } else if (answer.may_pass()) {
            gone_away(answer);
        } else {
            trouble_ = refusal(answer, model_.server, "show its repository index").detail;
            poll_again();
        }
    }

    void ready_answered(const http_answer &answer) override
    {
        const auto is = kserve::readiness_of(answer);
        if (answer.status == 401 || answer.status == 403) {
            finish(refusal(answer, model_.server, "say whether " + model_.model + " is ready"));
        } else if (answer.may_pass()) {
            gone_away(answer);
        } else if (is == kserve::readiness::unclear) {
            trouble_ = refusal(answer, model_.server, "say whether " + model_.model + " is ready").detail;
            poll_again();
        } else if (is == kserve::readiness::not_ready) {
            finish(outcome::ok());
        } else if (refused_) {
            finish(std::move(*refused_));
        } else {
            still_ = "ready";
            trouble_.clear();
            poll_again();
        }
    }

    /// A server that went away with the call half done is not waited for: the caller decides what that means.
    void gone_away(const http_answer &answer)
    {
        finish(refusal(answer, model_.server, "say whether " + model_.model + " is unloaded"));
    }

    outcome too_late() const override
    {
        const std::string after = " after " + format_duration(model_.timeout);
        if (!trouble_.empty()) {
            return outcome::transient("whether " + model_.model + " is unloaded is not known" + after + ": " +
                                      trouble_);
        }
        return outcome::transient(
            model_.model + " is still " + still_ + " on " + model_.server + after +
            (withdraw_ ? ": its requests have not ended, or the server has not looked at its repository"
                       : ": its requests have not ended"));
    }

    blocking_fn withdraw_;
    bool in_sight_;                  ///< for a polling server: the files are, or may be, in its sight
    std::optional<outcome> refused_; ///< the server's refusal to unload, if that may mean "it is not loaded"
    std::string still_;              ///< the last state that the server reported
    std::string trouble_;            ///< why the last question gave no result
};

} // namespace


operation_ptr await_unload(server_access access, const unload_request &request, done_fn done)
{
    return std::make_unique<unload_wait>(std::move(access), request, std::move(done));
}

} // namespace rollout
