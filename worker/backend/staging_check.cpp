#include "worker/backend/staging_check.hpp"

#include "worker/backend/model_repository.hpp"

namespace rollout {

staging_findings check_staging(const settings &of)
{
    staging_findings found;
    const auto backends = json_make_object(); // for pointers alone
    for (const auto &[name, one] : of.backends) {
        if (one.repository.empty()) {
            continue;
        }
        way_trouble trouble;
        const auto way = model_repository(one.repository, one.staging).check_way(&trouble);
        if (way) {
            continue;
        }
        std::vector<json_fault> none;
        const std::string pointer =
            json_reader(backends.get(), "/backends", none).pointer_to(name) + "/" + trouble.member;
        if (trouble.is_refused) {
            found.warnings.push_back(pointer + ": " + way.detail +
                                     "; the user that rolloutd runs as must be able to");
        } else {
            found.faults.push_back({pointer, way.detail});
        }
    }
    return found;
}

} // namespace rollout
