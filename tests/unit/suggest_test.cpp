#include "shared/suggest.hpp"

#include <string>
#include <vector>

#include "tests/catch.hpp"

namespace tutti {
namespace {

const std::vector<std::string> kWords{"deadline", "quorum", "grace", "last_resort"};

TEST_CASE("suggest: a typing error is undone by the nearest word", "[suggest]") {
  CHECK(nearest_word("deadlin", kWords) == "deadline");    // a letter too few
  CHECK(nearest_word("deadliine", kWords) == "deadline");  // one too many
  CHECK(nearest_word("deedline", kWords) == "deadline");   // another one
  CHECK(nearest_word("quroum", kWords) == "quorum");       // two swapped
  CHECK(nearest_word("QUORUM", kWords) == "quorum");       // case is ignored
  CHECK(nearest_word("lastresort", kWords) == "last_resort");
}

TEST_CASE("suggest: nothing is suggested beyond a third of the longer word", "[suggest]") {
  const std::vector<std::string> words{"abcdef"};
  CHECK(nearest_word("abcdxy", words) == "abcdef");  // 2 of 6
  CHECK(nearest_word("abcxyz", words).empty());      // 3 of 6
  CHECK(nearest_word("threshold", kWords).empty());
  CHECK(nearest_word("", kWords).empty());
  CHECK(nearest_word("x", {}).empty());
}

TEST_CASE("suggest: two swapped letters are one step, in short words too", "[suggest]") {
  // Goal: optimal string alignment rather than plain Levenshtein, in which a swap costs two: "ab" allows one.
  const std::vector<std::string> words{"ba"};
  CHECK(nearest_word("ab", words) == "ba");
}

TEST_CASE("suggest: of words equally near the first is taken", "[suggest]") {
  const std::vector<std::string> words{"cat", "car"};
  CHECK(nearest_word("cap", words) == "cat");
  CHECK(nearest_word("car", words) == "car");
}

TEST_CASE("suggest: a huge word costs nothing", "[suggest]") {
  const std::vector<std::string> words{std::string(1U << 20, 'a')};
  CHECK(nearest_word(std::string(1U << 20, 'a'), words).empty());
}

TEST_CASE("suggest: the question quotes the word, or is left out", "[suggest]") {
  CHECK(did_you_mean("deadlin", kWords) == "did you mean 'deadline'?");
  CHECK(did_you_mean("threshold", kWords).empty());
}

}  // namespace
}  // namespace tutti
