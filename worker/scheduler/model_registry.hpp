// The models in the journal: each with its revisions if it has one on a server, and otherwise only with the number of
// its last revision.
#pragma once

#include "worker/domain/model.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace rollout {

class model_registry {
  public:
    /// Adds a model from the journal, at start.
    void add(model known);

    /// Returns the models that have a revision on a server, or a task that runs, by id.
    const std::map<std::string, model> &models() const noexcept { return models_; }

    /// Returns null if there is no such model.
    const model *find(const std::string &model_id) const;
    model *find(const std::string &model_id);

    /// Returns the model's entry for one of its tasks; creates it if there is none. Its address does not change until
    /// `put_aside`.
    model &find_or_create(const std::string &model_id);

    /// Forgets a model that has no revision on any server, except for the number of its last revision, if it ever had
    /// one, and the journal's revision of its entry, on which its next write builds.
    void put_aside(const std::string &model_id);

    /// Counts the models that a gateway routes to, or is about to.
    std::size_t deployed() const;

    /// Counts the models that have had a revision. A model whose first task is running has not had one yet.
    std::size_t known(const std::function<bool(const std::string &model_id)> &is_at_work) const;

    /// Lists the models that have a revision on that backend.
    std::vector<std::string> models_on(const std::string &backend) const;

    /// Returns the other model that uses that name on a backend, or is about to; empty if there is none.
    std::string holder_of(const std::string &model_id, const std::string &backend, const std::string &name) const;

  private:
    struct trace {
        std::uint64_t last_revision = 0; ///< a number is used once
        std::uint64_t route_revision = 0;
    };

    std::map<std::string, model> models_;
    std::unordered_map<std::string, trace> traces_; ///< of all other models
};

} // namespace rollout
