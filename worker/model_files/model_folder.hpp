// How a model's folder looks to its server, and how what was fetched is made to look so: `<model>/config.pbtxt` beside
// `<model>/1/model.onnx` (Triton's model repository documentation), or MLServer's, which is any folder with a
// `model-settings.json`. What is not laid out so is taken for the files of version 1.
#pragma once

#include "common/base/json.hpp"
#include "worker/async/outcome.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

/// What stands in a folder.
struct folder_shape {
    bool has_version = false;           ///< a folder whose name is a number that does not start with 0
    bool has_settings = false;          ///< model-settings.json
    bool has_settings_below = false;    ///< one in a folder in it: a model of several versions, each in a folder
    bool has_config = false;            ///< config.pbtxt
    bool has_definition = false;        ///< what servers know as a model by its name, a configuration is none
    std::vector<std::string> onnx;      ///< files called *.onnx
    bool has_model_onnx_folder = false; ///< a large ONNX model may be a folder
    bool has_other_model = false;       ///< model.py and the like: an *.onnx beside it is a part of that model

    void note(std::string_view name, bool is_folder);

    /// It is a model's folder as it stands; otherwise its files belong into the folder of version 1.
    bool is_model_folder() const noexcept { return has_version || has_settings || has_settings_below; }
};

/// The name, in the folder of version 1, of a source that is one file. `server_config`: the model configuration that goes with
/// the load call, or null; a name that it asks for stays.
std::string single_file_name(const std::string &name, const json_t *server_config);

/// Lays out what was copied or unpacked into the folder, as it was in its source:
/// - Folders around the model are left out, each the only thing in its own: those whose name is a version's only where a
///   model's folder is inside, so that `1/model.onnx` stays a version.
/// - In what is no model's folder then, everything goes into the folder of version 1, but for what the server reads at a
///   model's top: config.pbtxt, `configs` with a *.pbtxt in it, `warmup`, `initial_state`, the Python backend's stub, and
///   what the configurations name there (`label_filename`, `$$TRITON_MODEL_DIRECTORY/…`). The folder of version 1 is made
///   even where nothing is left for it, which is what an ensemble needs.
/// - The only ONNX file that went there is given the name that servers look for, unless a configuration names files or
///   another backend, or another model stands beside it.
/// Permanent if nothing but an archive is there, or several models of MLServer's.
outcome lay_out(const std::filesystem::path &folder, const json_t *server_config);

} // namespace rollout
