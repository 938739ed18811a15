#include "worker/model_files/model_name.hpp"

#include "common/base/json.hpp"
#include "worker/base/format.hpp"
#include "worker/fs/io_failure.hpp"
#include "worker/fs/small_file.hpp"
#include "worker/model_files/pbtxt.hpp"

#include <cerrno>
#include <system_error>

#include <sys/stat.h>

namespace rollout {
namespace {

std::string literal(std::string_view text)
{
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            quoted += '\\';
        }
        quoted += c;
    }
    return quoted + '"';
}


using rewrite_fn = result<std::string> (*)(std::string_view text, std::string_view name);

outcome fit_file(const std::filesystem::path &path, const std::string &name, rewrite_fn rewrite)
{
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        return errno == ENOENT ? outcome::ok() : io_failure(shown(path) + " cannot be looked at", errno);
    }
    std::string text;
    if (auto read = read_small_file(path, text); !read) {
        return read;
    }
    const auto fitted = rewrite(text, name);
    if (!fitted) {
        return outcome::permanent("the model's " + shown(path.filename()) + " cannot be read: " + fitted.sentence());
    }
    return *fitted == text ? outcome::ok() : replace_small_file(path, *fitted);
}


outcome fit_settings_below(const std::filesystem::path &model_folder, const std::string &name)
{
    std::string at_top;
    const bool has_top = static_cast<bool>(read_small_file(model_folder / settings_file, at_top));
    const std::string top_name = settings_name(at_top);
    return each_settings_below(model_folder, [&](const std::filesystem::path &settings, const std::string &text) {
        return has_top && settings_name(text) != top_name ? outcome::ok()
                                                          : fit_file(settings, name, with_settings_name);
    });
}

} // namespace


result<std::string> with_name(std::string_view pbtxt, std::string_view name)
{
    using failed = result<std::string>;

    const auto fields = top_fields(pbtxt);
    if (!fields) {
        return failed::failure(fields.sentence());
    }
    std::string fitted;
    std::size_t taken = 0;
    for (const pbtxt_field &field : *fields) {
        if (field.name != "name") {
            continue;
        }
        if (field.literals.empty()) {
            return failed::failure("line " + std::to_string(field.line) + ": the value of name is not a string");
        }
        // The first literal is replaced and the adjacent ones are removed; blanks and comments between them stay.
        for (const pbtxt_literal &old : field.literals) {
            fitted += pbtxt.substr(taken, old.at - taken);
            if (&old == &field.literals.front()) {
                fitted += literal(name);
            }
            taken = old.at + old.size;
        }
    }
    fitted += pbtxt.substr(taken);
    return fitted;
}


result<std::string> with_settings_name(std::string_view json, std::string_view name)
{
    using failed = result<std::string>;

    json_error_t error{};
    const json_ptr settings = json_read(json, JSON_ALLOW_NUL, error);
    if (!settings) {
        return failed::failure("line " + std::to_string(error.line) + ": " + clean_text(error.text, 200));
    }
    if (!json_is_object(settings.get())) {
        return failed::failure("it is not a JSON object");
    }
    if (json_text(settings.get(), "name") == name) {
        return std::string(json);
    }
    json_put(settings.get(), "name", name);
    return json_compact(settings.get(), JSON_INDENT(4)) + "\n";
}


std::string settings_name(std::string_view json)
{
    json_error_t error{};
    const json_ptr settings = json_read(json, JSON_ALLOW_NUL, error);
    return std::string(json_text(settings.get(), "name"));
}


bool has_settings(const std::filesystem::path &folder)
{
    std::error_code error;
    return std::filesystem::is_directory(std::filesystem::symlink_status(folder, error)) &&
           std::filesystem::is_regular_file(std::filesystem::symlink_status(folder / settings_file, error));
}


outcome each_settings_below(
    const std::filesystem::path &folder,
    const std::function<outcome(const std::filesystem::path &settings, const std::string &text)> &visit)
{
    std::error_code error;
    for (auto it = std::filesystem::directory_iterator(folder, error);
         !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
        if (!has_settings(it->path())) {
            continue;
        }
        const auto settings = it->path() / settings_file;
        std::string text;
        if (auto read = read_small_file(settings, text); !read) {
            return read;
        }
        if (auto visited = visit(settings, text); !visited) {
            return visited;
        }
    }
    return error ? io_failure(shown(folder) + " cannot be read", error.value()) : outcome::ok();
}


outcome fit_model_name(const std::filesystem::path &model_folder, const std::string &name)
{
    if (auto fitted = fit_file(model_folder / config_file, name, with_name); !fitted) {
        return fitted;
    }
    // The files for --model-config-name, which replace config.pbtxt. There may be none.
    std::error_code error;
    for (auto it = std::filesystem::directory_iterator(model_folder / configs_folder, error);
         !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
        if (it->path().extension() == ".pbtxt" && std::filesystem::is_regular_file(it->symlink_status(error))) {
            if (auto fitted = fit_file(it->path(), name, with_name); !fitted) {
                return fitted;
            }
        }
    }
    // Subfolders first: if this is run again, the settings that they are compared with are still unchanged.
    if (auto fitted = fit_settings_below(model_folder, name); !fitted) {
        return fitted;
    }
    return fit_file(model_folder / settings_file, name, with_settings_name);
}

} // namespace rollout
