// rolloutd: its command line, the process around the daemon, exit statuses.
#include "worker/backend/staging_check.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/base/log_output.hpp"
#include "worker/base/permanent_start_error.hpp"
#include "worker/daemon.hpp"
#include "worker/import_command.hpp"
#include "worker/settings_warnings.hpp"
#include "worker/task_store.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <vector>

#include <sys/resource.h>

namespace {

using namespace rollout;

void report(const std::string &path, const std::vector<json_fault> &faults)
{
    for (const auto &fault : faults) {
        std::fprintf(stderr, "%s: %s%s%s\n", path.c_str(), fault.pointer.c_str(), fault.pointer.empty() ? "" : ": ",
                     fault.detail.c_str());
    }
}


/// Raises the limit of open files: each link takes a descriptor, and so does each request to a server; a shell often
/// allows a program fewer than all possible links need.
void raise_open_files()
{
    constexpr rlim_t enough = 65536;
    rlimit files = {};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < std::min(files.rlim_max, enough)) {
        files.rlim_cur = std::min(files.rlim_max, enough);
        setrlimit(RLIMIT_NOFILE, &files); // if that is not allowed, the current limit has to do
    }
}


struct event_loop {
    event_loop() { uv_loop_init(&loop); }
    ~event_loop()
    {
        uv_run(&loop, UV_RUN_NOWAIT); // releases what was closed a moment ago
        uv_loop_close(&loop);
    }

    uv_loop_t loop;
};


int run_import(const settings &config, const std::string &journal)
{
    event_loop turning;
    return import_journal(&turning.loop, config, journal);
}


int run(const std::string &path, std::shared_ptr<const settings> config)
{
    const auto threads = config->limits.max_concurrent_rollouts + spare_threads;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet
    setenv("UV_THREADPOOL_SIZE", std::to_string(threads).c_str(), 0);
    std::signal(SIGPIPE, SIG_IGN);
    raise_open_files();

    int status = EXIT_SUCCESS;
    bool was_refused = false;
    {
        event_loop turning;
        make_threads(&turning.loop);
        rollout::daemon rolloutd(&turning.loop, path, std::move(config), threads);
        rolloutd.start();
        uv_run(&turning.loop, UV_RUN_DEFAULT);
        status = rolloutd.status();
        was_refused = rolloutd.was_refused();
    }
    if (!was_refused) {
        log(log_level::info, "rolloutd has stopped");
    }
    return status;
}

} // namespace


int main(int argc, char **argv)
try {
    std::atexit(flush_log);
    CLI::App app{
        "rolloutd carries out the deployments and deletions of inference models that nginx's rollout module accepts"};
    std::string path;
    std::string imported;
    bool check = false;
    app.add_option("--config", path, "The configuration, a JSON file")->required();
    app.add_flag("--check", check, "Read the configuration, report every fault, and exit 0 or 1");
    app.add_option(
           "--import", imported,
           "Move the journal in this file, which no rolloutd uses now, into the etcd of the configuration, and exit")
        ->type_name("JOURNAL")
        ->excludes("--check");
    app.set_version_flag("--version", ROLLOUT_VERSION);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        return app.exit(error) == 0 ? EXIT_SUCCESS : exit_permanent_error;
    }

    std::vector<json_fault> faults;
    const auto config = std::make_shared<const settings>(read_settings(path, faults));
    if (faults.empty()) {
        faults = enter_program_of(*config, argv);
    }
    if (faults.empty()) {
        faults = check_store(*config);
    }
    report(path, faults);
    for (const auto &warning : config->warnings) {
        log(log_level::warning, warning);
    }
    if (!faults.empty()) {
        return check ? EXIT_FAILURE : exit_permanent_error;
    }
    if (!imported.empty()) {
        return run_import(*config, imported);
    }
    if (check) {
        if (const auto unfit = check_store_files(*config); !unfit.empty()) {
            report(path, unfit);
            return EXIT_FAILURE;
        }
    }
    const auto findings = check_staging(*config);
    for (const auto &warning : findings.warnings) {
        log(log_level::warning, warning);
    }
    if (check && !findings.faults.empty()) {
        report(path, findings.faults);
        return EXIT_FAILURE;
    }
    if (check) {
        const auto advice = warnings_about(*config);
        for (const auto &warning : advice) {
            log(log_level::warning, warning);
        }
        const auto count = advice.size() + config->warnings.size();
        std::printf("%s: the configuration is good%s\n", path.c_str(),
                    count == 0 ? "" : (", with " + format_count(count, "warning", "warnings")).c_str());
        return EXIT_SUCCESS;
    }
    log_unreachable_backends(path, findings.faults);
    return run(path, config);
} catch (const std::exception &error) {
    rollout::log(rollout::log_level::error, std::string("rolloutd cannot start: ") + error.what());
    return EXIT_FAILURE;
}
