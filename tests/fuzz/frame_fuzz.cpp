// The frame parser, which both ends use: bytes as they come, cut into reads anyhow. Input: a byte for each of the first reads'
// sizes is taken from a seed of two bytes; what follows is the stream.
#include "tests/fuzz/fuzzing.hpp"

#include "common/domain/limits.hpp"
#include "common/link/frame.hpp"

#include <random>
#include <vector>

using namespace rollout;

namespace {

struct story {
    std::vector<std::string> messages;
    std::string end; ///< why the stream is broken; empty where it is not
};

story read_in(std::string_view stream, std::minstd_rand chance, std::size_t longest)
{
    story told;
    frame_reader reader;
    while (!stream.empty()) {
        const std::size_t size = std::min<std::size_t>(1 + chance() % longest, stream.size());
        reader.feed(stream.substr(0, size));
        stream.remove_prefix(size);
        json_ptr message;
        std::string reason;
        for (auto state = reader.next(message, reason); state != frame_reader::state::need_more;
             state = reader.next(message, reason)) {
            if (state == frame_reader::state::broken) {
                always(!reason.empty() && message == nullptr, "a broken stream has a reason and no message");
                always(reader.next(message, reason) == frame_reader::state::broken, "a broken stream stays broken");
                told.end = reason;
                return told;
            }
            always(json_is_object(message.get()) && !json_text(message.get(), "type").empty(),
                   "a message is an object with a type");
            told.messages.push_back(json_compact(message.get()));
            for (auto lines = reader.lines(); !lines.empty();) {
                told.messages.back().append("\n").append(next_line(lines));
            }
        }
        always(reader.buffered() < 4 + limits::frame_bytes, "no more than a frame is held back");
    }
    return told;
}

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    pieces input(data, size);
    const unsigned seed = input.byte() + 256U * input.byte();
    const auto stream = input.rest();

    const auto whole = read_in(stream, std::minstd_rand(seed + 1), 1 << 20);
    const auto cut = read_in(stream, std::minstd_rand(seed + 1), 1 + seed % 64);
    always(whole.messages == cut.messages && whole.end == cut.end, "a stream reads the same however it is cut");

    // What was read is written and read again.
    std::string written;
    for (const auto &text : whole.messages) {
        always(append_frame(written, text), "a message that came in a frame fits one");
    }
    const auto again = read_in(written, std::minstd_rand(seed + 2), 4096);
    always(again.end.empty() && again.messages == whole.messages, "a message, written and read, is the same");
    return 0;
}
