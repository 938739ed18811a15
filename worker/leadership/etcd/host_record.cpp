#include "worker/leadership/etcd/host_record.hpp"

#include "common/base/json.hpp"
#include "common/base/json_writer.hpp"

namespace rollout {

std::string text_of(const host_record &record)
{
    json_writer text;
    text.begin_object().name("process").text(record.process).name("version").text(record.version);
    text.name("formats").begin_array().number(record.oldest_format).number(record.newest_format).end_array();
    text.name("config").text(record.config).name("candidate").boolean(record.candidate).end_object();
    return text.take();
}


std::optional<host_record> parse_host_record(std::string_view text)
{
    json_error_t error;
    const json_ptr read = json_read(text, 0, error);
    const json_t *formats = json_object_get(read.get(), "formats");
    const auto oldest = json_whole(json_array_get(formats, 0));
    const auto newest = json_whole(json_array_get(formats, 1));
    constexpr json_int_t most = 1000000;
    if (!json_is_object(read.get()) || !oldest || !newest || *oldest < 0 || *newest < *oldest || *newest > most) {
        return std::nullopt;
    }
    return host_record{std::string(json_text(read.get(), "process")),
                       std::string(json_text(read.get(), "version")),
                       static_cast<unsigned>(*oldest),
                       static_cast<unsigned>(*newest),
                       std::string(json_text(read.get(), "config")),
                       json_is_true(json_object_get(read.get(), "candidate"))};
}

} // namespace rollout
