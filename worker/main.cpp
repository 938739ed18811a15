// rolloutd: reads the configuration, wires the parts, runs the loop.
#include "worker/artifact/fetch.hpp"
#include "worker/backend/triton.hpp"
#include "worker/gateway_server.hpp"
#include "worker/http_client.hpp"
#include "worker/journal/sqlite_journal.hpp"
#include "worker/log.hpp"
#include "worker/rollout/loop_clock.hpp"
#include "worker/scheduler.hpp"
#include "worker/settings.hpp"
#include "worker/words.hpp"

#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <memory>

namespace {

using namespace rollout;
using namespace std::chrono_literals;

/// A page of old tasks goes at a time; while there are more, the next follows after a breath.
constexpr auto purge_interval = 3600s;
constexpr auto purge_breath = 1s;


/// The whole of rolloutd at run time.
class daemon {
  public:
    daemon(uv_loop_t *loop, const settings &config)
        : loop_(loop), config_(config), time_(loop), http_(loop), book_(loop, config.journal.path),
          gateways_(loop, book_),
          scheduler_(
              config_, book_, gateways_, time_, [this](const std::string &name) { return backend_of(name); },
              [this](fetch_request request, done_fn done) {
                  return fetch(loop_, std::move(request), std::move(done));
              })
    {
        for (const auto &[name, one] : config_.backends) {
            triton_settings made;
            made.name = name;
            made.url = one.url;
            made.repository = one.repository;
            made.staging = one.staging;
            made.log = [name = name](const std::string &words) { log(log_level::info, words, {{"backend", name}}); };
            backends_.emplace(name, std::make_unique<triton_backend>(std::move(made), http_));
        }
        book_.on_commit = [this](const std::vector<task_row> &rows, std::uint64_t before, std::uint64_t now) {
            gateways_.publish_tasks(rows, before, now);
        };
        gateways_.on_submit = [this](submission wanted, gateway_server::answer_fn answer) {
            scheduler_.submit(std::move(wanted), std::move(answer));
        };
        gateways_.on_steer = [this](task_kind kind, const std::string &task_id, steering verb,
                                    gateway_server::answer_fn answer) {
            scheduler_.steer(kind, task_id, verb, std::move(answer));
        };
    }

    void start()
    {
        scheduler_.recover();
        gateways_.listen(config_);
        purge();
        for (auto &[number, handle] : signals_) {
            uv_signal_init(loop_, &handle);
            handle.data = this;
            uv_signal_start(
                &handle, [](uv_signal_t *from, int) { static_cast<daemon *>(from->data)->stop(); }, number);
        }
        log(log_level::info, "rolloutd is ready", {{"socket", config_.listen.path}, {"journal", book_.id()}});
    }

  private:
    backend *backend_of(const std::string &name)
    {
        const auto found = backends_.find(name);
        return found == backends_.end() ? nullptr : found->second.get();
    }

    void purge()
    {
        const auto age_us = static_cast<std::int64_t>(config_.journal.retain_days) * 86400 * 1000000;
        book_.purge(time_.wall_us() - age_us, [this](const outcome &how, std::uint64_t count) {
            if (!how) {
                log(log_level::error, "Old tasks could not be removed: " + how.detail);
            }
            const bool more = how && count != 0;
            purge_pause_ = time_.after(more ? purge_breath : purge_interval, [this] { purge(); });
        });
    }

    void stop()
    {
        if (std::exchange(stopping_, true)) {
            return;
        }
        log(log_level::info, "rolloutd stops; what is unfinished goes on with the next start");
        purge_pause_.reset();
        scheduler_.stop([this] { wait_for_journal(); });
    }

    void wait_for_journal()
    {
        if (book_.busy()) {
            purge_pause_ = time_.after(5ms, [this] { wait_for_journal(); });
            return;
        }
        purge_pause_.reset();
        gateways_.close();
        http_.close();
        for (auto &[number, handle] : signals_) {
            uv_close(reinterpret_cast<uv_handle_t *>(&handle), nullptr);
        }
        uv_stop(loop_);
    }

    uv_loop_t *loop_;
    const settings &config_;
    loop_clock time_;
    http_client http_;
    sqlite_journal book_;
    gateway_server gateways_;
    std::map<std::string, std::unique_ptr<backend>> backends_;
    scheduler scheduler_;
    std::map<int, uv_signal_t> signals_{{SIGTERM, {}}, {SIGINT, {}}};
    operation_ptr purge_pause_;
    bool stopping_ = false;
};


void report(const std::string &path, const std::vector<json_fault> &faults)
{
    for (const auto &fault : faults) {
        std::fprintf(stderr, "%s: %s%s%s\n", path.c_str(), fault.pointer.c_str(), fault.pointer.empty() ? "" : ": ",
                     fault.detail.c_str());
    }
}


int run(const settings &config)
{
    // File copies take threads for long; the journal's commits must always find one.
    const auto threads = config.limits.max_concurrent_rollouts + 4;
    setenv("UV_THREADPOOL_SIZE", std::to_string(threads).c_str(), 0);
    std::signal(SIGPIPE, SIG_IGN);

    uv_loop_t loop;
    uv_loop_init(&loop);
    {
        daemon rolloutd(&loop, config);
        rolloutd.start();
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    // What was closed a moment ago is let go of now.
    uv_run(&loop, UV_RUN_NOWAIT);
    uv_loop_close(&loop);
    log(log_level::info, "rolloutd has stopped");
    return EXIT_SUCCESS;
}

} // namespace


int main(int argc, char **argv)
try {
    CLI::App app{
        "rolloutd carries out what nginx's rollout module accepts: deployments and deletions of inference models"};
    std::string path;
    bool check = false;
    app.add_option("--config", path, "The configuration, a JSON file")->required();
    app.add_flag("--check", check, "Read the configuration, report every fault, and exit 0 or 1");
    app.set_version_flag("--version", ROLLOUT_VERSION);
    CLI11_PARSE(app, argc, argv);

    std::vector<json_fault> faults;
    const settings config = read_settings(path, faults);
    report(path, faults);
    for (const auto &warning : config.warnings) {
        log(log_level::warning, warning);
    }
    if (!faults.empty()) {
        return EXIT_FAILURE;
    }
    if (check) {
        std::printf("%s: the configuration is good\n", path.c_str());
        return EXIT_SUCCESS;
    }
    return run(config);
} catch (const std::exception &error) {
    log(log_level::error, std::string("rolloutd cannot start: ") + error.what());
    return EXIT_FAILURE;
}
