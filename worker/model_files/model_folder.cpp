#include "worker/model_files/model_folder.hpp"

#include "worker/base/format.hpp"
#include "worker/fs/io_failure.hpp"
#include "worker/fs/rename.hpp"
#include "worker/fs/small_file.hpp"
#include "worker/model_files/archive_kind.hpp"
#include "worker/model_files/model_name.hpp"
#include "worker/model_files/pbtxt.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <system_error>

#include <sys/stat.h>

namespace rollout {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view model_onnx = "model.onnx";
constexpr std::string_view first_version = "1";

/// Extensions of formats whose model is a folder.
constexpr std::string_view folder_formats[] = {".onnx", ".savedmodel", ".mlpackage", ".mlmodelc"};

/// Extensions of formats whose model is a file.
constexpr std::string_view file_formats[] = {
    ".onnx", ".plan", ".engine", ".trt",  ".pt",   ".pth",    ".pt2",      ".ts",    ".torchscript", ".safetensors",
    ".xml",  ".py",   ".dali",   ".gguf", ".pb",   ".tflite", ".h5",       ".keras", ".joblib",      ".pkl",
    ".cbm",  ".bst",  ".ubj",    ".mar",  ".nemo", ".so",     ".graphdef", ".tl",    ".onnxb",
};

constexpr std::string_view definitions[] = {"config.json", "MLmodel", "xgboost.json", "model_index.json"};

/// The names of models in Triton's backends other than ONNX Runtime.
constexpr std::string_view other_models[] = {"model.py",         "model.pt",         "model.plan", "model.xml",
                                             "model.dali",       "model.json",       "model.pt2",  "model.graphdef",
                                             "model.savedmodel", "model.safetensors"};

/// At a model's top, next to its configuration.
constexpr std::string_view top_folders[] = {"warmup", "initial_state"};
constexpr std::string_view python_stub = "triton_python_backend_stub";


bool is_one_of(std::string_view name, const auto &all) noexcept
{
    return std::ranges::find(all, name) != std::ranges::end(all);
}


bool ends_with_one_of(std::string_view name, const auto &endings) noexcept
{
    return std::ranges::any_of(endings,
                               [name](auto ending) { return name.size() > ending.size() && name.ends_with(ending); });
}


bool is_version(std::string_view name) noexcept
{
    return !name.empty() && name.front() != '0' &&
           std::ranges::all_of(name, [](unsigned char c) { return std::isdigit(c) != 0; });
}


bool is_definition(std::string_view name, bool is_folder) noexcept
{
    return is_folder
               ? ends_with_one_of(name, folder_formats)
               : name.starts_with("model.") || ends_with_one_of(name, file_formats) || is_one_of(name, definitions);
}


struct entry {
    std::string name;
    bool is_folder = false;
};

struct listed_folder {
    std::vector<entry> entries;
    folder_shape shape;
};


outcome list(const fs::path &folder, listed_folder &into)
{
    into = {};
    std::error_code error;
    for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
         it.increment(error)) {
        const bool is_folder = fs::is_directory(it->symlink_status(error));
        into.entries.push_back({it->path().filename().native(), is_folder});
        into.shape.note(into.entries.back().name, is_folder);
        into.shape.has_settings_below = into.shape.has_settings_below || has_settings(it->path());
    }
    return error ? io_failure(shown(folder) + " cannot be read", error.value()) : outcome::ok();
}


/// Returns whether a folder is certainly a model's, and not a version's.
bool is_certainly_a_models(const folder_shape &shape) noexcept
{
    return shape.has_config || shape.has_settings || shape.has_settings_below ||
           (shape.has_version && !shape.has_definition);
}


bool may_be_around_a_model(const listed_folder &folder)
{
    if (folder.entries.size() != 1 || !folder.entries.front().is_folder) {
        return false;
    }
    const std::string &name = folder.entries.front().name;
    return !ends_with_one_of(name, folder_formats) && !is_one_of(name, top_folders) && name != configs_folder;
}


/// Finds the model's folder, which is `folder` itself or nested in it.
outcome find_model(const fs::path &folder, fs::path &model)
{
    model = folder;
    listed_folder here;
    if (auto listed = list(folder, here); !listed || !may_be_around_a_model(here)) {
        return listed;
    }
    const std::string &name = here.entries.front().name;
    fs::path inside;
    if (auto found = find_model(folder / name, inside); !found) {
        return found;
    }
    listed_folder there;
    if (auto listed = list(inside, there); !listed) {
        return listed;
    }
    if (is_certainly_a_models(there.shape) ||
        (!is_version(name) && (there.shape.is_model_folder() || there.shape.has_definition))) {
        model = inside;
    }
    return outcome::ok();
}


/// Returns a name that is unused in a folder, for the duration of a few renames.
fs::path free_name(const fs::path &folder)
{
    fs::path free = folder / ".rollout-laid-out";
    for (std::error_code error; fs::exists(fs::symlink_status(free, error));) {
        free += "_";
    }
    return free;
}


outcome move(const fs::path &from, const fs::path &to)
{
    const int error = rename_over(from, to, "laid_out");
    return error == 0 ? outcome::ok() : io_failure(shown(from) + " cannot be renamed", error);
}


outcome strip_folders_around(const fs::path &folder)
{
    fs::path model;
    if (auto found = find_model(folder, model); !found || model == folder) {
        return found;
    }
    const fs::path aside = free_name(folder);
    const fs::path around = folder / *model.lexically_relative(folder).begin();
    if (auto moved = move(model, aside); !moved) {
        return moved;
    }
    std::error_code error;
    fs::remove_all(around, error);
    if (error) {
        return io_failure(shown(around) + " cannot be removed", error.value());
    }
    listed_folder inside;
    if (auto listed = list(aside, inside); !listed) {
        return listed;
    }
    for (const entry &entry : inside.entries) {
        if (auto moved = move(aside / entry.name, folder / entry.name); !moved) {
            return moved;
        }
    }
    fs::remove(aside, error);
    return error ? io_failure(shown(aside) + " cannot be removed", error.value()) : outcome::ok();
}


/// What a model's configurations say about its files.
struct named_files {
    bool names_model = false;      ///< the name of the model's file
    bool is_onnx_runtimes = false; ///< the backend is ONNX Runtime
    bool is_anothers = false;
    std::set<std::string, std::less<>> at_top;

    void note(std::string_view member, std::string_view value)
    {
        constexpr std::string_view models_folder = "$$TRITON_MODEL_DIRECTORY/";
        if (member == "label_filename" || member == "labelFilename") {
            at_top.emplace(value.substr(0, value.find('/')));
        } else if (value.starts_with(models_folder)) {
            const auto path = value.substr(models_folder.size());
            at_top.emplace(path.substr(0, path.find('/')));
        }
    }

    /// Notes a member at the top of the configuration.
    void note_own(std::string_view member, std::string_view value)
    {
        names_model = names_model || member == "default_model_filename" || member == "cc_model_filenames" ||
                      member == "defaultModelFilename" || member == "ccModelFilenames";
        if ((member == "backend" || member == "platform") && !value.empty()) {
            const bool is_ours = value == "onnxruntime" || value == "onnxruntime_onnx";
            is_onnx_runtimes = is_onnx_runtimes || is_ours;
            is_anothers = is_anothers || !is_ours;
        }
    }
};


void note_json(const json_t *value, std::string_view member, named_files &named)
{
    named.note(member, json_text(value));
    for (std::size_t i = 0; i < json_array_size(value); ++i) {
        note_json(json_array_get(value, i), member, named);
    }
    const char *name;
    json_t *inner;
    json_object_foreach(const_cast<json_t *>(value), name, inner)
    {
        note_json(inner, name, named);
    }
}


void note_server_config(const json_t *config, named_files &named)
{
    note_json(config, {}, named);
    const char *name;
    json_t *value;
    json_object_foreach(const_cast<json_t *>(config), name, value)
    {
        named.note_own(name, json_text(value));
    }
}


/// Ignores a configuration that cannot be read: the server will report it.
void note_config(const fs::path &file, named_files &named)
{
    std::string text;
    if (!read_small_file(file, text)) {
        return;
    }
    const auto fields = top_fields(text);
    const auto strings = all_strings(text);
    if (!fields || !strings) {
        return;
    }
    for (const pbtxt_field &field : *fields) {
        named.note_own(field.name, {});
    }
    for (const pbtxt_string &literal : *strings) {
        named.note(literal.name, literal.value);
        if (literal.name == "backend" ||
            literal.name == "platform") { // only the configuration's top has such members
            named.note_own(literal.name, literal.value);
        }
    }
}


bool is_configuration(std::string_view name)
{
    return name.ends_with(".pbtxt");
}


/// Reads config.pbtxt, the custom configurations and the server's. `has_custom`: `configs` is Triton's folder, not a
/// folder of the model.
outcome read_configurations(const fs::path &folder, const json_t *server_config, named_files &named, bool &has_custom)
{
    note_config(folder / config_file, named);
    note_server_config(server_config, named);
    has_custom = false;
    std::error_code error;
    const fs::path custom = folder / configs_folder;
    if (!fs::is_directory(fs::symlink_status(custom, error))) {
        return outcome::ok();
    }
    listed_folder inside;
    if (auto listed = list(custom, inside); !listed) {
        return listed;
    }
    for (const entry &entry : inside.entries) {
        if (!entry.is_folder && is_configuration(entry.name)) {
            has_custom = true;
            note_config(custom / entry.name, named);
        }
    }
    return outcome::ok();
}


/// MLServer takes each of these for a separate model. The versions of one model share its name.
outcome refuse_several_models(const fs::path &folder)
{
    std::set<std::string> names;
    auto read = each_settings_below(folder, [&names](const fs::path &, const std::string &text) {
        if (std::string name = settings_name(text); !name.empty()) {
            names.insert(clean_text(name, 200));
        }
        return outcome::ok();
    });
    if (!read) {
        return read;
    }
    if (names.size() < 2) {
        return outcome::ok();
    }
    return outcome::permanent("the source holds several models (" + *names.begin() + ", " +
                              *std::next(names.begin()) + (names.size() > 2 ? ", …" : "") + "), each with a " +
                              std::string(settings_file) + ": name the folder of one of them as the source");
}


outcome name_only_onnx(const fs::path &version, const folder_shape &shape, const named_files &named)
{
    if (shape.onnx.size() != 1 || shape.onnx.front() == model_onnx || shape.has_model_onnx_folder ||
        named.names_model || named.is_anothers || (shape.has_other_model && !named.is_onnx_runtimes)) {
        return outcome::ok();
    }
    return move(version / shape.onnx.front(), version / model_onnx);
}

} // namespace


void folder_shape::note(std::string_view name, bool is_folder)
{
    has_version = has_version || (is_folder && is_version(name));
    has_settings = has_settings || (!is_folder && name == settings_file);
    has_config = has_config || (!is_folder && name == config_file);
    has_definition = has_definition || is_definition(name, is_folder);
    has_model_onnx_folder = has_model_onnx_folder || (is_folder && name == model_onnx);
    has_other_model = has_other_model || is_one_of(name, other_models) ||
                      (!is_folder && name.starts_with("libtriton_") && name.ends_with(".so"));
    if (!is_folder && name.ends_with(".onnx")) {
        onnx.emplace_back(name);
    }
}


std::string single_file_name(const std::string &name, const json_t *server_config)
{
    named_files named;
    note_server_config(server_config, named);
    return name.ends_with(".onnx") && !named.names_model && !named.is_anothers ? std::string(model_onnx) : name;
}


outcome lay_out(const fs::path &folder, const json_t *server_config)
{
    if (auto stripped = strip_folders_around(folder); !stripped) {
        return stripped;
    }
    listed_folder here;
    if (auto listed = list(folder, here); !listed) {
        return listed;
    }
    if (here.shape.is_model_folder()) {
        const bool is_one = here.shape.has_settings || here.shape.has_config;
        return is_one ? outcome::ok() : refuse_several_models(folder);
    }
    if (here.entries.size() == 1 && !here.entries.front().is_folder && is_archive_name(here.entries.front().name)) {
        return outcome::permanent("the source contains only " + clean_text(here.entries.front().name, 200) +
                                  ", an archive: name the archive itself as the source");
    }
    named_files named;
    bool has_custom = false;
    if (auto read = read_configurations(folder, server_config, named, has_custom); !read) {
        return read;
    }
    const fs::path version = free_name(folder);
    if (::mkdir(version.c_str(), 0755) != 0 || ::chmod(version.c_str(), 0755) != 0) {
        return io_failure(shown(version) + " cannot be created", errno);
    }
    folder_shape moved_shape;
    for (const entry &entry : here.entries) {
        const bool stays =
            entry.is_folder
                ? is_one_of(entry.name, top_folders) || (has_custom && entry.name == configs_folder) ||
                      named.at_top.contains(entry.name)
                : entry.name == config_file || entry.name == python_stub || named.at_top.contains(entry.name);
        if (stays) {
            continue;
        }
        moved_shape.note(entry.name, entry.is_folder);
        if (auto moved = move(folder / entry.name, version / entry.name); !moved) {
            return moved;
        }
    }
    if (auto renamed = name_only_onnx(version, moved_shape, named); !renamed) {
        return renamed;
    }
    return move(version, folder / first_version);
}

} // namespace rollout
