// Which of `models` of rolloutd.json applies to a model: its settings over those of all.
#pragma once

#include "worker/config/settings.hpp"

#include <string>
#include <vector>

namespace rollout {

/// The entry of `models` that applies: the one with exactly that name, else of the patterns that match (`*`: any
/// characters, `?`: one) the one with the most characters that stand for themselves, and of several such the first by
/// name. Null where none does. Lives as long as `from`.
const std::pair<const std::string, model_overrides> *find_model_settings(const settings &from,
                                                                         const std::string &model_id);

/// How a rollout of that model goes, before a task's own settings.
const rollout_settings &rollout_of(const settings &from, const std::string &model_id);

/// Reads `models`, an object, into `to`, whose `rollout`, `artifacts` and `backends` have been read. With
/// `allows_sources` the folders of the entries' sources are allowed, as the operator's own.
void read_models(const json_t *models, bool allows_sources, settings &to, std::vector<json_fault> &faults);

} // namespace rollout
