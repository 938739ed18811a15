// The interface between the rollout engine and an inference server. Each kind of server has its own file next to this
// one.
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

/// A model under its name on a server, and the revision that it belongs to.
struct server_model {
    std::string name; ///< on the server (`123__r7`), already checked to be a plain directory's name
    std::string model_id;
    std::uint64_t revision = 0;
    std::vector<std::string> parts; ///< the parts served by it; empty if the model has no parts
};

/// The state of a model on a server, as a probe finds it.
struct model_status {
    enum class kind {
        loaded,
        moving,    ///< being loaded or unloaded
        lost,      ///< not on the server
        not_ready, ///< it does not serve, and the server gives no details: lost, or busy for a moment
        unknown,   ///< the server does not answer, or its answer does not say
    };
    kind is = kind::unknown;
    std::string words = {};    ///< the reason, for a person; may be empty
    std::string versions = {}; ///< the loaded ones, as the server names them; empty if it does not say
};

using probed_fn = std::function<void(const std::vector<model_status> &)>;

/// All operations are asynchronous on rolloutd's loop, can be repeated after a crash in the middle, and may run in
/// parallel for different models. Operations that concern only the files before they are staged take the name alone. The
/// backend must outlive its operations.
class backend {
  public:
    virtual ~backend() = default;

    /// Returns the folder into which a model's files are fetched before `stage`. It is on the repository's file system,
    /// outside the repository, and used for nothing else; it may not exist yet.
    virtual std::filesystem::path staging_path(const std::string &model) const = 0;

    /// Fails permanently, with a sentence, if the server's repository already holds something under that name. Called
    /// before a model's first step, never when resuming after a crash.
    virtual operation_ptr check_vacant(const std::string &model, done_fn done) = 0;

    /// Moves the files fetched into `staging_path` to where the server finds them: sets the model's name in its
    /// configuration files, syncs them to disk and renames the folder into the repository.
    virtual operation_ptr stage(const server_model &model, done_fn done) = 0;

    /// Asks the server to load the model and waits for its answer. `config` (an object; may be null) is a model
    /// configuration for this load.
    virtual operation_ptr load(const server_model &model, const json_t *config, std::chrono::milliseconds timeout,
                               done_fn done) = 0;

    /// Asks once whether the model is ready. `transient` if it is not ready yet, with the server's text (for a server
    /// with an index, the index's reason); `permanent` if the server's index says that the load has failed.
    virtual operation_ptr ready(const server_model &model, done_fn done) = 0;

    /// Probes several models once and returns the state of each, in the same order. Changes nothing.
    virtual operation_ptr probe_models(const std::vector<server_model> &models, probed_fn done) = 0;

    /// Runs one inference (`request`: a KServe v2 inference request). Ok only for a 200 with outputs.
    virtual operation_ptr infer(const server_model &model, const json_t *request, std::chrono::milliseconds timeout,
                                done_fn done) = 0;

    /// Unloads the model and waits until the server says that it is gone. Also ok if it was not loaded.
    virtual operation_ptr unload(const server_model &model, std::chrono::milliseconds timeout, done_fn done) = 0;

    /// Removes the files of a model that `stage` was called for, whether they are in the repository or still in
    /// `staging_path`. Call it only after a successful `unload`, or if `load` was never called. Also ok if there are no
    /// files.
    virtual operation_ptr remove(const server_model &model, done_fn done) = 0;

    /// Removes only what was fetched into `staging_path`, for a model that `stage` was never called for. Anything in the
    /// repository under its name belongs to somebody else.
    virtual operation_ptr discard(const std::string &model, done_fn done) = 0;

    // A backend of several servers performs each operation on all of them. A server is identified by its peer, the
    // address that nginx knows it by. The server of a single-server backend has no peer name.

    /// Lists the servers in the order of the configuration; empty for a single-server backend.
    virtual std::vector<std::string> servers() const { return {}; }

    /// Returns one of them as a backend of its own; null if there is no such server. An empty name means the only server
    /// of a single-server backend.
    virtual backend *server(const std::string &peer) { return peer.empty() ? this : nullptr; }

    /// The results of the last calls for a model, by server. They do not survive a restart.
    struct standing {
        std::vector<std::string> serving; ///< have loaded it or report it ready, and are not barred
        std::vector<std::string> barred;  ///< have failed its smoke test, or have another version loaded
    };

    /// Empty for a single-server backend, and if nothing is known.
    virtual std::optional<standing> standing_of(const std::string & /*model*/) const { return std::nullopt; }

    /// Lists the servers that could not be asked to unload the model although `unload` was ok. The model's files stay
    /// until these servers have unloaded it.
    virtual std::vector<std::string> owing(const std::string & /*model*/) const { return {}; }

    /// Copies a model's files into a server's own repository from another one, unless they are already there. Null: there
    /// is nothing to do.
    // NOLINTNEXTLINE(performance-unnecessary-value-param): those that do it keep it
    virtual operation_ptr supply(const std::string & /*peer*/, const server_model & /*model*/, done_fn /*done*/)
    {
        return nullptr;
    }

    /// Returns the progress of the running call for a model, as in "load: 3 of 4 servers; 10.0.0.4:8000 is loading since
    /// 41 s"; empty if there is nothing to report.
    virtual std::string progress_of(const std::string & /*model*/) const { return {}; }
};

} // namespace rollout
