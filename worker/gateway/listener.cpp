#include "worker/gateway/listener.hpp"

#include "common/base/unique_fd.hpp"
#include "common/domain/limits.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/os/users.hpp"

#include <cerrno>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace rollout {

namespace {

/// Removes a socket that a killed process has left behind. Only a refused connection proves that it is dead: the
/// socket of another user's rolloutd, to which this process may not connect, is alive.
void clear_away_dead_socket(const std::string &path)
{
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    const unique_fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int error =
        probe && connect(probe.get(), reinterpret_cast<sockaddr *>(&address), sizeof(address)) == 0 ? 0 : errno;
    if (error == 0) {
        throw std::runtime_error("another process listens on " + shown(path) +
                                 "; give each rolloutd a socket of its own");
    }
    struct stat info;
    if (lstat(path.c_str(), &info) != 0) {
        return;
    }
    if (!S_ISSOCK(info.st_mode)) {
        throw std::runtime_error("there is a file at " + shown(path) + " that is not a socket; it is left there");
    }
    if (error != ECONNREFUSED) {
        throw std::runtime_error("whether another process listens on " + shown(path) +
                                 " cannot be told, and it is left there: " + format_errno(error));
    }
    unlink(path.c_str());
}

} // namespace


listener::listener(uv_loop_t *loop, std::function<void(uv_stream_t *)> on_connection)
    : loop_(loop), on_connection_(std::move(on_connection))
{
}


listener::~listener()
{
    close_handle(); // after a failed start
}


void listener::open(const settings &from)
{
    path_ = from.listen.path;
    for (const auto &name : from.listen.allow_users) {
        const auto user = find_user(name);
        if (!user) { // an unknown user must not open the socket to everybody
            throw std::runtime_error("there is no user \"" + clean_text(name, 64) +
                                     "\" on this machine, although allow_users names it");
        }
        allowed_uids_.insert(user->uid);
    }
    clear_away_dead_socket(path_);

    socket_ = new uv_pipe_t{};
    uv_pipe_init(loop_, socket_, 0);
    socket_->data = this;
    // Nobody may connect before the socket has its group and its mode: until then its mode is 0, and it does not listen.
    const mode_t before = umask(0777);
    const int bound = uv_pipe_bind(socket_, path_.c_str());
    umask(before);
    if (bound != 0) {
        close_handle(); // the path is another rolloutd's
        throw_cannot_open(bound);
    }
    if (!from.listen.allow_users.empty()) {
        const auto user = find_user(from.listen.allow_users.front());
        if (user && chown(path_.c_str(), static_cast<uid_t>(-1), user->gid) != 0) {
            log(log_level::info, "The socket " + shown(path_) +
                                     " keeps rolloutd's own group; the users of allow_users "
                                     "must be in it, or \"mode\" must let them in");
        }
    }
    if (chmod(path_.c_str(), from.listen.mode) != 0) {
        throw std::runtime_error("the mode of " + shown(path_) + " cannot be set: " + format_errno(errno));
    }
    const int rc = uv_listen(reinterpret_cast<uv_stream_t *>(socket_), 512, [](uv_stream_t *socket, int status) {
        auto *self = static_cast<listener *>(socket->data);
        if (status == 0) {
            self->on_connection_(socket);
        } else {
            self->note_deafness(uv_strerror(status));
        }
    });
    if (rc != 0) {
        throw_cannot_open(rc);
    }
}


void listener::throw_cannot_open(int rc) const
{
    throw std::runtime_error("the socket " + shown(path_) + " cannot be opened: " + uv_strerror(rc));
}


void listener::close()
{
    if (socket_ != nullptr) {
        unlink(path_.c_str());
    }
    close_handle();
}


void listener::close_handle()
{
    if (uv_pipe_t *closing = std::exchange(socket_, nullptr)) {
        uv_close(reinterpret_cast<uv_handle_t *>(closing),
                 [](uv_handle_t *handle) { delete reinterpret_cast<uv_pipe_t *>(handle); });
    }
}


void listener::check_descriptors()
{
    if (const unique_fd spare(::open("/dev/null", O_RDONLY | O_CLOEXEC)); spare) {
        deafness_logged_ = false;
    } else {
        note_deafness(format_errno(errno));
    }
}


/// Logs it once, until it is over: nginx keeps trying.
void listener::note_deafness(const std::string &why)
{
    if (!std::exchange(deafness_logged_, true)) {
        log(log_level::error, "No worker process of nginx can be linked, and deployments fail, until this passes: " +
                                  why + " (ulimit -n, or LimitNOFILE of a systemd unit)");
    }
}


std::optional<std::string> listener::stranger_at(int descriptor)
{
    ucred peer = {};
    socklen_t size = sizeof(peer);
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return std::string();
    }
    if (allowed_uids_.empty() || peer.uid == 0 || peer.uid == geteuid() || allowed_uids_.contains(peer.uid)) {
        return std::nullopt;
    }
    // The users of a machine may come from a directory, which is queried only once: a refused user keeps trying.
    auto [name, is_new] = refused_users_.try_emplace(peer.uid);
    if (is_new) {
        const auto user = find_user(peer.uid);
        name->second = user ? user->name : std::to_string(peer.uid);
    }
    return name->second;
}


std::string listener::refusal_of(int descriptor, std::size_t links)
{
    if (const auto stranger = stranger_at(descriptor)) {
        return "user " + *stranger + " is not in allow_users; name it in listen.allow_users of rolloutd.json";
    }
    return links > limits::gateway_links ? "there are " + std::to_string(limits::gateway_links) + " links already"
                                         : "";
}

} // namespace rollout
