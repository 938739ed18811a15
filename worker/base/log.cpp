#include "worker/base/log.hpp"

#include "common/base/json_writer.hpp"
#include "common/base/timestamp.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log_output.hpp"

#include <chrono>

namespace rollout {

namespace {

constexpr std::size_t max_characters = 4000;

/// Most lines are shorter.
constexpr std::size_t usual_bytes = 512;

thread_local std::string gathered;
thread_local std::size_t most_gathered = 0; ///< 0: each line is written at once


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


void write_gathered(bool with_error = false) noexcept
{
    if (!gathered.empty()) {
        put_out(gathered, with_error);
        gathered.clear();
    }
}

} // namespace


std::string line_of_log(log_level level, std::string_view message, log_fields fields)
{
    using namespace std::chrono;
    json_writer line(usual_bytes);
    line.begin_object();
    line.name("time").text(timestamp(duration_cast<microseconds>(system_clock::now().time_since_epoch()).count()));
    line.name("level").text(level_name(level));
    for (const auto &[name, value] : fields) {
        if (!value.empty()) {
            line.name(name).text(clean_text(value, max_characters));
        }
    }
    line.name("message").text(clean_text(message, max_characters));
    return line.end_object().take() + "\n";
}


void log(log_level level, std::string_view message, log_fields fields) noexcept
try {
    // Each write is of whole lines, so that those of several threads do not mix.
    const std::string text = line_of_log(level, message, fields);
    if (most_gathered == 0) {
        put_out(text, level == log_level::error);
        return;
    }
    if (gathered.size() + text.size() > most_gathered) {
        write_gathered();
    }
    gathered += text;
    if (level >= log_level::warning) {
        write_gathered(level == log_level::error); // the last messages explain why a process ended
    }
} catch (...) {
    // There is nowhere left to report it.
}


log_batch::log_batch() noexcept
{
    most_gathered = burst_bytes();
}


log_batch::~log_batch()
{
    most_gathered = 0;
    write_gathered();
}

} // namespace rollout
