// The layout of a model's folder that a server expects, and bringing fetched files into it: `<model>/config.pbtxt` next
// to `<model>/1/model.onnx` (Triton's model repository documentation), or MLServer's, which is any folder with a
// `model-settings.json`. Anything with another layout is taken for the files of version 1.
#pragma once

#include "common/base/json.hpp"
#include "worker/async/outcome.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

/// The contents of a folder.
struct folder_shape {
    bool has_version = false;        ///< a folder whose name is a number that does not start with 0
    bool has_settings = false;       ///< model-settings.json
    bool has_settings_below = false; ///< in a subfolder: a model of several versions, each in a folder
    bool has_config = false;         ///< config.pbtxt
    bool has_definition = false;   ///< a file or folder whose name servers recognize as a model; not a configuration
    std::vector<std::string> onnx; ///< files called *.onnx
    bool has_model_onnx_folder = false; ///< a large ONNX model may be a folder
    bool has_other_model = false;       ///< model.py and the like: an *.onnx next to it is part of that model

    void note(std::string_view name, bool is_folder);

    /// Returns whether it is already a model's folder; if not, its files belong in the folder of version 1.
    bool is_model_folder() const noexcept { return has_version || has_settings || has_settings_below; }
};

/// Returns the name, in the folder of version 1, of a source that is one file. `server_config` (may be null) is the model
/// configuration for the load call; a name that it asks for is kept.
std::string single_file_name(const std::string &name, const json_t *server_config);

/// Brings a folder, whose contents were copied or unpacked as they were in the source, into the layout:
/// - Enclosing folders that contain nothing else are stripped. One with a version's name is stripped only if it contains
///   a model's folder, so that `1/model.onnx` stays a version.
/// - If the result is not a model's folder, everything is moved into the folder of version 1, except what the server
///   reads at a model's top: config.pbtxt, `configs` with a *.pbtxt in it, `warmup`, `initial_state`, the Python
///   backend's stub, and what the configurations name there (`label_filename`, `$$TRITON_MODEL_DIRECTORY/…`). The folder
///   of version 1 is created even if it stays empty, as an ensemble needs it.
/// - If a single ONNX file was moved there, it gets the name that servers look for, unless a configuration names files or
///   another backend, or another model is next to it.
/// Permanent if there is nothing but an archive, or several of MLServer's models.
outcome lay_out(const std::filesystem::path &folder, const json_t *server_config);

} // namespace rollout
