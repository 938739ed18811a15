#include "tests/unit/cmocka.hpp"
#include "worker/net/local_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

namespace {

std::string_view kind_of(const char *text)
{
    sockaddr_in four{};
    if (::inet_pton(AF_INET, text, &four.sin_addr) == 1) {
        four.sin_family = AF_INET;
        return rollout::kind_of_local_address(reinterpret_cast<const sockaddr &>(four));
    }
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    assert_int_equal(::inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return rollout::kind_of_local_address(reinterpret_cast<const sockaddr &>(six));
}

void all_are(std::initializer_list<const char *> addresses, std::string_view kind)
{
    for (const char *address : addresses) {
        if (kind_of(address) != kind) {
            fail_msg("%s is \"%s\"", address, std::string(kind_of(address)).c_str());
        }
    }
}

void loopback_is_known_in_all_its_forms(void **)
{
    all_are({"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "::127.0.0.1",
             "2002:7f00:1::"},
            "a loopback address");
}

void link_local_is_known_in_all_its_forms(void **)
{
    all_are({"169.254.169.254", "169.254.0.1", "fe80::1", "febf::1", "::ffff:169.254.169.254",
             "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::", "255.255.255.255"},
            "a link-local address");
}

void metadata_services_are_known_that_are_not_link_local(void **)
{
    all_are({"fd00:ec2::254", "100.100.100.200", "::ffff:100.100.100.200", "64:ff9b::100.100.100.200",
             "2002:6464:64c8::"},
            "a cloud's metadata service");
}

void what_is_no_single_machine_is_known(void **)
{
    all_are({"0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0"}, "the unspecified address");
    all_are({"224.0.0.1", "239.1.2.3", "ff02::1"}, "a multicast address");
}

void all_others_are_nothing_special(void **)
{
    all_are({"10.0.0.1", "192.168.1.1", "172.16.0.1", "8.8.8.8", "126.255.255.255", "128.0.0.1", "169.253.255.255",
             "169.255.0.0", "100.100.100.199", "223.255.255.255", "240.0.0.1", "2001:db8::1", "fd00::1",
             "fd00:ec2::253", "fec0::1", "::ffff:10.0.0.1", "64:ff9b::8.8.8.8", "2002:808:808::"},
            "");
}

void what_is_no_internet_address_is_refused(void **)
{
    sockaddr local{};
    local.sa_family = AF_UNIX;
    assert_text(std::string(rollout::kind_of_local_address(local)), "not a public address");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(loopback_is_known_in_all_its_forms),
        cmocka_unit_test(link_local_is_known_in_all_its_forms),
        cmocka_unit_test(metadata_services_are_known_that_are_not_link_local),
        cmocka_unit_test(what_is_no_single_machine_is_known),
        cmocka_unit_test(all_others_are_nothing_special),
        cmocka_unit_test(what_is_no_internet_address_is_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
