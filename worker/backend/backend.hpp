// An inference server as the rollout engine drives it. One file beside this one for each kind of server.
#pragma once

#include "common/base/json.hpp"
#include "worker/async/outcome.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// A model as a server has it, and whose it is.
struct server_model {
    std::string name; ///< on the server (`123__r7`), already checked to be a plain directory's name
    std::string model_id;
    std::uint64_t revision = 0;
    std::vector<std::string> parts; ///< that find it there; none where the model has no parts
};

/// What a look at a server finds of a model that is to be loaded there.
struct model_status {
    enum class kind {
        loaded,
        moving,    ///< on its way in or out
        lost,      ///< the server has it not
        not_ready, ///< it does not serve, and the server does not say more: lost, or busy for a moment
        unknown,   ///< the server does not answer, or not with that
    };
    kind is = kind::unknown;
    std::string words; ///< why, for a person; may be empty
};

using probed_fn = std::function<void(const std::vector<model_status> &)>;

/// All operations are asynchronous on rolloutd's loop, can be run again after a crash in their middle, and may run for
/// different models side by side. What concerns only the files before they are staged is given the name alone. The backend
/// must outlive its operations.
class backend {
  public:
    virtual ~backend() = default;

    /// The folder into which a model's files are fetched before `stage`: on the repository's file system, outside of
    /// it. Nothing else uses it; it may not exist yet.
    virtual std::filesystem::path staging_path(const std::string &model) const = 0;

    /// Fails permanently, saying so, where the server's repository already holds something under that name. Called
    /// before a model's first step, never on the way back from a crash.
    virtual operation_ptr check_vacant(const std::string &model, done_fn done) = 0;

    /// Takes what was fetched into `staging_path` to where the server finds it: fits the model's name in its
    /// configuration files, syncs it to the disk and renames it into the repository.
    virtual operation_ptr stage(const server_model &model, done_fn done) = 0;

    /// Asks the server to load the model and waits for its answer. `config` (may be null) is a model configuration
    /// for this load, an object.
    virtual operation_ptr load(const server_model &model, const json_t *config, std::chrono::milliseconds timeout,
                               done_fn done) = 0;

    /// One question: is the model ready? `transient` where it is not yet, with the server's words (for a server with
    /// an index, the index's reason); `permanent` where the server's index says that the load failed for good.
    virtual operation_ptr ready(const server_model &model, done_fn done) = 0;

    /// One look at several models, to see whether they are there: what it found of each, in their order. Changes nothing.
    virtual operation_ptr probe_models(const std::vector<server_model> &models, probed_fn done) = 0;

    /// Runs one inference (`request`: a KServe v2 inference request). Ok only for a 200 with outputs.
    virtual operation_ptr infer(const server_model &model, const json_t *request, std::chrono::milliseconds timeout,
                                done_fn done) = 0;

    /// Unloads the model and waits until the server says that it is gone. Ok also where it was not loaded.
    virtual operation_ptr unload(const server_model &model, std::chrono::milliseconds timeout, done_fn done) = 0;

    /// Removes the files of a model that `stage` was called for: those in the repository, or those that are still in
    /// `staging_path`. Only after `unload` was ok, or when `load` was never called. Ok where there are none.
    virtual operation_ptr remove(const server_model &model, done_fn done) = 0;

    /// Removes what was fetched into `staging_path`, and nothing else: for a model that `stage` was never called for. What
    /// the repository holds under its name is somebody else's.
    virtual operation_ptr discard(const std::string &model, done_fn done) = 0;

    // A backend of several servers does all this with each of them. The servers go by their peers, the addresses that nginx knows them
    // by. A backend of one server has none by name.

    /// Lists the servers, in the order of the configuration; empty for a backend of one.
    virtual std::vector<std::string> servers() const { return {}; }

    /// Finds one of them, as a backend of its own; null if there is no such server. Without a name: the only one of a backend of one.
    virtual backend *server(const std::string &peer) { return peer.empty() ? this : nullptr; }

    /// What the last calls for a model have come to, by server. Nothing of it outlives a restart.
    struct standing {
        std::vector<std::string> serving; ///< that loaded it, have it ready, and have not failed its smoke test
        std::vector<std::string> barred;  ///< that failed its smoke test
    };

    /// Nothing for a backend of one server, and if nothing is known.
    virtual std::optional<standing> standing_of(const std::string & /*model*/) const { return std::nullopt; }

    /// The servers that could not be asked to unload the model when `unload` was ok: it stays until they have been.
    virtual std::vector<std::string> owing(const std::string & /*model*/) const { return {}; }

    /// Brings a model's files into a server's own repository, from another's, if they are not there. Null: there is nothing to do.
    virtual operation_ptr supply(const std::string & /*peer*/, const server_model & /*model*/, done_fn /*done*/)
    {
        return nullptr;
    }

    /// How far the call under way for a model is, as "load: 3 of 4 servers; 10.0.0.4:8000 is loading since 41 s"; empty if there is nothing
    /// to say.
    virtual std::string progress_of(const std::string & /*model*/) const { return {}; }
};

} // namespace rollout
