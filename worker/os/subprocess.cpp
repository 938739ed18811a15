#include "worker/os/subprocess.hpp"

#include "common/base/text.hpp"
#include "worker/async/completion.hpp"
#include "worker/base/format.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace rollout {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kept_words = 4096; ///< the end of the standard error
constexpr std::size_t shown_characters = 600;

/// How long the standard error is still read after the program's end: a process it left behind may hold it open forever.
constexpr auto last_words = 200ms;


/// Returns the last whole lines that fit.
std::string clean_end(std::string_view text)
{
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
        text.remove_suffix(1);
    }
    if (text.size() > shown_characters) {
        std::string_view end = text.substr(text.size() - shown_characters);
        if (const auto line = end.find('\n'); line != std::string_view::npos) {
            end.remove_prefix(line + 1);
        }
        while (!end.empty() && (static_cast<unsigned char>(end.front()) & 0xC0) == 0x80) {
            end.remove_prefix(1);
        }
        text = end;
    }
    return clean_text(text, shown_characters);
}


/// Exists until libuv has closed all of its handles, independently of the operation.
struct running {
    running(uv_loop_t *on, command_request wanted, std::function<void(command_end)> tell)
        : loop(on), request(std::move(wanted)), done(std::move(tell))
    {
    }

    void start(const std::shared_ptr<running> &self);
    void write_input();
    void read_words();
    void stop_early();
    void signal_group(int number) const;
    void after(std::chrono::milliseconds time, void (*call)(running &));
    void exited(std::int64_t status, int signal);
    void tell();
    void close_all();

    template <typename Handle>
    void close(Handle &handle)
    {
        auto *any = reinterpret_cast<uv_handle_t *>(&handle);
        if (any->data != nullptr && !uv_is_closing(any)) {
            uv_close(any, [](uv_handle_t *closed) {
                auto &of = *static_cast<running *>(closed->data);
                if (--of.open == 0) {
                    const auto last = std::move(of.self);
                }
            });
        }
    }

    template <typename Handle>
    void opened(Handle &handle)
    {
        reinterpret_cast<uv_handle_t *>(&handle)->data = this;
        ++open;
    }

    uv_loop_t *loop;
    command_request request;
    completion<command_end> done;
    std::shared_ptr<running> self;
    unsigned open = 0; ///< handles not yet closed

    uv_process_t process{};
    uv_pipe_t input{};
    uv_pipe_t errors{};
    uv_timer_t timer{};
    uv_write_t writing{};
    void (*on_time)(running &) = nullptr;

    command_end end;
    std::string kept;
    std::array<char, 4096> chunk{};
    bool runs = false;
    bool words_ended = true;
    bool timed_out = false;
    bool to_end = false; ///< it has been told to end
};


/// Makes a program inherit only its standard streams, no matter which library has opened a descriptor and how.
void close_all_on_exec()
{
    constexpr unsigned first = STDERR_FILENO + 1;
    if (syscall(SYS_close_range, first, ~0u, CLOSE_RANGE_CLOEXEC) == 0) {
        return;
    }
    // Linux before 5.11, or a sandbox.
    std::error_code error;
    for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end;
         it.increment(error)) {
        unsigned descriptor = 0;
        if (read_number(it->path().filename().native(), descriptor) && descriptor >= first) {
            fcntl(static_cast<int>(descriptor), F_SETFD, FD_CLOEXEC);
        }
    }
}


void running::after(std::chrono::milliseconds time, void (*call)(running &))
{
    on_time = call;
    uv_timer_start(
        &timer,
        [](uv_timer_t *fired) {
            auto &of = *static_cast<running *>(fired->data);
            of.on_time(of);
        },
        static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0)), 0);
}


void running::start(const std::shared_ptr<running> &shared)
{
    self = shared;
    uv_timer_init(loop, &timer);
    opened(timer);
    uv_pipe_init(loop, &input, 0);
    opened(input);
    uv_pipe_init(loop, &errors, 0);
    opened(errors);

    std::vector<char *> arguments;
    for (auto &argument : request.command) {
        arguments.push_back(argument.data());
    }
    arguments.push_back(nullptr);

    std::array<uv_stdio_container_t, 3> streams{};
    streams[0].flags = static_cast<uv_stdio_flags>(UV_CREATE_PIPE | UV_READABLE_PIPE);
    streams[0].data.stream = reinterpret_cast<uv_stream_t *>(&input);
    streams[1].flags = UV_IGNORE;
    streams[2].flags = static_cast<uv_stdio_flags>(UV_CREATE_PIPE | UV_WRITABLE_PIPE);
    streams[2].data.stream = reinterpret_cast<uv_stream_t *>(&errors);

    uv_process_options_t options{};
    options.file = arguments.front();
    options.args = arguments.data();
    options.cwd = "/";
    options.flags = UV_PROCESS_DETACHED; // a session of its own, and with that a process group
    options.stdio_count = static_cast<int>(streams.size());
    options.stdio = streams.data();
    options.exit_cb = [](uv_process_t *of, std::int64_t status, int signal) {
        static_cast<running *>(of->data)->exited(status, signal);
    };
    close_all_on_exec();
    const int failed = uv_spawn(loop, &process, &options);
    opened(process);
    if (failed != 0) {
        end.error = "the program " + shown(request.command.front()) + " cannot be started: " + uv_strerror(failed);
        end.lasting = failed != UV_EAGAIN && failed != UV_ENOMEM && failed != UV_EMFILE && failed != UV_ENFILE;
        after(0ms, [](running &of) { of.tell(); });
        return;
    }
    runs = true;
    write_input();
    read_words();
    after(request.timeout, [](running &of) {
        of.timed_out = true;
        of.stop_early();
    });
}


/// A program may rightly not read its input: only its exit status counts.
void running::write_input()
{
    uv_buf_t text = uv_buf_init(request.input.data(), static_cast<unsigned>(request.input.size()));
    writing.data = this;
    const int refused =
        uv_write(&writing, reinterpret_cast<uv_stream_t *>(&input), &text, 1, [](uv_write_t *written, int) {
            auto &of = *static_cast<running *>(written->data);
            of.close(of.input);
        });
    if (refused != 0) {
        close(input);
    }
}


void running::read_words()
{
    words_ended = false;
    uv_read_start(
        reinterpret_cast<uv_stream_t *>(&errors),
        [](uv_handle_t *of, std::size_t, uv_buf_t *to) {
            auto &room = static_cast<running *>(of->data)->chunk;
            *to = uv_buf_init(room.data(), static_cast<unsigned>(room.size()));
        },
        [](uv_stream_t *from, ssize_t count, const uv_buf_t *read) {
            auto &of = *static_cast<running *>(from->data);
            if (count > 0) {
                of.kept.append(read->base, static_cast<std::size_t>(count));
                if (of.kept.size() > kept_words) {
                    of.kept.erase(0, of.kept.size() - kept_words);
                }
            } else if (count < 0) {
                of.words_ended = true;
                of.close(of.errors);
                if (!of.runs) {
                    of.tell();
                }
            }
        });
}


void running::signal_group(int number) const
{
    ::kill(-process.pid, number);
}


void running::stop_early()
{
    if (!runs || std::exchange(to_end, true)) {
        return;
    }
    signal_group(SIGTERM);
    after(request.grace, [](running &of) { of.signal_group(SIGKILL); });
}


void running::exited(std::int64_t status, int signal)
{
    runs = false;
    if (to_end) {
        signal_group(SIGKILL); // processes of its group that have not ended with it
    }
    if (timed_out) {
        end.error = "the program " + shown(request.command.front()) + " did not end within " +
                    format_duration(request.timeout) + " and was stopped";
    } else if (signal != 0) {
        end.error =
            "the program " + shown(request.command.front()) + " was ended by signal " + std::to_string(signal);
    } else {
        end.status = static_cast<int>(status);
    }
    if (words_ended) {
        tell();
    } else {
        after(last_words, [](running &of) { of.tell(); });
    }
}


void running::tell()
{
    close_all();
    end.words = clean_end(kept);
    done(std::move(end));
}


void running::close_all()
{
    close(process);
    close(input);
    close(errors);
    close(timer);
}


class command_operation final : public operation {
  public:
    explicit command_operation(std::shared_ptr<running> of) : of_(std::move(of)) {}

    ~command_operation() override
    {
        of_->done.drop();
        if (of_->runs) {
            of_->signal_group(SIGKILL);
        }
        // libuv waits for a running child: its handle is closed once it has ended.
    }

    void cancel() override
    {
        if (of_->done) {
            of_->end.canceled = true;
            of_->stop_early();
        }
    }

  private:
    std::shared_ptr<running> of_;
};

} // namespace


operation_ptr run_command(uv_loop_t *loop, command_request request, std::function<void(command_end)> done)
{
    auto started = std::make_shared<running>(loop, std::move(request), std::move(done));
    auto held = std::make_unique<command_operation>(started);
    started->start(started);
    return held;
}


outcome outcome_of(const command_end &ended, const std::string &action)
{
    if (ended.canceled) {
        return outcome::canceled();
    }
    if (ended.status == 0) {
        return outcome::ok(ended.words);
    }
    const std::string why = ended.status < 0 ? ended.error : "exit status " + std::to_string(ended.status);
    const std::string sentence = "could not " + action + ": " + why + (ended.words.empty() ? "" : ", " + ended.words);
    const bool may_pass = ended.status < 0 ? !ended.lasting : ended.status == exit_may_pass;
    return may_pass ? outcome::transient(sentence) : outcome::permanent(sentence);
}

} // namespace rollout
