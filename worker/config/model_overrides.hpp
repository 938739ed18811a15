// Finds the entry of rolloutd.json's `models` that applies to a model: its settings take precedence over the general
// ones.
#pragma once

#include "worker/config/settings.hpp"

#include <string>
#include <vector>

namespace rollout {

/// Returns the entry of `models` that applies: the one with exactly that name, else the matching pattern (`*`: any
/// characters, `?`: one) with the most literal characters, and among several of those the first by name. Null if none
/// matches. Valid as long as `from`.
const std::pair<const std::string, model_overrides> *find_model_settings(const settings &from,
                                                                         const std::string &model_id);

/// Returns the rollout settings of that model, before a task's own settings.
const rollout_settings &rollout_of(const settings &from, const std::string &model_id);

/// Reads the object `models` into `to`, whose `rollout`, `artifacts` and `backends` must already be read. With
/// `allows_sources`, the folders of the entries' sources are allowed, since the operator has named them.
void read_models(const json_t *models, bool allows_sources, settings &to, std::vector<json_fault> &faults);

} // namespace rollout
