// Answers out: what each format writes, and what is left behind when writing fails.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "supervisor/data/sinks.hpp"
#include "tests/catch.hpp"
#include "tests/unit/table_support.hpp"

using namespace tutti;
using namespace tutti::table;

namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN();
using Missing = std::vector<std::pair<std::string, std::string>>;

/// Owns what AnswerRows views.
struct Rows {
  std::vector<float> answer;
  std::vector<float> spread;
  std::vector<float> disagreement;
  Missing missing;
  std::uint32_t votes = 3;

  [[nodiscard]] AnswerRows from(std::uint64_t first_row) const {
    return {.first_row = first_row,
            .rows = static_cast<std::uint32_t>(spread.size()),
            .answer = answer,
            .spread = spread,
            .disagreement = disagreement,
            .votes = votes,
            .missing = missing};
  }
};

Rows many(std::uint32_t rows, std::uint32_t outputs) {
  return {.answer = std::vector<float>(std::size_t{rows} * outputs, 0.25F),
          .spread = std::vector<float>(rows, 0.5F),
          .disagreement = std::vector<float>(rows, 0),
          .missing = {}};
}

std::unique_ptr<AnswerSink> open_or_fail(const SinkRequest& request) {
  Result<std::unique_ptr<AnswerSink>> sink = open_sink(request);
  if (!sink) FAIL(describe(sink.error()));
  return std::move(*sink);
}

std::string written(const SinkRequest& request, const std::vector<Rows>& requests) {
  const auto sink = open_or_fail(request);
  std::uint64_t first = 0;
  for (const Rows& rows : requests) {
    CHECK(sink->write(rows.from(first)));
    first += rows.spread.size();
  }
  CHECK(sink->close());
  return bytes_of_file(request.path);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// Writes to /dev/full until the error comes: at the latest from close().
Result<void> fill(AnswerSink& sink, std::uint32_t outputs) {
  std::uint64_t first = 0;
  for (int round = 0; round < 100; ++round, first += 1000) {
    const Result<void> result = sink.write(many(1000, outputs).from(first));
    if (!result) return result;
  }
  return sink.close();
}

}  // namespace

TEST_CASE("sink: csv of a classification", "[sink]") {
  const TemporaryDirectory directory;
  const Rows voted{
      .answer = {0.25F, 0.75F, 0.5F, 0.5F}, .spread = {0.1F, 0}, .disagreement = {0, 1}, .missing = {}};
  const Rows partly{.answer = {kNan, kNan},
                    .spread = {kNan},
                    .disagreement = {kNan},
                    .missing = {{"boosted", "crashed: SIGKILL"}, {"linear", "late"}},
                    .votes = 0};
  CHECK(written({.path = directory / "out.csv", .format = "", .classes = {"benign", "a, \"b\""}},
                {voted, partly}) ==
        "row,label,p_benign,\"p_a, \"\"b\"\"\",spread,disagreement,votes,missing\n"
        "0,\"a, \"\"b\"\"\",0.25,0.75,0.1,0,3,\n"
        "1,benign,0.5,0.5,0,1,3,\n"
        "2,,,,,,0,boosted: crashed: SIGKILL; linear: late\n");
}

TEST_CASE("sink: csv of a regression", "[sink]") {
  const TemporaryDirectory directory;
  const Rows rows{.answer = {1.5F, kNan},
                  .spread = {0.1F, kNan},
                  .disagreement = {0, kNan},
                  .missing = {{"a", "said \"no\", twice\nand more"}}};
  CHECK(written({.path = directory / "out.csv", .format = "", .classes = {}}, {rows}) ==
        "row,prediction,spread,disagreement,votes,missing\n"
        "0,1.5,0.1,0,3,\"a: said \"\"no\"\", twice\nand more\"\n"
        "1,,,,3,\"a: said \"\"no\"\", twice\nand more\"\n");
}

TEST_CASE("sink: json lines are objects that any parser reads", "[sink]") {
  const TemporaryDirectory directory;
  // A cause may hold any bytes that a worker sent.
  const Rows rows{.answer = {0.25F, 0.75F, kNan, kNan},
                  .spread = {0.1F, kNan},
                  .disagreement = {1e-9F, 3e38F},
                  .missing = {{"a", "said \"\xff\x01\"\n"}, {"b", "late"}}};
  const std::string text =
      written({.path = directory / "out.jsonl", .format = "", .classes = {"no", "y\"es"}}, {rows});
  const std::vector<std::string> lines = lines_of(text);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] ==
        "{\"row\":0,\"label\":\"y\\\"es\",\"probabilities\":[0.25,0.75],\"spread\":0.1,"
        "\"disagreement\":1e-09,\"votes\":3,\"missing\":[{\"member\":\"a\",\"cause\":"
        "\"said "
        "\\\"\xEF\xBF\xBD\\u0001\\\"\\n\"},{\"member\":\"b\",\"cause\":\"late\"}],\"isolation\":\"none\"}");
  const nlohmann::json second = nlohmann::json::parse(lines[1]);
  CHECK(second["label"].is_null());
  CHECK(second["probabilities"].is_null());
  CHECK(second["spread"].is_null());
  CHECK(second["disagreement"].get<float>() == 3e38F);
}

TEST_CASE("sink: json lines of a regression, with null for what is not finite", "[sink]") {
  const TemporaryDirectory directory;
  const float infinity = std::numeric_limits<float>::infinity();
  const Rows rows{
      .answer = {1.5F, kNan, infinity}, .spread = {0, 0, 0}, .disagreement = {0, 0, 0}, .missing = {}};
  const auto lines = lines_of(written({.path = directory / "out", .format = "jsonl", .classes = {}}, {rows}));
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] ==
        "{\"row\":0,\"prediction\":1.5,\"spread\":0,\"disagreement\":0,\"votes\":3,\"missing\":[],"
        "\"isolation\":\"none\"}");
  CHECK(nlohmann::json::parse(lines[1])["prediction"].is_null());
  CHECK(nlohmann::json::parse(lines[2])["prediction"].is_null());
}

TEST_CASE("sink: numbers read back to the same float32", "[sink]") {
  std::mt19937_64 random(5);
  for (int round = 0; round < 10'000; ++round) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    std::string text;
    append_float(text, value);
    CHECK(std::strtof(text.c_str(), nullptr) == value);
  }
}

TEST_CASE("sink: npy is read back by the reader, also past one buffer", "[sink]") {
  const TemporaryDirectory directory;
  Rows rows = many(20'000, 3);
  for (std::size_t index = 0; index < rows.answer.size(); ++index)
    rows.answer[index] = static_cast<float>(index);
  rows.answer[4] = kNan;
  const std::string bytes =
      written({.path = directory / "out.npy", .format = "", .classes = {"a", "b", "c"}}, {rows, rows});
  CHECK(bytes.size() == 128 + 40'000 * 12);
  CHECK(bytes.substr(0, 128).find("'shape': (40000, 3), }") != std::string::npos);
  const Table table = drain(open_table(
      {.path = directory / "out.npy", .features = 3, .feature_names = {}, .target = "", .classes = {}}));
  INFO(table.what());
  REQUIRE(table.rows == 40'000);
  CHECK(same_values<float>(std::span(table.features).first(rows.answer.size()), rows.answer));
}

TEST_CASE("sink: npy of a regression has one dimension", "[sink]") {
  const TemporaryDirectory directory;
  const std::string bytes =
      written({.path = directory / "out.npy", .format = "", .classes = {}}, {many(2, 1)});
  CHECK(bytes.substr(0, 128).find("'shape': (2,), }") != std::string::npos);
  CHECK(bytes.size() == 128 + 8);
}

TEST_CASE("sink: the format goes by name, then by the path's ending", "[sink]") {
  const TemporaryDirectory directory;
  CHECK(written({.path = directory / "out.csv", .format = "jsonl", .classes = {}}, {many(1, 1)})
            .starts_with('{'));
  for (const auto& [path, format] :
       {std::pair("out.parquet", ""), {"out", ""}, {"csv", ""}, {"out.csv", "jsnl"}}) {
    const auto refused = open_sink({.path = directory / path, .format = format, .classes = {}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::bad_usage);
    CHECK(refused.error().hint.find("formats are csv, jsonl and npy") != std::string::npos);
  }
  CHECK(directory.names() == std::vector<std::string>{"out.csv"});
}

TEST_CASE("sink: until it is closed a file has its old content, and nothing stands or is left beside it",
          "[sink]") {
  const TemporaryDirectory directory;
  write_file(directory / "out.csv", "old");
  const auto sink = open_or_fail({.path = directory / "out.csv", .format = "", .classes = {}});
  REQUIRE(sink->write(many(10'000, 1).from(0)));
  CHECK(bytes_of_file(directory / "out.csv") == "old");
  CHECK(directory.names() == std::vector<std::string>{"out.csv"});
  REQUIRE(sink->close());
  CHECK(sink->kept_in() == directory / "out.csv");
  CHECK(lines_of(bytes_of_file(directory / "out.csv")).size() == 10'001);
  CHECK(directory.names() == std::vector<std::string>{"out.csv"});
  CHECK(sink->close());  // a second close is harmless
}

TEST_CASE("sink: a sink destroyed without close leaves what is complete", "[sink]") {
  const TemporaryDirectory directory;
  for (const char* name : {"out.csv", "out.jsonl", "out.npy"}) {
    const auto sink = open_or_fail({.path = directory / name, .format = "", .classes = {}});
    REQUIRE(sink->write(many(2, 1).from(0)));
  }
  CHECK(lines_of(bytes_of_file(directory / "out.csv")).size() == 3);
  CHECK(lines_of(bytes_of_file(directory / "out.jsonl")).size() == 2);
  CHECK(bytes_of_file(directory / "out.npy").find("(2,)") != std::string::npos);
  CHECK(directory.names().size() == 3);
}

TEST_CASE("sink: a file system without nameless files gets the same file in the end", "[sink]") {
  const TemporaryDirectory directory;
  for (const bool older : {false, true}) {
    Result<std::unique_ptr<OutputFile>> file =
        OutputFile::open(directory / "out.csv", OutputFile::Naming::at_once);
    REQUIRE(file);
    CHECK(directory.names().size() == (older ? 2 : 1));
    const auto sink = make_csv_sink(std::move(*file), {});
    REQUIRE(sink->write(many(older ? 2 : 1, 1).from(0)));
    REQUIRE(sink->close());
    CHECK(lines_of(bytes_of_file(directory / "out.csv")).size() == (older ? 3 : 2));
    CHECK(directory.names() == std::vector<std::string>{"out.csv"});
  }
}

TEST_CASE("sink: rows that were cut short never replace an older file", "[sink]") {
  const std::string name = GENERATE(as<std::string>{}, "out.csv", "out.npy");
  const auto naming = GENERATE(OutputFile::Naming::at_close, OutputFile::Naming::at_once);
  const TemporaryDirectory directory;
  const std::string path = directory / name;
  const auto cut_short = [&](std::uint32_t rows) {
    Result<std::unique_ptr<OutputFile>> file = OutputFile::open(path, naming);
    REQUIRE(file);
    const auto sink = name == "out.csv" ? make_csv_sink(std::move(*file), {})
                                        : make_npy_sink(std::move(*file), 1, false, kNpyHeldBytesMax);
    if (rows > 0) REQUIRE(sink->write(many(rows, 1).from(0)));
    REQUIRE(sink->close(Ending::cut_short));
    return sink->kept_in();
  };
  using Names = std::vector<std::string>;

  CHECK(cut_short(0).empty());  // a header alone is nothing
  CHECK(directory.names() == Names{});
  CHECK(cut_short(3) == path);  // without an older file there is nothing to lose
  CHECK(directory.names() == Names{name});
  const std::string older = bytes_of_file(path);
  CHECK(cut_short(0).empty());
  CHECK(directory.names() == Names{name});
  CHECK(cut_short(2).ends_with("/" + name + ".partial"));
  CHECK(bytes_of_file(path) == older);
  const std::string partial = bytes_of_file(path + ".partial");
  CHECK(partial.size() < older.size());
  CHECK(cut_short(3).ends_with(".partial"));  // replaces an older partial one
  CHECK(bytes_of_file(path + ".partial") == older);
}

TEST_CASE("sink: a file keeps its mode, and a symbolic link stays one", "[sink]") {
  const TemporaryDirectory directory;
  write_file(directory / "real.csv", "old");
  REQUIRE(::chmod((directory / "real.csv").c_str(), 0600) == 0);
  REQUIRE(::symlink("real.csv", (directory / "link.csv").c_str()) == 0);
  CHECK(
      lines_of(written({.path = directory / "link.csv", .format = "", .classes = {}}, {many(1, 1)})).size() ==
      2);
  CHECK(std::filesystem::is_symlink(directory / "link.csv"));
  struct stat status{};
  REQUIRE(::stat((directory / "real.csv").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("sink: a place that cannot be written to is refused at once", "[sink]") {
  const TemporaryDirectory directory;
  write_file(directory / "file", "");
  ::mkdir((directory / "folder.csv").c_str(), 0700);
  for (const char* path : {"none/out.csv", "file/out.csv", "folder.csv"}) {
    const auto refused = open_sink({.path = directory / path, .format = "csv", .classes = {}});
    INFO(path);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::system);
    CHECK(refused.error().where == directory / path);
  }
  CHECK_FALSE(open_sink({.path = "", .format = "csv", .classes = {}}));
}

TEST_CASE("sink: a full disk is an error with its path, in every format", "[sink]") {
  for (const char* format : {"csv", "jsonl", "npy"}) {
    const auto sink = open_or_fail({.path = "/dev/full", .format = format, .classes = {}});
    const Result<void> result = fill(*sink, 1);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Errc::system);
    CHECK(result.error().what == "write: No space left on device");
    CHECK(result.error().where == "/dev/full");
    CHECK_FALSE(sink->close());  // said again, not forgotten
  }
}

TEST_CASE("sink: a file that cannot grow keeps its whole rows", "[sink]") {
  // Goal: hours of answers survive a full disk. Method: a limit on the file's size stands in for the disk;
  // the signal that comes with it is ignored, so write() fails half way through a buffer.
  const TemporaryDirectory directory;
  const rlimit before = [] {
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    return limit;
  }();
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  const auto write_limited = [&](const std::string& name) {
    const auto sink = open_or_fail({.path = directory / name, .format = "", .classes = {"a", "b"}});
    const rlimit small{.rlim_cur = 100'001, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const Result<void> result = fill(*sink, 2);
    const Result<void> closed = sink->close();
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK_FALSE(result);
    CHECK_FALSE(closed);
    return bytes_of_file(directory / name);
  };
  const std::string csv = write_limited("out.csv");
  const std::string npy = write_limited("out.npy");
  std::signal(SIGXFSZ, handler);

  const std::vector<std::string> lines = lines_of(csv);
  CHECK(lines.size() > 1000);
  CHECK(csv.ends_with("\n"));
  CHECK(lines.back() == std::to_string(lines.size() - 2) + ",a,0.25,0.25,0.5,0,3,");
  const Table table = drain(open_table(
      {.path = directory / "out.npy", .features = 2, .feature_names = {}, .target = "", .classes = {}}));
  INFO(table.what());
  CHECK_FALSE(table.error);
  CHECK(table.rows * 8 + 128 == npy.size());
  CHECK(table.rows > 1000);
}

TEST_CASE("sink: a pipe without a reader is an error, not a signal", "[sink]") {
  // SIGPIPE is ignored by main(); here the test does it.
  auto* const handler = std::signal(SIGPIPE, SIG_IGN);
  const TemporaryDirectory directory;
  const std::string path = directory / "fifo.csv";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  const auto sink = open_or_fail({.path = path, .format = "", .classes = {}});
  ::close(reader);
  const Result<void> result = sink->write(many(1, 1).from(0));
  std::signal(SIGPIPE, handler);
  REQUIRE_FALSE(result);
  CHECK(result.error().what == "write: Broken pipe");
}

TEST_CASE("sink: a pipe gets each request's rows at once, and npy as a whole", "[sink]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "fifo";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  const auto available = [&] {
    std::array<char, 4096> bytes;
    const ssize_t count = ::read(reader, bytes.data(), bytes.size());
    return std::string(bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  };
  const auto csv = open_or_fail({.path = path, .format = "csv", .classes = {}});
  REQUIRE(csv->write(many(1, 1).from(0)));
  CHECK(lines_of(available()).size() == 2);
  REQUIRE(csv->write(many(1, 1).from(1)));
  CHECK(lines_of(available()).size() == 1);

  const auto npy = open_or_fail({.path = path, .format = "npy", .classes = {}});
  REQUIRE(npy->write(many(2, 1).from(0)));
  CHECK(available().empty());
  REQUIRE(npy->close());
  const std::string bytes = available();
  CHECK(bytes.size() == 128 + 8);
  CHECK(bytes.find("(2,)") != std::string::npos);
  ::close(reader);
}

TEST_CASE("sink: npy on a pipe is refused beyond its memory, and what was kept is written", "[sink]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "fifo";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  Result<std::unique_ptr<OutputFile>> file = OutputFile::open(path);
  REQUIRE(file);
  const auto sink = make_npy_sink(std::move(*file), 1, false, 40);
  CHECK(sink->write(many(10, 1).from(0)));
  const Result<void> refused = sink->write(many(1, 1).from(10));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().hint.find("write to a file") != std::string::npos);
  CHECK(sink->close());
  std::array<char, 4096> bytes;
  CHECK(::read(reader, bytes.data(), bytes.size()) == 128 + 40);
  ::close(reader);
}
