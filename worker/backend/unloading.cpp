#include "worker/backend/unloading.hpp"

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

constexpr milliseconds first_look{20};
constexpr milliseconds longest_between_looks{1000};
constexpr milliseconds shortest_question{1000}; ///< the last look gets its answer even if that is past the time

class unloading final : public steps {
  public:
    unloading(http_client &http, unload_request request, done_fn done)
        : steps(http, std::move(done)), request_(std::move(request)), in_sight_(request_.withdraw != nullptr),
          deadline_(clock::now() + request_.timeout)
    {
        if (in_sight_) {
            look();
        } else {
            ask(kserve::unload(request_.url, request_.model, request_.timeout),
                [this](const http_answer &answer) { unload_answered(answer); });
        }
    }

  private:
    void withdraw()
    {
        on_thread(request_.withdraw, [this](outcome how) {
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
        outcome refused = repository_refusal(answer, request_.server, "unload " + request_.model, request_.model);
        if (refused.is == outcome::kind::transient) {
            finish(std::move(refused));
            return;
        }
        // Some servers refuse to unload what is not loaded: gone is gone. Only a model that is there makes it a failure.
        refused_ = std::move(refused);
        look();
    }

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
        if (in_sight_ && entry && entry->is != index_state::loading) {
            withdraw(); // not from under a server that reads the files
        } else if (entry && entry->is_gone() && request_.withdraw) {
            // Triton's index lists the folders that are there: without one, only the model itself can still say that it is.
            ask(bounded(kserve::ready(request_.url, request_.model)),
                [this](const http_answer &ready) { ready_answered(ready); });
        } else if (entry && entry->is_gone()) {
            finish(outcome::ok());
        } else if (entry && entry->is == index_state::ready && refused_) {
            finish(std::move(*refused_));
        } else if (entry) {
            still_ = index_state_name(entry->is);
            trouble_.clear();
            look_again();
        } else if (answer.status == 200 || kserve::lacks_index(answer)) {
            has_index_ = false;
            request_.no_index();
            if (in_sight_) {
                withdraw();
            } else {
                look();
            }
        } else if (answer.status == 401 || answer.status == 403) {
            finish(refusal(answer, request_.server, "show its repository index"));
        } else {
            trouble_ = refusal(answer, request_.server, "show its repository index").detail;
            look_again();
        }
    }

    void ready_answered(const http_answer &answer)
    {
        if (says_nothing_yet(answer)) {
            trouble_ = refusal(answer, request_.server, "say whether " + request_.model + " is ready").detail;
            look_again();
        } else if (answer.status == 401 || answer.status == 403) {
            finish(refusal(answer, request_.server, "say whether " + request_.model + " is ready"));
        } else if (!kserve::says_ready(answer)) {
            finish(outcome::ok());
        } else if (refused_) {
            finish(std::move(*refused_));
        } else {
            still_ = "ready";
            trouble_.clear();
            look_again();
        }
    }

    void look_again()
    {
        const milliseconds left = time_left();
        if (left.count() <= 0) {
            finish(outcome::transient(too_late()));
            return;
        }
        wait(std::min(between_, left), [this] { look(); });
        between_ = std::min(between_ * 2, longest_between_looks);
    }

    std::string too_late() const
    {
        const std::string after = " after " + duration_words(request_.timeout);
        if (!trouble_.empty()) {
            return "whether " + request_.model + " is unloaded is not known" + after + ": " + trouble_;
        }
        return request_.model + " is still " + still_ + " on " + request_.server + after +
               (request_.withdraw ? ": its requests have not ended, or the server has not looked at its repository"
                                  : ": its requests have not ended");
    }

    milliseconds time_left() const { return std::chrono::ceil<milliseconds>(deadline_ - clock::now()); }

    http_request bounded(http_request question) const
    {
        question.timeout = std::min(question.timeout, std::max(time_left(), shortest_question));
        return question;
    }

    unload_request request_;
    bool in_sight_; ///< of a server that polls: the files are, or may be
    clock::time_point deadline_;
    milliseconds between_ = first_look;
    bool has_index_ = true;
    std::optional<outcome> refused_; ///< what the server said to the unload, where that may mean "it is not loaded"
    std::string still_;              ///< the state that was seen last
    std::string trouble_;            ///< why the last look showed nothing
};

} // namespace


operation_ptr unload_and_wait(http_client &http, unload_request request, done_fn done)
{
    return std::make_unique<unloading>(http, std::move(request), std::move(done));
}

} // namespace rollout
