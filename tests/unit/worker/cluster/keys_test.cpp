#include "worker/cluster/keys.hpp"

#include "tests/unit/cmocka.hpp"

#include <string>
#include <vector>

namespace {

using namespace rollout::cluster;

const keys all("/rollout/default/");


void every_key_is_read_as_what_it_was_made_for(void **)
{
    const auto is = [](const std::string &key, key_kind kind, const std::string &id = {}) {
        const auto read = all.parse(key);
        assert_true(static_cast<bool>(read));
        assert_true(read->kind == kind);
        assert_text(read->id, id);
        assert_true(key.starts_with(all.shared()));
    };
    is(all.meta(), key_kind::meta);
    is(all.position(), key_kind::position);
    is(all.leader(), key_kind::leader);
    is(all.losses(), key_kind::losses);
    is(all.task("t-1_A"), key_kind::task, "t-1_A");
    is(all.series("t-1_A"), key_kind::series, "t-1_A");
    is(all.model("a.b-c_9"), key_kind::model, "a.b-c_9");
    is("/rollout/default/s/of/a/newer/rolloutd", key_kind::other);
    assert_text(all.task("t1"), "/rollout/default/s/tasks/t1");
    assert_text(all.model("m"), "/rollout/default/s/models/m");
    for (const auto &key : {all.host("h"), all.gateway("g"), all.words(), all.answers()}) {
        assert_true(key.starts_with(all.prefix()) && !key.starts_with(all.shared()));
    }
    assert_text(all.host("h.1"), "/rollout/default/l/hosts/h.1");
    assert_text(all.words(), "/rollout/default/l/words/");
    assert_text(all.answers(), "/rollout/default/a/");
}


void a_key_with_an_id_that_is_none_is_refused_by_its_name(void **)
{
    for (const std::string key :
         {"s/tasks/", "s/tasks/a/b", "s/tasks/a%20b", "s/tasks/a.b", "s/series/", "s/series/a.b", "s/models/",
          "s/models/..", "s/models/-a", "s/models/%", "s/models/%4", "s/models/%zz", "s/models/%61"}) {
        const auto read = all.parse(all.prefix() + key);
        assert_false(static_cast<bool>(read));
        assert_holds(read.sentence(), "\"/rollout/default/" + key + '"');
    }
    assert_holds(all.parse(all.task("a\n")).sentence(), "%0A\" does not end with the id of a task");
}


void keys_of_others_are_none_of_ours(void **)
{
    for (const std::string key : {"", "/rollout/default", "/rollout/other/s/meta", "/rollout/default/x/meta"}) {
        const auto read = all.parse(key);
        assert_true(static_cast<bool>(read));
        assert_true(read->kind == key_kind::other);
    }
}


void a_name_is_one_part_of_a_key_and_read_as_it_was(void **)
{
    const std::vector<std::string> all_names = {"gw-1.example.com",      "a/b", "", "%", "é\n", "..",
                                                std::string("\0\xff", 2)};
    for (const std::string &name : all_names) {
        const auto part = escaped(name);
        assert_true(part.find('/') == part.npos);
        const auto read = unescaped(part);
        assert_true(read && *read == name);
    }
    assert_text(escaped("a/b%"), "a%2Fb%25");
    assert_text(all.host("a/b"), "/rollout/default/l/hosts/a%2Fb");
    assert_text(all.gateway("0f"), "/rollout/default/l/gateways/0f");
    // Each name is written in one way only.
    for (const std::string part : {"a b", "%2f", "%41", "%2", "%", "a/b", "% 1", "%-1"}) {
        assert_false(static_cast<bool>(unescaped(part)));
    }
}


void a_prefix_is_checked(void **)
{
    for (const std::string good : {"/a/", "/rollout/default/", "/A.b_c-9/x/"}) {
        assert_text(keys::check_prefix(good), "");
    }
    for (const std::string bad : {"", "/", "a/", "/a", "/a b/", "/a%/", "/a\n/"}) {
        assert_holds(keys::check_prefix(bad), "such as \"/rollout/default/\"");
    }
    assert_holds(keys::check_prefix('/' + std::string(300, 'a') + '/'), "longer than 256");
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read_as_what_it_was_made_for),
        cmocka_unit_test(a_key_with_an_id_that_is_none_is_refused_by_its_name),
        cmocka_unit_test(keys_of_others_are_none_of_ours),
        cmocka_unit_test(a_name_is_one_part_of_a_key_and_read_as_it_was),
        cmocka_unit_test(a_prefix_is_checked),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
