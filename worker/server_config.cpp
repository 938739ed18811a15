#include "worker/server_config.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace rollout {

namespace {

/// What names a file, or a library by its file's name, at whatever depth it stands. A parameter's value (`string_value`)
/// may be anything; where it is a path, the backend opens it.
constexpr std::array<std::string_view, 7> file_members = {
    "default_model_filename", "cc_model_filenames", "op_library_filename", "input_data_file", "runtime", "backend",
    "string_value",
};

constexpr std::array<std::string_view, 1> operators_members = {"model_repository_agents"};


bool is_one_of(std::string_view name, const auto &members)
{
    return std::ranges::find(members, name) != members.end();
}


bool climbs(std::string_view path)
{
    for (std::size_t begin = 0; begin <= path.size();) {
        const auto end = std::min(path.find_first_of("/\\", begin), path.size());
        if (path.substr(begin, end - begin) == "..") {
            return true;
        }
        begin = end + 1;
    }
    return false;
}


bool leads_elsewhere(std::string_view path)
{
    return path.starts_with('/') || path.find('\\') != std::string_view::npos ||
           path.find("://") != std::string_view::npos;
}


void check(const json_t *value, const std::string &pointer, bool names_file, std::vector<json_fault> &faults)
{
    const auto text = json_text(value);
    if (climbs(text) || (names_file && leads_elsewhere(text))) {
        faults.push_back({pointer, "names something outside of the model's own folder; what the server has beside it "
                                   "is the operator's to set up, in the model's config.pbtxt"});
    }
    for (std::size_t i = 0; i < json_array_size(value); ++i) {
        check(json_array_get(value, i), pointer + '/' + std::to_string(i), names_file, faults);
    }
    const char *name;
    json_t *member;
    json_object_foreach(const_cast<json_t *>(value), name, member)
    {
        const std::string at = json_reader(value, pointer, faults).pointer_to(name);
        if (is_one_of(name, operators_members)) {
            faults.push_back({at, "is the operator's to set up, in the model's config.pbtxt"});
        } else if (std::string_view(name).starts_with("file:")) {
            faults.push_back({at, "is no member of a model configuration; a model's files come from its source"});
        } else {
            check(member, at, names_file || is_one_of(name, file_members), faults);
        }
    }
}

} // namespace


void check_server_config(const json_t *config, const std::string &pointer, std::vector<json_fault> &faults)
{
    check(config, pointer, false, faults);
}

} // namespace rollout
