#include "supervisor/runner.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <cassert>
#include <cerrno>
#include <deque>
#include <iterator>
#include <system_error>

#include "shared/log.hpp"
#include "supervisor/clock.hpp"
#include "supervisor/watch/usage.hpp"

namespace tutti {
namespace {

namespace asio = boost::asio;

// While anything is outstanding the runner looks at least this often: correctness must not hang on a doorbell
// that a hostile worker holds.
constexpr Duration kSafetyTick = std::chrono::milliseconds(5);
constexpr Duration kFloodPause = std::chrono::milliseconds(1);
constexpr int kLooksPerClock = 16;

// A deadline that a clock can hold; one that is not positive has passed already.
Duration bounded(Duration deadline) {
  constexpr Duration kDeadlineMax = std::chrono::hours(24);
  return std::clamp(deadline, Duration::zero(), kDeadlineMax);
}

// What closing reports is of no use to anybody here.
void hang_up(asio::posix::stream_descriptor& descriptor) {
  boost::system::error_code ignored;
  static_cast<void>(descriptor.close(ignored));
}

}  // namespace

/// What the runner's thread watches of one incarnation of an isolate or a template.
struct Runner::Watch {
  Watch(asio::io_context& io, const SpawnOrder& spawned, std::string its_name)
      : order(spawned), name(std::move(its_name)), death(io), control(io), output(io), pause(io), again(io) {}
  SpawnOrder order;
  std::string name;
  pid_t pid = -1;                          // whose death is watched
  asio::posix::stream_descriptor death;    // a pidfd
  asio::posix::stream_descriptor control;  // the control socket, where it has one
  asio::posix::stream_descriptor output;   // its standard output and error
  asio::steady_timer pause;                // of a flood
  asio::steady_timer again;                // for a death that cannot be reaped yet
  std::array<char, 16'384> buffer{};
  LineStrainer strainer;
};

Runner::Runner(std::unique_ptr<Engine> engine) : engine_(std::move(engine)), bells_(io_), timer_(io_) {}

Result<void> Runner::start() {
  const int bells = ::epoll_create1(EPOLL_CLOEXEC);
  if (bells < 0) return std::unexpected(system_error("epoll_create1", errno));
  bells_.assign(bells);
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (timer < 0) return std::unexpected(system_error("timerfd_create", errno));
  timer_.assign(timer);

  const auto serve = [this] {
    watch_bells();
    watch_timer();
    {
      Lock lock = enter();
      engine_->tick(monotonic_now());
      leave(std::move(lock));
    }
    const auto guard = asio::make_work_guard(io_);
    io_.run();
  };
  try {
    thread_ = std::thread(serve);
  } catch (const std::system_error& error) {
    return std::unexpected(system_error("pthread_create", error.code().value(), "launch",
                                        "raise the limit of processes (ulimit -u), or free memory"));
  }
  Lock lock(mutex_);
  changed_.wait(lock, [&] { return engine_->all_tried(); });
  return {};
}

Runner::~Runner() { stop(); }

void Runner::stop() {
  if (!thread_.joinable()) return;
  {
    Lock lock = enter();
    engine_->close();
    leave(std::move(lock));
  }
  {
    Lock lock(mutex_);
    changed_.wait(lock, [&] { return engine_->core().in_flight() == 0; });
    engine_->kill_all(monotonic_now());
    // A process that outlives its SIGKILL is left to the kernel.
    changed_.wait_for(lock, std::chrono::seconds(2), [&] { return !engine_->any_process(); });
  }
  io_.stop();
  thread_.join();
}

// ---- callers ----

Runner::Lock Runner::enter() {
  contenders_.fetch_add(1, std::memory_order_relaxed);
  Lock lock(mutex_);
  contenders_.fetch_sub(1, std::memory_order_relaxed);
  return lock;
}

// Whoever leaves makes sure that what is outstanding will be noticed, starts what must be started, and hands
// over what is finished.
void Runner::leave(Lock lock) {
  while (!engine_->prepare_sleep()) engine_->collect(monotonic_now());
  Time wake = engine_->wake_at();
  if (engine_->owes_answers()) wake = std::min(wake, monotonic_now() + kSafetyTick);
  if (wake < armed_) arm(wake);
  if (engine_->has_spawns())
    asio::post(io_, [this] {
      Lock mine = enter();
      spawn_ordered(mine);
      leave(std::move(mine));
    });
  if (engine_->deliveries().empty()) return;
  std::vector<Delivery> deliveries = std::exchange(engine_->deliveries(), {});
  lock.unlock();
  changed_.notify_all();
  deliver(std::move(deliveries));
}

// Hands answers over, one after the other: a callback that asks again must not be called from within itself,
// or callbacks that keep asking would use up the stack.
void Runner::deliver(std::vector<Delivery> deliveries) {
  static thread_local std::deque<Delivery>* delivering = nullptr;
  if (delivering != nullptr) {
    std::ranges::move(deliveries, std::back_inserter(*delivering));
    return;
  }
  std::deque<Delivery> queue(std::make_move_iterator(deliveries.begin()),
                             std::make_move_iterator(deliveries.end()));
  delivering = &queue;
  for (; !queue.empty(); queue.pop_front()) {
    Delivery& next = queue.front();
    next.done(std::move(next.outcome), std::move(next.prediction));
  }
  delivering = nullptr;
}

void Runner::arm(Time wake) {
  const auto ns = std::max<std::int64_t>(wake.time_since_epoch().count(), 1);
  const itimerspec when{.it_interval = {},
                        .it_value = {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000}};
  ::timerfd_settime(timer_.native_handle(), TFD_TIMER_ABSTIME, &when, nullptr);
  armed_ = wake;
}

// Looks for the answer for about what a wake would cost. Gives the engine away when others want it.
void Runner::look(Lock& lock, const Waiter& waiter) {
  const Time until = monotonic_now() + engine_->spin();
  Time now = until - engine_->spin();
  while (waiter.done.load(std::memory_order_acquire) == 0 && now < until) {
    for (int look = 0; look < kLooksPerClock; ++look) {
      if (engine_->has_news() && engine_->collect(monotonic_now()) &&
          waiter.done.load(std::memory_order_acquire) != 0)
        return;
      wait_step(engine_->yields());
    }
    now = monotonic_now();
    if (contenders_.load(std::memory_order_relaxed) > 0) {
      lock.unlock();
      wait_step(true);
      lock.lock();
    }
  }
}

Result<void> Runner::predict(MatrixView x, Prediction& prediction, Duration deadline) {
  if (std::this_thread::get_id() == thread_.get_id()) {
    return std::unexpected(Error{Errc::bad_usage, "predict() would wait for the thread that it is called on",
                                 "a callback of predict_async()", "use predict_async() in callbacks"});
  }
  Waiter waiter;
  Lock lock = enter();
  const Time now = monotonic_now();
  if (auto accepted = engine_->submit(x, now, now + bounded(deadline), prediction, waiter); !accepted) {
    leave(std::move(lock));
    return accepted;
  }
  look(lock, waiter);
  const bool answered = waiter.done.load(std::memory_order_acquire) != 0;
  leave(std::move(lock));
  if (!answered) {
    waiter.done.wait(0, std::memory_order_acquire);
    // Whoever finished the request still holds the mutex while it touches the waiter.
    const Lock last(mutex_);
  }
  if (waiter.error) return std::unexpected(std::move(*waiter.error));
  return {};
}

Result<void> Runner::predict_async(MatrixView x, Duration deadline, OnPrediction done) {
  Lock lock = enter();
  const Time now = monotonic_now();
  auto accepted = engine_->submit(x, now, now + bounded(deadline), std::move(done));
  leave(std::move(lock));
  return accepted;
}

Result<void> Runner::kill_worker(std::string_view member) {
  const Lock lock(mutex_);
  return engine_->kill_worker(member);
}

std::vector<float> Runner::sample_row() const {
  const Lock lock(mutex_);
  return engine_->sample_row();
}

void Runner::tell_promotion(std::size_t member, Event::Kind kind, std::string text) {
  const Lock lock(mutex_);
  engine_->tell_promotion(member, kind, std::move(text));
}

EnsembleStatus Runner::status(ReadUsage usage) const {
  Lock lock(mutex_);
  EnsembleStatus status = engine_->status(monotonic_now());
  lock.unlock();
  if (usage == ReadUsage::no) return status;
  for (MemberStatus& member : status.members) {
    for (IsolateStatus& isolate : member.isolates) {
      if (isolate.pid != 0) isolate.usage = usage_of(isolate.pid);
    }
  }
  status.supervisor = usage_of(::getpid());
  return status;
}

// ---- the runner's thread ----

// Starts what was ordered: regions and processes are made without the mutex, since both take time.
void Runner::spawn_ordered(Lock& lock) {
  for (const SpawnOrder& order : engine_->take_spawns()) {
    lock.unlock();
    Result<Started> started = engine_->start(order);
    lock.lock();
    if (engine_->install(order, std::move(started), monotonic_now()) && !add_watch(order)) {
      engine_->abandon(order, system_error("watching the worker", errno, {}, "raise the descriptor limit"),
                       monotonic_now());
    }
  }
  changed_.notify_all();
}

// An isolate's bell is known by its number and generation: the description of one that is gone can outlive
// it.
bool Runner::add_watch(const SpawnOrder& order) {
  const auto watch = std::make_shared<Watch>(io_, order, engine_->name_of(order));
  if (TemplateLink* control = engine_->control(order)) {
    Descriptor socket(::fcntl(control->socket(), F_DUPFD_CLOEXEC, 0));
    if (!socket.is_open()) return false;
    watch->control.assign(socket.release());
    watch_control(watch);
  }
  if (order.what == SpawnOrder::What::member) {
    watch->output.assign(engine_->control(order)->take_output().release());
  } else {
    WorkerLink& link = *engine_->link(order.index);
    epoll_event event{.events = EPOLLIN | EPOLLET,
                      .data = {.u64 = order.index | std::uint64_t{order.generation} << 32U}};
    if (::epoll_ctl(bells_.native_handle(), EPOLL_CTL_ADD, link.bell(), &event) != 0) return false;
    watch->output.assign(link.take_output().release());
  }
  watch_output(watch);
  if (engine_->process(order) != nullptr)
    watch_process(watch);
  else
    unborn_.push_back(watch);
  return true;
}

// Watches the process as it is known now; a template's may have made another one that takes its place.
void Runner::watch_process(const std::shared_ptr<Watch>& watch) {
  const Process* process = engine_->process(watch->order);
  if (process == nullptr || process->pid() == watch->pid) return;
  watch->pid = process->pid();
  const int death = ::fcntl(process->pidfd(), F_DUPFD_CLOEXEC, 0);
  if (death < 0) {
    engine_->abandon(watch->order,
                     system_error("watching the worker", errno, {}, "raise the descriptor limit"),
                     monotonic_now());
    return;
  }
  hang_up(watch->death);
  watch->death.assign(death);
  watch_death(watch);
}

// Isolates that were forked since the last look have processes now; those given up never will.
void Runner::watch_adopted() {
  for (const SpawnOrder& order : engine_->take_adopted()) {
    for (const auto& watch : unborn_) {
      if (watch->order.index == order.index && watch->order.generation == order.generation)
        watch_process(watch);
    }
  }
  std::erase_if(unborn_,
                [&](const auto& watch) { return watch->pid > 0 || !engine_->current(watch->order); });
}

void Runner::watch_control(const std::shared_ptr<Watch>& watch) {
  watch->control.async_wait(asio::posix::stream_descriptor::wait_read,
                            [this, watch](const boost::system::error_code& error) {
                              if (!error) on_notice(watch);
                            });
}

void Runner::on_notice(const std::shared_ptr<Watch>& watch) {
  Lock lock = enter();
  const bool more = engine_->hear(watch->order, monotonic_now());
  watch_process(watch);
  watch_adopted();
  changed_.notify_all();
  if (!more) engine_->reap(watch->order, monotonic_now());
  leave(std::move(lock));
  if (more)
    watch_control(watch);
  else
    hang_up(watch->control);
}

void Runner::watch_bells() {
  bells_.async_wait(asio::posix::stream_descriptor::wait_read,
                    [this](const boost::system::error_code& error) {
                      if (error) return;
                      on_bells();
                      watch_bells();
                    });
}

void Runner::on_bells() {
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(bells_.native_handle(), events.data(), static_cast<int>(events.size()), 0);
  Lock lock = enter();
  for (int i = 0; i < count; ++i) {
    const std::uint64_t rang = events[static_cast<std::size_t>(i)].data.u64;
    engine_->rang(static_cast<std::uint32_t>(rang), static_cast<std::uint16_t>(rang >> 32U), monotonic_now());
  }
  changed_.notify_all();
  leave(std::move(lock));
}

void Runner::watch_timer() {
  timer_.async_wait(
      asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
        if (error) return;
        std::uint64_t expirations = 0;
        [[maybe_unused]] const ssize_t got = ::read(timer_.native_handle(), &expirations, sizeof expirations);
        Lock lock = enter();
        armed_ = kNever;
        engine_->collect(monotonic_now());
        engine_->tick(monotonic_now());
        changed_.notify_all();
        leave(std::move(lock));
        watch_timer();
      });
}

void Runner::watch_death(const std::shared_ptr<Watch>& watch) {
  watch->death.async_wait(asio::posix::stream_descriptor::wait_read,
                          [this, watch](const boost::system::error_code& error) {
                            if (!error) on_death(watch);
                          });
}

void Runner::on_death(const std::shared_ptr<Watch>& watch) {
  Lock lock = enter();
  const SpawnOrder& order = watch->order;
  const bool over = engine_->reap(order, monotonic_now());
  watch_process(watch);
  watch_adopted();
  const Process* process = engine_->process(order);
  if (!over && process != nullptr && process->pid() == watch->pid && process->running()) {
    // Dead, but held by a tracer (a debugger, LeakSanitizer): its end can be had when that lets go.
    watch->again.expires_after(kSafetyTick);
    watch->again.async_wait([this, watch](const boost::system::error_code& stopped) {
      if (!stopped) on_death(watch);
    });
  }
  changed_.notify_all();
  leave(std::move(lock));
}

void Runner::watch_output(const std::shared_ptr<Watch>& watch) {
  watch->output.async_read_some(
      asio::buffer(watch->buffer), [this, watch](const boost::system::error_code& error, std::size_t bytes) {
        const auto log = [&](std::string_view line) { engine_->log().info("{}: {}", watch->name, line); };
        if (error) {
          watch->strainer.finish(log);
          return;
        }
        watch->strainer.feed({watch->buffer.data(), bytes}, monotonic_now().time_since_epoch(), log);
        if (!watch->strainer.flooded()) {
          watch_output(watch);
          return;
        }
        // A flood is read slowly: it fills its own pipe and slows its own writer.
        watch->pause.expires_after(kFloodPause);
        watch->pause.async_wait([this, watch](const boost::system::error_code& stopped) {
          if (!stopped) watch_output(watch);
        });
      });
}

}  // namespace tutti
