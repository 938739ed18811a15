// Standard output: a terminal, or a file or pipe that gets plain lines.
#pragma once

#include "ctl/terminal/styled_line.hpp"

#include <string_view>
#include <vector>

namespace rollout::ctl {

class output {
  public:
    /// With `json`, documents are printed unchanged, and nothing else.
    explicit output(bool json);

    bool json() const noexcept { return json_; }

    /// Returns whether a picture is redrawn in place.
    bool redraws() const noexcept { return redraws_; }
    bool colors() const noexcept { return colors_; }

    /// Returns the maximum width of lines: on a terminal its current width, elsewhere unlimited.
    std::size_t columns() const noexcept;

    /// Writes a text unchanged. Throws command_error if it cannot be written.
    void write(std::string_view text) const;
    void line(std::string_view text) const;
    void lines(const std::vector<styled_line> &lines) const;

  private:
    bool json_;
    bool redraws_;
    bool colors_;
};

} // namespace rollout::ctl
