#include "module/link/watch_groups.hpp"

namespace rollout {

bool watch_groups::add(std::uint64_t id, std::string_view news)
{
    const auto [found, is_first] = groups_.try_emplace(std::string(news), group{id, {}});
    try {
        found->second.waiting.insert(id);
        of_.emplace(id, &*found);
        if (is_first) {
            asked_.emplace(id, &*found);
        }
    } catch (...) {
        // A group without members would keep the next call that waits from asking.
        of_.erase(id);
        found->second.waiting.erase(id);
        if (is_first) {
            groups_.erase(found);
        }
        throw;
    }
    return is_first;
}


std::optional<std::uint64_t> watch_groups::remove(std::uint64_t id) noexcept
{
    const auto known = of_.find(id);
    if (known == of_.end()) {
        return std::nullopt;
    }
    auto &[news, left] = *known->second;
    of_.erase(known);
    left.waiting.erase(id);
    if (!left.waiting.empty()) {
        return std::nullopt;
    }
    const auto question = left.question;
    asked_.erase(question);
    groups_.erase(groups_.find(news));
    return question;
}


std::vector<std::uint64_t> watch_groups::take(std::uint64_t question)
{
    const auto known = asked_.find(question);
    if (known == asked_.end()) {
        return {};
    }
    auto &[news, answered] = *known->second;
    std::vector<std::uint64_t> all(answered.waiting.begin(), answered.waiting.end());
    for (const auto id : all) {
        of_.erase(id);
    }
    asked_.erase(known);
    groups_.erase(groups_.find(news));
    return all;
}


std::vector<std::uint64_t> watch_groups::ask_again()
{
    std::vector<std::uint64_t> questions;
    asked_.clear();
    for (auto &entry : groups_) {
        entry.second.question = *entry.second.waiting.begin();
        asked_.emplace(entry.second.question, &entry);
        questions.push_back(entry.second.question);
    }
    return questions;
}

} // namespace rollout
