// A folder of sources, a folder to fetch into, and a fetch in one call.
#pragma once

#include "tests/unit/temporary_folder.hpp"
#include "tests/unit/test_loop.hpp"
#include "worker/artifact/fetch.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

struct fetching {
    fetching()
    {
        std::filesystem::create_directory(folder / "models");
        request.allow = {"file://" + (folder / "models/").native()};
        request.destination = folder / "staging/123__r1";
        request.max_bytes = 1 << 20;
        request.max_files = 100;
    }

    /// Of a source in the allowed folder.
    rollout::outcome fetch(const std::string &name)
    {
        request.source = "file://" + (folder / "models").native() + "/" + name;
        return fetch();
    }

    rollout::outcome fetch()
    {
        test_loop loop;
        std::optional<rollout::outcome> ended;
        const auto work = rollout::fetch(loop.get(), request, [&](const rollout::outcome &how) { ended = how; });
        loop.run_until([&] { return ended.has_value(); });
        return *ended;
    }

    std::filesystem::path write(const std::string &name, std::string_view text) const
    {
        return folder.write("models/" + name, text);
    }

    void link(const std::filesystem::path &to, const std::string &name) const
    {
        const auto at = folder / "models" / name;
        std::filesystem::create_directories(at.parent_path());
        std::filesystem::create_symlink(to, at);
    }

    /// What was fetched: `path=text`, a folder without files as `path/`, in order and with blanks between.
    std::string fetched() const
    {
        std::vector<std::string> all;
        std::error_code missing;
        for (const auto &entry : std::filesystem::recursive_directory_iterator(request.destination, missing)) {
            const std::string name = entry.path().lexically_relative(request.destination).native();
            if (entry.is_symlink()) {
                all.push_back(name + "@");
            } else if (entry.is_regular_file()) {
                all.push_back(name + "=" + folder.read("staging/123__r1/" + name));
            } else if (std::filesystem::is_empty(entry.path())) {
                all.push_back(name + "/");
            }
        }
        std::sort(all.begin(), all.end());
        std::string line;
        for (const auto &one : all) {
            line += (line.empty() ? "" : " ") + one;
        }
        return line;
    }

    bool left_nothing() const { return !std::filesystem::exists(request.destination); }

    temporary_folder folder;
    rollout::fetch_request request;
};
