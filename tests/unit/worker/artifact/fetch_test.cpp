#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"
#include "tests/unit/worker/artifact/fetching.hpp"
#include "tests/unit/worker/artifact/made_archive.hpp"
#include "worker/artifact/proven_file.hpp"
#include "worker/fs/sha256.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

using rollout::outcome;

constexpr const char *sha256_of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

void refused(fetching &from, const std::string &name, const std::string &words)
{
    const outcome ended = from.fetch(name);
    assert_true(ended.is == outcome::kind::permanent);
    assert_holds(ended.detail, words);
    assert_true(from.left_nothing());
}

void a_model_folder_is_fetched_as_it_stands(void **)
{
    fetching from;
    from.write("m/1/model.onnx", "one");
    from.write("m/2/data/weights.bin", "two");
    from.write("m/config.pbtxt", "name: \"m\"");
    std::filesystem::create_directory(from.folder / "models/m/3");
    const outcome ended = from.fetch("m");
    assert_true(static_cast<bool>(ended));
    assert_text(ended.detail, "3 files, 15 bytes; no sha256 was given, so nothing was verified");
    assert_text(from.fetched(), "1/model.onnx=one 2/data/weights.bin=two 3/ config.pbtxt=name: \"m\"");
    assert_true(static_cast<bool>(from.fetch("m/")));
}

void a_single_onnx_file_becomes_version_1(void **)
{
    fetching from;
    from.write("silero_vad_v5.onnx", "abc");
    const outcome ended = from.fetch("silero_vad_v5.onnx");
    assert_true(static_cast<bool>(ended));
    assert_text(ended.detail, "1 file, 3 bytes; no sha256 was given, so nothing was verified");
    assert_text(from.fetched(), "1/model.onnx=abc");
}

void another_single_file_keeps_its_name(void **)
{
    fetching from;
    from.write("model.plan", "abc");
    assert_true(static_cast<bool>(from.fetch("model.plan")));
    assert_text(from.fetched(), "1/model.plan=abc");
}

void loose_files_become_version_1_and_the_configuration_stays_at_the_top(void **)
{
    fetching from;
    from.write("m/net.onnx", "x");
    from.write("m/net.bin", "y");
    from.write("m/sub/labels.txt", "z");
    from.write("m/config.pbtxt", "c");
    assert_true(static_cast<bool>(from.fetch("m")));
    assert_text(from.fetched(), "1/model.onnx=x 1/net.bin=y 1/sub/labels.txt=z config.pbtxt=c");
}

void a_checksum_that_fits_lets_a_file_pass(void **)
{
    fetching from;
    from.write("m.onnx", "abc");
    from.request.sha256 = sha256_of_abc;
    assert_text(from.fetch("m.onnx").detail, "1 file, 3 bytes");
    std::string upper = sha256_of_abc;
    std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
    from.request.sha256 = upper;
    assert_true(static_cast<bool>(from.fetch("m.onnx")));
    assert_text(from.fetched(), "1/model.onnx=abc");
}

void a_checksum_that_does_not_fit_leaves_nothing(void **)
{
    fetching from;
    from.write("m.onnx", "abd");
    from.request.sha256 = sha256_of_abc;
    refused(from, "m.onnx", std::string("not ") + sha256_of_abc);
    from.request.sha256 = "abc";
    refused(from, "m.onnx", "sha256 is not 64 hexadecimal digits");
}

void a_checksum_of_a_folder_is_refused(void **)
{
    fetching from;
    from.write("m/1/model.onnx", "abc");
    from.request.sha256 = sha256_of_abc;
    refused(from, "m", "sha256 is for a source that is one file");
}

void a_source_that_is_not_there_is_said_so(void **)
{
    fetching from;
    refused(from, "missing", "models/missing does not exist");
    from.write("file", "x");
    refused(from, "file/1", "models/file/1 does not exist");
    refused(from, "file/", "is a file, and the source ends with a slash");
}

void a_folder_without_a_file_is_refused(void **)
{
    fetching from;
    std::filesystem::create_directories(from.folder / "models/m/1/x");
    refused(from, "m", "holds no file");
}

void a_source_outside_of_the_allowed_is_refused(void **)
{
    fetching from;
    from.request.source = "file://" + from.folder.write("other/m.onnx", "abc").native();
    const outcome ended = from.fetch();
    assert_true(ended.is == outcome::kind::permanent);
    assert_holds(ended.detail, "is not under an allowed prefix");
    assert_true(from.left_nothing());
}

void a_link_within_the_allowed_folder_is_followed(void **)
{
    fetching from;
    from.write("store/v5.onnx", "five");
    from.write("store/lib/a.bin", "a");
    from.link("../store/v5.onnx", "m/model.onnx");
    from.link(from.folder / "models/store/lib", "m/lib");
    from.link("m", "current");
    for (const char *name : {"m", "current"}) {
        assert_true(static_cast<bool>(from.fetch(name)));
        assert_text(from.fetched(), "1/lib/a.bin=a 1/model.onnx=five");
    }
}

void a_link_out_of_the_allowed_folder_is_refused(void **)
{
    fetching from;
    from.folder.write("secret/key", "s");
    from.link(from.folder / "secret/key", "m/key");
    refused(from, "m", "m/key leads out of the allowed folders through a link");
    from.link("../secret", "folder");
    refused(from, "folder", "folder leads out of the allowed folders through a link");
    refused(from, "folder/key", "folder/key leads out of the allowed folders through a link");
    from.link("/proc/self/environ", "environ");
    refused(from, "environ", "leads out of the allowed folders");
    from.write("deep/1/model.onnx", "x");
    from.link("../../../secret", "deep/1/more");
    refused(from, "deep", "deep/1/more leads out of the allowed folders through a link");
}

void a_link_back_into_another_allowed_folder_is_followed(void **)
{
    fetching from;
    from.folder.write("shared/w.bin", "w");
    from.link(from.folder / "shared/w.bin", "m/w.bin");
    from.request.allow.push_back("file://" + (from.folder / "shared/").native());
    assert_true(static_cast<bool>(from.fetch("m")));
    assert_text(from.fetched(), "1/w.bin=w");
}

void a_link_that_leads_nowhere_or_round_is_refused(void **)
{
    fetching from;
    from.link("nothing", "broken");
    refused(from, "broken", "is a link to something that does not exist");
    from.link("b", "a");
    from.link("a", "b");
    refused(from, "a", "is a symbolic link to itself");
    from.write("m/1/model.onnx", "x");
    from.link("..", "m/1/up");
    refused(from, "m", "m/1/up is a link to a folder that it is in");
}

void what_is_neither_a_file_nor_a_folder_is_refused_without_being_opened(void **)
{
    fetching from;
    assert_int_equal(::mkfifo((from.folder / "models/fifo").c_str(), 0600), 0);
    refused(from, "fifo", "fifo is a FIFO: only files and folders can be fetched");
    from.write("m/1/model.onnx", "x");
    assert_int_equal(::mkfifo((from.folder / "models/m/1/fifo").c_str(), 0600), 0);
    refused(from, "m", "m/1/fifo is a FIFO");

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string place = (from.folder / "models/socket").native();
    place.copy(address.sun_path, sizeof(address.sun_path) - 1);
    const int made = ::socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(::bind(made, reinterpret_cast<const sockaddr *>(&address), sizeof(address)), 0);
    ::close(made);
    refused(from, "socket", "socket is a socket");

    from.request.allow = {"file:///dev/"};
    from.request.source = "file:///dev/zero";
    const outcome ended = from.fetch();
    assert_true(ended.is == outcome::kind::permanent);
    assert_text(ended.detail, "/dev/zero is a device: only files and folders can be fetched");
}

void bytes_are_bounded_for_all_files_together(void **)
{
    fetching from;
    from.write("m/1/a", std::string(60, 'a'));
    from.write("m/1/b", std::string(40, 'b'));
    from.write("one.onnx", std::string(100, 'c'));
    from.request.max_bytes = 100;
    assert_true(static_cast<bool>(from.fetch("m")));
    assert_true(static_cast<bool>(from.fetch("one.onnx")));
    from.request.max_bytes = 99;
    // What an earlier fetch has left there stays until something may take its place.
    std::filesystem::remove_all(from.request.destination);
    refused(from, "m", "brings the source over 99 bytes (artifacts.max_bytes)");
    refused(from, "one.onnx", "one.onnx brings the source over 99 bytes (artifacts.max_bytes)");
}

void files_and_folders_are_bounded_together(void **)
{
    fetching from;
    from.write("m/1/a", "");
    from.write("m/1/b", "");
    from.write("m/2/c", "x");
    from.request.max_files = 5;
    assert_true(static_cast<bool>(from.fetch("m")));
    std::filesystem::remove_all(from.request.destination);
    from.request.max_files = 4;
    refused(from, "m", "the source holds more than 4 files and folders (artifacts.max_files)");
}

void what_an_attempt_before_has_left_is_replaced(void **)
{
    fetching from;
    from.folder.write("staging/123__r1/1/left.over", "x");
    from.folder.write("staging/123__r1/config.pbtxt", "x");
    from.write("m.onnx", "new");
    assert_true(static_cast<bool>(from.fetch("m.onnx")));
    assert_text(from.fetched(), "1/model.onnx=new");
}

void a_link_in_the_destinations_place_is_not_followed(void **)
{
    fetching from;
    from.folder.write("precious/file", "p");
    std::filesystem::create_directory(from.folder / "staging");
    std::filesystem::create_symlink(from.folder / "precious", from.request.destination);
    from.write("m.onnx", "new");
    assert_true(static_cast<bool>(from.fetch("m.onnx")));
    assert_text(from.folder.read("precious/file"), "p");
    assert_false(from.folder.has("precious/1"));
    assert_text(from.fetched(), "1/model.onnx=new");
}

void modes_are_the_servers_to_read_whatever_the_source_has(void **)
{
    fetching from;
    ::chmod(from.write("m/1/model.onnx", "x").c_str(), 0600);
    ::chmod(from.write("m/triton_python_backend_stub", "x").c_str(), 0700);
    ::chmod((from.folder / "models/m/1").c_str(), 0700);
    const mode_t before = ::umask(0077);
    const outcome ended = from.fetch("m");
    ::umask(before);
    assert_true(static_cast<bool>(ended));
    struct stat status {};
    ::stat((from.request.destination / "1").c_str(), &status);
    assert_int_equal(status.st_mode & 0777, 0755);
    ::stat((from.request.destination / "1/model.onnx").c_str(), &status);
    assert_int_equal(status.st_mode & 07777, 0644);
    ::stat((from.request.destination / "triton_python_backend_stub").c_str(), &status);
    assert_int_equal(status.st_mode & 07777, 0755);
}

void an_archive_that_is_not_unpacked_is_refused_by_its_name(void **)
{
    for (const char *name : {"m.7z", "m.rar", "m.cpio", "m.iso", "m.onnx.gz", "m.zip.001", "m.z01", "M.7Z",
                             "m.part1.rar", "m.tar.gz.aa", "m.lzh", "m.deb"}) {
        fetching from;
        from.write(name, "x");
        refused(from, name, "has the name of an archive format that is not supported");
    }
}

/// What the name does not say, the bytes do.
void an_archive_under_a_models_name_is_refused_by_its_content(void **)
{
    for (const char *kind : {"m.zip", "m.tar", "m.tar.gz", "m.tar.bz2", "m.tar.xz", "m.tar.zst", "m.tar.lz4", "m.7z",
                             "m.cpio", "m.iso"}) {
        for (const char *name : {"model.onnx", "model.plan", "model", "model.part"}) {
            fetching from;
            made_archive(from.folder / kind).file("1/model.onnx", std::string(5000, 'x'));
            std::filesystem::rename(from.folder / kind, from.folder / "models" / name);
            refused(from, name, "by its content, and not a file of a model");
        }
    }
    fetching from;
    from.write("model.onnx", std::string("\x1f\x8b\x08\0\0\0\0\0\0\x03 cut short", 20));
    refused(from, "model.onnx", "by its content, and not a file of a model");
}

void a_models_file_that_is_a_zip_archive_by_its_format_is_a_models_file(void **)
{
    for (const char *name : {"model.pt", "model.PTH", "model.npz", "model.keras", "model.mar"}) {
        fetching from;
        made_archive(from.folder / "m.pt").file("model/data.pkl", "x");
        std::filesystem::rename(from.folder / "m.pt", from.folder / "models" / name);
        assert_true(static_cast<bool>(from.fetch(name)));
        assert_true(std::filesystem::exists(from.request.destination / "1" / name));
    }
}

void zeros_and_short_files_are_no_archives(void **)
{
    for (const std::string &bytes : {std::string(), std::string("a"), std::string(100000, '\0'), std::string("PK"),
                                     std::string("begin 644 x\n"), std::string("#mtree\n")}) {
        fetching from;
        from.write("model.plan", bytes);
        assert_true(static_cast<bool>(from.fetch("model.plan")));
    }
}

void a_client_that_names_the_model_file_finds_it_under_that_name(void **)
{
    fetching from;
    from.write("net.onnx", "abc");
    from.write("m/net.onnx", "abc");
    for (const char *config : {R"({"default_model_filename": "net.onnx"})", R"({"defaultModelFilename": "net.onnx"})",
                               R"({"backend": "openvino"})"}) {
        from.request.server_config = rollout::share(json_of(config));
        for (const char *name : {"net.onnx", "m"}) {
            assert_true(static_cast<bool>(from.fetch(name)));
            assert_text(from.fetched(), "1/net.onnx=abc");
        }
    }
}

std::string sha256_of(const std::string &bytes)
{
    rollout::sha256 digest;
    digest.feed(bytes.data(), bytes.size());
    return digest.finish();
}

/// A hole, four bytes, a hole.
constexpr off_t sparse_bytes = 24 << 20;

void make_sparse(const std::filesystem::path &path)
{
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_int_equal(::pwrite(file, "data", 4, sparse_bytes / 2), 4);
    assert_int_equal(::ftruncate(file, sparse_bytes), 0);
    ::close(file);
}

void a_file_with_holes_is_copied_with_them(void **)
{
    fetching from;
    from.request.max_bytes = sparse_bytes;
    make_sparse(from.folder / "models/m.plan");
    std::filesystem::create_directories(from.folder / "models/m/1");
    make_sparse(from.folder / "models/m/1/m.plan");
    const std::string bytes = from.folder.read("models/m.plan");
    for (const char *name : {"m.plan", "m"}) {
        for (const std::string &checksum : {std::string(), sha256_of(bytes)}) {
            if (name == std::string("m") && !checksum.empty()) {
                continue; // a checksum is for one file
            }
            from.request.sha256 = checksum;
            assert_true(static_cast<bool>(from.fetch(name)));
            struct stat status {};
            ::stat((from.request.destination / "1/m.plan").c_str(), &status);
            assert_int_equal(status.st_size, sparse_bytes);
            assert_true(status.st_blocks * 512 < 1 << 20);
            assert_true(from.folder.read("staging/123__r1/1/m.plan") == bytes);
        }
    }
    // Its size counts as what it is.
    from.request.max_bytes = sparse_bytes - 1;
    from.request.sha256.clear();
    std::filesystem::remove_all(from.request.destination);
    refused(from, "m.plan", "(artifacts.max_bytes)");
}

void an_archive_with_a_checksum_is_read_again_as_it_was_proven(void **)
{
    for (const char *name : {"m.tar", "m.tar.gz", "m.zip"}) {
        fetching from;
        from.request.max_bytes = 8 << 20;
        std::string noise;
        for (unsigned i = 0; i < 3U << 20U; ++i) {
            noise += static_cast<char>((i * 2654435761U) >> 13U);
        }
        made_archive(from.folder / "models" / name).file("1/model.onnx", noise).file("2/model.onnx", "two");
        from.request.sha256 = sha256_of(from.folder.read(std::string("models/") + name));
        assert_text(from.fetch(name).detail, "2 files, 3.0 MiB");
        assert_true(from.folder.read("staging/123__r1/1/model.onnx") == noise);
        from.request.sha256 = std::string(64, 'a');
        refused(from, name, "the SHA-256 of ");
    }
}

/// Also where its size and times are made to look as before.
void a_file_that_changes_after_its_checksum_was_taken_is_not_read(void **)
{
    const temporary_folder folder;
    const rollout::stop_flag stop{false};
    const auto path = folder.write("m.tar", std::string(3 << 20, 'a'));
    const int file = ::open(path.c_str(), O_RDWR);
    rollout::proven_file proven(file);
    std::string digest;
    assert_true(static_cast<bool>(proven.prove("m.tar", stop, digest)));
    assert_text(digest, sha256_of(std::string(3 << 20, 'a')));
    assert_int_equal(proven.size(), 3 << 20);
    std::string_view bytes;
    assert_true(static_cast<bool>(proven.read((1 << 20) + 5, "m.tar", bytes)));
    assert_int_equal(bytes.size(), (1 << 20) - 5);
    assert_int_equal(::pwrite(file, "b", 1, 2 << 20), 1);
    assert_true(static_cast<bool>(proven.read(0, "m.tar", bytes)));
    const outcome changed = proven.read((2 << 20) + 7, "m.tar", bytes);
    assert_true(changed.is == outcome::kind::transient);
    assert_text(changed.detail, "m.tar changed after its checksum was taken");
    assert_true(bytes.empty());
    assert_int_equal(::ftruncate(file, 100), 0);
    assert_false(static_cast<bool>(proven.read(1 << 20, "m.tar", bytes)));
    assert_true(static_cast<bool>(proven.read(3 << 20, "m.tar", bytes)));
    assert_true(bytes.empty());
    ::close(file);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_model_folder_is_fetched_as_it_stands),
        cmocka_unit_test(a_single_onnx_file_becomes_version_1),
        cmocka_unit_test(another_single_file_keeps_its_name),
        cmocka_unit_test(loose_files_become_version_1_and_the_configuration_stays_at_the_top),
        cmocka_unit_test(a_checksum_that_fits_lets_a_file_pass),
        cmocka_unit_test(a_checksum_that_does_not_fit_leaves_nothing),
        cmocka_unit_test(a_checksum_of_a_folder_is_refused),
        cmocka_unit_test(a_source_that_is_not_there_is_said_so),
        cmocka_unit_test(a_folder_without_a_file_is_refused),
        cmocka_unit_test(a_source_outside_of_the_allowed_is_refused),
        cmocka_unit_test(a_link_within_the_allowed_folder_is_followed),
        cmocka_unit_test(a_link_out_of_the_allowed_folder_is_refused),
        cmocka_unit_test(a_link_back_into_another_allowed_folder_is_followed),
        cmocka_unit_test(a_link_that_leads_nowhere_or_round_is_refused),
        cmocka_unit_test(what_is_neither_a_file_nor_a_folder_is_refused_without_being_opened),
        cmocka_unit_test(bytes_are_bounded_for_all_files_together),
        cmocka_unit_test(files_and_folders_are_bounded_together),
        cmocka_unit_test(what_an_attempt_before_has_left_is_replaced),
        cmocka_unit_test(a_link_in_the_destinations_place_is_not_followed),
        cmocka_unit_test(modes_are_the_servers_to_read_whatever_the_source_has),
        cmocka_unit_test(an_archive_that_is_not_unpacked_is_refused_by_its_name),
        cmocka_unit_test(an_archive_under_a_models_name_is_refused_by_its_content),
        cmocka_unit_test(a_models_file_that_is_a_zip_archive_by_its_format_is_a_models_file),
        cmocka_unit_test(zeros_and_short_files_are_no_archives),
        cmocka_unit_test(a_client_that_names_the_model_file_finds_it_under_that_name),
        cmocka_unit_test(a_file_with_holes_is_copied_with_them),
        cmocka_unit_test(an_archive_with_a_checksum_is_read_again_as_it_was_proven),
        cmocka_unit_test(a_file_that_changes_after_its_checksum_was_taken_is_not_read),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
