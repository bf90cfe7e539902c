// iceoryx, asked as it asks to be used: loan, write, publish; take by polling, release.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>
#include <optional>
#include <thread>

#include "peers.hpp"
#include "shared/doorbell.hpp"

namespace tutti::bench {
namespace {

class Iceoryx : public Technique {
 public:
  Iceoryx(std::size_t payload, bool yields, Program roudi)
      : row_(payload), yields_(yields), roudi_(std::move(roudi)), run_(fmt::format("run{}", roudi_.pid())) {}

  Result<void> open_client() override { return open("ask", "there", "back"); }
  Result<void> open_server() override { return open("serve", "back", "there"); }

  // RouDi aborts, and leaves its files behind, when a side vanishes without having said so.
  void close() override {
    publisher_.reset();
    subscriber_.reset();
    std::exit(0);  // the runtime's destructor tells RouDi
  }

  void ask(std::uint64_t rounds) override {
    float answer = 0;
    for (; rounds > 0; --rounds) {
      send(row_.data(), row_.size());
      receive(&answer, sizeof answer);
    }
  }
  void serve(std::uint64_t rounds) override {
    const float answer = 0.5F;
    for (; rounds > 0; --rounds) {
      receive(nullptr, 0);  // read in place, as tutti's worker does
      send(&answer, sizeof answer);
    }
  }

 private:
  using Text = iox::capro::IdString_t;
  [[nodiscard]] std::string application(const char* side) const {
    return fmt::format("tutti-bench-{}-{}", run_, side);
  }
  static Text text(const std::string& value) { return {iox::cxx::TruncateToCapacity, value.c_str()}; }

  Result<void> open(const char* side, const char* out, const char* in) {
    // iceoryx tells what it does while it starts.
    ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
    ::dup2(2, 1);
    iox::runtime::PoshRuntime::initRuntime(
        iox::RuntimeName_t(iox::cxx::TruncateToCapacity, application(side).c_str()));
    publisher_.emplace(iox::capro::ServiceDescription(text("tutti"), text(run_), text(out)));
    subscriber_.emplace(iox::capro::ServiceDescription(text("tutti"), text(run_), text(in)));
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!publisher_->hasSubscribers() ||
           subscriber_->getSubscriptionState() != iox::SubscribeState::SUBSCRIBED) {
      if (std::chrono::steady_clock::now() > until) {
        return std::unexpected(Error{Errc::system, "iceoryx: the two sides did not find each other", "", ""});
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return {};
  }

  void send(const void* data, std::size_t bytes) {
    publisher_->loan(static_cast<std::uint32_t>(bytes))
        .and_then([&](void* chunk) {
          std::memcpy(chunk, data, bytes);
          publisher_->publish(chunk);
        })
        .or_else([](auto&) { std::abort(); });
  }

  void receive(void* data, std::size_t bytes) {
    for (bool got = false; !got;) {
      subscriber_->take().and_then([&](const void* chunk) {
        if (bytes > 0) std::memcpy(data, chunk, bytes);
        subscriber_->release(chunk);
        got = true;
      });
      if (!got) wait_step(yields_);
    }
  }

  std::vector<char> row_;
  bool yields_;
  Program roudi_;
  std::string run_;
  std::optional<iox::popo::UntypedPublisher> publisher_;
  std::optional<iox::popo::UntypedSubscriber> subscriber_;
};

}  // namespace

Result<std::unique_ptr<Technique>> make_iceoryx(std::size_t payload, bool yields) {
  if (::access(TUTTI_BENCH_ROUDI, X_OK) != 0) {
    return std::unexpected(Error{Errc::system, "not installed", TUTTI_BENCH_ROUDI, "apt install iceoryx"});
  }
  auto roudi = Program::start({TUTTI_BENCH_ROUDI, "--log-level", "off", "--kill-delay", "0"}, "");
  if (!roudi) return std::unexpected(roudi.error());
  // One that ends at once cannot run: most likely another RouDi does.
  if (roudi->wait(std::chrono::milliseconds(300))) {
    return std::unexpected(
        Error{Errc::system, "RouDi does not start", TUTTI_BENCH_ROUDI, "does another one run?"});
  }
  return std::make_unique<Iceoryx>(payload, yields, std::move(*roudi));
}

}  // namespace tutti::bench
