// The socket where gateways come in: who may take its path, and who may connect.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "tests/unit/test_loop.hpp"
#include "worker/gateway/listener.hpp"

#include <functional>
#include <stdexcept>
#include <string>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

using rollout::listener;
using rollout::settings;

sockaddr_un address_of(const std::string &path)
{
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    return address;
}

/// A socket of that type at the path, bound and listened to by nobody.
int bind_to(const std::string &path, int type)
{
    const sockaddr_un address = address_of(path);
    const int fd = socket(AF_UNIX, type, 0);
    assert_int_equal(bind(fd, reinterpret_cast<const sockaddr *>(&address), sizeof(address)), 0);
    return fd;
}

struct listening {
    temporary_folder folder;
    test_loop loop;
    settings config;
    int connections = 0;
    listener at_socket{loop.get(), [this](uv_stream_t *) { ++connections; }};

    listening() { config.listen.path = (folder.path() / "rolloutd.sock").native(); }
    ~listening() { at_socket.close(); }

    std::string open()
    {
        try {
            at_socket.open(config);
        } catch (const std::runtime_error &error) {
            return error.what();
        }
        return "it listens";
    }
};

void it_has_the_mode_that_was_asked_for_and_is_gone_when_it_is_closed(void **)
{
    listening world;
    world.config.listen.mode = 0600;
    assert_text(world.open(), "it listens");
    struct stat info = {};
    assert_int_equal(stat(world.config.listen.path.c_str(), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    world.at_socket.close();
    assert_false(world.folder.has("rolloutd.sock"));
}

void who_connects_is_handed_on(void **)
{
    listening world;
    world.open();
    const sockaddr_un address = address_of(world.config.listen.path);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, reinterpret_cast<const sockaddr *>(&address), sizeof(address)), 0);
    world.loop.run_until([&] { return world.connections == 1; });
    ::close(fd);
}

void the_socket_of_a_process_that_was_killed_is_taken_over(void **)
{
    listening world;
    ::close(bind_to(world.config.listen.path, SOCK_STREAM));
    assert_text(world.open(), "it listens");
}

void the_socket_of_a_process_that_lives_is_not(void **)
{
    listening world;
    const int fd = bind_to(world.config.listen.path, SOCK_STREAM);
    ::listen(fd, 1);
    assert_text(world.open(), "another process listens on " + world.config.listen.path +
                                  "; give each rolloutd a socket of its own");
    ::close(fd);
    world.at_socket.close();
    assert_true(world.folder.has("rolloutd.sock")); // it is not its own to remove
}

/// What does not answer a stream's connection is not rolloutd's, and not dead.
void a_socket_that_is_not_proven_dead_is_left_there(void **)
{
    listening world;
    const int fd = bind_to(world.config.listen.path, SOCK_DGRAM);
    assert_holds(world.open(), "whether another process listens on " + world.config.listen.path +
                                   " cannot be told, and it is left there: ");
    ::close(fd);
}

void what_is_no_socket_is_left_there(void **)
{
    listening world;
    world.folder.write("rolloutd.sock", "a file");
    assert_holds(world.open(), " that is not a socket; it is left there");
    assert_text(world.folder.read("rolloutd.sock"), "a file");
}

void a_name_that_is_no_users_does_not_let_everybody_in(void **)
{
    listening known;
    known.config.listen.allow_users = {"root"};
    assert_text(known.open(), "it listens");
    listening unknown;
    unknown.config.listen.allow_users = {"nobody here"};
    assert_text(unknown.open(), "there is no user \"nobody here\" on this machine, although allow_users names it");
}

void rolloutds_own_user_may_always_connect(void **)
{
    listening world;
    world.config.listen.allow_users = {"root"};
    world.open();
    int pair[2] = {};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_false(world.at_socket.stranger_at(pair[0]).has_value());
    ::close(pair[0]);
    ::close(pair[1]);
    assert_text(world.at_socket.stranger_at(-1).value_or("allowed"), ""); // who cannot be asked is not let in
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(it_has_the_mode_that_was_asked_for_and_is_gone_when_it_is_closed),
        cmocka_unit_test(who_connects_is_handed_on),
        cmocka_unit_test(the_socket_of_a_process_that_was_killed_is_taken_over),
        cmocka_unit_test(the_socket_of_a_process_that_lives_is_not),
        cmocka_unit_test(a_socket_that_is_not_proven_dead_is_left_there),
        cmocka_unit_test(what_is_no_socket_is_left_there),
        cmocka_unit_test(a_name_that_is_no_users_does_not_let_everybody_in),
        cmocka_unit_test(rolloutds_own_user_may_always_connect),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
