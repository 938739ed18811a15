#include "worker/model_files/config_check.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace rollout {

namespace {

/// The meaning of a string, by the member that contains it. Triton accepts each member's name in both spellings of JSON
/// for protocol buffers: `label_filename` and `labelFilename`.
enum class meaning { any, library_name, tensor_name };

/// The meaning of an object.
enum class place {
    config,        ///< the whole configuration
    tensors,       ///< of a member about tensors
    tensor_map,    ///< tensor names by tensor names
    warmup,        ///< model_warmup
    warmup_inputs, ///< by tensor name
    other,
};

/// The members of ModelConfig in which the members below name tensors.
constexpr std::array<std::string_view, 6> tensors_members = {"input",       "output",           "batchinput",
                                                             "batchoutput", "sequencebatching", "ensemblescheduling"};

constexpr std::array<std::string_view, 5> tensor_names = {"name", "targetname", "sourceinput", "inputname",
                                                          "outputname"};

constexpr std::array<std::string_view, 2> tensor_maps = {"inputmap", "outputmap"};

/// The members whose value becomes part of a file's or folder's name on the server's machine.
constexpr std::array<std::string_view, 3> library_names = {"backend", "runtime", "platform"};


bool contains(const auto &members, std::string_view name)
{
    return std::ranges::find(members, name) != members.end();
}


/// Returns the common form of both spellings.
std::string plain(std::string_view member)
{
    std::string folded;
    for (const unsigned char c : member) {
        if (c != '_') {
            folded += static_cast<char>(std::tolower(c));
        }
    }
    return folded;
}


bool is_alphabetic(char c) noexcept
{
    return std::isalpha(static_cast<unsigned char>(c)) != 0;
}


bool is_blank(char c) noexcept
{
    return std::isspace(static_cast<unsigned char>(c)) != 0;
}


bool climbs(std::string_view path)
{
    for (std::size_t begin = 0; begin <= path.size();) {
        const auto end = std::min(path.find_first_of("/\\", begin), path.size());
        auto component = path.substr(begin, end - begin);
        if (const auto last = component.find_last_of(",;:=|\"'([{@ \t\n\r"); last != std::string_view::npos) {
            component.remove_prefix(last + 1);
        }
        if (component == "..") {
            return true;
        }
        begin = end + 1;
    }
    return false;
}


/// Returns whether a path can begin here: at the start of the text or after a separator.
bool is_begin(std::string_view text, std::size_t position)
{
    return position == 0 || is_blank(text[position - 1]) ||
           std::string_view(",;:=|\"'([{@").find(text[position - 1]) != std::string_view::npos;
}


/// Returns true for `/etc/passwd`, `plugins=/a.so` and `a;/b`; false for `-I/usr/lib` and for a slash between blanks.
bool holds_absolute_path(std::string_view text)
{
    for (std::size_t position = text.find('/'); position != std::string_view::npos;
         position = text.find('/', position + 1)) {
        const bool is_alone =
            position + 1 == text.size() ? position != 0 : is_blank(text[position + 1]) && position != 0;
        if (is_begin(text, position) && !is_alone) {
            return true;
        }
    }
    return false;
}


bool has_scheme(std::string_view text)
{
    if (text.find("://") != std::string_view::npos) {
        return true;
    }
    constexpr std::string_view scheme = "file:";
    const auto low = [](unsigned char c) { return static_cast<char>(std::tolower(c)); };
    for (std::size_t position = 0; position + scheme.size() <= text.size(); ++position) {
        if (is_begin(text, position) && std::ranges::equal(text.substr(position, scheme.size()), scheme, {}, low)) {
            return true;
        }
    }
    return false;
}


/// Returns whether a shell would expand it: `~`, `~/x`, `~root/x`, `$HOME`, `${HOME}`, `$(pwd)`, `%HOME%`.
bool is_expanded(std::string_view text)
{
    for (std::size_t position = 0; position < text.size(); ++position) {
        const char next = position + 1 < text.size() ? text[position + 1] : '\0';
        if (text[position] == '~' && is_begin(text, position) &&
            (next == '\0' || next == '/' || is_alphabetic(next))) {
            return true;
        }
        if (text[position] == '$' &&
            (is_alphabetic(next) || next == '_' || next == '{' || next == '(' || next == '$')) {
            return true;
        }
        if (text[position] == '%' && (is_alphabetic(next) || next == '_')) {
            const auto end = text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_",
                                                    position + 1);
            if (end != std::string_view::npos && text[end] == '%') {
                return true;
            }
        }
    }
    return false;
}


/// Returns the rest after `$$TRITON_MODEL_DIRECTORY`, which the Python backend replaces with the model's own folder.
std::string_view without_models_folder(std::string_view text)
{
    constexpr std::string_view folder = "$$TRITON_MODEL_DIRECTORY";
    if (!text.starts_with(folder)) {
        return text;
    }
    const auto rest = text.substr(folder.size());
    return rest.empty() ? rest : rest.front() == '/' && !rest.starts_with("//") ? rest.substr(1) : text;
}


bool leads_elsewhere(std::string_view text, meaning is)
{
    if (climbs(text) || text.find('\0') != std::string_view::npos) {
        return true;
    }
    if (is == meaning::tensor_name) {
        return false;
    }
    if (is == meaning::library_name && text.find('/') != std::string_view::npos) {
        return true;
    }
    const auto rest = without_models_folder(text);
    return rest.find('\\') != std::string_view::npos || holds_absolute_path(rest) || has_scheme(rest) ||
           is_expanded(rest);
}


struct context {
    place of = place::other;   ///< if it is an object
    meaning is = meaning::any; ///< if it is a string
};


context context_in(place of, const std::string &member)
{
    switch (of) {
    case place::config:
        return {contains(tensors_members, member) ? place::tensors
                : member == "modelwarmup"         ? place::warmup
                                                  : place::other,
                contains(library_names, member) ? meaning::library_name : meaning::any};
    case place::tensors:
        if (contains(tensor_names, member)) {
            return {place::other, meaning::tensor_name};
        }
        return {contains(tensor_maps, member) ? place::tensor_map : place::tensors, meaning::any};
    case place::tensor_map:
        return {place::other, meaning::tensor_name};
    case place::warmup:
        return {member == "inputs" ? place::warmup_inputs : place::warmup, meaning::any};
    case place::warmup_inputs:
    case place::other:
        break;
    }
    return {};
}


void check(const json_t *value, const std::string &pointer, context where, std::vector<json_fault> &faults)
{
    const auto refuse = [&faults](const std::string &offender) {
        faults.push_back({offender,
                          "names something outside of the model's own folder; what the server has beside it is the "
                          "operator's to set up, in the model's config.pbtxt"});
    };
    if (json_is_string(value) && leads_elsewhere(json_text(value), where.is)) {
        refuse(pointer);
    }
    for (std::size_t i = 0; i < json_array_size(value); ++i) {
        check(json_array_get(value, i), pointer + '/' + std::to_string(i), where, faults);
    }
    const bool by_tensors = where.of == place::tensor_map || where.of == place::warmup_inputs;
    const char *name;
    json_t *member;
    json_object_foreach(const_cast<json_t *>(value), name, member)
    {
        const std::string path = json_reader(value, pointer, faults).pointer_to(name);
        const std::string known = plain(name);
        if (known == "modelrepositoryagents") {
            faults.push_back({path, "is the operator's to set up, in the model's config.pbtxt"});
        } else if (std::string_view(name).starts_with("file:")) {
            faults.push_back(
                {path, "is not a member of a model configuration; a model's files come from its source"});
        } else if (leads_elsewhere(name, by_tensors ? meaning::tensor_name : meaning::any)) {
            refuse(path);
        } else {
            check(member, path, context_in(where.of, known), faults);
        }
    }
}

} // namespace


void check_server_config(const json_t *config, const std::string &pointer, std::vector<json_fault> &faults)
{
    check(config, pointer, {place::config, meaning::any}, faults);
}

} // namespace rollout
