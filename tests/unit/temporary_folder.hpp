// A folder of a test's own, gone with the test.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

class temporary_folder {
  public:
    temporary_folder()
    {
        std::string name = (std::filesystem::temp_directory_path() / "rollout-test-XXXXXX").native();
        if (::mkdtemp(name.data()) == nullptr) {
            throw std::runtime_error("no temporary folder");
        }
        path_ = name;
    }
    ~temporary_folder()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    temporary_folder(const temporary_folder &) = delete;
    temporary_folder &operator=(const temporary_folder &) = delete;

    std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
    const std::filesystem::path &path() const noexcept { return path_; }

    /// Writes a file and the folders above it.
    std::filesystem::path write(std::string_view name, std::string_view text) const
    {
        const auto path = path_ / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << text;
        return path;
    }

    std::string read(std::string_view name) const
    {
        std::ifstream file(path_ / name, std::ios::binary);
        std::ostringstream text;
        text << file.rdbuf();
        return std::move(text).str();
    }

    bool has(std::string_view name) const
    {
        return std::filesystem::exists(std::filesystem::symlink_status(path_ / name));
    }

  private:
    std::filesystem::path path_;
};
