// How much of a zone a task takes, with all that belongs to it: fills a table until something would have to go.
//
// usage: zone_memory DOCUMENT_BYTES MODELS      prints the tasks that fit, and the bytes of the whole memory for each
#include "module/tables/task_table.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::fprintf(stderr, "usage: zone_memory DOCUMENT_BYTES MODELS\n");
        return 2;
    }
    const std::string document(std::strtoul(argv[1], nullptr, 10), 'x');
    const std::size_t models = std::strtoul(argv[2], nullptr, 10);
    constexpr std::size_t bytes = std::size_t{64} << 20U;
    void *memory = std::aligned_alloc(64, bytes);
    rollout::record_store::format(memory, bytes);
    rollout::record_store store(memory);
    rollout::task_table table(store);

    std::uint64_t evicted = 0;
    std::size_t count = 0;
    while (evicted == 0) {
        char id[64];
        std::snprintf(id, sizeof(id), "%08zx-0000-7000-8000-000000000000", count);
        const std::string model = "m" + std::to_string(count % models);
        rollout::task_record task;
        task.status = rollout::task_status::completed;
        task.sequence = task.revision = ++count;
        task.task_id = id;
        task.model_id = model;
        task.document = document;
        if (!store.begin_write() || table.put(task, evicted) != rollout::task_table::stored::yes) {
            return 1;
        }
        store.end_write();
    }
    std::printf("%zu %.1f\n", count - 1, static_cast<double>(bytes) / static_cast<double>(count - 1));
    std::free(memory);
    return 0;
}
