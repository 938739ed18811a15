// What is written: each change to tasks, models and gateways, as it goes into a commit.
#include "worker/base/log.hpp"
#include "worker/journal/sqlite/writes.hpp"

#include <utility>

namespace rollout {

namespace {


bool same_request(const task_row &one, const task_row &other)
{
    const auto a = task_of(one);
    const auto b = task_of(other);
    return a && b && a->kind == b->kind && a->model_id == b->model_id && a->parent_id == b->parent_id &&
           json_same(a->config.get(), b->config.get());
}

} // namespace


/// Is something of the model on a server? Where its entry cannot be read it is taken to be.
bool sqlite_journal::stands_somewhere(statements &in, const std::string &model_id)
{
    in.find_model.with(std::string_view(model_id));
    if (!in.find_model.step()) {
        return false;
    }
    bool stands = true;
    try {
        stands = is_placed(model_at(in.find_model));
    } catch (const sqlite_error &) {
        // The start has told of it.
    }
    in.find_model.reset();
    return stands;
}


struct sqlite_journal::create_write final : write {
    task_row row; ///< the new one, until another is found in its place
    std::int64_t updated_us = 0;
    bool only_look = false;
    created_fn done;
    creation how = creation::created;

    void apply(statements &in) override
    {
        if (!only_look) {
            row.sequence = row.revision = in.revision + 1;
            in.insert
                .with(row.sequence, row.revision, kind_name(row.kind), status_name(row.status),
                      std::string_view(row.task_id), std::string_view(row.document), std::string_view(row.model_id),
                      updated_us)
                .run();
            if (sqlite3_changes(in.database.get()) != 0) {
                ++in.revision;
                how = creation::created;
                return;
            }
        }
        in.find.with(std::string_view(row.task_id));
        if (!in.find.step()) {
            how = creation::absent;
            return;
        }
        task_row there = row_of(in.find);
        in.find.reset();
        how = same_request(there, row) ? creation::existed : creation::conflict;
        row = std::move(there);
    }

    const char *name() const noexcept override { return only_look ? "look" : "create"; }
    void end(const outcome &ended) override { done(ended, how, row); }
    task_row *news() override { return how == creation::created ? &row : nullptr; }
};

struct sqlite_journal::save_write final : write {
    task_row row; ///< without a task_id: the model alone
    std::int64_t updated_us = 0;
    std::string model_id; ///< empty: the task alone
    std::string model_state;
    saved_fn done;
    std::uint64_t revision = 0;

    void apply(statements &in) override
    {
        revision = ++in.revision;
        if (!row.task_id.empty()) {
            row.revision = revision;
            in.update
                .with(revision, status_name(row.status), std::string_view(row.document), updated_us,
                      std::string_view(row.task_id))
                .run();
        }
        if (!model_id.empty()) {
            in.put_model.with(std::string_view(model_id), revision, std::string_view(model_state)).run();
        }
    }

    const char *name() const noexcept override { return row.task_id.empty() ? "save_model" : "save"; }
    void end(const outcome &ended) override { done(ended, revision); }
    task_row *news() override { return row.task_id.empty() ? nullptr : &row; }
};

struct sqlite_journal::gateway_write final : write {
    std::string gateway;
    std::string processes;
    bool known = true;

    void apply(statements &in) override
    {
        if (known) {
            in.put_gateway.with(std::string_view(gateway), std::string_view(processes)).run();
        } else {
            in.drop_gateway.with(std::string_view(gateway)).run();
        }
    }

    const char *name() const noexcept override { return known ? "remember_gateway" : "forget_gateway"; }

    void end(const outcome &ended) override
    {
        if (!ended) {
            log(log_level::error, "A gateway could not be noted: " + ended.detail, {{"gateway", gateway}});
        }
    }
};

struct sqlite_journal::purge_write final : write {
    purge_position from;
    std::int64_t before_us = 0;
    std::size_t rows = 0;
    purged_fn done;
    purge_step step;

    void apply(statements &in) override
    {
        step = {from, 0, false};
        std::size_t looked_at = 0;
        std::vector<std::int64_t> to_remove;
        const auto look = [&](sqlite_statement &at) {
            for (; looked_at < rows && at.step(); ++looked_at) {
                step.looked_up_to = {at.number(1), static_cast<std::uint64_t>(at.number(0))};
                if (at.number(2) != 0 || !stands_somewhere(in, at.text(3))) {
                    to_remove.push_back(at.number(0));
                }
            }
            at.reset();
        };
        if (from.updated_us < before_us) {
            look(in.old_at_once.with(from.updated_us, from.sequence, static_cast<std::int64_t>(rows)));
        }
        look(in.old_later.with(from.updated_us, before_us, static_cast<std::int64_t>(rows - looked_at)));
        for (const auto sequence : to_remove) {
            in.remove.with(sequence).run();
        }
        step.removed = to_remove.size();
        step.more = looked_at == rows;
    }

    const char *name() const noexcept override { return "purge"; }
    void end(const outcome &ended) override { done(ended, step); }
};


void sqlite_journal::create(const task &wanted, bool only_look, created_fn done)
{
    auto one = std::make_unique<create_write>();
    one->updated_us = wanted.updated_us;
    one->only_look = only_look;
    one->row.kind = wanted.kind;
    one->row.status = wanted.status;
    one->row.task_id = wanted.task_id;
    one->row.model_id = wanted.model_id;
    one->row.document = document_of(wanted);
    one->done = std::move(done);
    add(std::move(one));
}


void sqlite_journal::save(const task &changed, const model *with, saved_fn done)
{
    auto one = std::make_unique<save_write>();
    one->row.sequence = changed.sequence;
    one->row.kind = changed.kind;
    one->row.status = changed.status;
    one->row.task_id = changed.task_id;
    one->row.model_id = changed.model_id;
    one->row.document = document_of(changed);
    one->updated_us = changed.updated_us;
    if (with != nullptr) {
        one->model_id = with->model_id;
        one->model_state = json_compact(model_to_json(*with).get());
    }
    one->done = std::move(done);
    add(std::move(one));
}


void sqlite_journal::save_model(const model &changed, saved_fn done)
{
    auto one = std::make_unique<save_write>();
    one->model_id = changed.model_id;
    one->model_state = json_compact(model_to_json(changed).get());
    one->done = std::move(done);
    add(std::move(one));
}


void sqlite_journal::remember_gateway(const std::string &gateway, const std::string &processes)
{
    auto one = std::make_unique<gateway_write>();
    one->gateway = gateway;
    one->processes = processes;
    add(std::move(one));
}


void sqlite_journal::forget_gateway(const std::string &gateway)
{
    auto one = std::make_unique<gateway_write>();
    one->gateway = gateway;
    one->known = false;
    add(std::move(one));
}


void sqlite_journal::purge(purge_position from, std::int64_t before_us, std::size_t rows, purged_fn done)
{
    auto one = std::make_unique<purge_write>();
    one->from = from;
    one->before_us = before_us;
    one->rows = rows;
    one->done = std::move(done);
    add(std::move(one));
}

} // namespace rollout
