#include "worker/gateway/refusing_listener.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/logged.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "tests/unit/test_loop.hpp"
#include "tests/unit/worker/gateway/linked_session.hpp"

#include <string>
#include <utility>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

using namespace rollout;

struct listening {
    listening()
    {
        config.listen.path = (folder.path() / "rolloutd.sock").native();
        own.open(config);
        own.say("etcd cannot be reached");
    }

    int connect_to_it() const
    {
        sockaddr_un address = {};
        address.sun_family = AF_UNIX;
        config.listen.path.copy(address.sun_path, sizeof(address.sun_path) - 1);
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, reinterpret_cast<const sockaddr *>(&address), sizeof(address)), 0);
        return fd;
    }

    /// What the other end says until it closes the connection, which is then closed.
    std::string all_from(int fd)
    {
        std::string got;
        bool is_over = false;
        loop.run_until([&] {
            char bytes[1000];
            for (;;) {
                const auto size = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
                if (size <= 0) {
                    is_over = size == 0;
                    return is_over;
                }
                got.append(bytes, static_cast<std::size_t>(size));
            }
        });
        ::close(fd);
        return got;
    }

    temporary_folder folder;
    test_loop loop;
    settings config;
    refusing_listener own{loop.get()};
};


void who_says_hello_is_told_why_without_a_line_in_the_log(void **)
{
    listening world;
    const auto log = logged([&] {
        for (const std::string why : {"etcd cannot be reached", "etcd has no leader"}) {
            world.own.say(why);
            const int fd = world.connect_to_it();
            const auto hello = linked_session::frame_of(R"({"type":"hello","gateway":"g"})");
            assert_int_equal(send(fd, hello.data(), hello.size(), MSG_NOSIGNAL), hello.size());
            assert_holds(world.all_from(fd), R"({"type":"refuse","reason":")" + why + R"("})");
        }
    });
    assert_text(log, "");
}


void its_end_is_that_of_its_socket_and_its_connections(void **)
{
    listening world;
    const int fd = world.connect_to_it();
    const int later = world.connect_to_it();
    const auto hello = linked_session::frame_of(R"({"type":"hello","gateway":"g"})");
    assert_int_equal(send(fd, hello.data(), hello.size(), MSG_NOSIGNAL), hello.size());
    assert_holds(world.all_from(fd), "refuse"); // so that the other one has been accepted as well
    world.own.close();
    assert_false(world.folder.has("rolloutd.sock"));
    assert_text(world.all_from(later), "");
    world.own.close();
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(who_says_hello_is_told_why_without_a_line_in_the_log),
        cmocka_unit_test(its_end_is_that_of_its_socket_and_its_connections),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
