#include "worker/log.hpp"

#include "common/json_writer.hpp"
#include "worker/task.hpp"
#include "worker/words.hpp"

#include <chrono>

#include <unistd.h>

namespace rollout {

namespace {

constexpr std::size_t max_characters = 4000;


std::string_view level_name(log_level level) noexcept
{
    switch (level) {
    case log_level::debug:
        return "debug";
    case log_level::info:
        return "info";
    case log_level::warning:
        return "warning";
    case log_level::error:
        return "error";
    }
    return "error";
}

} // namespace


void log(log_level level, std::string_view message, log_fields fields) noexcept
try {
    using namespace std::chrono;
    json_writer line;
    line.begin_object();
    line.name("time").text(timestamp(duration_cast<microseconds>(system_clock::now().time_since_epoch()).count()));
    line.name("level").text(level_name(level));
    for (const auto &[name, value] : fields) {
        if (!value.empty()) {
            line.name(name).text(clean_text(value, max_characters));
        }
    }
    line.name("message").text(clean_text(message, max_characters));

    // One write a line: lines of several threads do not run into each other.
    const std::string text = line.end_object().take() + "\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
} catch (...) {
    // Nowhere left to say it.
}

} // namespace rollout
