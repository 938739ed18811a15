#include "worker/journal/sqlite/packed_text.hpp"

#include <zlib.h>

#include <algorithm>
#include <new>

namespace rollout {

std::string pack_text(std::string_view text)
{
    uLongf size = compressBound(static_cast<uLong>(text.size()));
    std::string packed(size, '\0');
    if (compress(reinterpret_cast<Bytef *>(packed.data()), &size, reinterpret_cast<const Bytef *>(text.data()),
                 static_cast<uLong>(text.size())) != Z_OK) {
        throw std::bad_alloc(); // its only fault: the room is enough for any text
    }
    packed.resize(size);
    return packed;
}


std::optional<std::string> unpack_text(std::string_view packed, std::size_t most_bytes)
{
    constexpr std::size_t first_guess = 8; // times the packed size
    for (std::size_t room = std::min(most_bytes, packed.size() * first_guess + 64);;
         room = std::min(most_bytes, room * 2)) {
        std::string text(room, '\0');
        uLongf size = room;
        const int result =
            uncompress(reinterpret_cast<Bytef *>(text.data()), &size, reinterpret_cast<const Bytef *>(packed.data()),
                       static_cast<uLong>(packed.size()));
        if (result == Z_OK) {
            text.resize(size);
            return text;
        }
        if (result == Z_MEM_ERROR) {
            throw std::bad_alloc();
        }
        if (result != Z_BUF_ERROR || room == most_bytes) {
            return std::nullopt;
        }
    }
}

} // namespace rollout
