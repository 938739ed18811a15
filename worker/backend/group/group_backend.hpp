// A backend of several servers, each of which is a backend of its own. A model is staged once into each repository, and
// is loaded, made ready, tested and unloaded on all servers in parallel.
//
// `min_servers` sets how many servers are required: a call is ok once that many have succeeded and the others have had as
// long again. A server that is not done by then gets no traffic, and the monitor of lost models loads the model on it
// later.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/side_by_side.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/backend/backend.hpp"
#include "worker/backend/group/model_progress.hpp"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace rollout {

struct group_settings {
    struct member {
        std::string peer;
        std::string repository; ///< its path, which other servers may share; empty: none
        std::shared_ptr<backend> server;
    };

    std::vector<member> members;        ///< at least one
    std::size_t min_servers = 1;        ///< how many must have a revision
    std::size_t max_parallel_loads = 4; ///< for one model
    bool asks_first = true; ///< a server must answer a short question before a call; not used if that runs a program
    bool polls = false;     ///< the servers poll their repositories themselves
};

class group_backend final : public backend {
  public:
    /// `time` must outlive the backend.
    group_backend(group_settings settings, clock &time, thread_fn run_on_thread);

    std::filesystem::path staging_path(const std::string &model) const override;
    operation_ptr check_vacant(const std::string &model, done_fn done) override;
    operation_ptr stage(const server_model &model, done_fn done) override;
    operation_ptr load(const server_model &model, const json_t *config, std::chrono::milliseconds timeout,
                       done_fn done) override;
    operation_ptr ready(const server_model &model, done_fn done) override;
    operation_ptr probe_models(const std::vector<server_model> &models, probed_fn done) override;
    operation_ptr infer(const server_model &model, const json_t *request, std::chrono::milliseconds timeout,
                        done_fn done) override;

    /// Ok if at least one server says that the model is gone, and every other one says so too or is down; `owing` then
    /// lists the servers that are down.
    operation_ptr unload(const server_model &model, std::chrono::milliseconds timeout, done_fn done) override;
    operation_ptr remove(const server_model &model, done_fn done) override;
    operation_ptr discard(const std::string &model, done_fn done) override;

    std::vector<std::string> servers() const override;
    backend *server(const std::string &peer) override;
    std::optional<standing> standing_of(const std::string &model) const override;
    std::vector<std::string> owing(const std::string &model) const override;
    operation_ptr supply(const std::string &peer, const server_model &model, done_fn done) override;
    std::string progress_of(const std::string &model) const override;

  private:
    using member = group_settings::member;
    using members = std::vector<const member *>;

    /// `barred`: has failed the smoke test, or has loaded another version than the others.
    enum class server_state : unsigned char { untried, failed, barred, loaded, ready };

    /// The results of the calls for a model.
    struct model_state {
        std::map<std::string, server_state> servers; ///< by peer
        std::map<std::string, outcome> failures;     ///< of those that failed
        bool is_to_repeat = false; ///< the last load fell short for transient reasons: the next one continues it
        std::optional<std::chrono::milliseconds> enough_since; ///< when enough servers first were ready
        model_progress progress;
    };

    using call_fn = std::function<operation_ptr(backend &server, done_fn done)>;

    struct step {
        const char *name;
        const char *doing; ///< "loading"
        server_state good;
        std::size_t at_once;
        bool asks_first;
    };

    server_state state_at(const std::string &model, const member &of) const;
    members members_at(const std::string &model, server_state least) const;
    members one_of_each_repository() const;
    operation_ptr run(const server_model &model, const step &what, const members &on, const call_fn &call,
                      std::function<void()> ended);
    start_fn asked_first(const member &of, const server_model &model, const call_fn &call);
    void note(const std::string &model, const member &of, server_state good, const outcome &result);
    start_fn ready_and_version(backend &server, const server_model &model,
                               const std::shared_ptr<std::vector<std::string>> &versions, std::size_t index);
    void note_other_version(const std::string &model, const member &of, const std::string &version,
                            const std::string &usual);
    outcome judge(const std::string &model, server_state wanted, const members &asked) const;
    std::string words_of_failures(const model_state &state) const;
    operation_ptr in_each_repository(const std::function<operation_ptr(backend &, done_fn)> &call, done_fn done);
    start_fn copied(std::filesystem::path from, const member &to, const std::string &model) const;
    operation_ptr alone_in(const std::filesystem::path &place, std::vector<start_fn> parts, done_fn done);
    operation_ptr remove_files(const server_model &model, done_fn done);

    group_settings settings_;
    clock &time_;
    thread_fn run_on_thread_;
    std::map<std::string, model_state> models_;          ///< by model name, until they are removed or unloaded
    std::map<std::string, std::set<std::string>> owing_; ///< servers by model name
    std::map<std::filesystem::path, std::weak_ptr<char>> supplied_; ///< by the place: expired once that is done
};

} // namespace rollout
