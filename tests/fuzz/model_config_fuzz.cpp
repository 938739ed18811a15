// config.pbtxt and model-settings.json, whose name is rewritten. Input: a byte that chooses the file, the new name, the text.
#include "tests/fuzz/fuzzing.hpp"

#include "common/domain/route.hpp"
#include "worker/model_files/model_name.hpp"
#include "worker/model_files/pbtxt.hpp"

#include <algorithm>

using namespace rollout;

namespace {

/// The value of a top-level `name`; the names that rolloutd gives need no escapes.
std::string name_in(std::string_view text, const pbtxt_field &field)
{
    std::string name;
    for (const auto &literal : field.literals) {
        name += text.substr(literal.at + 1, literal.size - 2);
    }
    return name;
}


void check_pbtxt(std::string_view text, const std::string &name)
{
    const auto before = top_fields(text);
    const auto fitted = with_name(text, name);
    if (!before) {
        always(!fitted && !fitted.sentence().empty(), "a text that cannot be read is not rewritten, and says why");
        return;
    }
    const auto is_name = [](const pbtxt_field &field) { return field.name == "name"; };
    if (!fitted) {
        always(std::ranges::any_of(*before, [&](const auto &one) { return is_name(one) && one.literals.empty(); }),
               "only a name that is no string is refused");
        return;
    }
    const auto after = top_fields(*fitted);
    always(static_cast<bool>(after), "what was rewritten can be read");
    always(after->size() == before->size(), "no field comes or goes");
    for (std::size_t i = 0; i < after->size(); ++i) {
        const auto &was = (*before)[i];
        const auto &is = (*after)[i];
        always(was.name == is.name, "fields keep their names and their order");
        if (is_name(is)) {
            always(is.literals.size() == 1 && name_in(*fitted, is) == name, "the name is the new one");
        } else {
            always(was.literals.size() == is.literals.size(), "other fields keep their values");
            for (std::size_t j = 0; j < is.literals.size(); ++j) {
                always(text.substr(was.literals[j].at, was.literals[j].size) ==
                           std::string_view(*fitted).substr(is.literals[j].at, is.literals[j].size),
                       "other fields keep their values");
            }
        }
    }
    if (std::ranges::none_of(*before, is_name)) {
        always(*fitted == text, "a text without a name stays as it is");
    }
    const auto twice = with_name(*fitted, name);
    always(twice && *twice == *fitted, "to rewrite again changes nothing");
}


void check_settings(std::string_view text, const std::string &name)
{
    const auto fitted = with_settings_name(text, name);
    const auto before = parsed_json(text, JSON_ALLOW_NUL);
    always(static_cast<bool>(fitted) == (before && json_is_object(before.get())),
           "an object, and only that, is taken");
    if (!fitted) {
        always(!fitted.sentence().empty(), "what cannot be read says why");
        return;
    }
    auto after = parsed_json(*fitted, JSON_ALLOW_NUL);
    always(after && json_text(after.get(), "name") == name, "the name is the new one");
    json_object_del(before.get(), "name");
    json_object_del(after.get(), "name");
    always(json_same(before.get(), after.get()), "other members stay as they were");
    const auto twice = with_settings_name(*fitted, name);
    always(twice && *twice == *fitted, "to rewrite again changes nothing");
}

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    pieces input(data, size);
    const auto choice = input.byte();
    const std::string given(input.text());
    const std::string name = is_backend_model(given) ? given : "123__r7";
    if ((choice & 1) == 0) {
        check_pbtxt(input.rest(), name);
    } else {
        check_settings(input.rest(), name);
    }
    return 0;
}
