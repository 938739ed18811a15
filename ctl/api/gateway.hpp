// The gateway's API: reading from it, and requesting changes. Each call waits for its answer. Any answer other than the
// expected one is thrown as a command_error with the gateway's own text.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/task_status.hpp"
#include "ctl/api/http_client.hpp"
#include "ctl/api/task_document.hpp"
#include "ctl/base/command_error.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rollout::ctl {

class gateway {
  public:
    /// `client` must outlive it.
    explicit gateway(http_client &client) : client_(client) {}

    http_client &client() noexcept { return client_; }

    /// Sends a request to any route and returns the answer unchanged. Throws only if there is no answer.
    http_answer send(http_request request);

    /// Returns the task; nothing if there is none.
    std::optional<task_document> find_task(task_kind kind, std::string_view task_id);

    /// Returns the model's latest task of that kind; nothing if there is none.
    std::optional<task_document> find_latest(task_kind kind, std::string_view model_id);

    /// Returns a page of tasks, newest first; an empty model, or no status, means any. `limit` is 1 to 1000.
    std::vector<task_document> list_tasks(task_kind kind, std::string_view model_id,
                                          std::optional<task_status> status, unsigned limit);

    /// Returns all models, reading page by page.
    std::vector<json_ptr> list_models();

    /// Returns one model's document; null if it is not deployed.
    json_ptr find_model(const std::string &model_id);

    /// Creates a task, or finds the one that the same request has created: if the answer is lost, the request is repeated
    /// with the same key.
    task_document post_task(task_kind kind, const json_t *body, const std::string &key);

    /// Sends a verb. `retry` and `rollback`, which create a task with the key as its id, are repeated like a post if the
    /// answer is lost. The other verbs are not: they could take effect twice.
    task_document post_verb(task_kind kind, const std::string &task_id, std::string_view verb,
                            const std::string &key);

    /// Throws the answer as an error unless its status is 200 to 299.
    void require_success(const http_answer &answer) const;

  private:
    json_ptr get_json(const std::string &path);
    std::optional<task_document> find(task_kind kind, const std::string &path);
    task_document task_of(task_kind kind, http_answer answer) const;
    http_answer ask(const http_request &request, const std::string &key, bool may_repeat);
    http_answer send_list(const std::string &path, std::optional<task_status> status);
    json_ptr object_of(const http_answer &answer) const;

    http_client &client_;
};

/// Returns a unique id for a new task: a UUID.
std::string new_key();

/// Returns the largest id below `model_id` in the order of ids: the page after it begins with `model_id`, if there is
/// such a model.
std::string id_before(const std::string &model_id);

} // namespace rollout::ctl
