#include "tests/unit/cmocka.hpp"
#include "tests/unit/worker/artifact/fetching.hpp"
#include "tests/unit/worker/artifact/made_archive.hpp"
#include "worker/fs/sha256.hpp"

#include <fstream>

#include <sys/stat.h>

namespace {

using rollout::outcome;

constexpr const char *kinds[] = {"m.tar", "m.tar.gz", "m.tgz", "m.tar.zst", "m.zip"};

struct unpacking : fetching {
    std::filesystem::path at(const std::string &name) const { return folder / "models" / name; }
};

void refused(unpacking &from, const std::string &words, const std::string &name = "m.tar")
{
    const outcome ended = from.fetch(name);
    assert_true(ended.is == outcome::kind::permanent);
    assert_holds(ended.detail, words);
    assert_true(from.left_nothing());
    assert_false(std::filesystem::exists(from.folder / "escaped"));
}

void a_model_folder_is_unpacked_as_it_stands_from_every_kind(void **)
{
    for (const char *name : kinds) {
        unpacking from;
        made_archive(from.at(name))
            .folder("1/")
            .file("1/model.onnx", "one")
            .file("./2/data/weights.bin", "two")
            .file("config.pbtxt", "name: \"m\"");
        const outcome ended = from.fetch(name);
        assert_true(static_cast<bool>(ended));
        assert_text(ended.detail, "3 files, 15 bytes; no sha256 was given, so nothing was verified");
        assert_text(from.fetched(), "1/model.onnx=one 2/data/weights.bin=two config.pbtxt=name: \"m\"");
    }
}

void one_folder_around_the_model_is_left_out(void **)
{
    unpacking from;
    made_archive(from.at("m.tar")).folder("mine/").file("mine/1/model.onnx", "x").file("mine/config.pbtxt", "c");
    assert_true(static_cast<bool>(from.fetch("m.tar")));
    assert_text(from.fetched(), "1/model.onnx=x config.pbtxt=c");
    made_archive(from.at("loose.tar")).file("mine/net.onnx", "x").file("mine/labels.txt", "l");
    assert_true(static_cast<bool>(from.fetch("loose.tar")));
    assert_text(from.fetched(), "1/labels.txt=l 1/model.onnx=x");
}

void a_folder_that_is_the_model_itself_stays(void **)
{
    unpacking from;
    made_archive(from.at("saved.zip")).file("model.savedmodel/saved_model.pb", "x");
    assert_true(static_cast<bool>(from.fetch("saved.zip")));
    assert_text(from.fetched(), "1/model.savedmodel/saved_model.pb=x");
    made_archive(from.at("large.zip")).file("model.onnx/model.onnx", "x").file("model.onnx/w.bin", "w");
    assert_true(static_cast<bool>(from.fetch("large.zip")));
    assert_text(from.fetched(), "1/model.onnx/model.onnx=x 1/model.onnx/w.bin=w");
    made_archive(from.at("other.zip")).file("weights/w.bin", "w");
    assert_true(static_cast<bool>(from.fetch("other.zip")));
    assert_text(from.fetched(), "1/weights/w.bin=w");
}

void loose_files_become_version_1_and_the_configuration_stays_at_the_top(void **)
{
    unpacking from;
    made_archive(from.at("m.tar.gz")).file("net.onnx", "x").file("config.pbtxt", "c").folder("empty");
    assert_true(static_cast<bool>(from.fetch("m.tar.gz")));
    assert_text(from.fetched(), "1/empty/ 1/model.onnx=x config.pbtxt=c");
}

void a_checksum_is_the_archives_own(void **)
{
    unpacking from;
    made_archive(from.at("m.tar")).file("1/model.onnx", "x");
    from.request.sha256 = std::string(64, 'a');
    refused(from, "the SHA-256 of ");
    rollout::sha256 digest;
    const std::string bytes = from.folder.read("models/m.tar");
    digest.feed(bytes.data(), bytes.size());
    from.request.sha256 = digest.finish();
    assert_true(static_cast<bool>(from.fetch("m.tar")));
    assert_text(from.fetched(), "1/model.onnx=x");
}

void a_path_out_of_the_archive_is_refused(void **)
{
    for (const char *name : {"m.tar", "m.zip"}) {
        unpacking from;
        made_archive(from.at(name)).file("1/model.onnx", "x").file("../escaped", "x");
        refused(from, "../escaped in ", name);
        made_archive(from.at(name)).file("1/../../../escaped", "x");
        refused(from, "holds \"..\", which leads out of the archive", name);
        made_archive(from.at(name)).file((from.folder / "escaped").native(), "x");
        refused(from, "is an absolute path", name);
    }
    unpacking from;
    made_archive(from.at("m.tar")).file("1\\model.onnx", "x");
    refused(from, "a control character or a backslash");
    made_archive(from.at("m.tar")).file("1/a\nb", "x");
    refused(from, "a control character or a backslash");
    made_archive(from.at("m.tar")).file("1/" + std::string(300, 'n'), "x");
    refused(from, "is too long for a path");
}

void a_link_to_a_file_of_the_archive_becomes_that_file(void **)
{
    unpacking from;
    made_archive(from.at("m.tar"))
        .link("1/model.onnx", "../shared/w.onnx")
        .file("shared/w.onnx", "w")
        .link("1/again", "model.onnx")
        .hard_link("1/hard", "./shared/w.onnx");
    assert_true(static_cast<bool>(from.fetch("m.tar")));
    assert_text(from.fetched(), "1/again=w 1/hard=w 1/model.onnx=w shared/w.onnx=w");
}

void a_link_that_leads_out_is_refused(void **)
{
    unpacking from;
    from.folder.write("secret", "s");
    const std::string absolute = (from.folder / "secret").native();
    for (const char *target : {"../../secret", "/etc/passwd", "../1/../../x", absolute.c_str()}) {
        made_archive(from.at("m.tar")).file("1/model.onnx", "x").link("1/link", target);
        refused(from, "1/link in ");
    }
    made_archive(from.at("m.tar")).file("1/model.onnx", "x").hard_link("1/link", absolute.c_str());
    refused(from, "is an absolute path");
    made_archive(from.at("m.tar")).file("1/model.onnx", "x").hard_link("1/link", "../secret");
    refused(from, "holds \"..\"");
}

void nothing_is_written_through_a_link(void **)
{
    unpacking from;
    made_archive(from.at("m.tar")).link("1", "2").folder("2").file("1/model.onnx", "x");
    refused(from, " in ");
    made_archive(from.at("m.tar")).file("2/model.onnx", "x").link("2/up", "..");
    refused(from, "is a link to a folder");
    made_archive(from.at("m.tar")).file("2/model.onnx", "x").link("2/other", "../2");
    refused(from, "is a link to a folder");
    made_archive(from.at("m.tar")).file("2/model.onnx", "x").link("2/a", "b").link("2/b", "a");
    refused(from, "is a symbolic link to itself");
    made_archive(from.at("m.tar")).file("2/model.onnx", "x").link("2/a", "gone");
    refused(from, "is a link to something that is not in the archive");
}

void what_is_no_file_is_refused(void **)
{
    for (const unsigned type : {AE_IFCHR, AE_IFBLK, AE_IFIFO}) {
        unpacking from;
        made_archive(from.at("m.tar")).file("1/model.onnx", "x").special("1/special", type);
        refused(from, "1/special in ");
    }
}

void a_name_that_is_there_twice_is_refused(void **)
{
    unpacking from;
    made_archive(from.at("m.tar")).file("1/model.onnx", "x").file("1/model.onnx", "y");
    refused(from, "1/model.onnx in ");
    made_archive(from.at("m.tar")).file("1/a", "x").file("1/a/b", "y");
    refused(from, "is there twice");
}

void of_a_mode_only_what_can_be_run_is_taken_over(void **)
{
    unpacking from;
    made_archive(from.at("m.tar"))
        .file("1/model.onnx", "x", 0600)
        .file("1/others", "x", 0011)
        .file("triton_python_backend_stub", "x", 04777);
    assert_true(static_cast<bool>(from.fetch("m.tar")));
    const auto mode = [&from](const char *name) {
        struct stat status {};
        ::stat((from.request.destination / name).c_str(), &status);
        return status.st_mode & 07777;
    };
    assert_int_equal(mode("1/model.onnx"), 0644);
    assert_int_equal(mode("1/others"), 0644);
    assert_int_equal(mode("triton_python_backend_stub"), 0755);
    assert_int_equal(mode("1"), 0755);
}

void a_bomb_is_refused_before_a_byte_of_it_is_written(void **)
{
    for (const char *name : kinds) {
        unpacking from;
        made_archive(from.at(name)).zeros("1/model.onnx", 64U << 20U);
        if (std::string_view(name) != "m.tar") {
            assert_true(std::filesystem::file_size(from.at(name)) < 1U << 20U);
        }
        refused(from, "unpacks to more than 1.0 MiB (artifacts.max_bytes)", name);
    }
}

void bytes_and_files_are_bounded_to_the_last_one(void **)
{
    unpacking from;
    made_archive(from.at("m.tar")).file("1/a", std::string(60, 'a')).file("1/b", std::string(40, 'b'));
    from.request.max_bytes = 100;
    from.request.max_files = 3; // two files and their folder
    assert_true(static_cast<bool>(from.fetch("m.tar")));
    std::filesystem::remove_all(from.request.destination);
    from.request.max_bytes = 99;
    refused(from, "(artifacts.max_bytes)");
    from.request.max_bytes = 100;
    from.request.max_files = 2;
    refused(from, "holds more than 2 files and folders (artifacts.max_files)");
}

void a_tree_that_is_too_deep_is_refused(void **)
{
    unpacking from;
    std::string path;
    for (int i = 0; i < 33; ++i) {
        path += "d/";
    }
    made_archive(from.at("m.tar")).file(path + "x", "x");
    refused(from, "is more than 32 folders deep");
}

void an_empty_archive_is_refused(void **)
{
    unpacking from;
    made_archive(from.at("m.tar")).folder("1/");
    refused(from, "holds no file");
}

void what_is_no_archive_or_a_damaged_one_is_refused(void **)
{
    for (const char *name : kinds) {
        unpacking from;
        from.write(name, std::string(2000, 'x'));
        refused(from, "it is damaged, or not what its name says", name);
        std::string noise;
        for (unsigned i = 0; i < 200000; ++i) {
            noise += static_cast<char>((i * 2654435761U) >> 13U);
        }
        made_archive(from.at(name)).file("1/model.onnx", noise);
        const std::string whole = from.folder.read(std::string("models/") + name);
        from.write(name, whole.substr(0, whole.size() / 2));
        refused(from, "it is damaged, or not what its name says", name);
    }
}

void an_archive_of_another_kind_than_its_name_is_refused(void **)
{
    unpacking from;
    made_archive(from.at("m.zip")).file("1/model.onnx", "x");
    std::filesystem::rename(from.at("m.zip"), from.at("m.tar.gz"));
    refused(from, "not what its name says", "m.tar.gz");
}

/// torch.jit.save writes a zip archive, whatever it is called.
void a_pytorch_model_under_an_archives_name_is_refused(void **)
{
    unpacking from;
    made_archive(from.at("m.zip")).file("net/data.pkl", "d").file("net/version", "3").file("net/code/x.py", "c");
    refused(from, "give it a name that ends with .pt", "m.zip");
}

/// Its entries are not made, but have to be read.
void what_is_left_out_counts_for_the_bounds_all_the_same(void **)
{
    unpacking from;
    made_archive(from.at("m.tar.gz")).file("1/model.onnx", "x").zeros("__MACOSX/zeros", 64U << 20U);
    refused(from, "(artifacts.max_bytes)", "m.tar.gz");
    {
        made_archive many(from.at("m.zip"));
        many.file("1/model.onnx", "x");
        for (int i = 0; i <= 100; ++i) {
            many.file("__MACOSX/._" + std::to_string(i), "");
        }
    }
    refused(from, "(artifacts.max_files)", "m.zip");
}

void an_encrypted_archive_is_refused(void **)
{
    unpacking from;
    made_archive(from.at("encrypted.zip")).file("1/model.onnx", "x");
    refused(from, "1/model.onnx in ", "encrypted.zip");
    refused(from, "is encrypted", "encrypted.zip");
}

/// As one that a browser has decompressed, or never was compressed.
void a_tars_compression_need_not_be_what_its_name_says(void **)
{
    for (const auto &[is, called] :
         {std::pair("m.tar.gz", "n.tar"), std::pair("m.tar", "n.tar.gz"), std::pair("m.tar.zst", "n.tgz")}) {
        unpacking from;
        made_archive(from.at(is)).file("1/model.onnx", "x");
        std::filesystem::rename(from.at(is), from.at(called));
        assert_true(static_cast<bool>(from.fetch(called)));
        assert_text(from.fetched(), "1/model.onnx=x");
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_model_folder_is_unpacked_as_it_stands_from_every_kind),
        cmocka_unit_test(one_folder_around_the_model_is_left_out),
        cmocka_unit_test(a_folder_that_is_the_model_itself_stays),
        cmocka_unit_test(loose_files_become_version_1_and_the_configuration_stays_at_the_top),
        cmocka_unit_test(a_checksum_is_the_archives_own),
        cmocka_unit_test(a_path_out_of_the_archive_is_refused),
        cmocka_unit_test(a_link_to_a_file_of_the_archive_becomes_that_file),
        cmocka_unit_test(a_link_that_leads_out_is_refused),
        cmocka_unit_test(nothing_is_written_through_a_link),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(a_name_that_is_there_twice_is_refused),
        cmocka_unit_test(of_a_mode_only_what_can_be_run_is_taken_over),
        cmocka_unit_test(a_bomb_is_refused_before_a_byte_of_it_is_written),
        cmocka_unit_test(bytes_and_files_are_bounded_to_the_last_one),
        cmocka_unit_test(a_tree_that_is_too_deep_is_refused),
        cmocka_unit_test(an_empty_archive_is_refused),
        cmocka_unit_test(what_is_no_archive_or_a_damaged_one_is_refused),
        cmocka_unit_test(an_archive_of_another_kind_than_its_name_is_refused),
        cmocka_unit_test(a_pytorch_model_under_an_archives_name_is_refused),
        cmocka_unit_test(what_is_left_out_counts_for_the_bounds_all_the_same),
        cmocka_unit_test(an_encrypted_archive_is_refused),
        cmocka_unit_test(a_tars_compression_need_not_be_what_its_name_says),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
