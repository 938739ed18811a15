#include "worker/fs/sha256.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <stdexcept>

namespace rollout {
namespace {

void must(int result)
{
    if (result != 1) {
        throw std::runtime_error("OpenSSL cannot compute a SHA-256");
    }
}

} // namespace


struct sha256::context {
    struct release {
        void operator()(EVP_MD_CTX *held) const noexcept { EVP_MD_CTX_free(held); }
    };
    std::unique_ptr<EVP_MD_CTX, release> evp{EVP_MD_CTX_new()};
};


bool is_sha256(std::string_view text) noexcept
{
    return text.size() == 64 && std::ranges::all_of(text, [](unsigned char c) { return std::isxdigit(c) != 0; });
}


outcome check_sha256(const std::string &shown, const std::string &is, const std::string &wanted)
{
    const auto low = [](unsigned char c) { return std::tolower(c); };
    return std::ranges::equal(is, wanted, {}, low, low)
               ? outcome::ok()
               : outcome::permanent("the SHA-256 of " + shown + " is " + is + ", not " + wanted);
}


sha256::sha256() : context_(std::make_unique<context>())
{
    must(context_->evp ? EVP_DigestInit_ex(context_->evp.get(), EVP_sha256(), nullptr) : 0);
}


sha256::~sha256() = default;


void sha256::feed(const void *bytes, std::size_t size)
{
    must(EVP_DigestUpdate(context_->evp.get(), bytes, size));
}


std::string sha256::finish()
{
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
    unsigned size = 0;
    must(EVP_DigestFinal_ex(context_->evp.get(), bytes.data(), &size));
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
        text += "0123456789abcdef"[bytes[i] >> 4U];
        text += "0123456789abcdef"[bytes[i] & 15U];
    }
    return text;
}

} // namespace rollout
