// The files: a config that cannot be read, models that are not there, bytes that are no text.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/catch.hpp"
#include "tests/unit/config_fixture.hpp"

namespace tutti {
namespace {

namespace fs = std::filesystem;

/// A directory of its own, gone afterwards.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "tutti-config-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string at(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, std::string_view text) const {
    std::ofstream(at(name), std::ios::binary) << text;
    return at(name);
  }

 private:
  fs::path path_;
};

std::string load_problems(const std::string& path) {
  ConfigSource source;
  source.path = path;
  const auto config = load_config(source);
  std::string all;
  if (config) return all;
  for (const ConfigProblem& problem : config.error()) all += describe(problem, false);
  return all;
}

TEST_CASE("file: a config is loaded, its models found beside it", "[config]") {
  const Folder folder;
  fs::create_directory(folder.at("sub"));
  folder.write("boosted.json", "{}");
  folder.write("linear.json", "{}");
  const std::string text = with(std::string(kSmallConfig), "\"linear.json\"", "\"sub/.././linear.json\"");
  ConfigSource source;
  source.path = folder.write("small.toml", text);
  const auto config = load_config(source);
  REQUIRE(config.has_value());
  CHECK(config->path == source.path);
  CHECK(config->members[0].model == folder.at("boosted.json"));
  CHECK(config->members[1].model == folder.at("linear.json"));
  CHECK(check_config(*config).empty());
}

TEST_CASE("file: a relative path is told as it was given, and its models are found all the same",
          "[config]") {
  const Folder folder;
  folder.write("boosted.json", "{}");
  folder.write("linear.json", "{}");
  folder.write("small.toml", kSmallConfig);
  ConfigSource source;
  source.path = fs::relative(folder.at("small.toml")).string();
  const auto config = load_config(source);
  REQUIRE(config.has_value());
  CHECK(config->members[0].where == source.path + ":6:1");
  CHECK(fs::path(config->members[0].model).is_absolute());
}

TEST_CASE("file: each model that cannot be used is told with the reason", "[config]") {
  const Folder folder;
  fs::create_directory(folder.at("boosted.json"));
  REQUIRE(::mkfifo(folder.at("linear.json").c_str(), 0600) == 0);
  const std::string path = folder.write(
      "small.toml", std::string(kSmallConfig) + "[combine]\nrule = \"stacking\"\nmodel = \"missing.json\"\n");
  const std::string hint = "; a model is a readable file, its path relative to the config file\n";
  CHECK(load_problems(path) ==
        path + ":8:9: error: model \"" + folder.at("boosted.json") + "\" cannot be used: it is a directory" +
            hint + "  model = \"boosted.json\"\n          ^\n" + path + ":11:9: error: model \"" +
            folder.at("linear.json") + "\" cannot be used: it is not a regular file" + hint +
            "  model = \"linear.json\"\n          ^\n" + path + ":14:9: error: model \"" +
            folder.at("missing.json") + "\" cannot be used: No such file or directory" + hint +
            "  model = \"missing.json\"\n          ^\n");
}

TEST_CASE("file: what is no readable file is refused without waiting", "[config]") {
  const Folder folder;
  CHECK(load_problems(folder.at("none.toml")) ==
        folder.at("none.toml") +
            ": error: cannot be read: No such file or directory; check the path and its permissions\n");
  CHECK(load_problems("") ==
        "config: error: cannot be read: No such file or directory; check the path and its permissions\n");
  CHECK(load_problems(folder.at(".")) ==
        folder.at(".") + ": error: a directory, not a file; name the config's TOML file\n");
  // Nobody ever writes to this FIFO: a blocking open would hang here.
  REQUIRE(::mkfifo(folder.at("fifo").c_str(), 0600) == 0);
  CHECK(load_problems(folder.at("fifo")) ==
        folder.at("fifo") + ": error: not a regular file; name the config's TOML file\n");
  CHECK(load_problems("/dev/zero") == "/dev/zero: error: not a regular file; name the config's TOML file\n");
}

TEST_CASE("file: one byte above the limit is too large, the limit is not", "[config]") {
  const Folder folder;
  std::string text(kSmallConfig);
  text += "#" + std::string(kConfigBytesMax - text.size() - 1, 'x');
  REQUIRE(text.size() == kConfigBytesMax);
  folder.write("boosted.json", "{}");
  folder.write("linear.json", "{}");
  CHECK(load_problems(folder.write("most.toml", text)).empty());
  const std::string path = folder.write("more.toml", text + "x");
  CHECK(load_problems(path) == path +
                                   ": error: larger than 1048576 bytes; a config names models and settings; "
                                   "is this the right file?\n");
}

TEST_CASE("file: bytes that are no UTF-8 text are told by their place", "[config]") {
  using namespace std::string_literals;
  CHECK(problems_in("# fine\n# \xc3\xa9 \xff\n") ==
        "/configs/small.toml:2:5: error: byte 0xff is not UTF-8; save the file as UTF-8 text\n"
        "  # \xc3\xa9 \xef\xbf\xbd\n"
        "      ^\n");
  CHECK(problems_in("a = 1\n\0"s) ==
        "/configs/small.toml:2:1: error: a NUL byte; this is not a text file; save the file as UTF-8 text\n"
        "  \xef\xbf\xbd\n"
        "  ^\n");
  // Overlong forms, surrogates, beyond U+10FFFF, cut short.
  for (const std::string bytes : {"\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                  "\xf0\x8f\xbf\xbf", "\xe2\x82", "\x80", "\xf8\x88\x80\x80\x80"}) {
    INFO(static_cast<int>(static_cast<unsigned char>(bytes[0])));
    CHECK(problems_in("# " + bytes).find("1:3: error: byte 0x") != std::string::npos);
  }
}

TEST_CASE("file: nothing in it drives the terminal of whoever reads its errors", "[config]") {
  const std::string text = problems_in("\"\\u001b[31m\" = 1\n# \x1b[31m\n\x1b[2J = 2\n");
  CHECK_FALSE(text.empty());
  CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("file: deep nesting is refused before it is parsed", "[config]") {
  // Goal: toml++ frees tables by recursion; each of these would overflow the stack. Method: a megabyte of
  // depth.
  const auto repeated = [](std::string_view part, std::size_t times) {
    std::string all;
    for (std::size_t index = 0; index < times; ++index) all += part;
    return all;
  };
  for (const std::string& text : {repeated("a.", 400'000) + "a = 1", "[" + repeated("a . ", 200'000) + "a]",
                                  repeated("\"a\".", 200'000) + "a = 1", "x = " + repeated("[", 500'000),
                                  "x = " + repeated("{a=", 300'000), repeated("[", 100'000),
                                  "x = {" + repeated("a.", 100'000) + "b = 1}"}) {
    const auto config = parse_config(text, small_source());
    REQUIRE_FALSE(config.has_value());
    REQUIRE(config.error().size() == 1);
    CHECK(config.error().front().error.what == "nested deeper than 16 levels");
  }
  // Dots and brackets that nest nothing: in texts, in comments, in lists of numbers.
  const std::string dots(100, '.');
  const std::string brackets(100, '[');
  CHECK(problems_in(with(std::string(kSmallConfig), "\"no\"", "\"" + dots + "\\\"" + brackets + "\"") + "# " +
                    dots + brackets + "\n[combine]\nintercept = [" + repeated("0.5,\n", 100) + "]\n")
            .empty());
  CHECK(
      problems_in(with(std::string(kSmallConfig), "\"no\"", "'''" + dots + "''" + brackets + "'''")).empty());
}

TEST_CASE("file: the models that can be opened are told, whatever else is wrong", "[config]") {
  // Goal: tutti check shows a broken model and a broken setting in one run.
  const Folder folder;
  folder.write("boosted.json", "{}");
  ConfigSource source;
  const auto examined = [&](std::string_view text) {
    source.path = folder.write("small.toml", text);
    return examine_config(source);
  };
  const std::string text = std::string(kSmallConfig) + "weight = -1\n[answer]\nquorum = 9\n";
  const ConfigReport report = examined(text);
  CHECK(report.problems.size() == 3);  // the weight, the quorum, and linear.json, which is not there
  REQUIRE(report.openable);
  REQUIRE(report.openable->members.size() == 1);
  CHECK(report.openable->members[0].name == "boosted");
  CHECK(report.openable->members[0].model == folder.at("boosted.json"));
  CHECK(report.openable->members[0].where == folder.at("small.toml") + ":6:1");
  CHECK(report.openable->classes == std::vector<std::string>{"no", "yes"});
  CHECK(report.openable->features == 3);
  CHECK(check_config(*report.openable).empty());

  // Without the shapes no model can be judged.
  CHECK_FALSE(examined(with(text, "features = 3", "features = -3")).openable);
  CHECK_FALSE(examined(with(text, "task = \"classification\"", "task = \"regression\"")).openable);
  CHECK_FALSE(examined("[ensemble").openable);
  source.path = folder.at("none.toml");
  CHECK(examine_config(source).problems.size() == 1);
}

TEST_CASE("file: a stacking model is opened only with all of the members that it stacks", "[config]") {
  const Folder folder;
  for (const char* name : {"boosted.json", "linear.json", "stack.json"}) folder.write(name, "{}");
  ConfigSource source;
  const std::string text = std::string(kSmallConfig) +
                           "[combine]\nrule = \"stacking\"\nmodel = \"stack.json\"\n[answer]\nquorum = 9\n";
  source.path = folder.write("small.toml", text);
  const ConfigReport whole = examine_config(source);
  CHECK(whole.problems.size() == 1);
  REQUIRE(whole.openable);
  CHECK(whole.openable->combine.model == folder.at("stack.json"));

  folder.write("small.toml", with(text, "linear.json", "none.json"));
  const ConfigReport part = examine_config(source);
  REQUIRE(part.openable);
  CHECK(part.openable->members.size() == 1);
  CHECK(part.openable->combine.model.empty());
}

}  // namespace
}  // namespace tutti
