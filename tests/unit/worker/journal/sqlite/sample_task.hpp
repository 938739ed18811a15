// Tasks and models as the journal's tests write them.
#pragma once

#include "tests/unit/json_of.hpp"
#include "worker/domain/model.hpp"
#include "worker/domain/task.hpp"

#include <string>

inline rollout::task task_of_model(const std::string &task_id, const std::string &model_id,
                                   rollout::task_kind kind = rollout::task_kind::deploy)
{
    rollout::task made;
    made.task_id = task_id;
    made.model_id = model_id;
    made.kind = kind;
    made.created_us = made.updated_us = 1000000;
    made.config = shared_json_of(R"({"param": "value"})");
    return made;
}

/// One that is final since `updated_us`.
inline rollout::task ended_task(const std::string &task_id, const std::string &model_id, std::int64_t updated_us,
                                rollout::task_kind kind = rollout::task_kind::deploy)
{
    rollout::task made = task_of_model(task_id, model_id, kind);
    made.status = rollout::task_status::completed;
    made.updated_us = updated_us;
    return made;
}

inline rollout::model placed_model(const std::string &model_id)
{
    rollout::model made;
    made.model_id = model_id;
    made.last_revision = 1;
    made.blue.emplace();
    made.blue->revision = 1;
    made.blue->upstream = "inference";
    made.blue->copies = {{model_id + "__r1", {""}, nullptr}};
    return made;
}
