// The status socket: whoever connects gets one JSON document and the end of the stream.
//
//   $XDG_RUNTIME_DIR/tutti/NAME.PID      or /tmp/tutti-UID/NAME.PID without one; the folder 0700, the socket
//   0600
//
// The server never reads: there is no request to parse, and nothing that a client sends can matter. It has a
// thread of its own, so that reading what processes use (milliseconds for large ones) and clients that do not
// read hold up no answer. One client at a time; one that takes nothing for kPatience is left.
//
// A supervisor that was killed leaves its socket behind. Nobody listens there, which a connect shows for
// sure: whoever was announced the socket removes it then (cli/janitor.hpp), and list_sockets() all that are
// so.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "shared/error.hpp"
#include "shared/region.hpp"

namespace tutti {

/// Every socket of this user that somebody listens at, as paths. Removes those of supervisors that are gone.
/// Errors: system (also if the folder is a link, somebody else's, or open to others: it is then not used).
Result<std::vector<std::string>> list_sockets();

/// Sockets of one supervisor, whether or not anybody listens there.
std::size_t count_sockets(int pid);

/// Removes the socket at `path` if nobody listens there, and says whether it did. What is no socket stays.
bool remove_dead_socket(const std::string& path);

/// Reads the document that a supervisor serves. Errors: system, not_ready (nobody listens).
Result<std::string> fetch_status(const std::string& path);

class StatusSocket {
 public:
  /// Makes a socket at `path` ("" chooses its place) and serves what `document` returns; that is called from
  /// the server's thread. Before an entry is made in the file system, `announce` is told its path.
  /// Errors: system (also if somebody listens there already).
  static Result<StatusSocket> open(const std::string& path, const std::string& ensemble,
                                   std::function<std::string()> document,
                                   const std::function<void(const std::string& path)>& announce = {});
  StatusSocket(StatusSocket&&) noexcept = default;
  StatusSocket& operator=(StatusSocket&&) = delete;
  /// Ends the thread and removes the socket.
  ~StatusSocket();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  StatusSocket() = default;
  std::string path_;
  Descriptor folder_;
  Descriptor listener_;
  Descriptor stop_;  // an eventfd
  std::thread thread_;
};

}  // namespace tutti
