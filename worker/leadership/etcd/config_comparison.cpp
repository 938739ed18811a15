#include "worker/leadership/etcd/config_comparison.hpp"

#include "common/base/text.hpp"
#include "worker/base/log.hpp"
#include "worker/leadership/etcd/host_record.hpp"

#include <optional>
#include <utility>
#include <vector>

namespace rollout {

namespace {

constexpr std::int64_t most_hosts = 1000;


std::map<std::string_view, std::string_view> parts_of(std::string_view digest)
{
    std::map<std::string_view, std::string_view> parts;
    while (!digest.empty()) {
        auto part = next_part(digest, ' ');
        const auto name = next_part(part, ':');
        parts[name] = part;
    }
    return parts;
}

} // namespace


std::string differing_parts(std::string_view one, std::string_view other)
{
    if (one.empty() || other.empty()) {
        return {};
    }
    const auto here = parts_of(one);
    std::vector<std::string_view> names;
    for (const auto &[name, digest] : parts_of(other)) {
        if (const auto same = here.find(name); same != here.end() && same->second != digest) {
            names.push_back(name); // a part that only one of them knows is of a newer rolloutd
        }
    }
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + std::string(names[i]);
    }
    return text;
}


config_comparison::config_comparison(etcd::calls &asked, clock &time, cluster::keys names, std::string host)
    : asked_(asked), time_(time), names_(std::move(names)), host_(std::move(host))
{
}


void config_comparison::use(std::string digest)
{
    digest_ = std::move(digest);
    poll();
}


void config_comparison::follow(const std::string &leader)
{
    if (std::exchange(leader_, leader) != leader) {
        differing_.clear(); // of another host's view
        poll();
    }
}


void config_comparison::poll()
{
    if (leader_.empty()) {
        reading_.reset();
        pause_.reset();
    } else if (reading_) {
        read_again_ = true;
    } else {
        pause_ = time_.after(least_pause, [this] { read(); });
    }
}


void config_comparison::read()
{
    etcd::range_request request;
    request.key = names_.hosts();
    request.range_end = etcd::end_of_prefix(request.key);
    request.limit = most_hosts;
    read_again_ = false;
    reading_ = asked_.range(std::move(request), [this](const etcd::answer<etcd::range_answer> &got) {
        reading_.reset();
        pause_ = time_.after(read_again_ ? least_pause : longest_pause, [this] { read(); });
        if (got) { // else the election meets it as well, and says so
            take(*got);
        }
    });
}


void config_comparison::take(const etcd::range_answer &got)
{
    for (const auto &entry : got.found) {
        const auto name = cluster::unescaped(std::string_view(entry.key).substr(names_.hosts().size()));
        const auto record = parse_host_record(entry.value);
        if (name && record && *name != host_ && (leader_ == host_ || leader_ == *name)) {
            compare(*name, differing_parts(digest_, record->config));
        }
    }
}


void config_comparison::compare(const std::string &with, const std::string &parts)
{
    auto &known = differing_[with];
    if (known == parts) {
        return;
    }
    known = parts;
    const bool leads = leader_ == host_;
    if (parts.empty()) {
        log(log_level::info,
            "The rolloutd.json of host " + with + (leads ? "" : ", which leads,") +
                " says the same as this host's again",
            {{"host", with}});
        return;
    }
    log(log_level::warning,
        "The rolloutd.json of host " + with + (leads ? "" : ", which leads,") + " has other " + parts +
            " than that of this host" + (leads ? ", which leads" : "") +
            ": whichever of them leads carries out tasks by its own. Make them the same, and reload rolloutd "
            "(SIGHUP)",
        {{"host", with}});
}

} // namespace rollout
