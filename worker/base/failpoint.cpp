#include "worker/base/failpoint.hpp"

#ifdef ROLLOUT_FAILPOINTS

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace rollout {
namespace {

constexpr std::string_view crash = "crash";

std::string_view name_of(fault of)
{
    switch (of) {
    case fault::none:
        return "none";
    case fault::error:
        return "error";
    case fault::transient:
        return "transient";
    case fault::permanent:
        return "permanent";
    case fault::lost:
        return "lost";
    }
    return {};
}


std::string join(std::initializer_list<std::string_view> pieces)
{
    std::string whole;
    for (const auto piece : pieces) {
        whole += (whole.empty() ? "" : ":") + std::string(piece);
    }
    return whole;
}


/// What the environment asks for, and which failpoints have been passed.
class failpoints {
  public:
    failpoints()
    {
        // NOLINTBEGIN(concurrency-mt-unsafe): nothing changes the environment any more
        if (const char *wanted = std::getenv("ROLLOUT_FAILPOINT")) {
            read(wanted);
        }
        if (const char *trace = std::getenv("ROLLOUT_FAILPOINT_TRACE")) {
            trace_ = ::open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        }
        // NOLINTEND(concurrency-mt-unsafe)
    }

    fault pass(const std::string &name, std::initializer_list<fault> faults)
    {
        const std::lock_guard lock(mutex_);
        const unsigned number = ++passed_[name];
        if (trace_ >= 0) {
            note(name, number, faults);
        }
        if (name != name_ || number != number_) {
            return fault::none;
        }
        if (action_ == crash) {
            std::raise(SIGKILL);
        }
        for (const auto fault_kind : faults) {
            if (action_ == name_of(fault_kind)) {
                return fault_kind;
            }
        }
        std::fprintf(stderr, "ROLLOUT_FAILPOINT: %s is not a known failure at %s\n", action_.c_str(), name.c_str());
        std::abort();
    }

    bool is_due(const std::string &name)
    {
        const std::lock_guard lock(mutex_);
        const auto known = passed_.find(name);
        return name == name_ && (known == passed_.end() ? 0 : known->second) + 1 == number_;
    }

  private:
    void read(std::string_view wanted)
    {
        const auto equals = wanted.find('=');
        if (equals != std::string_view::npos) {
            action_ = wanted.substr(equals + 1);
            wanted = wanted.substr(0, equals);
        }
        const auto hash = wanted.find('#');
        if (hash != std::string_view::npos) {
            const auto digits = wanted.substr(hash + 1);
            std::from_chars(digits.data(), digits.data() + digits.size(), number_);
            wanted = wanted.substr(0, hash);
        }
        name_ = wanted;
    }

    void note(const std::string &name, unsigned number, std::initializer_list<fault> faults) const
    {
        std::string line = name + "#" + std::to_string(number) + " " + std::string(crash);
        for (const auto fault_kind : faults) {
            line += " " + std::string(name_of(fault_kind));
        }
        line += "\n";
        if (::write(trace_, line.data(), line.size()) < 0) {
            std::perror("ROLLOUT_FAILPOINT_TRACE");
        }
    }

    std::mutex mutex_;
    std::string name_;
    unsigned number_ = 1;
    std::string action_ = std::string(crash);
    int trace_ = -1;
    std::map<std::string, unsigned> passed_;
};


failpoints &all()
{
    static failpoints instance;
    return instance;
}

} // namespace


fault failpoint(std::initializer_list<std::string_view> name, std::initializer_list<fault> faults)
{
    return all().pass(join(name), faults);
}


bool failpoint_is_due(std::initializer_list<std::string_view> name)
{
    return all().is_due(join(name));
}


void break_connection(int socket) noexcept
{
    ::shutdown(socket, SHUT_RDWR);
}

} // namespace rollout

#endif
