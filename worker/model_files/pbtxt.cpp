#include "worker/model_files/pbtxt.hpp"

#include <string>
#include <utility>

namespace rollout {
namespace {

constexpr int deepest_message = 100;

bool begins_identifier(char c) noexcept
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

struct token {
    enum class kind { word, number, literal, symbol, end };

    kind is = kind::end;
    std::size_t at = 0;
    std::size_t size = 0;
    std::size_t line = 1;
    char symbol = 0;
};

/// Splits the text into tokens; skips white space and comments.
class tokenizer {
  public:
    explicit tokenizer(std::string_view text) : text_(text)
    {
        constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
        if (text_.starts_with(byte_order_mark)) {
            at_ = byte_order_mark.size();
        }
    }

    /// Returns false, with `error` set, on a malformed text.
    bool next(token &into)
    {
        skip_blanks();
        into = {token::kind::end, at_, 0, line_, 0};
        if (at_ == text_.size()) {
            return true;
        }
        const char c = text_[at_];
        if (begins_identifier(c)) {
            into.is = token::kind::word;
            while (begins_identifier(peek()) || is_digit(peek())) {
                ++at_;
            }
        } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
            into.is = token::kind::number;
            skip_number();
        } else if (c == '"' || c == '\'') {
            into.is = token::kind::literal;
            if (!skip_literal()) {
                return false;
            }
        } else if (std::string_view("{}<>[]:,;-./").find(c) != std::string_view::npos) {
            into.is = token::kind::symbol;
            into.symbol = c;
            ++at_;
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
            return failed(line_, "a control character");
        } else {
            return failed(line_, "an unexpected character");
        }
        into.size = at_ - into.at;
        return true;
    }

    bool failed(std::size_t line, const std::string &why)
    {
        error = "line " + std::to_string(line) + ": " + why;
        return false;
    }

    std::string error;

  private:
    char peek(std::size_t ahead = 0) const noexcept { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

    void skip_blanks()
    {
        for (bool comment = false; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == '\n') {
                ++line_;
                comment = false;
            } else if (c == '\0' ||
                       (!comment && c != '#' && std::string_view(" \t\r\v\f").find(c) == std::string_view::npos)) {
                return;
            } else {
                comment = comment || c == '#';
            }
        }
    }

    /// Accepts more than valid numbers; checking them is left to the server.
    void skip_number()
    {
        const bool hexadecimal = peek() == '0' && (peek(1) == 'x' || peek(1) == 'X');
        char last = 0;
        while (begins_identifier(peek()) || is_digit(peek()) || peek() == '.' ||
               (!hexadecimal && (last == 'e' || last == 'E') && (peek() == '+' || peek() == '-'))) {
            last = peek();
            ++at_;
        }
    }

    bool skip_literal()
    {
        const char quote = text_[at_];
        for (++at_; at_ < text_.size(); ++at_) {
            if (text_[at_] == quote) {
                ++at_;
                return true;
            }
            if (text_[at_] == '\\') {
                ++at_;
            }
            if (peek() == '\n' || peek() == '\0') {
                break;
            }
        }
        return peek() == '\0' && at_ < text_.size() ? failed(line_, "a control character")
                                                    : failed(line_, "an unterminated string");
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t line_ = 1;
};


std::string text_of(std::string_view literal)
{
    std::string text;
    for (std::size_t position = 1; position + 1 < literal.size(); ++position) {
        if (literal[position] == '\\' && position + 2 < literal.size() &&
            std::string_view("\\\"'").find(literal[position + 1]) != std::string_view::npos) {
            ++position;
        }
        text += literal[position];
    }
    return text;
}


class parser {
  public:
    /// `strings` (may be null) receives all string values.
    explicit parser(std::string_view text, std::vector<pbtxt_string> *strings = nullptr)
        : text_(text), tokens_(text), strings_(strings)
    {
    }

    bool top(std::vector<pbtxt_field> &fields) { return advance() && message(0, 0, 0, &fields); }

    const std::string &error() const noexcept { return tokens_.error; }

  private:
    bool advance() { return tokens_.next(now_); }
    bool at(char symbol) const noexcept { return now_.is == token::kind::symbol && now_.symbol == symbol; }
    bool at(token::kind kind) const noexcept { return now_.is == kind; }
    bool unexpected()
    {
        return at(token::kind::end)
                   ? tokens_.failed(now_.line, "the text ends in the middle of a field")
                   : tokens_.failed(now_.line, "\"" + std::string(1, text_[now_.at]) + "\" does not belong there");
    }

    /// Parses fields up to `closer`, or, for 0, to the end of the text. `fields` receives those at the top.
    bool message(char closer, std::size_t opened, int depth, std::vector<pbtxt_field> *fields)
    {
        if (depth > deepest_message) {
            return tokens_.failed(opened, "more than " + std::to_string(deepest_message) + " messages in each other");
        }
        for (;;) {
            if (at(token::kind::end)) {
                return closer == 0 || tokens_.failed(opened, "an unclosed bracket");
            }
            if (closer != 0 && at(closer)) {
                return advance();
            }
            pbtxt_field found;
            if (!field(found, depth)) {
                return false;
            }
            if (fields != nullptr) {
                fields->push_back(std::move(found));
            }
            if ((at(',') || at(';')) && !advance()) {
                return false;
            }
        }
    }

    bool field(pbtxt_field &into, int depth)
    {
        into.line = now_.line;
        if (at(token::kind::word)) {
            into.name = text_.substr(now_.at, now_.size);
        } else if (!at('[') || !extension_name()) {
            return tokens_.error.empty() ? unexpected() : false;
        }
        if (!advance()) {
            return false;
        }
        const bool colon = at(':');
        if (colon && !advance()) {
            return false;
        }
        if (at('[')) {
            return list(into.name, depth);
        }
        if (at('{') || at('<')) {
            return nested(depth);
        }
        return colon ? scalar(into.name, &into.literals) : unexpected();
    }

    /// Parses `[com.example.name]` or `[type.googleapis.com/com.example.name]`, up to the closing bracket.
    bool extension_name()
    {
        do {
            if (!advance()) {
                return false;
            }
        } while (at(token::kind::word) || at(token::kind::number) || at('.') || at('/') || at('-'));
        return at(']');
    }

    bool nested(int depth)
    {
        const char closer = at('{') ? '}' : '>';
        const std::size_t opened = now_.line;
        return advance() && message(closer, opened, depth + 1, nullptr);
    }

    bool list(std::string_view name, int depth)
    {
        const std::size_t opened = now_.line;
        if (!advance()) {
            return false;
        }
        if (at(']')) {
            return advance();
        }
        for (;;) {
            if (at(token::kind::end)) {
                return tokens_.failed(opened, "an unclosed bracket");
            }
            if (!(at('{') || at('<') ? nested(depth) : scalar(name, nullptr))) {
                return false;
            }
            if (at(']')) {
                return advance();
            }
            if (!at(',')) {
                return at(token::kind::end) ? tokens_.failed(opened, "an unclosed bracket") : unexpected();
            }
            if (!advance()) {
                return false;
            }
        }
    }

    bool scalar(std::string_view name, std::vector<pbtxt_literal> *literals)
    {
        if (at(token::kind::literal)) {
            if (strings_ != nullptr) {
                strings_->push_back({name, {}});
            }
            while (at(token::kind::literal)) {
                if (strings_ != nullptr) {
                    strings_->back().value += text_of(text_.substr(now_.at, now_.size));
                }
                if (literals != nullptr) {
                    literals->push_back({now_.at, now_.size});
                }
                if (!advance()) {
                    return false;
                }
            }
            return true;
        }
        if (at('-') && !advance()) {
            return false;
        }
        return at(token::kind::word) || at(token::kind::number) ? advance() : unexpected();
    }

    std::string_view text_;
    tokenizer tokens_;
    token now_;
    std::vector<pbtxt_string> *strings_;
};

} // namespace


result<std::vector<pbtxt_field>> top_fields(std::string_view text)
{
    std::vector<pbtxt_field> fields;
    parser reader(text);
    if (!reader.top(fields)) {
        return result<std::vector<pbtxt_field>>::failure(reader.error());
    }
    return fields;
}


result<std::vector<pbtxt_string>> all_strings(std::string_view text)
{
    std::vector<pbtxt_field> fields;
    std::vector<pbtxt_string> strings;
    parser reader(text, &strings);
    if (!reader.top(fields)) {
        return result<std::vector<pbtxt_string>>::failure(reader.error());
    }
    return strings;
}

} // namespace rollout
