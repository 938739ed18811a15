#include "worker/fleet/gateway_record.hpp"

#include "common/base/json.hpp"
#include "common/base/json_writer.hpp"
#include "common/domain/identifiers.hpp"

#include <charconv>

namespace rollout {

namespace {

using busy_revisions = decltype(gateway_record::busy);


std::optional<std::uint64_t> count_of(const json_t *value)
{
    const auto number = json_is_integer(value) ? json_integer_value(value) : -1;
    return number < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(number));
}


std::optional<std::uint64_t> revision_from(std::string_view text)
{
    std::uint64_t revision = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), revision);
    return error == std::errc() && end == text.data() + text.size() && revision != 0 ? std::optional(revision)
                                                                                     : std::nullopt;
}


/// Reads the revisions of one model; false if they are not some.
bool read_revisions(const std::string &model_id, const json_t *from, busy_revisions &to)
{
    const char *name;
    json_t *requests;
    json_object_foreach(const_cast<json_t *>(from), name, requests)
    {
        const auto revision = revision_from(name);
        const auto count = count_of(requests);
        if (!revision || (!count && !json_is_null(requests))) {
            return false;
        }
        to[{model_id, *revision}] = count;
    }
    return json_is_object(from);
}


std::optional<busy_revisions> read_busy(const json_t *from)
{
    if (!json_is_object(from)) {
        return std::nullopt;
    }
    busy_revisions all;
    const char *model_id;
    json_t *revisions;
    json_object_foreach(const_cast<json_t *>(from), model_id, revisions)
    {
        if (!is_model_id(model_id) || !read_revisions(model_id, revisions, all)) {
            return std::nullopt;
        }
    }
    return all;
}

} // namespace


std::string text_of(const gateway_record &record)
{
    json_writer text;
    text.begin_object().name("host").text(record.host).name("linked").boolean(record.is_linked);
    text.name("since_us").number(record.since_us).name("processes").text(record.processes);
    text.name("followed").number(record.followed).name("busy").begin_object();
    const std::string *model_id = nullptr;
    for (const auto &[name, requests] : record.busy) {
        if (model_id == nullptr || *model_id != name.first) {
            if (model_id != nullptr) {
                text.end_object();
            }
            model_id = &name.first;
            text.name(*model_id).begin_object();
        }
        text.name(std::to_string(name.second));
        requests ? text.number(*requests) : text.null();
    }
    if (model_id != nullptr) {
        text.end_object();
    }
    text.end_object().end_object();
    return text.take();
}


std::optional<gateway_record> parse_gateway_record(std::string_view text)
{
    json_error_t error;
    const json_ptr read = json_read(text, JSON_REJECT_DUPLICATES, error);
    const json_t *linked = json_object_get(read.get(), "linked");
    const auto since_us = count_of(json_object_get(read.get(), "since_us"));
    const auto followed = count_of(json_object_get(read.get(), "followed"));
    auto busy = read_busy(json_object_get(read.get(), "busy"));
    const auto host = json_text(read.get(), "host");
    if (host.empty() || !json_is_boolean(linked) || !since_us || !followed || !busy) {
        return std::nullopt;
    }
    return gateway_record{std::string(host),
                          json_is_true(linked),
                          static_cast<std::int64_t>(*since_us),
                          std::string(json_text(read.get(), "processes")),
                          *followed,
                          std::move(*busy)};
}

} // namespace rollout
