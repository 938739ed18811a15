// How many tasks etcd takes from rolloutd's own client of it: the same transactions as rolloutd's, as large and as many under way as it
// ever has, with nothing around them: no clients, no copy of the journal, nobody who follows.
//
// usage: etcd_writes SECONDS PREFIX ENDPOINT ...      prints the tasks that were created in that time
#include "worker/async/loop_clock.hpp"
#include "worker/cluster/keys.hpp"
#include "worker/etcd/client.hpp"
#include "worker/etcd/rpc_thread.hpp"
#include "worker/journal/etcd/own_writes.hpp"
#include "worker/journal/etcd/writer.hpp"
#include "worker/journal/etcd/writes.hpp"
#include "worker/os/signals.hpp"

#include "common/base/json.hpp"
#include "common/domain/identifiers.hpp"

#include <uv.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace rollout;

/// As those of tests/bench/posts.py.
task next_task(std::uint64_t number, rollout::clock &time)
{
    task made;
    made.task_id = new_task_id();
    made.model_id = "m" + std::to_string(number % 1000);
    made.created_us = made.updated_us = time.wall_us();
    auto config = json_make_object();
    json_put(config.get(), "param", std::string_view("value"));
    json_put(config.get(), "batch", json_make_number(number % 100));
    made.config = share(std::move(config));
    return made;
}


class load {
  public:
    /// `done` is called when all has ended.
    load(uv_loop_t *loop, std::string prefix, std::shared_ptr<const etcd::access> to, std::function<void()> done)
        : clock_(loop), names_(std::move(prefix)), own_(new_instance_id()),
          thread_(std::make_unique<etcd::rpc_thread>(loop)),
          client_(std::make_unique<etcd::client>(*thread_, clock_, std::move(to))), done_(std::move(done))
    {
    }

    void run(std::chrono::seconds time)
    {
        ends_at_ = clock_.now() + time;
        for (std::size_t i = 0; i < cluster::writer::most_under_way; ++i) {
            send(i);
        }
    }

    std::uint64_t created() const noexcept { return created_; }
    bool failed() const noexcept { return failed_; }

  private:
    void send(std::size_t place)
    {
        etcd::txn_request request;
        for (unsigned i = 0; i < cluster::writer::most_writes; ++i) {
            const auto wanted = cluster::writes::create(names_, own_, next_task(++begun_, clock_), nullptr);
            request.then.push_back({wanted->request(i, own_)});
        }
        request.then.push_back({cluster::writes::position(names_, own_, clock_.wall_us())});
        calls_[place] = client_->txn(std::move(request), [this, place](const etcd::answer<etcd::txn_answer> &got) {
            if (!got || !got->succeeded) {
                std::fprintf(stderr, "A transaction failed: %s\n", got ? "a compare" : got.why().sentence.c_str());
                failed_ = true;
            }
            created_ += cluster::writer::most_writes;
            if (!failed_ && clock_.now() < ends_at_) {
                next_[place] = clock_.after(std::chrono::milliseconds(0), [this, place] { send(place); });
            } else if (++ended_ == cluster::writer::most_under_way) {
                next_[place] = clock_.after(std::chrono::milliseconds(0), [this] { close(); });
            }
        });
    }

    void close()
    {
        client_.reset();
        thread_.reset();
        done_();
    }

    loop_clock clock_;
    cluster::keys names_;
    cluster::own_writes own_;
    std::unique_ptr<etcd::rpc_thread> thread_;
    std::unique_ptr<etcd::client> client_;
    std::function<void()> done_;
    operation_ptr calls_[cluster::writer::most_under_way];
    operation_ptr next_[cluster::writer::most_under_way];
    std::chrono::milliseconds ends_at_{0};
    std::uint64_t begun_ = 0;
    std::uint64_t created_ = 0;
    std::size_t ended_ = 0;
    bool failed_ = false;
};

} // namespace


int main(int argc, char **argv)
{
    if (argc < 4) {
        std::fprintf(stderr, "usage: etcd_writes SECONDS PREFIX ENDPOINT ...\n");
        return 2;
    }
    uv_loop_t loop;
    uv_loop_init(&loop);
    std::uint64_t created = 0;
    bool failed = false;
    {
        signal_catcher signals(&loop);
        signals.start([](int) { std::exit(EXIT_FAILURE); }); // before there is a thread of gRPC's
        etcd::access_settings settings;
        settings.endpoints.assign(argv + 3, argv + argc);
        settings.host = "bench";
        auto access = etcd::access::open(std::move(settings));
        if (!access) {
            std::fprintf(stderr, "%s\n", access.sentence().c_str());
            return 1;
        }
        load all(&loop, argv[2], *access, [&signals] { signals.ignore(); });
        all.run(std::chrono::seconds(std::strtoul(argv[1], nullptr, 10)));
        uv_run(&loop, UV_RUN_DEFAULT);
        created = all.created();
        failed = all.failed();
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    std::printf("%llu\n", static_cast<unsigned long long>(created));
    return failed ? 1 : 0;
}
