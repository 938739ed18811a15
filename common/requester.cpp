#include "common/requester.hpp"

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rollout {

namespace {

struct named_value {
    const char *name;
    std::string requester::*value;
};

constexpr named_value members[] = {
    {"address", &requester::address},
    {"user", &requester::user},
    {"certificate", &requester::certificate},
};

} // namespace


json_ptr requester_to_json(const requester &from)
{
    json_ptr to = json_make_object();
    for (const auto &[name, value] : members) {
        if (!(from.*value).empty()) {
            json_put(to.get(), name, clean_text(from.*value, limits::requester_characters));
        }
    }
    return to;
}


requester requester_from_json(const json_t *from)
{
    requester to;
    for (const auto &[name, value] : members) {
        to.*value = clean_text(json_text(from, name), limits::requester_characters);
    }
    return to;
}

} // namespace rollout
