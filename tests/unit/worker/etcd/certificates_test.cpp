#include "worker/etcd/certificates.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdio>
#include <ctime>
#include <string>

namespace {

using namespace rollout::etcd;

constexpr std::int64_t second_us = 1000000;
constexpr std::time_t now = 1795536561; // 2026-11-24T16:09:21Z
constexpr long day = 86400;

EVP_PKEY *make_key()
{
    return EVP_EC_gen("P-256");
}


void write_key(const std::string &path, EVP_PKEY *key, const char *pass_phrase = nullptr)
{
    std::FILE *file = std::fopen(path.c_str(), "we");
    auto *phrase = reinterpret_cast<unsigned char *>(const_cast<char *>(pass_phrase));
    assert_int_equal(PEM_write_PrivateKey(file, key, pass_phrase != nullptr ? EVP_aes_128_cbc() : nullptr, phrase,
                                          pass_phrase != nullptr ? 4 : 0, nullptr, nullptr),
                     1);
    std::fclose(file);
}


/// Signed by its own key, valid in these seconds from now on.
void write_certificate(const std::string &path, EVP_PKEY *key, long from, long to)
{
    X509 *made = X509_new();
    std::time_t base = now;
    X509_time_adj_ex(X509_getm_notBefore(made), 0, from, &base);
    X509_time_adj_ex(X509_getm_notAfter(made), 0, to, &base);
    X509_set_pubkey(made, key);
    X509_sign(made, key, EVP_sha256());
    std::FILE *file = std::fopen(path.c_str(), "we");
    assert_int_equal(PEM_write_X509(file, made), 1);
    std::fclose(file);
    X509_free(made);
}


struct papers {
    papers()
    {
        write_certificate(files.ca_file, key, -day, day);
        write_certificate(files.cert_file, key, -day, day);
        write_key(files.key_file, key);
    }
    ~papers() { EVP_PKEY_free(key); }

    std::string fault() const { return fault_of(files, now * second_us); }

    temporary_folder folder;
    EVP_PKEY *key = make_key();
    certificate_files files{(folder / "ca.pem").native(), (folder / "cert.pem").native(),
                            (folder / "key.pem").native()};
};


void good_ones_and_none_at_all_are_right(void **)
{
    papers p;
    assert_text(p.fault(), "");
    p.files.ca_file.clear();
    assert_text(p.fault(), "");
    assert_text(fault_of({}, now * second_us), "");
}


void a_file_that_is_not_there_or_is_something_else_is_named(void **)
{
    for (const int which : {0, 1, 2}) {
        papers p;
        auto &path = which == 0 ? p.files.ca_file : which == 1 ? p.files.cert_file : p.files.key_file;
        const std::string member = which == 0 ? "ca_file" : which == 1 ? "cert_file" : "key_file";
        const auto good = p.folder.read(path.substr(path.rfind('/') + 1));
        path = p.folder.write("hello", "neither a certificate nor a key\n").native();
        assert_holds(p.fault(), member + ": " + path + " holds no ");
        path = p.folder.write("cut", good.substr(0, good.size() / 2)).native();
        assert_holds(p.fault(), member + ": ");
        path = (p.folder / "none").native();
        assert_holds(p.fault(), member + ": " + path + " cannot be read (No such file or directory)");
    }
}


void one_that_has_expired_or_is_not_valid_yet_says_when(void **)
{
    papers p;
    write_certificate(p.files.cert_file, p.key, -2 * day, -day);
    assert_holds(p.fault(), "has expired, on 2026-11-23T16:09:21");
    write_certificate(p.files.cert_file, p.key, day, 2 * day);
    assert_holds(p.fault(), "is not valid before 2026-11-25T16:09:21");
    assert_holds(p.fault(), "this machine's clock, which says 2026-11-24T16:09:21");
}


void a_key_must_be_that_of_the_certificate_and_open(void **)
{
    papers p;
    EVP_PKEY *other = make_key();
    write_key(p.files.key_file, other);
    EVP_PKEY_free(other);
    assert_holds(p.fault(), "is not the key of the certificate in \"cert_file\"");
    write_key(p.files.key_file, p.key, "open");
    assert_holds(p.fault(), "without a pass phrase");
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(good_ones_and_none_at_all_are_right),
        cmocka_unit_test(a_file_that_is_not_there_or_is_something_else_is_named),
        cmocka_unit_test(one_that_has_expired_or_is_not_valid_yet_says_when),
        cmocka_unit_test(a_key_must_be_that_of_the_certificate_and_open),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
