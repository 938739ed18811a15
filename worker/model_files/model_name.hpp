// A model's own configuration may contain its name, and servers refuse a model whose folder has another name: the
// configuration of a staged model is changed to the revision's name.
#pragma once

#include "worker/async/outcome.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace rollout {

inline constexpr std::string_view config_file = "config.pbtxt";          ///< Triton's
inline constexpr std::string_view configs_folder = "configs";            ///< Triton's custom configurations, *.pbtxt
inline constexpr std::string_view settings_file = "model-settings.json"; ///< MLServer's

/// Returns config.pbtxt with `name` as the value of its top-level `name`. All other bytes stay unchanged, as does a text
/// without one.
result<std::string> with_name(std::string_view pbtxt, std::string_view name);

/// Returns model-settings.json with `name` as its member `name`.
result<std::string> with_settings_name(std::string_view json, std::string_view name);

/// Returns the member `name` of a model-settings.json; empty if it has none or is not a JSON object.
std::string settings_name(std::string_view json);

/// Returns whether the folder contains a model-settings.json. Links are not followed.
bool has_settings(const std::filesystem::path &folder);

/// Calls `visit` for the settings in each subfolder of `folder`, until it fails.
outcome each_settings_below(
    const std::filesystem::path &folder,
    const std::function<outcome(const std::filesystem::path &settings, const std::string &text)> &visit);

/// Sets the name in the configuration files at the top of the folder and in the settings in its subfolders, which
/// MLServer finds too. If there are settings at the top, only those subfolders whose settings have the same name are
/// changed. Can be run again.
outcome fit_model_name(const std::filesystem::path &model_folder, const std::string &name);

} // namespace rollout
