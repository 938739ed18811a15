// The pages that a gateway asks for: lists of tasks and of models, each within the bounds of a frame or in several, and what rolloutd
// says of itself in the metrics.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/gateway/session.hpp"
#include "worker/journal/journal.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rollout {

/// Few pages are read at a time, the others wait for their turn; of a page of models, some are written in a turn of the loop, so that
/// what is asked meanwhile does not wait for a thousand. A link that has much unsent gets no page. Journal and clock outlive this, and
/// this the reads that it has asked the journal for.
class pages {
  public:
    struct surroundings {
        rollout::journal &journal;
        clock &time;

        /// What its servers have lost of a model.
        std::function<std::vector<lost_revision>(const std::string &model_id)> losses_of;

        /// The tasks that are at work on a model, or wait for it, `most` of them.
        std::function<std::vector<std::string>(const std::string &model_id, std::size_t most)> tasks_of;

        /// In Prometheus' text format.
        std::function<std::string()> metrics;
    };

    explicit pages(surroundings around) : around_(std::move(around)) {}
    pages(const pages &) = delete;
    pages &operator=(const pages &) = delete;

    /// A `list`, a `models` and a `metrics` frame. A list that is none, and a question too many, end the session.
    void on_list(const session_ptr &from, const json_t *message);
    void on_models(const session_ptr &from, const json_t *message);
    void on_metrics(const session_ptr &from, const json_t *message) const;

    /// Writes no more models.
    void stop() { models_soon_.reset(); }

  private:
    /// What goes into one frame of a page.
    struct page_part {
        std::string members; ///< of the message, behind its id
        std::string lines;   ///< each behind a line feed
        bool is_last = true;
    };
    using page_fn = std::function<void(const outcome &, const page_part &)>;

    /// A page that was asked for and waits for its turn.
    struct question {
        std::weak_ptr<session> by;
        std::uint64_t id;
        rolloutd_frame type; ///< of the answer
        const char *none;    ///< the answer if there can be no page
        std::function<void(const page_fn &)> read;
        bool is_refused = false; ///< there is no page, or no room for it
        bool is_begun = false;
    };

    /// Models that are being written for a client.
    struct models_page {
        std::vector<model> models;
        bool more = false;
        bool in_lines = false;
        page_fn done;
        std::size_t next = 0;  ///< of the models
        std::size_t bytes = 0; ///< so far
        std::string text;      ///< of the next part
        std::string last;      ///< the last model in it
    };

    void read_next();
    void send(question &asked, const outcome &ended, const page_part &part);
    static void write_tasks(const std::vector<task_row> &rows, bool more, const page_fn &done);
    void write_models();

    surroundings around_;
    std::deque<question> waiting_;
    std::size_t under_way_ = 0;
    std::deque<std::shared_ptr<models_page>> models_; ///< that are being written, a turn of the loop each
    operation_ptr models_soon_;
};

} // namespace rollout
