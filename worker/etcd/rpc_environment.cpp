#include "worker/etcd/rpc_environment.hpp"

#include "worker/base/log.hpp"
#include "worker/os/signals.hpp"

#include <grpc/grpc.h>
#include <grpc/support/log.h>

#include <openssl/crypto.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace rollout::etcd {

namespace {

using namespace std::chrono_literals;

constexpr auto longest_end = 5s;

std::atomic<bool> rpc_was_used = false;

/// gRPC would write lines of its own to standard error. What is of use in them is in the status of the call as well.
void log_of_grpc(gpr_log_func_args *line)
{
    log(log_level::debug, line->message, {{"from", "gRPC"}});
}

/// Created before main(): there is one thread yet, and nobody has used OpenSSL.
class rpc_environment {
  public:
    rpc_environment() noexcept
    {
        // Names are resolved by the system's own resolver, as everywhere else in rolloutd. That of gRPC knows no
        // nsswitch.conf, and in Debian 12 leaks with each name.
        setenv("GRPC_DNS_RESOLVER", "native", 0); // NOLINT(concurrency-mt-unsafe)

        // OpenSSL frees nothing when the process exits. gRPC does not wait for its threads, and each releases what it has
        // of OpenSSL when it ends, which may be later; gRPC itself does the same since its pull request 42608.
        OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
    }

    /// After main(). What the last channels leave behind is freed by gRPC's threads, with what the libraries' own
    /// destructors take away next.
    ~rpc_environment()
    {
        const auto deadline = std::chrono::steady_clock::now() + longest_end;
        while (rpc_was_used && grpc_is_initialized() != 0 && std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(1ms); // gRPC has nothing that could be waited for
        }
    }

    rpc_environment(const rpc_environment &) = delete;
    rpc_environment &operator=(const rpc_environment &) = delete;
};

const rpc_environment environment;

} // namespace


void use_rpc()
{
    if (!are_signals_blocked()) {
        throw std::logic_error("gRPC is used before signal_catcher::start: its threads would receive signals");
    }
    gpr_set_log_function(log_of_grpc);
    rpc_was_used = true;
}

} // namespace rollout::etcd
