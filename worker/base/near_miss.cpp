#include "worker/base/near_miss.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <string>
#include <vector>

namespace rollout {

namespace {

/// Longer names are not checked: no known name is near.
constexpr std::size_t longest = 64;

constexpr std::size_t short_name = 5;

/// Names with more differences are other names.
constexpr std::size_t most_edits = 2;


std::string plain(std::string_view name)
{
    std::string folded;
    for (const unsigned char c : name) {
        if (c != '-' && c != '_' && c != '.' && c != ' ') {
            folded += static_cast<char>(std::tolower(c));
        }
    }
    return folded;
}


/// The Levenshtein distance.
std::size_t distance(std::string_view one, std::string_view other)
{
    std::vector<std::size_t> row(other.size() + 1);
    for (std::size_t i = 0; i < row.size(); ++i) {
        row[i] = i;
    }
    for (std::size_t i = 0; i < one.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < other.size(); ++j) {
            const std::size_t replaced = diagonal + (one[i] == other[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}


bool is_near(std::string_view name, std::string_view known)
{
    if (name.empty()) {
        return false;
    }
    if (std::ranges::is_permutation(name, known)) {
        return true;
    }
    if (known == "sha256" && name.size() > 3 && name.starts_with("sha") &&
        std::isdigit(static_cast<unsigned char>(name[3])) != 0) {
        return true;
    }
    if (name.size() > known.size() + most_edits || known.size() > name.size() + most_edits) {
        return false;
    }
    if (name.front() != known.front()) { // the first letter may be the only difference
        const auto rest = name.substr(1);
        return rest == known.substr(1) || rest == known || name == known.substr(1);
    }
    const std::size_t edits = distance(name, known);
    return edits <= 1 || (edits == most_edits && known.size() > short_name);
}

} // namespace


std::string_view near_miss(std::string_view name, std::span<const std::string_view> known)
{
    if (name.size() > longest || std::ranges::find(known, name) != known.end()) {
        return {};
    }
    const std::string written = plain(name);
    const auto found = std::ranges::find_if(known, [&](auto candidate) { return is_near(written, candidate); });
    return found == known.end() ? std::string_view() : *found;
}

} // namespace rollout
