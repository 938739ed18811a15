// A journal's file that is written to without a thread or a loop: each write is a transaction of its own.
#pragma once

#include "tests/unit/json_of.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "worker/journal/sqlite/journal_file.hpp"
#include "worker/journal/sqlite/writes.hpp"

#include <string>

struct written_file {
    void apply(rollout::journal_write &write)
    {
        file.writer.run("BEGIN");
        write.apply(statements);
        file.writer.run("COMMIT");
    }

    void write(const rollout::write_ptr &change)
    {
        apply(*change);
        change->end(rollout::outcome::ok());
    }

    void create(const rollout::task &wanted)
    {
        write(rollout::writes::create(wanted, false, [](const auto &...) {}));
    }

    void save(const rollout::task &changed)
    {
        write(rollout::writes::save(changed, nullptr, [](const auto &...) {}));
    }

    void save(const rollout::model &changed)
    {
        write(rollout::writes::save_model(changed, [](const auto &...) {}));
    }

    temporary_folder folder;
    rollout::journal_file file{(folder / "journal.db").native()};
    rollout::sqlite_database &database = file.writer;
    rollout::write_statements statements{file.writer, file.revision};
};
