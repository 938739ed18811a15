#include "worker/journal/full_reads.hpp"

#include "worker/async/completion.hpp"
#include "worker/async/lifetime.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace rollout {

namespace {

/// A page is read in some milliseconds, as clients' reads wait for the same thread.
constexpr std::size_t models_a_page = 200;
constexpr std::size_t page_bytes = 1024 * 1024;


/// What a page is of: how the one after a position is asked for, and where it ends.
struct model_pages {
    using item = model;
    using position = std::string;

    template <class Done>
    static void ask(journal &from, const position &after, Done done)
    {
        from.list_all_models(after, models_a_page, std::move(done));
    }
    static position end_of(const std::vector<model> &page) { return page.back().model_id; }
};


struct unfinished_pages {
    using item = task_row;
    using position = std::uint64_t;

    template <class Done>
    static void ask(journal &from, position after, Done done)
    {
        from.list_unfinished(after, page_bytes, std::move(done));
    }
    static position end_of(const std::vector<task_row> &page) { return page.back().sequence; }
};


template <class Pages>
class full_read final : public operation {
  public:
    using items = std::vector<typename Pages::item>;

    full_read(journal &from, std::function<void(items)> on_page, done_fn done)
        : journal_(from), on_page_(std::move(on_page)), done_(std::move(done))
    {
        ask();
    }

    void cancel() override { is_canceled_ = true; }

  private:
    void ask()
    {
        Pages::ask(journal_, position_, lifetime_.bound([this](const outcome &result, items page, bool more) {
            on_read(result, std::move(page), more);
        }));
    }

    void on_read(const outcome &result, items page, bool more)
    {
        if (is_canceled_) {
            done_(outcome::canceled());
            return;
        }
        if (!result) {
            done_(result);
            return;
        }
        if (!page.empty()) {
            position_ = Pages::end_of(page);
            on_page_(std::move(page));
        }
        if (more) {
            ask();
        } else {
            done_(outcome::ok());
        }
    }

    journal &journal_;
    std::function<void(items)> on_page_;
    completion<outcome> done_;
    typename Pages::position position_{};
    bool is_canceled_ = false;
    lifetime lifetime_;
};

} // namespace


operation_ptr read_all_models(journal &from, std::function<void(std::vector<model>)> on_page, done_fn done)
{
    return std::make_unique<full_read<model_pages>>(from, std::move(on_page), std::move(done));
}


operation_ptr read_all_unfinished(journal &from, std::function<void(std::vector<task_row>)> on_page, done_fn done)
{
    return std::make_unique<full_read<unfinished_pages>>(from, std::move(on_page), std::move(done));
}

} // namespace rollout
