#include "ctl/commands/output.hpp"

#include "common/base/unique_fd.hpp"
#include "ctl/base/command_error.hpp"
#include "ctl/terminal/terminal.hpp"

#include <cerrno>
#include <cstring>

#include <unistd.h>

namespace rollout::ctl {

namespace {

constexpr std::size_t unlimited_columns = 100000;

} // namespace


output::output(bool json) : json_(json), redraws_(!json && can_redraw()), colors_(!json && wants_colors()) {}


std::size_t output::columns() const noexcept
{
    return redraws_ ? size_of_terminal().columns : unlimited_columns;
}


void output::write(std::string_view text) const
{
    if (write_all(STDOUT_FILENO, text.data(), text.size()) != text.size()) {
        throw command_error(exit_code::failed,
                            std::string("Standard output cannot be written: ") + std::strerror(errno) + ".");
    }
}


void output::line(std::string_view text) const
{
    write(std::string(text) + '\n');
}


void output::lines(const std::vector<styled_line> &lines) const
{
    const std::size_t wide = columns();
    std::string text;
    for (const auto &line : lines) {
        text += line.render(wide, colors_) + '\n';
    }
    write(text);
}

} // namespace rollout::ctl
