// Standard output: a terminal, or a file or pipe that wants plain lines.
#pragma once

#include "ctl/terminal/styled_line.hpp"

#include <string_view>
#include <vector>

namespace rollout::ctl {

class output {
  public:
    /// `json`: documents as they are, and nothing else.
    explicit output(bool json);

    bool json() const noexcept { return json_; }

    /// Whether a picture is redrawn in place.
    bool redraws() const noexcept { return redraws_; }
    bool colors() const noexcept { return colors_; }

    /// How wide lines may be: on a terminal as wide as it is now, elsewhere as wide as they are.
    std::size_t columns() const noexcept;

    /// Writes a text as it is. Throws command_error if it cannot be written.
    void write(std::string_view text) const;
    void line(std::string_view text) const;
    void lines(const std::vector<styled_line> &lines) const;

  private:
    bool json_;
    bool redraws_;
    bool colors_;
};

} // namespace rollout::ctl
