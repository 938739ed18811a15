// A model as clients see it in a list.
#pragma once

#include "common/base/json.hpp"
#include "worker/domain/model.hpp"

#include <string>
#include <vector>

namespace rollout {

/// `losses`: what its servers have lost of it. `tasks`: the ids of those that run on it or wait for it.
/// `unreached`: which servers no request reaches, as sentences.
json_ptr model_document(const model &from, const std::vector<lost_revision> &losses,
                        const std::vector<std::string> &tasks, const std::string &unreached = {});

} // namespace rollout
