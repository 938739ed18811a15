#include "worker/domain/model.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/upstream_name.hpp"

#include <algorithm>
#include <iterator>
#include <map>

namespace rollout {

namespace {

json_ptr copy_to_json(const served_model &from)
{
    json_ptr to = json_make_object();
    json_put(to.get(), "model", from.model);
    json_put(to.get(), "parts", json_make_array(from.parts));
    if (from.server_config) {
        json_put(to.get(), "server_config", json_share(const_cast<json_t *>(from.server_config.get())));
    }
    if (from.peers) {
        json_put(to.get(), "peers", json_make_array(*from.peers));
    }
    if (!from.barred.empty()) {
        json_put(to.get(), "barred", json_make_array(from.barred));
    }
    return to;
}


std::vector<std::string> texts_from_json(const json_t *list)
{
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < json_array_size(list); ++i) {
        texts.emplace_back(json_text(json_array_get(list, i)));
    }
    return texts;
}


/// A revision written before parts existed is its own only copy.
served_model copy_from_json(const json_t *from)
{
    served_model to;
    to.model = json_text(from, "model");
    const json_t *parts = json_object_get(from, "parts");
    for (std::size_t i = 0; i < json_array_size(parts); ++i) {
        to.parts.emplace_back(json_text(json_array_get(parts, i)));
    }
    if (to.parts.empty()) {
        to.parts.emplace_back();
    }
    if (json_t *config = json_object_get(from, "server_config"); json_is_object(config)) {
        to.server_config = share(json_share(config));
    }
    if (const json_t *peers = json_object_get(from, "peers"); json_is_array(peers)) {
        to.peers = texts_from_json(peers);
    }
    to.barred = texts_from_json(json_object_get(from, "barred"));
    return to;
}


json_ptr revision_to_json(const served_revision &from)
{
    json_ptr to = json_make_object();
    json_put(to.get(), "revision", json_make_number(from.revision));
    json_put(to.get(), "backend", from.backend);
    json_put(to.get(), "upstream", from.upstream);
    json_ptr copies = json_make_array();
    for (const auto &copy : from.copies) {
        json_add(copies.get(), copy_to_json(copy));
    }
    json_put(to.get(), "copies", std::move(copies));
    json_put(to.get(), "keep_files", json_ptr(json_boolean(from.keep_files)));
    json_put(to.get(), "stage_begun", json_ptr(json_boolean(from.stage_begun)));
    json_put(to.get(), "load_begun", json_ptr(json_boolean(from.load_begun)));
    if (from.was_kept) {
        json_put(to.get(), "was_kept", json_ptr(json_true()));
    }
    if (from.drained) {
        json_put(to.get(), "drained", json_ptr(json_true()));
    }
    if (!from.owing.empty()) {
        json_put(to.get(), "owing", json_make_array(from.owing));
    }
    if (from.left != 0) {
        json_put(to.get(), "left", json_make_number(from.left));
    }
    return to;
}


bool is_sound(const served_model &of)
{
    return is_backend_model(of.model) && (!of.peers || std::ranges::all_of(*of.peers, is_peer)) &&
           std::ranges::all_of(of.parts, [](const std::string &part) { return part.empty() || is_model_id(part); });
}


/// Empty if a name in it is invalid: the name would become a route that no gateway accepts, or a path.
std::optional<served_revision> revision_from_json(const json_t *from)
{
    served_revision to;
    to.revision = json_count(from, "revision");
    to.backend = json_text(from, "backend");
    to.upstream = json_text(from, "upstream");
    const json_t *copies = json_object_get(from, "copies");
    for (std::size_t i = 0; i < json_array_size(copies); ++i) {
        to.copies.push_back(copy_from_json(json_array_get(copies, i)));
    }
    if (to.copies.empty()) {
        to.copies.push_back(copy_from_json(from));
    }
    to.keep_files = json_is_true(json_object_get(from, "keep_files"));
    to.stage_begun = json_is_true(json_object_get(from, "stage_begun"));
    to.load_begun = json_is_true(json_object_get(from, "load_begun"));
    to.was_kept = json_is_true(json_object_get(from, "was_kept"));
    to.drained = json_is_true(json_object_get(from, "drained"));
    to.owing = texts_from_json(json_object_get(from, "owing"));
    to.left = json_count(from, "left");
    if (!is_upstream(to.upstream) || !std::ranges::all_of(to.copies, is_sound)) {
        return std::nullopt;
    }
    return to;
}


void add_targets(const served_revision &from, std::optional<route_target> route::*slot,
                 std::map<std::string, route> &to)
{
    for (const auto &copy : from.copies) {
        for (const auto &part : copy.parts) {
            to[part].*slot = route_target{from.revision, from.upstream, copy.model, copy.peers};
        }
    }
}

constexpr std::pair<const char *, std::optional<served_revision> model::*> places[] = {
    {"blue", &model::blue},
    {"green", &model::green},
    {"incoming", &model::incoming},
};

constexpr std::pair<const char *, std::vector<served_revision> model::*> lists[] = {
    {"retired", &model::retired},
    {"kept", &model::kept},
};

/// Returns whether a revision is the old blue, which gets the traffic back if the new one fails.
bool is_watched_former(const model &of, const served_revision &retired)
{
    return of.blue && of.former != 0 && retired.revision == of.former;
}


/// Returns a sort key: the revision with the lower one left the traffic earlier. Old journals have no count of that;
/// there the revision numbers give the order.
std::pair<std::uint64_t, std::uint64_t> age_of(const served_revision &revision)
{
    return {revision.left, revision.revision};
}

} // namespace


served_revision *find_revision(model &of, std::uint64_t revision)
{
    for (auto *place : {&of.blue, &of.green, &of.incoming}) {
        if (*place && (*place)->revision == revision) {
            return &**place;
        }
    }
    for (auto *list : {&of.retired, &of.kept}) {
        const auto found = std::ranges::find(*list, revision, &served_revision::revision);
        if (found != list->end()) {
            return &*found;
        }
    }
    return nullptr;
}


std::vector<const served_revision *> loaded_revisions(const model &of)
{
    std::vector<const served_revision *> all;
    for (const auto *place : {&of.blue, &of.green}) {
        if (*place) {
            all.push_back(&**place);
        }
    }
    for (const auto &old : of.retired) {
        if (is_watched_former(of, old) || (old.load_begun && !old.drained)) {
            all.push_back(&old);
        }
    }
    for (const auto &kept : of.kept) {
        if (kept.load_begun) {
            all.push_back(&kept);
        }
    }
    return all;
}


std::vector<const served_revision *> revisions_to_unload(const model &of)
{
    std::vector<const served_revision *> all;
    for (const auto &retired : of.retired) {
        if (!is_watched_former(of, retired)) {
            all.push_back(&retired);
        }
    }
    return all;
}


served_revision without_names_in_use(const model &of, served_revision retired)
{
    const auto erase_names_of = [&retired](const served_revision &other) {
        if (other.backend == retired.backend && other.revision != retired.revision) {
            std::erase_if(retired.copies, [&other](const served_model &copy) {
                return std::ranges::find(other.copies, copy.model, &served_model::model) != other.copies.end();
            });
        }
    };
    for (const auto *place : {&of.blue, &of.green, &of.incoming}) {
        if (*place && (place != &of.incoming || (*place)->stage_begun)) {
            erase_names_of(**place);
        }
    }
    std::ranges::for_each(of.kept, erase_names_of);
    return retired;
}


void note_taken_off(model &of, std::uint64_t revision)
{
    const auto found = std::ranges::find(of.retired, revision, &served_revision::revision);
    if (found == of.retired.end()) {
        return;
    }
    if (found->keep_files) {
        of.kept.push_back(*found);
        of.kept.back().load_begun = false;
        of.kept.back().drained = false;
        of.kept.back().owing.clear();
    }
    of.retired.erase(found);
}


void note_drained(model &of, std::uint64_t revision)
{
    const auto found = std::ranges::find(of.retired, revision, &served_revision::revision);
    if (found != of.retired.end()) {
        found->drained = true;
    }
}


bool is_placed(const model &of) noexcept
{
    return of.blue || of.green || of.incoming || !of.retired.empty() || !of.kept.empty();
}


void note_leaving(model &of)
{
    std::uint64_t last = 0;
    for (const auto *list : {&of.retired, &of.kept}) {
        for (const auto &old : *list) {
            last = std::max(last, old.left);
        }
    }
    of.blue->left = last + 1;
}


const served_revision *former_revision(const model &of)
{
    const served_revision *found = nullptr;
    for (const auto &former : of.kept) {
        const bool served_before = former.left != 0 || former.revision < of.blue->revision;
        if (served_before && (found == nullptr || age_of(*found) < age_of(former))) {
            found = &former;
        }
    }
    return found;
}


void bound_kept(model &of, std::size_t most)
{
    std::vector<std::pair<std::uint64_t, std::uint64_t>> revisions;
    for (const auto &former : of.kept) {
        revisions.push_back(age_of(former));
    }
    for (const auto &retired : of.retired) {
        if (retired.keep_files) {
            revisions.push_back(age_of(retired));
        }
    }
    if (revisions.size() <= most) {
        return;
    }
    std::ranges::sort(revisions);
    revisions.resize(revisions.size() - most);
    const auto is_too_old = [&revisions](const served_revision &revision) {
        return std::ranges::binary_search(revisions, age_of(revision));
    };
    std::ranges::copy_if(of.kept, std::back_inserter(of.retired), is_too_old);
    std::erase_if(of.kept, is_too_old);
    for (auto &retired : of.retired) {
        retired.keep_files = retired.keep_files && !is_too_old(retired);
    }
}


std::vector<std::string> served_revision::parts() const
{
    std::vector<std::string> all;
    for (const auto &copy : copies) {
        all.insert(all.end(), copy.parts.begin(), copy.parts.end());
    }
    std::ranges::sort(all);
    return all;
}


std::string served_revision::names() const
{
    std::string all;
    for (const auto &copy : copies) {
        all += (all.empty() ? "" : ", ") + copy.model;
    }
    return all;
}


std::vector<route> routes_of(const model &from, const std::vector<route> &before)
{
    std::map<std::string, route> by_part;
    for (const auto &part_route : before) {
        by_part[part_route.part];
    }
    if (from.blue) {
        add_targets(*from.blue, &route::blue, by_part);
    }
    // In a first deployment there is no blue: until green has traffic, the model has no route.
    const bool has_green = from.green && (from.blue || from.weight != 0);
    if (has_green) {
        add_targets(*from.green, &route::green, by_part);
    }
    if (by_part.empty()) {
        by_part[""];
    }
    std::vector<route> all;
    for (auto &[part, part_route] : by_part) {
        part_route.model_id = from.model_id;
        part_route.part = part;
        part_route.weight = part_route.green ? from.weight : 0;
        part_route.watched = part_route.blue && from.former != 0;
        all.push_back(part_route);
    }
    return all;
}


json_ptr model_to_json(const model &from)
{
    json_ptr to = json_make_object();
    json_put(to.get(), "last_revision", json_make_number(from.last_revision));
    json_put(to.get(), "weight", json_made(json_integer(from.weight)));
    json_put(to.get(), "former", json_make_number(from.former));
    for (const auto &[name, place] : places) {
        if (from.*place) {
            json_put(to.get(), name, revision_to_json(*(from.*place)));
        }
    }
    for (const auto &[name, list] : lists) {
        json_ptr all = json_make_array();
        for (const auto &revision : from.*list) {
            json_add(all.get(), revision_to_json(revision));
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
    const auto weight = json_count(from, "weight");
    if (weight > 100) {
        return std::nullopt;
    }
    to.weight = static_cast<unsigned>(weight);
    to.former = json_count(from, "former");
    for (const auto &[name, place] : places) {
        if (const json_t *member = json_object_get(from, name)) {
            to.*place = revision_from_json(member);
            if (!(to.*place)) {
                return std::nullopt;
            }
        }
    }
    for (const auto &[name, list] : lists) {
        const json_t *all = json_object_get(from, name);
        for (std::size_t i = 0; i < json_array_size(all); ++i) {
            auto revision = revision_from_json(json_array_get(all, i));
            if (!revision) {
                return std::nullopt;
            }
            (to.*list).push_back(std::move(*revision));
        }
    }
    return to;
}

} // namespace rollout
