#include "module/zone/state_file.hpp"

#include "common/base/json.hpp"
#include "common/base/json_writer.hpp"
#include "common/base/text.hpp"
#include "common/domain/route.hpp"
#include "module/zone/shared_zone.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
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

/// The suffix of the temporary file, followed by the process id: during a binary upgrade, another gateway writes the
/// same state file at the same time.
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


std::uint64_t ms_of(clockid_t which) noexcept
{
    timespec now{};
    clock_gettime(which, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000000;
}


/// Takes a time by one clock to that of another; what is past by both is 1.
std::uint64_t by_clock(clockid_t to, std::uint64_t ms, clockid_t from) noexcept
{
    const auto offset = static_cast<std::int64_t>(ms_of(to) - ms_of(from));
    return static_cast<std::uint64_t>(std::max<std::int64_t>(static_cast<std::int64_t>(ms) + offset, 1));
}


/// Returns what is wrong with the file's content, or an empty text.
std::string parse(const std::string &text, std::vector<route> &routes, state_head &head)
{
    json_error_t error;
    const json_ptr root = json_read(text, JSON_REJECT_DUPLICATES, error);
    if (!root) {
        return std::string("it is not JSON: ") + error.text;
    }
    if (json_text(root.get(), "format") != format_name) {
        return "it is not a state file of this module";
    }
    // Migrations from older versions belong here: such a file is read, and rewritten with the next change.
    const auto version = json_number(root.get(), "version");
    if (version != format_version) {
        return "it is of version " + std::to_string(version) + ", this module reads version " +
               std::to_string(format_version);
    }
    head.journal = json_text(root.get(), "journal");
    head.routes_until = json_count(root.get(), "routes_until");
    const auto number = json_number(root.get(), "revision", -1);
    const json_t *list = json_object_get(root.get(), "routes");
    if (number < 0 || !json_is_array(list) || head.journal.size() != sizeof(zone_header::journal)) {
        return "a member is missing";
    }
    head.revision = static_cast<std::uint64_t>(number);
    for (std::size_t i = 0; i < json_array_size(list); ++i) {
        std::string reason;
        auto parsed = route_from_json(json_array_get(list, i), reason);
        if (!parsed) {
            return reason;
        }
        routes.push_back(std::move(*parsed));
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

/// Syncs the folder, which contains the file's name. A folder that is writable but not readable cannot be synced, and
/// some file systems have nothing to sync there.
bool sync_folder(const std::string &path) noexcept
{
    const descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return folder.get() < 0 ? errno == EACCES : fsync(folder.get()) == 0 || errno == EINVAL;
}


/// Removes a file, or empties it. Returns false, with errno set, if it is unchanged.
bool remove_file(const std::string &path) noexcept
{
    if (unlink(path.c_str()) == 0 || errno == ENOENT) {
        return true;
    }
    // In a folder that we may no longer write to, our own file can still be emptied.
    const descriptor file(open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    return file.get() >= 0;
}


/// Removes the temporary files of processes that were killed while writing.
void remove_leftovers(const std::filesystem::path &path)
{
    const std::string begin = path.filename().string() + std::string(beside_ending);
    std::error_code fault;
    for (std::filesystem::directory_iterator it(path.parent_path(), fault), end; !fault && it != end;
         it.increment(fault)) {
        const std::string name = it->path().filename().string();
        pid_t writer = 0;
        if (name.starts_with(begin) && read_number(std::string_view(name).substr(begin.size()), writer) &&
            writer > 0 && !is_alive(writer)) {
            unlink(it->path().c_str());
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
            ngx_log_error(NGX_LOG_WARN, log, errno, "rollout: the state file \"%V\" cannot be read and is ignored",
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
    state_head head;
    if (fault.empty() && text.empty()) {
        fault = "it is empty, which is how one is left that could not be rewritten";
    }
    if (fault.empty()) {
        fault = parse(text, routes, head);
    }
    if (!fault.empty()) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "rollout: the state file \"%V\" is ignored: %s. Routes come from rolloutd once it is up",
                      &zone.state_file, fault.c_str());
        return;
    }

    record_store store(zone.records);
    route_table table(store);
    for (const auto &kept : routes) {
        if (!table.put(kept)) {
            ngx_log_error(NGX_LOG_ALERT, log, 0, "rollout: zone \"%V\" is too small for the routes of \"%V\"",
                          &zone.name, &zone.state_file);
            break;
        }
    }
    // Tasks are not in the file: the table's journal and revision stay empty, so that rolloutd sends all tasks.
    zone.set_route_source(route_source::state_file);
    if (head.routes_until != 0) {
        zone.header->routes_until = by_clock(CLOCK_MONOTONIC, head.routes_until, CLOCK_REALTIME);
        zone.header->state_until = zone.header->routes_until;
    }
    ngx_log_error(NGX_LOG_NOTICE, log, 0, "rollout: %uz routes, of revision %uL, read from \"%V\"", routes.size(),
                  head.revision, &zone.state_file);
    if (!zone.routes_may_be_used(ms_of(CLOCK_MONOTONIC))) {
        ngx_log_error(
            NGX_LOG_WARN, log, 0,
            "rollout: the routes of \"%V\" are too old to be used: models may have been unloaded since. Requests "
            "are routed again once rolloutd is up",
            &zone.state_file);
    }
}


std::optional<std::string> render_state(const shared_zone &zone, const state_head &head)
{
    json_writer to;
    to.begin_object().name("format").text(format_name).name("version").number(format_version);
    to.name("journal").text(head.journal).name("revision").number(head.revision);
    if (head.routes_until != 0) {
        to.name("routes_until").number(head.routes_until);
    }
    to.name("routes").begin_array();
    record_store store(zone.records);
    const bool whole =
        route_table(store).each([&to](const route &kept) { to.raw(json_compact(route_to_json(kept).get())); });
    if (!whole) {
        return std::nullopt;
    }
    to.end_array().end_object();
    return to.take() + "\n";
}


std::optional<state_write> make_state_write(shared_zone &zone)
{
    state_write what;
    what.path = view_of(zone.state_file);
    what.beside = what.path + std::string(beside_ending) + std::to_string(ngx_pid);
    what.head.journal.reserve(sizeof(zone_header::journal)); // nothing under the lock may throw
    {
        const zone_writer writer(zone); // reads both consistently, and repairs the zone if needed
        if (!writer) {
            return std::nullopt;
        }
        what.head.journal = zone.journal();
        what.head.revision = zone.header->routes_revision;
    }
    const auto until = zone.routes_until();
    std::atomic_ref(zone.header->state_until).store(until);
    what.head.routes_until = until == 0 ? 0 : by_clock(CLOCK_REALTIME, until, CLOCK_MONOTONIC);
    what.number = zone.begin_state_write();
    return what;
}


state_written write_state(shared_zone &zone, const state_write &what) noexcept
{
    const auto is_newest = [&] { return zone.named_state_write() <= what.number; };
    using result = state_written::result;
    bool named = false;
    int cause = ENOMEM;
    try {
        const auto text = render_state(zone, what.head);
        if (!text) {
            return {result::blocked};
        }
        const std::filesystem::path path(what.path);
        if (what.removes_leftovers) {
            remove_leftovers(path);
        }
        const descriptor file(open(what.beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
        // Without the first sync, a power failure can leave an empty file under the name; without the second, an
        // older one.
        if (file.get() >= 0 && write_all(file.get(), *text) && fsync(file.get()) == 0) {
            if (!is_newest()) {
                unlink(what.beside.c_str());
                return {result::yes};
            }
            named = rename(what.beside.c_str(), what.path.c_str()) == 0;
            if (named) {
                zone.note_named_state(what.number);
                if (sync_folder(path.parent_path())) {
                    // Another process may have renamed its file between the check and our rename.
                    return {is_newest() ? result::yes : result::again};
                }
            }
        }
        cause = errno;
        if (file.get() >= 0 && !named) {
            unlink(what.beside.c_str());
        }
    } catch (const std::exception &) {
        // Out of memory, or an error of the file system that could not be formatted.
    }
    if (!is_newest()) {
        return {named ? result::again : result::yes};
    }
    const bool is_gone = remove_file(what.path);
    return {result::failed, cause, is_gone ? 0 : errno};
}

} // namespace rollout
