// The pages that a gateway requests: lists of tasks and of models, each within the bounds of one frame or in several,
// the series of a deployment, and rolloutd's own metrics.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/gateway/session.hpp"
#include "worker/journal/journal.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// Only a few pages are read at a time, the others wait for their turn. A page of models is written over several
/// turns of the loop, so that other requests do not wait for a thousand models. A link that has much unsent gets no
/// page. Journal and clock outlive this, and this outlives the reads that it has requested from the journal.
class pages {
  public:
    struct surroundings {
        rollout::journal &journal;
        clock &time;

        /// Returns what the servers have lost of a model.
        std::function<std::vector<lost_revision>(const std::string &model_id)> losses_of;

        /// Returns the tasks that run on a model, or wait for it, `most` of them.
        std::function<std::vector<std::string>(const std::string &model_id, std::size_t most)> tasks_of;

        /// Finds the document of a deployment's series; nothing if there is no such deployment.
        std::function<void(const std::string &task_id,
                           std::function<void(const outcome &, std::optional<std::string> document)> done)>
            find_series;

        /// Returns the metrics in Prometheus' text format.
        std::function<std::string()> metrics;

        /// Returns which servers of a model no request reaches, as sentences.
        std::function<std::string(const model &of)> unreached_servers_of = [](const model &) {
            return std::string();
        };
    };

    explicit pages(surroundings around) : around_(std::move(around)) {}
    pages(const pages &) = delete;
    pages &operator=(const pages &) = delete;

    /// Handle a `list`, a `models`, a `series` and a `metrics` frame. A malformed question, or one too many, ends the
    /// session.
    void on_list(const session_ptr &from, const json_t *message);
    void on_models(const session_ptr &from, const json_t *message);
    void on_series(const session_ptr &from, const json_t *message);
    void on_metrics(const session_ptr &from, const json_t *message) const;

    /// Stops writing models.
    void stop() { models_soon_.reset(); }

  private:
    /// The content of one frame of a page.
    struct page_part {
        std::string members; ///< of the message, after its id
        std::string lines;   ///< each after a line feed
        bool is_last = true;
    };
    using page_fn = std::function<void(const outcome &, const page_part &)>;

    /// A requested page that waits for its turn.
    struct question {
        std::weak_ptr<session> by;
        std::uint64_t id;
        rolloutd_frame type; ///< of the answer
        const char *none;    ///< the answer if no page is possible
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
        std::size_t next = 0;  ///< index into the models
        std::size_t bytes = 0; ///< so far
        std::string text;      ///< of the next part
        std::string last;      ///< the last model in that part
    };

    void read_next();
    void send(question &asked, const outcome &ended, const page_part &part);
    static void write_tasks(const std::vector<task_row> &rows, bool more, const page_fn &done);
    void write_models();

    surroundings around_;
    std::deque<question> waiting_;
    std::size_t under_way_ = 0;
    std::deque<std::shared_ptr<models_page>> models_; ///< that are being written, one turn of the loop each
    operation_ptr models_soon_;
};

} // namespace rollout
