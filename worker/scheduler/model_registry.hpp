// The models that the journal has: each with its revisions while one stands somewhere, and else only with its last revision's
// number.
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
    /// Adds a model that the journal has. At start.
    void add(model known);

    /// The models that stand somewhere, or have a task at work, by their ids.
    const std::map<std::string, model> &models() const noexcept { return models_; }

    /// Returns null if the model is not among them.
    const model *find(const std::string &model_id) const;
    model *find(const std::string &model_id);

    /// Returns the model's entry for a task of it; makes it if there is none. It stays where it is until `put_aside`.
    model &find_or_create(const std::string &model_id);

    /// Forgets all of a model that stands nowhere, but for its last revision's number, if it ever had one.
    void put_aside(const std::string &model_id);

    /// Counts the models that a gateway routes to, or is about to.
    std::size_t deployed() const;

    /// Counts the models that have had a revision. One with its first task at work has not had one yet.
    std::size_t known(const std::function<bool(const std::string &model_id)> &is_at_work) const;

    /// Lists the models of which a revision stands on that backend.
    std::vector<std::string> models_on(const std::string &backend) const;

    /// Names the other model that stands on a backend under that name, or is about to; empty if none does.
    std::string holder_of(const std::string &model_id, const std::string &backend, const std::string &name) const;

  private:
    std::map<std::string, model> models_;
    std::unordered_map<std::string, std::uint64_t> last_revisions_; ///< of all others: a number is given once
};

} // namespace rollout
