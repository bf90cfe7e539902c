// What a hostile template sends to the supervisor: messages of any size and bytes, with and without
// descriptors, through a real control socket.
//
// Input: for each message a header byte, then its bytes. The header says whether the message begins as a
// right notice (so that the bytes that follow change one), and how many descriptors come along. What must
// hold:
//   - nothing beyond the message is read (ASan), and no descriptor stays,
//   - a message of the wrong size, or with descriptors, is a violation,
//   - whatever is told to people is printable and no longer than the protocol's texts.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "supervisor/notice.hpp"

namespace tutti {
namespace {

constexpr std::size_t kMessageMax = sizeof(Notice) + 64;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_text(const std::string& text) {
  check(text.size() <= kWorkerTextMax);
  for (const char c : text) check(c >= ' ' && c <= '~');
}

int next_free_descriptor() {
  const int probe = ::dup(STDIN_FILENO);
  ::close(probe);
  return probe;
}

Notice right_notice(std::uint8_t header) {
  Notice notice{};
  notice.magic = kProtocolMagic;
  notice.version = kProtocolVersion;
  notice.kind = static_cast<NoticeKind>(1 + header % 5U);
  notice.what.assign("no such model");
  return notice;
}

/// One message: the right notice, or zeros, with the input's bytes written over it from some place on.
std::vector<std::byte> message_of(std::uint8_t header, std::span<const std::uint8_t> bytes) {
  const bool right = (header & 0x80U) != 0;
  std::vector<std::byte> message(right ? sizeof(Notice) : std::min(bytes.size(), kMessageMax));
  std::size_t place = 0;
  if (right) {
    const Notice notice = right_notice(header);
    std::memcpy(message.data(), &notice, sizeof notice);
    if (bytes.size() >= 2) {
      place = (std::size_t{bytes[0]} << 8U | bytes[1]) % message.size();
      bytes = bytes.subspan(2);
    }
  }
  const std::size_t count = std::min(bytes.size(), message.size() - place);
  if (count > 0) std::memcpy(message.data() + place, bytes.data(), count);
  return message;
}

void judge(const Heard& heard, std::size_t bytes, std::size_t descriptors) {
  if (bytes != sizeof(Notice) || descriptors > 0) check(heard.kind == Heard::Kind::violation);
  check(heard.kind != Heard::Kind::nothing && heard.kind != Heard::Kind::closed);
  check(heard.load >= Duration::zero());
  if (heard.kind == Heard::Kind::born) check(heard.sender == ::getpid());
  if (heard.kind == Heard::Kind::failed || heard.kind == Heard::Kind::violation) {
    check_text(heard.error.what);
    check_text(heard.error.where);
    check_text(heard.error.hint);
  }
}

void run(std::span<const std::uint8_t> input) {
  auto pair = make_control_pair();
  check(pair.has_value());
  const int before = next_free_descriptor();
  while (!input.empty()) {
    const std::uint8_t header = input.front();
    input = input.subspan(1);
    const std::size_t length = std::min<std::size_t>(input.size(), 1 + header * std::size_t{7});
    const std::vector<std::byte> message = message_of(header, input.subspan(0, length));
    input = input.subspan(length);
    const std::array<int, 3> sent{STDIN_FILENO, STDIN_FILENO, STDIN_FILENO};
    const std::size_t descriptors = (header & 0x60U) == 0x60U ? 1 + header % sent.size() : 0;
    // An empty message cannot be told from the end of the socket; a kernel may refuse descriptors.
    if (message.empty()) continue;
    if (!send_message(pair->worker.get(), message, std::span(sent).first(descriptors))) continue;
    Notice notice{};
    const Received got = receive_message(pair->supervisor.get(), writable_bytes_of(notice), {});
    check(got.kind == Received::Kind::message && got.bytes == message.size());
    judge(read_notice(got, notice), got.bytes, descriptors);
  }
  check(next_free_descriptor() == before);
  pair->worker.close();
  Notice notice{};
  const Received end = receive_message(pair->supervisor.get(), writable_bytes_of(notice), {});
  check(read_notice(end, notice).kind == Heard::Kind::closed);
}

}  // namespace
}  // namespace tutti

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tutti::run({data, size});
  return 0;
}
