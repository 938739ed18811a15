// A message of protobuf with all that it holds.
#pragma once

#include <google/protobuf/arena.h>

#include <cstddef>

namespace rollout::etcd {

/// Its parts stand one after another in a few large blocks, which are released at once: a transaction has a thousand of
/// them.
template <typename Message>
class arena_message {
  public:
    arena_message() : arena_(blocks()), is_(google::protobuf::Arena::CreateMessage<Message>(&arena_)) {}

    Message &operator*() noexcept { return *is_; }

  private:
    static google::protobuf::ArenaOptions blocks()
    {
        constexpr std::size_t largest_block = 65536;
        google::protobuf::ArenaOptions of;
        of.max_block_size = largest_block;
        return of;
    }

    google::protobuf::Arena arena_;
    Message *is_; ///< the arena's
};

} // namespace rollout::etcd
