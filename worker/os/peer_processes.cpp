#include "worker/os/peer_processes.hpp"

#include "common/base/text.hpp"

#include <cerrno>
#include <csignal>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include <sys/socket.h>

namespace rollout {

namespace {

constexpr std::string_view hidden = "?";
constexpr char mark_of_machine = '@';

/// From /proc/PID/stat.
struct process_state {
    std::string name;
    char state = '?';
    int parent = 0;
    std::uint64_t started = 0;
};


std::optional<process_state> state_of(int pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text, '\0'); // a process that ends meanwhile fails it; an iterator over the buffer would throw
    const auto begin = text.find('(');
    const auto end = text.rfind(')'); // a name may contain any character
    if (begin == std::string::npos || end == std::string::npos) {
        return std::nullopt;
    }
    process_state found;
    found.name = text.substr(begin, end - begin);
    std::istringstream rest(text.substr(end + 1));
    rest >> found.state >> found.parent;
    constexpr int between = 17; // fields 5 to 21
    std::string skipped;
    for (int i = 0; i < between; ++i) {
        rest >> skipped;
    }
    rest >> found.started;
    return rest ? std::optional(found) : std::nullopt;
}


/// Returns whether a process has certainly ended. One that /proc hides (hidepid, ProtectProc=) still answers a signal, with
/// EPERM.
bool has_ended(int pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}


bool lives(int pid, std::uint64_t started)
{
    if (has_ended(pid)) {
        return false;
    }
    const auto now = state_of(pid);
    // Another process may have the pid by now; if /proc hides that one, it is taken for the same.
    return !now || (now->state != 'Z' && (started == 0 || now->started == started));
}


std::string first_word_of(const char *path, std::string otherwise)
{
    std::ifstream file(path);
    std::string word;
    file >> word;
    return word.empty() ? std::move(otherwise) : word;
}


const std::string &this_boot()
{
    static const std::string id = first_word_of("/proc/sys/kernel/random/boot_id", "unknown");
    return id;
}


/// Empty in a container that has none.
const std::string &this_machine()
{
    static const std::string id = first_word_of("/etc/machine-id", "");
    return id;
}

} // namespace


int pid_of_peer(int socket) noexcept
{
    ucred peer = {};
    socklen_t size = sizeof(peer);
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}


void peer_processes::add(int pid)
{
    if (boot_ != this_boot()) {
        *this = {};
        boot_ = this_boot();
    }
    machine_ = this_machine();
    // Drop the processes that have ended, so that the set does not grow with each reload.
    std::erase_if(started_, [](const auto &process) { return !lives(process.first, process.second); });
    const auto worker = pid == 0 ? std::nullopt : state_of(pid);
    if (!worker) {
        // A process that was killed between its connect and this check is not out of sight, but gone: it must not be
        // waited for.
        if (pid != 0 && has_ended(pid)) {
            started_[pid] = 0;
        } else {
            has_hidden_ = true;
        }
        return;
    }
    started_[pid] = worker->started;
    // The parent of a single process is a shell or a service manager.
    if (const auto master = state_of(worker->parent); master && master->name == worker->name) {
        started_[worker->parent] = master->started;
    }
}


bool peer_processes::are_gone() const
{
    if (boot_.empty()) {
        return false;
    }
    if (boot_ != this_boot()) { // or of another machine, which may run
        return machine_.empty() || machine_ == this_machine();
    }
    if (has_hidden_) {
        return false;
    }
    for (const auto &[pid, started] : started_) {
        if (lives(pid, started)) {
            return false;
        }
    }
    return true;
}


std::string peer_processes::text() const
{
    std::string all = boot_;
    for (const auto &[pid, started] : started_) {
        all += ' ' + std::to_string(pid) + ':' + std::to_string(started);
    }
    if (!machine_.empty()) {
        all += std::string(" ") + mark_of_machine + machine_; // an older rolloutd takes it for one that is hidden
    }
    return has_hidden_ ? all + ' ' + std::string(hidden) : all;
}


peer_processes peer_processes::from_text(std::string_view text)
{
    peer_processes read;
    read.boot_ = next_part(text, ' ');
    while (!text.empty()) {
        auto word = next_part(text, ' ');
        if (word.starts_with(mark_of_machine)) {
            read.machine_ = word.substr(1);
            continue;
        }
        std::uint64_t pid = 0;
        std::uint64_t started = 0;
        if (read_number(next_part(word, ':'), pid) && read_number(word, started) && pid != 0 && pid <= INT32_MAX) {
            read.started_[static_cast<int>(pid)] = started;
        } else {
            read.has_hidden_ = true;
        }
    }
    return read;
}


std::string peer_processes::words() const
{
    std::string pids;
    bool several = false;
    for (const auto &[pid, started] : started_) {
        if (boot_ == this_boot() && lives(pid, started)) {
            several = !pids.empty();
            pids += (pids.empty() ? "" : ", ") + std::to_string(pid);
        }
    }
    return pids.empty() ? "its processes cannot be seen from here"
                        : (several ? "processes " + pids + " live" : "process " + pids + " lives");
}

} // namespace rollout
