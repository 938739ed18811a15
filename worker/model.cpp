#include "worker/model.hpp"

#include <algorithm>
#include <iterator>

namespace rollout {

namespace {

json_ptr revision_to_json(const placed_revision &from)
{
    json_ptr to(json_object());
    json_put(to.get(), "revision", json_make_number(from.revision));
    json_put(to.get(), "backend", from.backend);
    json_put(to.get(), "upstream", from.upstream);
    json_put(to.get(), "model", from.model);
    json_put(to.get(), "keep_files", json_ptr(json_boolean(from.keep_files)));
    json_put(to.get(), "stage_begun", json_ptr(json_boolean(from.stage_begun)));
    json_put(to.get(), "load_begun", json_ptr(json_boolean(from.load_begun)));
    if (from.server_config) {
        json_put(to.get(), "server_config", json_share(const_cast<json_t *>(from.server_config.get())));
    }
    return to;
}


placed_revision revision_from_json(const json_t *from)
{
    placed_revision to;
    to.revision = json_count(from, "revision");
    to.backend = json_text(from, "backend");
    to.upstream = json_text(from, "upstream");
    to.model = json_text(from, "model");
    to.keep_files = json_is_true(json_object_get(from, "keep_files"));
    to.stage_begun = json_is_true(json_object_get(from, "stage_begun"));
    to.load_begun = json_is_true(json_object_get(from, "load_begun"));
    if (json_t *config = json_object_get(from, "server_config"); json_is_object(config)) {
        to.server_config = share(json_share(config));
    }
    return to;
}


route_target target_of(const placed_revision &from)
{
    return {from.revision, from.upstream, from.model};
}

constexpr std::pair<const char *, std::optional<placed_revision> model::*> places[] = {
    {"blue", &model::blue},
    {"green", &model::green},
    {"incoming", &model::incoming},
};

constexpr std::pair<const char *, std::vector<placed_revision> model::*> lists[] = {
    {"retired", &model::retired},
    {"kept", &model::kept},
};

} // namespace


bool is_placed(const model &of) noexcept
{
    return of.blue || of.green || of.incoming || !of.retired.empty() || !of.kept.empty();
}


void bound_kept(model &of, std::size_t most)
{
    std::vector<std::uint64_t> revisions; // a model's own numbers: each is given once
    for (const auto &one : of.kept) {
        revisions.push_back(one.revision);
    }
    for (const auto &one : of.retired) {
        if (one.keep_files) {
            revisions.push_back(one.revision);
        }
    }
    if (revisions.size() <= most) {
        return;
    }
    std::ranges::sort(revisions);
    revisions.resize(revisions.size() - most);
    const auto is_too_old = [&revisions](const placed_revision &one) {
        return std::ranges::binary_search(revisions, one.revision);
    };
    std::ranges::copy_if(of.kept, std::back_inserter(of.retired), is_too_old);
    std::erase_if(of.kept, is_too_old);
    for (auto &one : of.retired) {
        one.keep_files = one.keep_files && !is_too_old(one);
    }
}


route route_of(const model &from)
{
    route to;
    to.model_id = from.model_id;
    if (from.blue) {
        to.blue = target_of(*from.blue);
    }
    // A first deployment has no blue: until its green has traffic, the model has no route.
    if (from.green && (from.blue || from.weight != 0)) {
        to.green = target_of(*from.green);
        to.weight = from.weight;
    }
    return to;
}


json_ptr model_to_json(const model &from)
{
    json_ptr to(json_object());
    json_put(to.get(), "last_revision", json_make_number(from.last_revision));
    json_put(to.get(), "weight", json_ptr(json_integer(from.weight)));
    for (const auto &[name, place] : places) {
        if (from.*place) {
            json_put(to.get(), name, revision_to_json(*(from.*place)));
        }
    }
    for (const auto &[name, list] : lists) {
        json_ptr all(json_array());
        for (const auto &one : from.*list) {
            json_array_append_new(all.get(), revision_to_json(one).release());
        }
        json_put(to.get(), name, std::move(all));
    }
    return to;
}


std::optional<model> model_from_json(const json_t *from)
{
    if (!json_is_object(from)) {
        return std::nullopt;
    }
    model to;
    to.last_revision = json_count(from, "last_revision");
    to.weight = static_cast<unsigned>(json_number(from, "weight"));
    for (const auto &[name, place] : places) {
        if (const json_t *one = json_object_get(from, name)) {
            to.*place = revision_from_json(one);
        }
    }
    for (const auto &[name, list] : lists) {
        const json_t *all = json_object_get(from, name);
        for (std::size_t i = 0; i < json_array_size(all); ++i) {
            (to.*list).push_back(revision_from_json(json_array_get(all, i)));
        }
    }
    return to;
}

} // namespace rollout
