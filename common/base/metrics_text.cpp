#include "common/base/metrics_text.hpp"

#include <charconv>

namespace rollout {

namespace {

void append_number(std::string &to, std::uint64_t value)
{
    char digits[32];
    to.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
}


/// Writes no exponent, because people read the text too.
void append_number(std::string &to, double value)
{
    char digits[512];
    to.append(digits, std::to_chars(digits, digits + sizeof(digits), value, std::chars_format::fixed).ptr);
}

} // namespace


metrics_text &metrics_text::family(std::string_view name, type of, std::string_view help)
{
    name_ = name;
    text_.append("# HELP ").append(name).append(1, ' ').append(help).append("\n# TYPE ").append(name);
    switch (of) {
    case type::counter:
        text_ += " counter\n";
        break;
    case type::gauge:
        text_ += " gauge\n";
        break;
    case type::histogram:
        text_ += " histogram\n";
        break;
    }
    return *this;
}


metrics_text &metrics_text::sample(labels which, std::uint64_t value)
{
    add_name({}, which);
    add_value(value);
    return *this;
}


metrics_text &metrics_text::sample(labels which, double value)
{
    add_name({}, which);
    add_value(value);
    return *this;
}


metrics_text &metrics_text::histogram(labels which, std::span<const double> bounds,
                                      std::span<const std::uint64_t> counts, double sum)
{
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        total += counts[i];
        std::string bound = "+Inf";
        if (i < bounds.size()) {
            bound.clear();
            append_number(bound, bounds[i]);
        }
        add_name("_bucket", which, bound);
        add_value(total);
    }
    add_name("_sum", which);
    add_value(sum);
    add_name("_count", which);
    add_value(total);
    return *this;
}


void metrics_text::add_name(std::string_view suffix, labels which, std::string_view bound)
{
    text_.append(name_).append(suffix);
    char before = '{';
    const auto add = [this, &before](std::string_view name, std::string_view value) {
        if (value.empty()) {
            return;
        }
        text_.append(1, before).append(name).append("=\"");
        for (const char c : value) {
            if (c == '\n') {
                text_ += "\\n";
                continue;
            }
            if (c == '"' || c == '\\') {
                text_ += '\\';
            }
            text_ += c;
        }
        text_ += '"';
        before = ',';
    };
    for (const auto &[name, value] : which) {
        add(name, value);
    }
    add("le", bound);
    text_ += before == '{' ? " " : "} ";
}


void metrics_text::add_value(std::uint64_t value)
{
    append_number(text_, value);
    text_ += '\n';
}


void metrics_text::add_value(double value)
{
    append_number(text_, value);
    text_ += '\n';
}

} // namespace rollout
