#include "worker/backend/staging_check.hpp"

#include "worker/backend/model_repository.hpp"
#include "worker/config/backend_servers.hpp"

namespace rollout {

namespace {

void check_one(const std::string &pointer, const std::string &repository, const std::string &staging,
               staging_findings &found)
{
    way_trouble trouble;
    const auto way = model_repository(repository, staging).check_way(&trouble);
    if (way) {
        return;
    }
    const std::string member = pointer + "/" + trouble.member;
    if (trouble.is_refused) {
        found.warnings.push_back(member + ": " + way.detail + "; the user that rolloutd runs as must be able to");
    } else {
        found.faults.push_back({member, way.detail});
    }
}

} // namespace


staging_findings check_staging(const settings &of)
{
    staging_findings found;
    const auto backends = json_make_object(); // only for the JSON pointers
    for (const auto &[name, settings] : of.backends) {
        std::vector<json_fault> none;
        const std::string backend = json_reader(backends.get(), "/backends", none).pointer_to(name);
        for (const auto &[below, repository, staging] : repositories_of(settings)) {
            if (!repository.empty()) {
                check_one(backend + below, repository, staging, found);
            }
        }
    }
    return found;
}

} // namespace rollout
