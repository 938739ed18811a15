#include "worker/import_command.hpp"

#include "worker/async/loop_clock.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/base/permanent_start_error.hpp"
#include "worker/journal/sqlite/database.hpp"

#ifdef ROLLOUT_HAS_ETCD
#include "worker/cluster_store.hpp"
#include "worker/etcd/client.hpp"
#include "worker/fleet/gateway_record.hpp"
#include "worker/journal/etcd/journal_import.hpp"
#include "worker/journal/sqlite/journal_source.hpp"
#include "worker/os/signals.hpp"
#endif

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>

namespace rollout {

namespace {

int refuse_import(const std::string &why, bool is_permanent)
{
    log(log_level::error, "rolloutd cannot import the journal: " + why);
    return is_permanent ? exit_permanent_error : EXIT_FAILURE;
}


bool is_same_file(const std::string &path, const std::string &other)
{
    std::error_code ignored;
    return std::filesystem::equivalent(path, other, ignored);
}

#ifdef ROLLOUT_HAS_ETCD

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds progress_pause = 2s;


void print_end(const journal_source &from, const cluster_settings &to, const std::string &id)
{
    const auto imported = from.tasks() - from.left_out();
    std::printf("%s, %s and %s were imported into etcd below %s; the journal's id there is %s\n",
                format_count(imported, "task", "tasks").c_str(),
                format_count(from.models(), "model", "models").c_str(),
                format_count(from.series(), "series of a rollout", "series of rollouts").c_str(), to.prefix.c_str(),
                id.c_str());
    if (from.left_out() != 0) {
        std::printf("%s could not be read and left out: see the log\n",
                    format_count(from.left_out(), "task", "tasks").c_str());
    }
}


/// Each is one that this host has lost, until it has a link again: nothing is unloaded that it may route to.
std::vector<etcd::put_request> puts_of(const std::vector<known_gateway> &gateways, const cluster_settings &to,
                                       std::int64_t now_us)
{
    const cluster::keys names(to.prefix);
    std::vector<etcd::put_request> puts;
    for (const auto &[id, processes] : gateways) {
        gateway_record record;
        record.host = to.host;
        record.since_us = now_us;
        record.processes = processes;
        puts.push_back({names.gateway(id), text_of(record), 0});
    }
    return puts;
}


/// Returns the exit status.
int run_import(uv_loop_t *loop, const settings &config, const std::string &path)
{
    const cluster_settings &to = *config.journal.etcd;
    journal_source from(path);
    if (from.tasks() > config.journal.max_tasks) {
        log(log_level::warning, "The journal has " + std::to_string(from.tasks()) +
                                    " tasks, and journal.max_tasks is " + std::to_string(config.journal.max_tasks) +
                                    ": once all are in etcd, the oldest final ones are removed from it. Check that "
                                    "etcd's quota is enough until then, or start rolloutd on the journal with that "
                                    "max_tasks first");
    }
    log(log_level::info, "Importing " + format_count(from.tasks(), "task", "tasks") + " and " +
                             format_count(from.models(), "model", "models") + " into etcd below " + to.prefix);
    loop_clock time(loop);
    std::optional<outcome> ended;
    signal_catcher signals(loop);
    signals.start([&](int) {
        ended =
            outcome::transient("it was stopped. No rolloutd uses what was written so far. Run the import again: it "
                               "begins anew");
        uv_stop(loop);
    });
    etcd::rpc_thread thread(loop);
    const auto access = etcd::access::open(access_of(to));
    if (!access) {
        return refuse_import("journal.etcd." + access.sentence(), false);
    }
    etcd::client client(thread, time, *access);
    auto said_at = time.now();
    cluster::journal_import work({.etcd = cluster::store_of(client),
                                  .time = time,
                                  .names = cluster::keys(to.prefix),
                                  .from = from,
                                  .also = puts_of(from.gateways(), to, time.wall_us()),
                                  .on_progress =
                                      [&](std::uint64_t tasks) {
                                          if (time.now() - said_at >= progress_pause) {
                                              said_at = time.now();
                                              log(log_level::info, "Imported " + std::to_string(tasks) + " of " +
                                                                       format_count(from.tasks(), "task", "tasks"));
                                          }
                                      }},
                                 [&](const outcome &result) {
                                     ended = result;
                                     uv_stop(loop);
                                 });
    uv_update_time(loop); // the loop has stood still while the journal was checked
    work.start();
    while (!ended) {
        uv_run(loop, UV_RUN_DEFAULT);
    }
    if (!*ended) {
        return refuse_import(ended->detail, ended->is == outcome::kind::permanent);
    }
    print_end(from, to, work.id());
    return EXIT_SUCCESS;
}

#else

/// A rolloutd without the client of etcd has become another program (check_store), or has refused the journal.
int run_import(uv_loop_t *, const settings &, const std::string &)
{
    std::abort();
}

#endif

} // namespace


int import_journal(uv_loop_t *loop, const settings &config, const std::string &path)
{
    if (!config.journal.etcd) {
        return refuse_import("a journal is imported into the etcd that the configuration names, and its journal.type "
                             "is not \"etcd\"",
                             true);
    }
    if (is_same_file(path, config.journal.path)) {
        return refuse_import("journal.path is the journal itself, " + shown(path) +
                                 "; it becomes this host's copy of what is in etcd. Name another journal.path",
                             true);
    }
    try {
        return run_import(loop, config, path);
    } catch (const permanent_start_error &error) {
        return refuse_import(error.what(), true);
    } catch (const sqlite_error &error) {
        return refuse_import(error.what(), error.is_permanent());
    } catch (const std::exception &error) {
        return refuse_import(error.what(), false);
    }
}

} // namespace rollout
