// What a model folder looks like: `<model>/<version>/model.onnx` beside `<model>/config.pbtxt`, or MLServer's, which is any
// folder with a `model-settings.json`. A source that is not laid out so is taken for the files of version 1.
#pragma once

#include "worker/outcome.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

/// What stands at the top of a source's folder.
struct folder_shape {
    bool has_version = false;           ///< a folder whose name is a number that does not start with 0
    bool has_settings = false;          ///< model-settings.json
    bool has_config = false;            ///< config.pbtxt
    std::vector<std::string> onnx;      ///< files called *.onnx
    bool has_model_onnx_folder = false; ///< a large ONNX model may be a folder

    void note(std::string_view name, bool is_folder);

    /// It is a model's folder as it stands; otherwise its files belong into the folder of version 1.
    bool is_model_folder() const noexcept { return has_version || has_settings; }
};

/// Does an entry of a folder that is no model's folder stay at the model's top?
bool stays_at_top(std::string_view name, bool is_folder) noexcept;

/// The name, in the folder of version 1, of a source that is one file.
std::string single_file_name(const std::string &name);

/// In a model folder whose files were moved into version 1: its only ONNX file is given the name that servers look for,
/// unless config.pbtxt names files itself.
outcome name_only_onnx(const std::filesystem::path &model_folder, const folder_shape &shape);

} // namespace rollout
