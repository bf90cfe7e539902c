// CSV in: what is read, what is refused and where, and that it doesn't matter how the bytes come.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cmath>
#include <limits>
#include <thread>

#include "tests/catch.hpp"
#include "tests/unit/table_support.hpp"

using namespace tutti;
using namespace tutti::table;

namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN();

TableRequest by_name(std::vector<std::string> names, std::string target = "",
                     std::vector<std::string> classes = {}) {
  return {.path = "rows.csv",
          .features = static_cast<std::uint32_t>(names.size()),
          .feature_names = names,
          .target = target,
          .classes = classes};
}

TableRequest by_position(std::uint32_t features, std::string target = "",
                         std::vector<std::string> classes = {}) {
  return {
      .path = "rows.csv", .features = features, .feature_names = {}, .target = target, .classes = classes};
}

/// The features, when there is no error.
void check_rows(const Table& table, const std::vector<float>& features) {
  INFO(table.what() << " at " << table.where());
  CHECK_FALSE(table.error);
  CHECK(same_values<float>(table.features, features));
}

void check_error(const Table& table, const std::string& where, const std::string& what) {
  REQUIRE(table.error);
  CHECK(table.error->code == Errc::bad_data);
  CHECK(table.where() == where);
  CHECK(table.what() == what);
  CHECK_FALSE(table.hint().empty());
}

/// Endless bytes that counts what was asked of it.
class EndlessSource final : public ByteSource {
 public:
  explicit EndlessSource(std::uint64_t& taken) : taken_(taken) {}
  Result<std::size_t> read(std::span<char> into) override {
    std::ranges::fill(into, 'x');
    taken_ += into.size();
    return into.size();
  }
  [[nodiscard]] bool ready() const override { return true; }
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return std::nullopt; }
  [[nodiscard]] bool is_file() const override { return false; }
  [[nodiscard]] const std::string& name() const override { return name_; }

 private:
  std::uint64_t& taken_;
  std::string name_ = "endless";
};

}  // namespace

TEST_CASE("csv: columns are found by name, in any order, and others are ignored", "[csv]") {
  check_rows(read_table("b,note,a\n2,\"x, y\",1\n4,,3\n", by_name({"a", "b"})), {1, 2, 3, 4});
}

TEST_CASE("csv: without names all columns but the target are features", "[csv]") {
  const Table table = read_table("a,y,b\n1,7,2\n3,8,4\n", by_position(2, "y"));
  check_rows(table, {1, 2, 3, 4});
  CHECK(table.targets == std::vector<double>{7, 8});
}

TEST_CASE("csv: a first line of numbers is a row, any other is a header", "[csv]") {
  check_rows(read_table("1,2\n3,4\n", by_position(2)), {1, 2, 3, 4});
  check_rows(read_table("1,b\n3,4\n", by_position(2)), {3, 4});
  // A row may lack values, and its target may be a class: neither makes it a header.
  check_rows(read_table("1,,NA\n", by_position(3)), {1, kNan, kNan});
  const Table table = read_table("1,2,benign\n", by_position(2, "-1", {"malignant", "benign"}));
  check_rows(table, {1, 2});
  CHECK(table.targets == std::vector<double>{1});
}

TEST_CASE("csv: the target of a headerless file is a column number, also from the end", "[csv]") {
  CHECK(read_table("5,1\n6,2\n", by_position(1, "0")).targets == std::vector<double>{5, 6});
  CHECK(read_table("5,1\n6,2\n", by_position(1, "-1")).targets == std::vector<double>{1, 2});
  for (const char* target : {"2", "-3", "y", "1.5", "99999999999999999999", "--1", "0x1"}) {
    check_error(read_table("5,1\n", by_position(1, target)), "rows.csv:1:1",
                fmt::format("the target '{}' is not one of the file's 2 columns", target));
  }
}

TEST_CASE("csv: an empty field, nan, NaN, NA and ? are missing values", "[csv]") {
  check_rows(read_table("a,b\n,nan\nNaN,NA\n?, \n\"\",1\n", by_name({"a", "b"})),
             {kNan, kNan, kNan, kNan, kNan, kNan, kNan, 1});
}

TEST_CASE("csv: CRLF, a byte order mark, spaces, blank lines and a missing last line break are taken",
          "[csv]") {
  check_rows(read_table("\xEF\xBB\xBF"
                        "a,b\r\n\r\n 1 ,\t2\r\n  \n3,4",
                        by_name({"a", "b"})),
             {1, 2, 3, 4});
  check_rows(read_table("a\n1\r\n2\r", by_name({"a"})), {1, 2});
}

TEST_CASE("csv: quoted fields may hold commas, quotes and line breaks, and lines are still counted",
          "[csv]") {
  const std::string start = "\"a \"\"x\"\"\",\"note, long\"\n\"1.5\",\"one\ntwo\"\n";
  check_rows(read_table(start + " \"2\" , z\n", by_name({"a \"x\""})), {1.5F, 2});
  // The third record stands in line 4: the second holds a line break.
  check_error(read_table(start + "2,z\nbad,z\n", by_name({"a \"x\""})), "rows.csv:5:1",
              "'bad' is not a number");
  // A field after a line break inside its record has the column of its own line.
  check_error(read_table("n,a\n\"1\n23\",oops\n", by_name({"a"})), "rows.csv:3:5", "'oops' is not a number");
}

TEST_CASE("csv: a row with too few or too many fields is refused where it goes wrong", "[csv]") {
  check_error(read_table("a,b,c\n1,2,3\n1,2\n", by_name({"a", "b", "c"})), "rows.csv:3:4",
              "the row has 2 fields, expected 3");
  check_error(read_table("a,b\n1,2,3,4\n", by_name({"a", "b"})), "rows.csv:2:5",
              "the row has 4 fields, expected 2");
  check_error(read_table("a,b\n1\n", by_name({"a", "b"})), "rows.csv:2:2", "the row has 1 field, expected 2");
  // Also in columns that nobody reads, and with an empty field at the end.
  check_error(read_table("a,b\n1,2,\n", by_name({"a"})), "rows.csv:2:5", "the row has 3 fields, expected 2");
}

TEST_CASE("csv: text where a number should be is shown with its place", "[csv]") {
  const Table table = read_table("a,b\n1,2\n3,  four\n5,6\n", by_name({"a", "b"}));
  check_error(table, "rows.csv:3:5", "'four' is not a number");
  // The rows before the error are delivered.
  CHECK(table.rows == 1);
  CHECK(table.features == std::vector<float>{1, 2});
}

TEST_CASE("csv: an infinite value is refused and missing ones are suggested", "[csv]") {
  const Table infinite = read_table("a\n1\n-inf\n", by_name({"a"}));
  check_error(infinite, "rows.csv:3:1", "'-inf' is not a finite number");
  CHECK(infinite.hint().find("empty field") != std::string::npos);
  check_error(read_table("a\n1e39\n", by_name({"a"})), "rows.csv:2:1",
              "'1e39' is beyond float32, whose largest value is 3.4e38");
}

TEST_CASE("csv: what an error shows of the data cannot drive a terminal and is short", "[csv]") {
  check_error(read_table("a\n\x1b[2J\xff\xc3\xa9\xc2\x9b\n", by_name({"a"})), "rows.csv:2:1",
              "'\\x1b[2J\\xff\xc3\xa9\\xc2\\x9b' is not a number");
  const Table table = read_table("a\n" + std::string(100'000, 'z') + "\n", by_name({"a"}));
  check_error(table, "rows.csv:2:1", "'" + std::string(60, 'z') + "…' is not a number");
}

TEST_CASE("csv: missing columns are all named, with what they may be", "[csv]") {
  const Table table =
      read_table("mean_radius,texture,label\n1,2,3\n", by_name({"mean_radus", "texture", "area"}));
  check_error(table, "rows.csv:1:1", "2 columns are missing: 'mean_radus', 'area'");
  CHECK(table.hint().find("'mean_radus' may be 'mean_radius'") != std::string::npos);
  const Table target = read_table("a,label\n1,2\n", by_name({"a"}, "labl"));
  check_error(target, "rows.csv:1:1", "a column is missing: 'labl'");
  CHECK(target.hint().find("'label'") != std::string::npos);
  // A column number that the header has a name for: the name is what is wanted.
  for (const char* number : {"1", "-1"}) {
    const Table numbered = read_table("a,label\n1,2\n", by_name({"a"}, number));
    check_error(numbered, "rows.csv:1:1", fmt::format("a column is missing: '{}'", number));
    CHECK(numbered.hint() ==
          fmt::format("the file has a header, so the target goes by its name; column {} is "
                      "called 'label'",
                      number));
  }
  CHECK(read_table("a,label\n1,2\n", by_name({"a"}, "2")).hint().find("goes by its name") ==
        std::string::npos);
}

TEST_CASE("csv: a header that is none gets a hint of its own", "[csv]") {
  CHECK(read_table("a;b\n1;2\n", by_name({"a", "b"})).hint() ==
        "fields are separated by commas, and this header has none");
  CHECK(read_table("1,2\n3,4\n", by_name({"a", "b"})).hint() ==
        "the first line holds numbers; add a header line that names the columns");
}

TEST_CASE("csv: a wanted name that stands twice is refused, another may", "[csv]") {
  check_error(read_table("a,b,a\n1,2,3\n", by_name({"a", "b"})), "rows.csv:1:5",
              "column 'a' stands twice in the header");
  check_rows(read_table("x,b,x\n1,2,3\n", by_name({"b"})), {2});
  check_error(read_table("a,b\n1,2\n", by_name({"a", "b"}, "b")), "rows.csv:1:3",
              "column 'b' is wanted twice");
}

TEST_CASE("csv: a wrong number of columns says what was expected", "[csv]") {
  check_error(read_table("1,2,3\n", by_position(2)), "rows.csv:1:1",
              "the file has 3 columns, expected 2: 2 features");
  check_error(read_table("a,b,y\n1,2,3\n", by_position(1, "y")), "rows.csv:1:1",
              "the file has 3 columns, expected 2: 1 feature and the target");
}

TEST_CASE("csv: a file without rows is refused", "[csv]") {
  for (const char* bytes : {"", "\n\r\n  \n", "\xEF\xBB\xBF", "\xEF"}) {
    INFO(bytes);
    CHECK(read_table(bytes, by_position(1)).error);
  }
  check_error(read_table("", by_position(1)), "rows.csv", "the file is empty");
  check_error(read_table("a,b\n\n", by_name({"a"})), "rows.csv", "no rows follow the header");
}

TEST_CASE("csv: after an error, or the end, a reader gives no more rows", "[csv]") {
  auto reader = open_table(memory("a\n1\nx\n2\n"), by_name({"a"}), {});
  REQUIRE(reader);
  TableChunk chunk;
  CHECK_FALSE((*reader)->read(10, chunk));
  CHECK(chunk.rows == 1);
  CHECK((*reader)->read(10, chunk));
  CHECK(chunk.rows == 0);
}

TEST_CASE("csv: quotes out of place are refused where they stand", "[csv]") {
  check_error(read_table("a,b\n1,\"2\n3,4\n5,6", by_name({"a", "b"})), "rows.csv:2:3",
              "the quote that opens here is never closed");
  check_error(read_table("a,b\n1,x\"y\n", by_name({"a"})), "rows.csv:2:4",
              "a quote stands inside an unquoted field");
  check_error(read_table("a,b\n1,x\"y\"\n", by_name({"a"})), "rows.csv:2:4",
              "a quote stands inside an unquoted field");
  check_error(read_table("a,b\n1,\"2\"3\n", by_name({"a"})), "rows.csv:2:6", "text follows a closing quote");
  check_error(read_table("\"a\nb", by_name({"a"})), "rows.csv:1:1",
              "the quote that opens here is never closed");
}

TEST_CASE("csv: a NUL byte is refused, also where nobody reads", "[csv]") {
  check_error(read_table(std::string("a,b\n1,x\0y\n", 10), by_name({"a"})), "rows.csv:2:4",
              "a NUL byte stands in the text");
}

TEST_CASE("csv: a line at the limit is read and one byte more is refused, however the bytes come", "[csv]") {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, SIZE_MAX}) {
    const Way way{.piece = piece, .buffer = 8, .line_bytes_max = 20};
    for (const char* line_break : {"\n", "\r\n", ""}) {
      check_rows(read_table("a\n1" + std::string(19, ' ') + line_break, by_name({"a"}), way), {1});
      check_error(read_table("a\n1" + std::string(20, ' ') + line_break, by_name({"a"}), way), "rows.csv:2:1",
                  "a line is longer than 20 bytes");
    }
    // A quote that is never closed would swallow the rest of the file: the limit says where it opened.
    const Table table = read_table("a,b\n1,\"2\n" + std::string(100, '\n'), by_name({"a"}), way);
    check_error(table, "rows.csv:2:3", "a line is longer than 20 bytes");
    CHECK(table.hint() == "the quote that opens here is never closed");
  }
}

TEST_CASE("csv: an endless line is refused after the limit, not after its end", "[csv]") {
  std::uint64_t taken = 0;
  const Table table = drain(open_table(std::make_unique<EndlessSource>(taken), by_position(1), {}));
  check_error(table, "endless:1:1", fmt::format("a line is longer than {} bytes", kCsvLineBytesMax));
  CHECK(taken <= kCsvLineBytesMax + 1024 * 1024);
}

TEST_CASE("csv: a line of more fields than any ensemble has is refused", "[csv]") {
  CHECK(read_table(std::string(3U << 20, ','), by_position(1)).what() ==
        "the line has more than 2097152 fields");
  check_error(read_table("a,b\n" + std::string(3U << 20, ',') + "\n", by_name({"a"})), "rows.csv:2:3",
              "the row has 3145729 fields, expected 2");
}

TEST_CASE("csv: class names become indices, and names win over numbers", "[csv]") {
  const auto targets = [](const std::string& rows, std::vector<std::string> classes) {
    return read_table("a,y\n" + rows, by_name({"a"}, "y", std::move(classes))).targets;
  };
  CHECK(targets("1,benign\n2, malignant \n3,\"benign\"\n4,1\n5,0.0\n", {"malignant", "benign"}) ==
        std::vector<double>{1, 0, 1, 1, 0});
  CHECK(targets("1,1\n2,0\n", {"1", "0"}) == std::vector<double>{0, 1});
  // Where class names are numbers, a number is a name however it is written, never an index.
  CHECK(targets("1,3\n2,4.0\n3,5e0\n", {"3", "4", "5"}) == std::vector<double>{0, 1, 2});
  CHECK(std::isnan(targets("1,\n", {"x", "y"}).at(0)));
}

TEST_CASE("csv: a target that is no class is refused with the nearest one", "[csv]") {
  const Table text = read_table("a,y\n1,bening\n", by_name({"a"}, "y", {"malignant", "benign"}));
  check_error(text, "rows.csv:2:3", "the target 'bening' is not a class");
  CHECK(text.hint() == "did you mean 'benign'?");
  for (const char* number : {"2", "-1", "0.5", "1e30"}) {
    check_error(read_table(fmt::format("a,y\n1,{}\n", number), by_name({"a"}, "y", {"malignant", "benign"})),
                "rows.csv:2:3", fmt::format("the target '{}' is not a class index in [0, 1]", number));
  }
  check_error(read_table("a,y\n1,0\n", by_name({"a"}, "y", {"3", "4"})), "rows.csv:2:3",
              "the target '0' is not a class");
  check_error(read_table("a,y\n1,high\n", by_name({"a"}, "y")), "rows.csv:2:3",
              "the target 'high' is not a finite number");
  check_error(read_table("a,y\n1,inf\n", by_name({"a"}, "y")), "rows.csv:2:3",
              "the target 'inf' is not a finite number");
}

TEST_CASE("csv: a regression target keeps double precision", "[csv]") {
  CHECK(read_table("a,y\n1,0.1\n2,16777217\n", by_name({"a"}, "y")).targets ==
        std::vector<double>{0.1, 16777217});
}

TEST_CASE("csv: rows are the same however the bytes come and the chunks are cut", "[csv]") {
  // Method: a table with everything in it, read in pieces of every small size, against one read as a whole.
  std::mt19937_64 random(4);
  std::string bytes = "\xEF\xBB\xBFid,\"a\",b,y\r\n";
  for (int row = 0; row < 300; ++row) {
    bytes += fmt::format("\"r\"\"{}\n,\",{},{},{}{}", row, static_cast<double>(random() % 1'000'000) / 1000,
                         row % 7 == 0 ? "" : fmt::format(" {}e-3", row), row % 3 == 0 ? "no" : "\"yes\"",
                         row % 2 == 0 ? "\r\n" : "\n\n");
  }
  const TableRequest request = by_name({"b", "a"}, "y", {"no", "yes"});
  for (const std::string& tail : {std::string(), std::string("1,2,3\n"), std::string("1,\"2,3\n")}) {
    const Table whole = read_table(bytes + tail, request);
    CHECK(whole.rows == 300);
    CHECK(whole.error.has_value() == !tail.empty());
    for (std::size_t piece = 1; piece < 40; piece += 2) {
      const Way way{
          .piece = piece, .buffer = 1 + piece % 11, .rows_max = static_cast<std::uint32_t>(1 + piece % 5)};
      CHECK(same(read_table(bytes + tail, request, way), whole));
    }
  }
}

TEST_CASE("csv: a file estimates its rows, a pipe does not", "[csv]") {
  std::string bytes = "a,b\n";
  for (int row = 0; row < 1000; ++row) bytes += "12345,6789\n";
  auto reader = open_table(memory(bytes, {.as_file = true}), by_name({"a"}), {.buffer_bytes = 256});
  REQUIRE(reader);
  CHECK((*reader)->is_file());
  CHECK((*reader)->rows_estimated() == 1000);
  TableChunk chunk;
  CHECK((*reader)->read(100, chunk));
  CHECK((*reader)->rows_estimated() == 1000);
  auto pipe = open_table(memory(bytes), by_name({"a"}), {});
  REQUIRE(pipe);
  CHECK_FALSE((*pipe)->is_file());
  CHECK_FALSE((*pipe)->rows_estimated());
}

TEST_CASE("csv: files are opened by path, and what cannot be opened says why", "[csv]") {
  const TemporaryDirectory directory;
  write_file(directory / "rows.csv", "a,b\n1,2\n");
  TableRequest request = by_name({"a", "b"});
  request.path = directory / "rows.csv";
  check_rows(drain(open_table(request)), {1, 2});
  auto reader = open_table(request);
  REQUIRE(reader);
  CHECK((*reader)->is_file());

  const auto refused = [&](const std::string& path) {
    request.path = path;
    const Table table = drain(open_table(request));
    REQUIRE(table.error);
    CHECK(table.error->code == Errc::system);
    CHECK(table.where() == path);
    return table.what();
  };
  CHECK(refused(directory / "none.csv") == "open: No such file or directory");
  CHECK(refused(directory / "") == "open: Is a directory");
  CHECK(refused(directory / "rows.csv/x") == "open: Not a directory");
}

TEST_CASE("csv: rows on a FIFO are given as they come, not held back for more", "[csv]") {
  // Goal: an interactive writer sees its answers. Method: the writer sends its second part only after the
  // first part was read, so a reader that waits for a full chunk would never end.
  const TemporaryDirectory directory;
  const std::string path = directory / "fifo";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  std::thread opener;
  int writer = -1;
  opener = std::thread([&] {
    writer = ::open(path.c_str(), O_WRONLY);
    [[maybe_unused]] const ssize_t sent = ::write(writer, "a\n1\n2\n3", 7);
  });
  TableRequest request = by_name({"a"});
  request.path = path;
  auto reader = open_table(request);
  opener.join();
  REQUIRE(reader);
  CHECK_FALSE((*reader)->is_file());
  TableChunk chunk;
  CHECK((*reader)->read(1024, chunk));
  CHECK(chunk.features == std::vector<float>{1, 2});
  REQUIRE(::write(writer, "4\n5", 3) == 3);
  CHECK((*reader)->read(1024, chunk));
  CHECK(chunk.features == std::vector<float>{34});
  ::close(writer);
  CHECK((*reader)->read(1024, chunk));
  CHECK(chunk.features == std::vector<float>{5});
  CHECK((*reader)->read(1024, chunk));
  CHECK(chunk.rows == 0);
}
