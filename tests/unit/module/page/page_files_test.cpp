// The files of the operator's page as they are embedded.
#include "module/page/page_files.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::find_page_file;
using rollout::last_segment;

void the_last_segment_names_a_file(void **)
{
    assert_true(last_segment("/rollout/page.js") == "page.js");
    assert_true(last_segment("/rollout/").empty());
    assert_true(last_segment("").empty());
    assert_true(last_segment("page.js") == "page.js");
}


void other_names_are_no_files(void **)
{
    for (const char *uri : {"/rollout", "/rollout/page.jsx", "/rollout/PAGE.JS", "/page.js/x", "/index.html"}) {
        assert_null(find_page_file(uri));
    }
}


void every_file_is_there_in_both_forms(void **)
{
    if (rollout::page_files().empty()) {
        return; // built without the page
    }
    for (const char *uri : {"/rollout/", "/", "/a/page.js", "/page.css"}) {
        const auto *file = find_page_file(uri);
        assert_non_null(file);
        assert_true(file->name == last_segment(uri));
        assert_false(file->plain.empty());
        assert_true(file->gzip.starts_with("\x1f\x8b"));
        assert_true(file->gzip.size() < file->plain.size());
        assert_int_equal(file->hash.size(), 24);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_last_segment_names_a_file),
        cmocka_unit_test(other_names_are_no_files),
        cmocka_unit_test(every_file_is_there_in_both_forms),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
