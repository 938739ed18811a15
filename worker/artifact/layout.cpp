#include "worker/artifact/layout.hpp"

#include "worker/artifact/io_failure.hpp"
#include "worker/artifact/model_name.hpp"
#include "worker/artifact/pbtxt.hpp"
#include "worker/artifact/rename.hpp"
#include "worker/artifact/small_file.hpp"
#include "worker/words.hpp"

#include <algorithm>
#include <cctype>

namespace rollout {
namespace {

constexpr std::string_view model_onnx = "model.onnx";

bool is_version(std::string_view name) noexcept
{
    return !name.empty() && name.front() != '0' &&
           std::ranges::all_of(name, [](unsigned char c) { return std::isdigit(c) != 0; });
}


/// A configuration that cannot be read is left to the server's own words.
bool names_its_files(const std::filesystem::path &config)
{
    std::string text;
    if (!read_small_file(config, text)) {
        return false;
    }
    const auto fields = top_fields(text);
    return fields && std::ranges::any_of(*fields, [](const pbtxt_field &field) {
               return field.name == "default_model_filename" || field.name == "cc_model_filenames";
           });
}

} // namespace


void folder_shape::note(std::string_view name, bool is_folder)
{
    has_version = has_version || (is_folder && is_version(name));
    has_settings = has_settings || (!is_folder && name == settings_file);
    has_config = has_config || (!is_folder && name == config_file);
    has_model_onnx_folder = has_model_onnx_folder || (is_folder && name == model_onnx);
    if (!is_folder && name.ends_with(".onnx")) {
        onnx.emplace_back(name);
    }
}


bool stays_at_top(std::string_view name, bool is_folder) noexcept
{
    return !is_folder && name == config_file;
}


std::string single_file_name(const std::string &name)
{
    return name.ends_with(".onnx") ? std::string(model_onnx) : name;
}


outcome name_only_onnx(const std::filesystem::path &model_folder, const folder_shape &shape)
{
    if (shape.onnx.size() != 1 || shape.onnx.front() == model_onnx || shape.has_model_onnx_folder ||
        names_its_files(model_folder / config_file)) {
        return outcome::ok();
    }
    const auto from = model_folder / "1" / shape.onnx.front();
    if (const int error = rename_over(from, model_folder / "1" / model_onnx, "only_onnx"); error != 0) {
        return io_failure(shown(from) + " cannot be renamed", error);
    }
    return outcome::ok();
}

} // namespace rollout
