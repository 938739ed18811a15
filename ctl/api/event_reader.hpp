// Reads server-sent events (the HTML standard, section 9.2.6) out of an answer that arrives piece by piece.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rollout::ctl {

struct server_event {
    std::string name;
    std::string data;
};

class event_reader {
  public:
    void feed(std::string_view bytes) { unread_.append(bytes); }

    /// Returns the next whole event; nothing if more bytes are needed. Events without data are left out.
    std::optional<server_event> next();

  private:
    void take_line(std::string_view line);

    std::string unread_;
    server_event event_;
    bool has_data_ = false;
};

} // namespace rollout::ctl
