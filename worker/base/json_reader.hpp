// Reads the members of a JSON object written by people, and collects every fault with its JSON pointer (RFC 6901): an
// unknown member, a wrong type, a value out of range.
#pragma once

#include "common/base/json.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

struct json_fault {
    std::string pointer;
    std::string detail;
};

class json_reader {
  public:
    /// A `value` that is not an object is a fault. `faults` must outlive the reader.
    json_reader(const json_t *value, std::string pointer, std::vector<json_fault> &faults);

    // Each of these reads a member and marks it as known. They leave `to` unchanged if the member is missing (a fault if
    // `required`) or wrong (always a fault).

    void text(const char *name, std::string &to, bool required = false);
    /// Reads a whole number in any notation (json_whole).
    void number(const char *name, std::uint64_t &to, std::uint64_t least, std::uint64_t most);
    void real(const char *name, double &to, double least, double most);
    void flag(const char *name, bool &to);
    void texts(const char *name, std::vector<std::string> &to);

    /// Reads a text that must be one of `words`.
    void word(const char *name, std::string &to, std::initializer_list<std::string_view> words);

    /// Returns an object; null if it is missing.
    const json_t *object(const char *name, bool required = false);
    const json_t *array(const char *name, bool required = false);

    /// Marks a member that is read elsewhere as known.
    void allow(const char *name) { taken_.insert(name); }

    /// Reports every unknown member as a fault.
    void refuse_others();

    void fault(const char *name, std::string detail);
    std::string pointer_to(std::string_view name) const;

  private:
    const json_t *take(const char *name, bool required = false);

    const json_t *value_;
    std::string pointer_;
    std::vector<json_fault> &faults_;
    std::set<std::string, std::less<>> taken_;
};

} // namespace rollout
