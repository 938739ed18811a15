// The state file, as a restarted nginx reads it. Input: the file.
#include "tests/fuzz/fuzzing.hpp"
#include "tests/fuzz/nginx_stand_in.hpp"

#include "module/zone/state_file.hpp"

#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

using namespace rollout;

namespace {

/// The routes of a zone that was made with that file, as the module writes them.
std::string state_after(std::string_view text, bool &known)
{
    static const int file = memfd_create("state", MFD_CLOEXEC);
    always(ftruncate(file, 0) == 0 && pwrite(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()),
           "a file in memory can be written");
    stand_in::zone_memory memory("/proc/self/fd/" + std::to_string(file));
    known = memory.zone.routes_are_of_file();
    always(memory.zone.journal().empty() && memory.zone.header->revision == 0,
           "the tasks of whatever journal are fetched again");
    // A journal's id is in every file that is written.
    std::memset(memory.zone.header->journal, 'j', sizeof(memory.zone.header->journal));
    return render_state(memory.zone, {std::string(memory.zone.journal()), memory.zone.routes_revision()}).value();
}

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    bool known = false;
    const auto state = state_after({reinterpret_cast<const char *>(data), size}, known);
    const auto written = parsed_json(state);
    const json_t *routes = json_object_get(written.get(), "routes");
    always(json_is_array(routes), "routes can be written");
    always(known || json_array_size(routes) == 0, "of a file that is left aside nothing is taken");
    for (std::size_t i = 0; i < json_array_size(routes); ++i) {
        std::string reason;
        always(route_from_json(json_array_get(routes, i), reason).has_value(),
               "a route that was written can be read");
    }
    if (known) {
        bool again = false;
        const auto second = parsed_json(state_after(state, again));
        const json_t *same = json_object_get(second.get(), "routes");
        always(again && json_array_size(same) == json_array_size(routes), "what was written is read, all of it");
        for (std::size_t i = 0; i < json_array_size(routes); ++i) {
            bool found = false;
            for (std::size_t j = 0; j < json_array_size(same) && !found; ++j) {
                found = json_same(json_array_get(routes, i), json_array_get(same, j));
            }
            always(found, "a route, written and read, is the same");
        }
    }
    return 0;
}
