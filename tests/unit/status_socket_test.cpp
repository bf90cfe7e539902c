// The status socket: found by its user, by nobody else, and unharmed by whoever connects.
#include "supervisor/watch/status_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "tests/catch.hpp"

namespace tutti {
namespace {

namespace fs = std::filesystem;

// A runtime directory of our own for as long as it lives.
struct Runtime {
  Runtime() {
    fs::remove_all(folder);
    fs::create_directories(folder);
    ::setenv("XDG_RUNTIME_DIR", folder.c_str(), 1);
  }
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime() {
    ::unsetenv("XDG_RUNTIME_DIR");
    fs::remove_all(folder);
  }
  std::string folder = (fs::temp_directory_path() / ("tutti_runtime_" + std::to_string(::getpid()))).string();
};

int connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  std::strcpy(address.sun_path, path.c_str());
  const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return client;
}

}  // namespace

TEST_CASE("status socket: it is listed and read while it is open, and gone afterwards", "[watch]") {
  const Runtime runtime;
  {
    const auto socket = StatusSocket::open("", "risk", [] { return std::string("{}\n"); });
    REQUIRE(socket);
    CHECK(socket->path() == runtime.folder + "/tutti/risk." + std::to_string(::getpid()));
    struct stat facts{};
    REQUIRE(::stat(socket->path().c_str(), &facts) == 0);
    CHECK((facts.st_mode & 0777U) == 0600);
    REQUIRE(::stat((runtime.folder + "/tutti").c_str(), &facts) == 0);
    CHECK((facts.st_mode & 0777U) == 0700);
    CHECK(list_sockets() == std::vector{socket->path()});
    CHECK(fetch_status(socket->path()) == "{}\n");
    const auto second = StatusSocket::open("", "risk", [] { return std::string("2"); });
    REQUIRE(second);
    CHECK(fetch_status(second->path()) == "2");
    CHECK(count_sockets(::getpid()) == 2);
  }
  CHECK(list_sockets()->empty());
  CHECK(fs::is_empty(runtime.folder + "/tutti"));
}

TEST_CASE("status socket: what a killed supervisor left is removed, what is in use is not taken", "[watch]") {
  const Runtime runtime;
  const std::string place = runtime.folder + "/named";
  const pid_t child = ::fork();
  if (child == 0) {
    auto hidden = StatusSocket::open("", "gone", [] { return std::string(); });
    auto named = StatusSocket::open(place, "gone", [] { return std::string(); });
    ::_exit(hidden && named ? 0 : 1);  // no destructor runs, as after SIGKILL
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WEXITSTATUS(status) == 0);
  CHECK(count_sockets(child) == 1);
  CHECK(list_sockets()->empty());
  CHECK(count_sockets(child) == 0);

  const auto reopened = StatusSocket::open(place, "risk", [] { return std::string("new"); });
  REQUIRE(reopened);
  CHECK(fetch_status(place) == "new");
  CHECK(!StatusSocket::open(place, "risk", [] { return std::string(); }));
  CHECK(fetch_status(place) == "new");
}

TEST_CASE("status socket: a file in its place is not overwritten", "[watch]") {
  const Runtime runtime;
  const std::string place = runtime.folder + "/file";
  std::ofstream(place) << "mine";
  CHECK(!StatusSocket::open(place, "risk", [] { return std::string(); }));
  CHECK(fs::file_size(place) == 4);
}

TEST_CASE("status socket: a folder that is a link or open to others is not used", "[watch]") {
  const Runtime runtime;
  fs::create_directory(runtime.folder + "/elsewhere");
  fs::create_directory_symlink(runtime.folder + "/elsewhere", runtime.folder + "/tutti");
  CHECK(!StatusSocket::open("", "risk", [] { return std::string(); }));
  CHECK(!list_sockets());
  fs::remove(runtime.folder + "/tutti");
  REQUIRE(::mkdir((runtime.folder + "/tutti").c_str(), 0700) == 0);
  ::chmod((runtime.folder + "/tutti").c_str(), 0755);
  const auto open = StatusSocket::open("", "risk", [] { return std::string(); });
  REQUIRE(!open);
  CHECK(open.error().what.find("mode 755") != std::string::npos);
}

TEST_CASE("status socket: clients that flood it, do not read or go away harm nobody", "[watch]") {
  // Method: a document larger than any socket buffer, so that a client which does not read blocks its own.
  const Runtime runtime;
  const std::string document(std::size_t{4} << 20U, 'x');
  const auto socket = StatusSocket::open("", "risk", [&] { return document; });
  REQUIRE(socket);
  const int deaf = connect_to(socket->path());
  const int loud = connect_to(socket->path());
  const std::string noise(65'536, 'n');
  static_cast<void>(::send(loud, noise.data(), noise.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  ::close(connect_to(socket->path()));
  const auto served = fetch_status(socket->path());
  REQUIRE(served);
  CHECK(*served == document);
  ::close(deaf);
  ::close(loud);
}

TEST_CASE("status socket: what is no socket is told", "[watch]") {
  const Runtime runtime;
  CHECK(fetch_status(runtime.folder + "/none").error().code == Errc::not_ready);
  CHECK(!fetch_status("/nowhere/at/all"));
  std::ofstream(runtime.folder + "/file") << "text";
  CHECK(!fetch_status(runtime.folder + "/file"));
}

}  // namespace tutti
