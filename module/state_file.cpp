#include "module/state_file.hpp"

#include "common/json.hpp"
#include "common/route.hpp"
#include "common/text.hpp"
#include "module/shared_zone.hpp"

#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rollout {

namespace {

constexpr std::string_view format_name = "rollout-routes";
constexpr json_int_t format_version = 1;

/// Of the file that a process writes before it renames it, with its number behind: another gateway, which stands beside this one
/// during a binary upgrade, writes at the same moments.
constexpr std::string_view beside_ending = ".new.";

/// Ten thousand models take about two megabytes.
constexpr std::size_t max_file_bytes = 64 * 1024 * 1024;


class descriptor {
  public:
    explicit descriptor(int fd) noexcept : fd_(fd) {}
    ~descriptor()
    {
        if (fd_ >= 0) {
            close(fd_);
        }
    }
    descriptor(const descriptor &) = delete;
    descriptor &operator=(const descriptor &) = delete;

    int get() const noexcept { return fd_; }

  private:
    int fd_;
};


/// What is wrong with the file's content, or empty.
std::string parse(const std::string &text, std::vector<route> &routes, std::string &journal, std::uint64_t &revision)
{
    json_error_t error;
    const json_ptr root = json_read(text, JSON_REJECT_DUPLICATES, error);
    if (!root) {
        return std::string("it is not JSON: ") + error.text;
    }
    if (json_text(root.get(), "format") != format_name) {
        return "it is not a state file of this module";
    }
    // A step to a later version goes here: a file of each older one is read, and written anew with the next change.
    const auto version = json_number(root.get(), "version");
    if (version != format_version) {
        return "it is of version " + std::to_string(version) + ", this module reads version " +
               std::to_string(format_version);
    }
    journal = json_text(root.get(), "journal");
    const auto number = json_number(root.get(), "revision", -1);
    const json_t *list = json_object_get(root.get(), "routes");
    if (number < 0 || !json_is_array(list) || journal.size() != sizeof(zone_header::journal)) {
        return "a member is missing";
    }
    revision = static_cast<std::uint64_t>(number);
    for (std::size_t i = 0; i < json_array_size(list); ++i) {
        std::string reason;
        auto one = route_from_json(json_array_get(list, i), reason);
        if (!one) {
            return reason;
        }
        routes.push_back(std::move(*one));
    }
    return {};
}


bool write_all(int fd, const std::string &text) noexcept
{
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t n = write(fd, text.data() + done, text.size() - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        done += static_cast<std::size_t>(n);
    }
    return true;
}

/// Removes a file, or leaves nothing in it. False, with errno, when it is as it was.
bool take_away(const std::string &path) noexcept
{
    if (unlink(path.c_str()) == 0 || errno == ENOENT) {
        return true;
    }
    // In a folder that is not ours any more a file of ours can still be emptied.
    const descriptor file(open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    return file.get() >= 0;
}


/// Removes what a process has left that was killed while it wrote.
void remove_leftovers(const std::filesystem::path &path)
{
    const std::string begin = path.filename().string() + std::string(beside_ending);
    std::error_code fault;
    for (std::filesystem::directory_iterator at(path.parent_path(), fault), end; !fault && at != end;
         at.increment(fault)) {
        const std::string name = at->path().filename().string();
        pid_t writer = 0;
        if (name.starts_with(begin) && read_number(std::string_view(name).substr(begin.size()), writer) &&
            writer > 0 && !is_alive(writer)) {
            unlink(at->path().c_str());
        }
    }
}

} // namespace


void read_state_file(shared_zone &zone, ngx_log_t *log)
{
    const std::string path(view_of(zone.state_file));
    remove_leftovers(path);
    const descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0) {
        if (errno != ENOENT) {
            ngx_log_error(NGX_LOG_WARN, log, errno, "rollout: the state file \"%V\" cannot be read and is left aside",
                          &zone.state_file);
        }
        return;
    }

    std::string text;
    std::string fault;
    struct stat info;
    if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        fault = "it is not a file";
    } else if (static_cast<std::size_t>(info.st_size) > max_file_bytes) {
        fault = "it is too large";
    } else {
        text.resize(static_cast<std::size_t>(info.st_size));
        const ssize_t n = read(file.get(), text.data(), text.size());
        text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    }

    std::vector<route> routes;
    std::string journal;
    std::uint64_t revision = 0;
    if (fault.empty() && text.empty()) {
        fault = "it is empty, as one is left that could not be written anew";
    }
    if (fault.empty()) {
        fault = parse(text, routes, journal, revision);
    }
    if (!fault.empty()) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "rollout: the state file \"%V\" is left aside: %s. Routes come from rolloutd once it is there",
                      &zone.state_file, fault.c_str());
        return;
    }

    record_store store(zone.records);
    route_table table(store);
    for (const auto &one : routes) {
        if (!table.put(one)) {
            ngx_log_error(NGX_LOG_ALERT, log, 0, "rollout: zone \"%V\" is too small for the routes of \"%V\"",
                          &zone.name, &zone.state_file);
            break;
        }
    }
    // The tasks are not here: the table's journal and revision stay empty, so that rolloutd sends all.
    zone.set_route_source(route_source::state_file);
    ngx_log_error(NGX_LOG_NOTICE, log, 0, "rollout: %uz routes, of revision %uL, read from \"%V\"", routes.size(),
                  revision, &zone.state_file);
}


std::string render_state(const shared_zone &zone)
{
    json_ptr list = json_make_array();
    record_store store(zone.records);
    route_table(store).each([&list](const route &one) { json_add(list.get(), route_to_json(one)); });

    json_ptr root = json_make_object();
    json_put(root.get(), "format", format_name);
    json_put(root.get(), "version", json_made(json_integer(format_version)));
    json_put(root.get(), "journal", zone.journal());
    json_put(root.get(), "revision", json_make_number(zone.header->routes_revision));
    json_put(root.get(), "routes", std::move(list));
    return json_compact(root.get()) + "\n";
}


bool write_state_file(const shared_zone &zone, const std::string &text, ngx_log_t *log, bool told) noexcept
try {
    const std::string path(view_of(zone.state_file));
    const std::string beside = path + std::string(beside_ending) + std::to_string(ngx_pid);
    const descriptor file(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
    // The sync holds up this process's requests for as long as the disk takes, some milliseconds, at each change of a route:
    // a rollout has a handful. Without it a power cut can leave an empty file under the name. The name itself is not synced:
    // until it is, the file before has it, which is whole as well.
    if (file.get() >= 0 && write_all(file.get(), text) && fsync(file.get()) == 0 &&
        rename(beside.c_str(), path.c_str()) == 0) {
        if (told) {
            ngx_log_error(NGX_LOG_NOTICE, log, 0, "rollout: the state file \"%V\" is written again",
                          &zone.state_file);
        }
        return true;
    }
    const ngx_err_t cause = errno;
    if (file.get() >= 0) {
        unlink(beside.c_str());
    }
    const bool is_gone = take_away(path);
    if (!told) {
        ngx_log_error(NGX_LOG_ERR, log, cause,
                      "rollout: the state file \"%V\" could not be written and is tried again; the user of the "
                      "worker processes needs to "
                      "write to its folder",
                      &zone.state_file);
    }
    if (!is_gone && !told) {
        ngx_log_error(NGX_LOG_ALERT, log, errno,
                      "rollout: the state file \"%V\" holds old routes and cannot be removed either: remove it, or "
                      "an nginx that starts "
                      "while rolloutd is away follows them",
                      &zone.state_file);
    }
    return false;
} catch (const std::exception &error) {
    ngx_log_error(NGX_LOG_ERR, log, 0, "rollout: the state file \"%V\" could not be written: %s", &zone.state_file,
                  error.what());
    return false;
}

} // namespace rollout
