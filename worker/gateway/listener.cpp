// Where gateways come in: the socket, and who may connect to it.
#include "common/base/text.hpp"
#include "common/base/unique_fd.hpp"
#include "common/domain/limits.hpp"
#include "worker/base/log.hpp"
#include "worker/base/words.hpp"
#include "worker/gateway/gateway_server.hpp"
#include "worker/gateway/session.hpp"

#include <cerrno>
#include <stdexcept>
#include <utility>

#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace rollout {

namespace {

/// A socket that nobody answers is left from a process that was killed. That it is dead is what a refused connection proves,
/// and nothing else: the socket of another user's rolloutd, which may not be asked, is alive.
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
        throw std::runtime_error("there is something at " + shown(path) + " that is no socket; it is left there");
    }
    if (error != ECONNREFUSED) {
        throw std::runtime_error("whether another process listens on " + shown(path) +
                                 " cannot be told, and it is left there: " + errno_words(error));
    }
    unlink(path.c_str());
}

} // namespace


void gateway_server::use(const settings &from)
{
    lost_for_ = std::chrono::seconds(from.limits.gateway_lost_s);
}


void gateway_server::listen(const settings &from)
{
    use(from);
    path_ = from.listen.path;
    for (const auto &name : from.listen.allow_users) {
        const passwd *user = getpwnam(name.c_str());
        if (user == nullptr) { // who is left out must not become anybody
            throw std::runtime_error("there is no user \"" + clean_text(name, 64) +
                                     "\" on this machine, whom allow_users names");
        }
        allowed_uids_.insert(user->pw_uid);
    }
    clear_away_dead_socket(path_);

    server_ = std::make_unique<uv_pipe_t>();
    uv_pipe_init(loop_, server_.get(), 0);
    server_->data = this;
    // Nobody may connect between the making of the socket and the setting of its mode.
    const mode_t before = umask(0777);
    int rc = uv_pipe_bind(server_.get(), path_.c_str());
    umask(before);
    if (rc == 0) {
        rc = uv_listen(reinterpret_cast<uv_stream_t *>(server_.get()), 512, on_connection);
    }
    if (rc != 0) {
        throw std::runtime_error("the socket " + shown(path_) + " cannot be opened: " + uv_strerror(rc));
    }
    if (!from.listen.allow_users.empty()) {
        const passwd *user = getpwnam(from.listen.allow_users.front().c_str());
        if (user != nullptr && chown(path_.c_str(), static_cast<uid_t>(-1), user->pw_gid) != 0) {
            log(log_level::info, "The socket " + shown(path_) +
                                     " keeps rolloutd's own group; the users of allow_users "
                                     "must be in it, or \"mode\" let them in");
        }
    }
    if (chmod(path_.c_str(), from.listen.mode) != 0) {
        throw std::runtime_error("the mode of " + shown(path_) + " cannot be set: " + errno_words(errno));
    }

    prepare_ = std::make_unique<uv_prepare_t>();
    uv_prepare_init(loop_, prepare_.get());
    prepare_->data = this;
    uv_prepare_start(prepare_.get(), on_prepare);
    uv_unref(reinterpret_cast<uv_handle_t *>(prepare_.get()));
    ping_all();
}


void gateway_server::close_handles()
{
    if (server_) {
        uv_close(reinterpret_cast<uv_handle_t *>(server_.release()),
                 [](uv_handle_t *handle) { delete reinterpret_cast<uv_pipe_t *>(handle); });
    }
    if (prepare_) {
        uv_close(reinterpret_cast<uv_handle_t *>(prepare_.release()),
                 [](uv_handle_t *handle) { delete reinterpret_cast<uv_prepare_t *>(handle); });
    }
}


void gateway_server::on_connection(uv_stream_t *server, int status)
{
    auto *self = static_cast<gateway_server *>(server->data);
    if (status == 0) {
        self->accept();
    } else {
        self->note_deafness(uv_strerror(status));
    }
}


/// Once, until it is over: nginx tries again and again.
void gateway_server::note_deafness(const std::string &why)
{
    if (!std::exchange(deaf_, true)) {
        log(log_level::error, "No worker process of nginx can be linked, and deployments fail, until this passes: " +
                                  why + " (ulimit -n, or LimitNOFILE of a systemd unit)");
    }
}


void gateway_server::accept()
{
    auto one = std::make_shared<session>(*this);
    uv_pipe_init(loop_, one->pipe, 0);
    if (uv_accept(reinterpret_cast<uv_stream_t *>(server_.get()), reinterpret_cast<uv_stream_t *>(one->pipe)) != 0) {
        one->close();
        return;
    }
    sessions_.push_back(one);
    one->heard = uv_now(loop_);

    uv_os_fd_t fd = -1;
    uv_fileno(reinterpret_cast<uv_handle_t *>(one->pipe), &fd);
    std::string who;
    one->peer_pid = pid_of_peer(fd);
    if (!may_connect(fd, who)) {
        end(one, "user " + who + " is not in allow_users; name it in listen.allow_users of rolloutd.json");
        return;
    }
    if (sessions_.size() > limits::gateway_links) {
        end(one, "there are " + std::to_string(limits::gateway_links) + " links already");
        return;
    }
    one->start([this](const session_ptr &from, std::string_view bytes) { read(from, bytes); },
               [this](const session_ptr &from, const std::string &reason) { end(from, reason); });
}


bool gateway_server::may_connect(int fd, std::string &who)
{
    ucred peer = {};
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return false;
    }
    if (allowed_uids_.empty() || peer.uid == 0 || peer.uid == geteuid() || allowed_uids_.contains(peer.uid)) {
        return true;
    }
    // The users of a machine may be a directory's, which is asked once: who is refused comes again and again.
    auto [name, is_new] = refused_users_.try_emplace(peer.uid);
    if (is_new) {
        const passwd *user = getpwuid(peer.uid);
        name->second = user != nullptr ? user->pw_name : std::to_string(peer.uid);
    }
    who = name->second;
    return false;
}

} // namespace rollout
