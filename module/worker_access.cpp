#include "module/worker_access.hpp"

#include "module/configuration.hpp"
#include "module/nginx/guard.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rollout {

namespace {

constexpr unsigned may_write = 2;
constexpr unsigned may_search = 1;

class worker_user {
  public:
    explicit worker_user(const ngx_core_conf_t &core) : uid_(core.user), groups_(64)
    {
        // Collects the groups as initgroups does, which nginx calls.
        int count = static_cast<int>(groups_.size());
        if (core.username == nullptr || getgrouplist(core.username, core.group, groups_.data(), &count) < 0) {
            groups_ = {core.group};
        } else {
            groups_.resize(static_cast<std::size_t>(count));
        }
    }

    /// Checks the owner, the group and the mode of a file.
    bool may(const struct stat &file, unsigned what) const
    {
        const unsigned shift = file.st_uid == uid_                                        ? 6
                               : std::ranges::find(groups_, file.st_gid) != groups_.end() ? 3
                                                                                          : 0;
        return uid_ == 0 || ((file.st_mode >> shift) & what) == what;
    }

    /// Returns whether the folder exists, and the user may search every folder above it.
    bool may(const std::filesystem::path &folder, unsigned what) const
    {
        for (auto ancestor = folder;; ancestor = ancestor.parent_path()) {
            struct stat info;
            if (stat(ancestor.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) ||
                !may(info, ancestor == folder ? what | may_search : may_search)) {
                return false;
            }
            if (ancestor == ancestor.parent_path()) {
                return true;
            }
        }
    }

  private:
    uid_t uid_;
    std::vector<gid_t> groups_;
};


void warn(ngx_cycle_t *cycle, const main_settings &settings)
{
    const auto *core = reinterpret_cast<ngx_core_conf_t *>(ngx_get_conf(cycle->conf_ctx, ngx_core_module));
    if (geteuid() != 0 || core->username == nullptr) {
        return;
    }
    const worker_user user(*core);
    // When called directly, this nginx function shows a warning on the terminal whatever the level of error_log.
    if (settings.zone != nullptr && settings.zone->state_file.len != 0) {
        const std::filesystem::path file(view_of(settings.zone->state_file));
        if (!user.may(file.parent_path(), may_write)) {
            ngx_log_error_core(
                NGX_LOG_WARN, cycle->log, 0,
                "the state file \"%V\" of rollout_zone cannot be written: its folder must be there, and "
                "user \"%s\" of the "
                "worker processes must be allowed to write to it",
                &settings.zone->state_file, core->username);
        }
    }
    if (settings.link.path.len != 0) {
        const std::filesystem::path path(view_of(settings.link.path));
        struct stat info;
        if (stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode) &&
            !(user.may(info, may_write) && user.may(path.parent_path(), may_search))) {
            ngx_log_error_core(
                NGX_LOG_WARN, cycle->log, 0,
                "user \"%s\" of the worker processes may not connect to \"unix:%V\" of rollout_worker: "
                "make it a member of "
                "the socket's group, and name it in listen.allow_users of rolloutd.json",
                core->username, &settings.link.path);
        }
    }
}

} // namespace


void warn_of_denied_access(ngx_cycle_t *cycle, const main_settings &settings) noexcept
{
    guarded(cycle->log, [&] { warn(cycle, settings); });
}

} // namespace rollout
