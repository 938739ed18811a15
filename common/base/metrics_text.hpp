// Prometheus' text format (version 0.0.4), for both processes: families with their help and type, and their samples.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace rollout {

class metrics_text {
  public:
    enum class type : std::uint8_t { counter, gauge, histogram };

    using label = std::pair<std::string_view, std::string_view>;
    using labels = std::initializer_list<label>;

    /// Begins a family: the samples that follow belong to it. `name` and `help` must be plain text of one line.
    metrics_text &family(std::string_view name, type of, std::string_view help);

    /// Continues a family that another text has begun.
    metrics_text &family(std::string_view name)
    {
        name_ = name;
        return *this;
    }

    /// Adds a sample of the family. A label without a value is omitted, which means the same to Prometheus.
    metrics_text &sample(labels which, std::uint64_t value);
    metrics_text &sample(labels which, double value);
    metrics_text &sample(std::uint64_t value) { return sample({}, value); }

    /// Adds a histogram of the family. `bounds` are in seconds and ascending. For each of them, `counts` has the
    /// number of values up to that bound and over the previous one, and finally the number over the last bound.
    metrics_text &histogram(labels which, std::span<const double> bounds, std::span<const std::uint64_t> counts,
                            double sum);

    std::string take() { return std::move(text_); }

  private:
    void add_name(std::string_view suffix, labels which, std::string_view bound = {});
    void add_value(std::uint64_t value);
    void add_value(double value);

    std::string text_;
    std::string name_; ///< of the family
};

} // namespace rollout
