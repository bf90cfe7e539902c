#include "shared/control.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83  // Linux 6.16
#endif

namespace tutti {
namespace {

// More than are ever sent; what a hostile sender adds beyond is cut off and closed by the kernel.
constexpr std::size_t kDescriptorsMax = 8;
constexpr std::size_t kControlBytes = CMSG_SPACE(kDescriptorsMax * sizeof(int)) + CMSG_SPACE(sizeof(ucred));

struct alignas(cmsghdr) ControlBuffer {
  std::array<std::byte, kControlBytes> bytes{};
};

void take_descriptors(const cmsghdr& header, std::span<Descriptor> descriptors, Received& received) {
  const std::size_t count = (header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < count; ++i) {
    int value = -1;
    std::memcpy(&value, CMSG_DATA(&header) + i * sizeof(int), sizeof value);
    Descriptor owned(value);
    if (received.descriptors < descriptors.size()) descriptors[received.descriptors] = std::move(owned);
    ++received.descriptors;
  }
}

}  // namespace

Result<ControlPair> make_control_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return std::unexpected(system_error("socketpair", errno, {}, "raise the descriptor limit (ulimit -n)"));
  }
  ControlPair pair{.supervisor = Descriptor(ends[0]), .worker = Descriptor(ends[1])};
  const int yes = 1;
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  if (::setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0) {
    return std::unexpected(system_error("setsockopt(SO_PASSCRED)", errno));
  }
  // Where the kernel can, it refuses descriptors that a worker sends; elsewhere receive_message() closes
  // them.
  const int no = 0;
  ::setsockopt(ends[0], SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof no);
  return pair;
}

bool send_message(int socket, std::span<const std::byte> message, std::span<const int> descriptors) noexcept {
  ControlBuffer control;
  iovec part{.iov_base = const_cast<std::byte*>(message.data()), .iov_len = message.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control.bytes.data();
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(message.size());
}

Received receive_message(int socket, std::span<std::byte> message,
                         std::span<Descriptor> descriptors) noexcept {
  ControlBuffer control;
  iovec part{.iov_base = message.data(), .iov_len = message.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes.data();
  header.msg_controllen = control.bytes.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_TRUNC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    const bool nothing = errno == EAGAIN || errno == EWOULDBLOCK;
    return {.kind = nothing ? Received::Kind::nothing : Received::Kind::closed};
  }
  Received received{.kind = Received::Kind::message, .bytes = static_cast<std::size_t>(got)};
  for (cmsghdr* next = CMSG_FIRSTHDR(&header); next != nullptr; next = CMSG_NXTHDR(&header, next)) {
    if (next->cmsg_level != SOL_SOCKET) continue;
    if (next->cmsg_type == SCM_RIGHTS) take_descriptors(*next, descriptors, received);
    if (next->cmsg_type == SCM_CREDENTIALS) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(next), sizeof sender);
      received.sender = sender.pid;
    }
  }
  // An empty message cannot be told from the end, and nobody here sends one.
  if (got == 0) received.kind = Received::Kind::closed;
  return received;
}

}  // namespace tutti
