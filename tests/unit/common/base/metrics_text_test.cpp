#include "common/base/metrics_text.hpp"
#include "tests/unit/cmocka.hpp"

#include <array>

namespace {

using rollout::metrics_text;
using type = metrics_text::type;

void a_family_says_what_it_is_before_its_samples(void **)
{
    metrics_text to;
    to.family("a_total", type::counter, "How many.").sample(7);
    to.family("b", type::gauge, "How much.").sample({{"x", "1"}, {"y", "2"}}, 0.25).sample({}, 18446744073709551615u);
    assert_text(to.take(), "# HELP a_total How many.\n# TYPE a_total counter\na_total 7\n"
                           "# HELP b How much.\n# TYPE b gauge\nb{x=\"1\",y=\"2\"} 0.25\nb 18446744073709551615\n");
}

void a_label_without_a_value_is_left_out(void **)
{
    metrics_text to;
    to.family("a", type::gauge, "A.")
        .sample({{"x", ""}, {"y", "2"}}, std::uint64_t{1})
        .sample({{"x", ""}}, std::uint64_t{2});
    assert_text(to.take(), "# HELP a A.\n# TYPE a gauge\na{y=\"2\"} 1\na 2\n");
}

void a_labels_value_is_escaped(void **)
{
    metrics_text to;
    to.family("a", type::gauge, "A.").sample({{"x", "q\" b\\ n\n"}}, std::uint64_t{1});
    assert_text(to.take(), "# HELP a A.\n# TYPE a gauge\na{x=\"q\\\" b\\\\ n\\n\"} 1\n");
}

void a_histograms_buckets_add_up_to_its_count(void **)
{
    metrics_text to;
    to.family("s", type::histogram, "S.")
        .histogram({{"m", "x"}}, std::array{0.001, 0.5, 2.0}, std::array<std::uint64_t, 4>{1, 0, 2, 3}, 12.75);
    assert_text(to.take(),
                "# HELP s S.\n# TYPE s histogram\n"
                "s_bucket{m=\"x\",le=\"0.001\"} 1\ns_bucket{m=\"x\",le=\"0.5\"} 1\ns_bucket{m=\"x\",le=\"2\"} 3\n"
                "s_bucket{m=\"x\",le=\"+Inf\"} 6\ns_sum{m=\"x\"} 12.75\ns_count{m=\"x\"} 6\n");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_family_says_what_it_is_before_its_samples),
        cmocka_unit_test(a_label_without_a_value_is_left_out),
        cmocka_unit_test(a_labels_value_is_escaped),
        cmocka_unit_test(a_histograms_buckets_add_up_to_its_count),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
