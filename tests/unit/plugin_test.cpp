// Plug-ins: the examples, the checks of the loader, and that the hostile plug-in does what hostile.h says.
#include "worker/plugin.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "worker/hostile/hostile.h"

using namespace tutti;

namespace {

std::string test_plugin(const std::string& name) {
  return std::string(TUTTI_BIN) + "/test_plugins/" + name + ".so";
}

ModelSource regression(std::string path) {
  return {.path = std::move(path),
          .kind = "plugin",
          .classification = false,
          .features = 3,
          .outputs = 1,
          .rows_max = 8};
}

ModelSource classification(std::string path, std::uint32_t features, std::uint32_t classes) {
  return {.path = std::move(path),
          .kind = "plugin",
          .classification = true,
          .features = features,
          .outputs = classes,
          .rows_max = 8};
}

std::unique_ptr<Model> loaded(const ModelSource& source) {
  auto model = load_plugin(source);
  if (!model) FAIL(describe(model.error()));
  return std::move(*model);
}

Result<std::vector<float>> ask(Model& model, const std::vector<float>& x) {
  const ModelShape shape = model.shape();
  const auto rows = static_cast<std::uint32_t>(x.size() / shape.features);
  std::vector<float> out(std::size_t{rows} * shape.outputs, -77);
  const auto answered = model.predict({x.data(), rows, shape.features}, {out.data(), rows, shape.outputs});
  if (!answered) return std::unexpected(answered.error());
  return out;
}

/// How a process ended, or was stopped, in which `action` ran.
template <class Action>
int status_of_child(Action action, int flags = 0) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    // As outside of a test: what a sanitizer or Catch does about signals is not what is tested.
    for (const int signal : {SIGSEGV, SIGABRT, SIGTERM}) std::signal(signal, SIG_DFL);
    action();
    _exit(99);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, flags) == child);
  if (WIFSTOPPED(status)) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  return status;
}

int status_after(hostile_behaviour behaviour, int flags = 0) {
  return status_of_child(
      [behaviour] {
        auto model = load_plugin(regression(test_plugin("hostile")));
        if (!model) _exit(98);
        static_cast<void>(ask(**model, {static_cast<float>(behaviour), 0, 0}));
      },
      flags);
}

}  // namespace

TEST_CASE("plugin: the example in C chooses by its threshold", "[plugin]") {
  const auto model = loaded(classification(std::string(TUTTI_BIN) + "/plugins/threshold.so", 2, 2));
  CHECK(model->shape().features == 2);
  CHECK(model->shape().outputs == 1);
  CHECK(model->shape().kind == OutputKind::probability);
  CHECK(ask(*model, {0.6F, 0, 0.4F, 9}) == std::vector<float>{0.9F, 0.1F});

  const auto refused = load_plugin(classification(std::string(TUTTI_BIN) + "/plugins/threshold.so", 2, 3));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().what == "open returned 1: I choose between 2 classes, not 3");
  CHECK(refused.error().where == "threshold.so (threshold 1)");
}

TEST_CASE("plugin: the example in C++ prefers the nearest centre and refuses what is missing", "[plugin]") {
  const auto model = loaded(classification(std::string(TUTTI_BIN) + "/plugins/nearest_centroid.so", 4, 3));
  CHECK(model->shape().kind == OutputKind::probabilities);
  const auto answer = ask(*model, {5.1F, 3.5F, 1.4F, 0.2F, 6.3F, 3.3F, 6.0F, 2.5F});
  REQUIRE(answer.has_value());
  REQUIRE(answer->size() == 6);
  CHECK((*answer)[0] > 0.99F);
  CHECK((*answer)[5] > 0.5F);
  CHECK((*answer)[3] + (*answer)[4] + (*answer)[5] == Approx(1));

  const auto missing = ask(*model, {5.1F, 3.5F, 1.4F, 0.2F, 6.3F, std::nanf(""), 6.0F, 2.5F});
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().code == Errc::model_failed);
  CHECK(missing.error().what == "predict returned 1: row 1 has a number that is missing or infinite");
}

TEST_CASE("plugin: what is no plug-in is an error that says what is wrong", "[plugin]") {
  struct Wrong {
    const char* name;
    const char* what;
  };
  const Wrong wrong =
      GENERATE(Wrong{"no_symbol", "the library has no function tutti_plugin_v1"},
               Wrong{"wrong_abi", "the plug-in has ABI 99, this tutti has 1"},
               Wrong{"null_table", "tutti_plugin_v1 returned NULL"},
               Wrong{"null_predict", "name, open, predict or close is NULL"},
               Wrong{"no_outputs", "open reported 3 features, 0 outputs and meaning 0"},
               Wrong{"fail_at_open", "open returned 3: hostile: refused as asked"},
               Wrong{"throwing_at_open", "open threw: thrown at open"},
               Wrong{"undefined_symbol", "undefined symbol: tutti_tests_function_that_nobody_has"},
               Wrong{"there_is_none", "cannot open shared object file"});
  CAPTURE(wrong.name);
  const auto model = load_plugin(regression(test_plugin(wrong.name)));
  REQUIRE_FALSE(model.has_value());
  CAPTURE(describe(model.error()));
  CHECK(model.error().code == Errc::bad_model);
  CHECK(model.error().what.find(wrong.what) != std::string::npos);
  CHECK(model.error().where.starts_with(std::string(wrong.name) + ".so"));
  CHECK_FALSE(model.error().hint.empty());
}

TEST_CASE("plugin: a text file and a relative path are errors", "[plugin]") {
  const std::string path = std::string(TUTTI_BIN) + "/test_plugins/not_a_library.so";
  std::ofstream(path) << "not a library";
  const auto text = load_plugin(regression(path));
  REQUIRE_FALSE(text.has_value());
  CHECK(text.error().code == Errc::bad_model);

  const auto relative = load_plugin(regression("libm.so.6"));
  REQUIRE_FALSE(relative.has_value());
  CHECK(relative.error().what == "the path of a plug-in is not absolute");
}

TEST_CASE("plugin: a shape that differs from the ensemble's is reported as it is", "[plugin]") {
  const auto model = loaded(regression(test_plugin("wrong_shape")));
  CHECK(model->shape().features == 4);
}

TEST_CASE("plugin: an exception from predict fails the request and the next one is answered", "[plugin]") {
  const auto model = loaded(regression(test_plugin("throwing")));
  const auto standard = ask(*model, {1, 0, 0});
  REQUIRE_FALSE(standard.has_value());
  CHECK(standard.error().code == Errc::model_failed);
  CHECK(standard.error().what == "predict threw: thrown in predict");
  const auto other = ask(*model, {2, 0, 0});
  REQUIRE_FALSE(other.has_value());
  CHECK(other.error().what == "predict threw: something that is no std::exception");
  CHECK(ask(*model, {0, 0, 0}) == std::vector<float>{1});
}

TEST_CASE("plugin: no rows are no call", "[plugin]") {
  const auto model = loaded(regression(test_plugin("hostile")));
  CHECK(ask(*model, {}) == std::vector<float>{});
}

TEST_CASE("hostile: it answers normally when asked to", "[plugin][hostile]") {
  const auto model = loaded(regression(test_plugin("hostile")));
  CHECK(ask(*model, {HOSTILE_NORMAL, 2, 3, 1, 2, 3}) == std::vector<float>{6, 7});
  CHECK(ask(*model, {HOSTILE_SLOW, 1, 0}) == std::vector<float>{17});
  const auto classifier = loaded(classification(test_plugin("hostile"), 1, 3));
  CHECK(ask(*classifier, {HOSTILE_NORMAL}) ==
        std::vector<float>{1 - HOSTILE_PROBABILITY, 0, HOSTILE_PROBABILITY});
}

TEST_CASE("hostile: NaN, infinity and what was never written reach the caller as they are",
          "[plugin][hostile]") {
  const auto model = loaded(regression(test_plugin("hostile")));
  const auto is_nan = [](float number) { return std::isnan(number); };
  const auto nan = ask(*model, {HOSTILE_NAN, 0, 0, 0, 0, 0});
  REQUIRE(nan.has_value());
  CHECK(std::ranges::all_of(*nan, is_nan));
  CHECK(ask(*model, {HOSTILE_INFINITE, 0, 0}) == std::vector<float>{INFINITY});
  // Not the answer that lay there before.
  const auto forgotten = ask(*model, {HOSTILE_FORGET, 0, 0, 0, 0, 0});
  REQUIRE(forgotten.has_value());
  CHECK(std::ranges::all_of(*forgotten, is_nan));
}

TEST_CASE("hostile: its messages arrive as one bounded line of valid text", "[plugin][hostile]") {
  const auto model = loaded(regression(test_plugin("hostile")));
  const auto polite = ask(*model, {HOSTILE_ERROR, 0, 0});
  REQUIRE_FALSE(polite.has_value());
  CHECK(polite.error().what == "predict returned 1: " HOSTILE_MESSAGE);

  const auto rude = ask(*model, {HOSTILE_RUDE_ERROR, 0, 0});
  REQUIRE_FALSE(rude.has_value());
  CHECK(rude.error().what.starts_with("predict returned 2:  [2J ]0;owned   ERROR forged line ???? "));
  CHECK(rude.error().what.size() <= 300);
  CHECK(std::ranges::none_of(rude.error().what, [](char letter) { return letter >= 0 && letter < ' '; }));
}

TEST_CASE("hostile: it dies and stops in the ways that it promises", "[plugin][hostile]") {
  CHECK(WTERMSIG(status_after(HOSTILE_SIGKILL)) == SIGKILL);
  CHECK(WTERMSIG(status_after(HOSTILE_SIGSEGV)) == SIGSEGV);
  CHECK(WTERMSIG(status_after(HOSTILE_ABORT)) == SIGABRT);
  CHECK(WIFEXITED(status_after(HOSTILE_EXIT)));
  CHECK(WEXITSTATUS(status_after(HOSTILE_EXIT)) != 99);  // it did not come back
  CHECK(WIFSTOPPED(status_after(HOSTILE_SIGSTOP, WUNTRACED)));
  const int at_open =
      status_of_child([] { static_cast<void>(load_plugin(regression(test_plugin("crash_at_open")))); });
  CHECK(WTERMSIG(at_open) == SIGSEGV);
}

TEST_CASE("hostile: it scribbles over a shared memfd mapping and over nothing that is read-only",
          "[plugin][hostile]") {
  const auto behaviour = GENERATE(HOSTILE_SCRIBBLE, HOSTILE_SCRIBBLE_ON);
  const std::size_t bytes = 1 << 16;
  const int memory = memfd_create("tutti-test", MFD_CLOEXEC);
  REQUIRE(memory >= 0);
  REQUIRE(ftruncate(memory, static_cast<off_t>(bytes)) == 0);
  void* const mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  const int other = memfd_create("tutti-other", MFD_CLOEXEC);
  REQUIRE(ftruncate(other, static_cast<off_t>(bytes)) == 0);
  void* const read_only = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, other, 0);
  REQUIRE(mapping != MAP_FAILED);
  REQUIRE(read_only != MAP_FAILED);

  // In a child: the thread that scribbles on ends with it.
  const int status = status_of_child([&] {
    auto model = load_plugin(regression(test_plugin("hostile")));
    if (!model) _exit(98);
    if (!ask(**model, {static_cast<float>(behaviour), 0, 0}).has_value()) _exit(97);
    const volatile unsigned char* last = static_cast<unsigned char*>(mapping) + bytes - 8;
    while (std::all_of(last, last + 8, [](unsigned char byte) { return byte == 0; }))
      std::this_thread::yield();
  });
  CHECK(WEXITSTATUS(status) == 99);
  const auto* written = static_cast<const unsigned char*>(mapping);
  CHECK(std::count(written, written + bytes, 0) < static_cast<std::ptrdiff_t>(bytes / 16));
  const auto* kept = static_cast<const unsigned char*>(read_only);
  CHECK(std::count(kept, kept + bytes, 0) == static_cast<std::ptrdiff_t>(bytes));
  munmap(mapping, bytes);
  munmap(read_only, bytes);
  close(memory);
  close(other);
}

TEST_CASE("hostile: it floods stderr when asked to", "[plugin][hostile]") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    auto model = load_plugin(regression(test_plugin("hostile")));
    if (model) static_cast<void>(ask(**model, {HOSTILE_FLOOD, 0, 0}));
    _exit(0);
  }
  close(ends[1]);
  std::size_t lines = 0;
  std::vector<char> buffer(1 << 16);
  for (ssize_t got = 0; (got = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    lines += static_cast<std::size_t>(std::count(buffer.data(), buffer.data() + got, '\n'));
  }
  close(ends[0]);
  waitpid(child, nullptr, 0);
  CHECK(lines == HOSTILE_FLOOD_LINES);
}
