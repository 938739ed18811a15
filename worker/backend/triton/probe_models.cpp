#include "worker/backend/triton/probe_models.hpp"

#include "worker/backend/triton/error_text.hpp"
#include "worker/backend/triton/kserve.hpp"
#include "worker/backend/triton/repository_index.hpp"
#include "worker/backend/triton/request_sequence.hpp"

#include <memory>
#include <optional>
#include <utility>

namespace rollout {
namespace {

using found_ptr = std::shared_ptr<std::vector<model_status>>;

model_status status_of(const index_entry &entry)
{
    switch (entry.is) {
    case index_state::ready:
        return {model_status::kind::loaded, {}, entry.versions};
    case index_state::loading:
    case index_state::unloading:
        return {model_status::kind::moving, {}};
    case index_state::failed:
        return {model_status::kind::lost, entry.reason};
    case index_state::absent:
    case index_state::unloaded:
        break;
    }
    return {model_status::kind::lost, {}};
}


class probe final : public request_sequence {
  public:
    probe(server_access access, probe_request request, const found_ptr &found, probed_fn done)
        : request_sequence(std::move(access), [found, done = std::move(done)](const outcome &) { done(*found); }),
          asked_(std::move(request)), found_(found)
    {
        ask(kserve::index(asked_.url), [this](http_answer answer) { index_answered(std::move(answer)); });
    }

  private:
    void index_answered(http_answer answer)
    {
        if (answer.status == 200 && !is_html(answer.body)) {
            auto index = std::make_shared<std::optional<repository_index>>();
            const auto read = [index, body = std::move(answer.body)](const stop_flag &) {
                *index = read_index(body); // takes a while for many models
                return outcome::ok();
            };
            on_thread(read, [this, index](const outcome &ended) {
                if (!ended) {
                    give_up("the repository index of " + asked_.server + " could not be read: " + ended.detail);
                } else if (*index) {
                    index_read(**index);
                } else {
                    ask_each();
                }
            });
        } else if (kserve::lacks_index(answer)) {
            ask_each();
        } else {
            give_up(refusal(answer, asked_.server, "show its repository index").detail);
        }
    }

    void index_read(const repository_index &index)
    {
        for (std::size_t i = 0; i < asked_.models.size(); ++i) {
            const auto entry = index.find(asked_.models[i]);
            (*found_)[i] = status_of(entry == index.end() ? index_entry() : entry->second);
        }
        finish(outcome::ok());
    }

    void ask_each()
    {
        asked_.no_index();
        ask_next();
    }

    void ask_next()
    {
        if (next_ == asked_.models.size()) {
            finish(outcome::ok());
            return;
        }
        ask(kserve::ready(asked_.url, asked_.models[next_]),
            [this](const http_answer &answer) { ready_answered(answer); });
    }

    void ready_answered(const http_answer &answer)
    {
        model_status &status = (*found_)[next_];
        switch (kserve::readiness_of(answer)) {
        case kserve::readiness::ready:
            status.is = model_status::kind::loaded;
            break;
        case kserve::readiness::not_ready:
            status = {model_status::kind::not_ready, error_text(answer.body)};
            break;
        case kserve::readiness::unclear:
            if (answer.status == 0) {
                give_up(refusal(answer, asked_.server, "say whether " + asked_.models[next_] + " is ready").detail);
                return;
            }
            status.words = refusal(answer, asked_.server, "say whether it is ready").detail;
            break;
        }
        ++next_;
        ask_next();
    }

    /// Leaves the remaining models unknown.
    void give_up(const std::string &words)
    {
        for (std::size_t i = next_; i < found_->size(); ++i) {
            (*found_)[i].words = words;
        }
        finish(outcome::ok());
    }

    const probe_request asked_;
    const found_ptr found_;
    std::size_t next_ = 0;
};

} // namespace


operation_ptr probe_models(server_access access, probe_request request, probed_fn done)
{
    const auto found = std::make_shared<std::vector<model_status>>(request.models.size());
    return std::make_unique<probe>(std::move(access), std::move(request), found, std::move(done));
}

} // namespace rollout
