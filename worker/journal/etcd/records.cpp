#include "worker/journal/etcd/records.hpp"

#include "common/base/json.hpp"
#include "common/base/text.hpp"
#include "common/domain/identifiers.hpp"
#include "worker/journal/etcd/revision.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

namespace rollout::cluster {

namespace {

constexpr std::size_t id_characters = 32;
constexpr std::size_t longest_key_shown = 300;
constexpr std::size_t longest_write_id = 64;

std::string value_of_key(const etcd::key_value &entry)
{
    return "the value of etcd's key \"" + clean_text(entry.key, longest_key_shown) + '"';
}


template <typename Record>
result<Record> damaged(const etcd::key_value &entry, std::string_view why)
{
    return result<Record>::failure(value_of_key(entry) + " cannot be read: " + std::string(why));
}


/// Splits off the line before the document.
std::string_view take_line(std::string_view &value) noexcept
{
    const auto end = value.find('\n');
    if (end == std::string_view::npos) {
        return std::exchange(value, {});
    }
    const auto line = value.substr(0, end);
    value.remove_prefix(end + 1);
    return line;
}


/// Returns whether the line has exactly these words.
bool split(std::string_view line, std::span<std::string_view> words) noexcept
{
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto end = line.find(' ');
        const bool is_last = i + 1 == words.size();
        if (line.empty() || (end == std::string_view::npos) != is_last) {
            return false;
        }
        words[i] = line.substr(0, end);
        line.remove_prefix(is_last ? line.size() : end + 1);
    }
    return true;
}


bool read_index_of_write(std::string_view text, unsigned &to) noexcept
{
    return read_number(text, to) && to < revisions_in_one;
}


bool is_write_id(std::string_view text) noexcept
{
    return !text.empty() && text.size() <= longest_write_id;
}


/// Documents are written by rolloutd and read whole when they are used: here only a value that was cut is found.
bool is_object_text(std::string_view text) noexcept
{
    return text.size() >= 2 && text.front() == '{' && text.back() == '}';
}

} // namespace


std::string write_meta(const meta_record &from)
{
    const auto value = json_make_object();
    json_put(value.get(), "id", from.id);
    json_put(value.get(), "format", json_make_number(from.format));
    json_put(value.get(), "oldest_reader", json_make_number(from.oldest_reader));
    if (!from.import_of.empty()) {
        json_put(value.get(), "import_of", from.import_of);
    }
    return json_compact(value.get());
}


result<meta_record> read_meta(const etcd::key_value &entry)
{
    json_error_t error;
    const json_ptr value = json_read(entry.value, 0, error);
    const auto id = json_text(value.get(), "id");
    const auto written = json_count(value.get(), "format");
    const auto oldest = json_count(value.get(), "oldest_reader");
    const bool is_id = id.size() == id_characters && std::ranges::all_of(id, [](char c) {
                           return is_task_id({&c, 1});
                       });
    if (!is_id || written == 0 || oldest == 0 || oldest > written || written > UINT32_MAX) {
        return damaged<meta_record>(entry, "it is not an id of 32 characters, a format and its oldest reader. Check "
                                           "the prefix; rolloutd writes nothing below it");
    }
    if (oldest > format) {
        return result<meta_record>::failure(value_of_key(entry) + " says that the cluster has format " +
                                            std::to_string(written) + ", which needs a rolloutd that knows format " +
                                            std::to_string(oldest) + "; this one knows up to " +
                                            std::to_string(format) + ". Upgrade it");
    }
    if (!json_text(value.get(), "import_of").empty()) {
        return result<meta_record>::failure(value_of_key(entry) +
                                            " says that a journal is being imported; rolloutd joins when that has "
                                            "ended. If no import runs any more, run rolloutd --import again");
    }
    return meta_record{std::string(id), static_cast<unsigned>(written), static_cast<unsigned>(oldest)};
}


std::string import_under_way(const etcd::key_value &meta)
{
    json_error_t error;
    return std::string(json_text(json_read(meta.value, 0, error).get(), "import_of"));
}


std::string write_position(const position_record &from)
{
    return from.writer + ' ' + std::to_string(from.wall_us) + (from.host.empty() ? "" : ' ' + from.host);
}


result<position_record> read_position(const etcd::key_value &entry)
{
    std::array<std::string_view, 3> words; // the last one may be missing
    const bool is_split = split(entry.value, words) || split(entry.value, std::span(words).first(2));
    position_record read;
    if (!is_split || words[0].empty() || !read_number(words[1], read.wall_us)) {
        return damaged<position_record>(entry, "it is not a writer and a time");
    }
    read.writer = words[0];
    read.host = words[2];
    return read;
}


std::string write_task(const task_row &row, std::int64_t updated_us, std::string_view write_id, unsigned index)
{
    const unsigned created_index = row.sequence == 0 ? index : index_of(row.sequence);
    std::string value;
    value.reserve(row.document.size() + row.model_id.size() + write_id.size() + 64);
    value += std::to_string(index);
    value += ' ';
    value += std::to_string(created_index);
    value += ' ';
    value += write_id;
    value += ' ';
    value += kind_name(row.kind);
    value += ' ';
    value += status_name(row.status);
    value += ' ';
    value += std::to_string(updated_us);
    value += ' ';
    value += row.model_id;
    value += '\n';
    value += row.document;
    return value;
}


result<task_record> read_task(const etcd::key_value &entry, const std::string &task_id)
{
    std::string_view document = entry.value;
    std::array<std::string_view, 7> words;
    unsigned index = 0;
    unsigned created_index = 0;
    task_record read;
    if (!split(take_line(document), words) || !read_index_of_write(words[0], index) ||
        !read_index_of_write(words[1], created_index) || !is_write_id(words[2]) ||
        !read_number(words[5], read.updated_us)) {
        return damaged<task_record>(entry, "its first line is not that of a task");
    }
    const auto kind = kind_from(words[3]);
    const auto status = status_from(words[4]);
    if (!kind || !status || !is_model_id(words[6])) {
        return damaged<task_record>(entry, "its first line names no kind, status or model of a task");
    }
    if (!is_object_text(document)) {
        return damaged<task_record>(entry, "it has no whole document of a task");
    }
    read.write_id = words[2];
    read.row = {revision_of(entry.create_revision, created_index),
                revision_of(entry.mod_revision, index),
                *kind,
                *status,
                task_id,
                std::string(words[6]),
                std::string(document)};
    return read;
}


std::string write_model(std::string_view state, std::string_view write_id, unsigned index)
{
    std::string value = std::to_string(index);
    value += ' ';
    value += write_id;
    value += '\n';
    value += state;
    return value;
}


result<model_record> read_model(const etcd::key_value &entry, const std::string &model_id)
{
    std::string_view state = entry.value;
    std::array<std::string_view, 2> words;
    unsigned index = 0;
    if (!split(take_line(state), words) || !read_index_of_write(words[0], index) || !is_write_id(words[1])) {
        return damaged<model_record>(entry, "its first line is not that of a model");
    }
    json_error_t error;
    if (!model_from_json(json_read(state, 0, error).get())) {
        return damaged<model_record>(entry, "it has no whole model, or a weight, an upstream or a name in it is "
                                            "invalid");
    }
    return model_record{model_id, revision_of(entry.mod_revision, index), std::string(state), std::string(words[1])};
}

} // namespace rollout::cluster
