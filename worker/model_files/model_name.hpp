// A model's own configuration may say its name, and servers refuse a model whose folder has another: what is staged under a
// revision's name is fitted to it.
#pragma once

#include "worker/async/outcome.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace rollout {

inline constexpr std::string_view config_file = "config.pbtxt";          ///< Triton's
inline constexpr std::string_view configs_folder = "configs";            ///< Triton's custom ones, *.pbtxt
inline constexpr std::string_view settings_file = "model-settings.json"; ///< MLServer's

/// config.pbtxt with `name` as the value of its top-level `name`; every other byte stays, and so does a text without one.
result<std::string> with_name(std::string_view pbtxt, std::string_view name);

/// model-settings.json with `name` as its member `name`.
result<std::string> with_settings_name(std::string_view json, std::string_view name);

/// The member `name` of a model-settings.json; empty if it has none or is no JSON object.
std::string settings_name(std::string_view json);

/// Is there a model-settings.json in the folder? Links lead nowhere here.
bool has_settings(const std::filesystem::path &folder);

/// Visits the settings in each folder in `folder`, until `visit` fails.
outcome each_settings_below(
    const std::filesystem::path &folder,
    const std::function<outcome(const std::filesystem::path &settings, const std::string &text)> &visit);

/// Fits what of these stands at the top of the folder, and of the settings in the folders in it, which MLServer finds too, those of the
/// same model: with settings at the top those that have their name. Can be run again.
outcome fit_model_name(const std::filesystem::path &model_folder, const std::string &name);

} // namespace rollout
