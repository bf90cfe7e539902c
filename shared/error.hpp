// How tutti says that something failed: a value with a code for programs and words for people.
//
//   what   what is wrong, with the value seen
//   where  the place: "ensemble.toml:14:9 member[1].weight", "isolate boosted/0", "rows.csv:7:3"
//   hint   what to do next; never empty for a problem in the user's own input
//
// Bad input is such a value. A broken invariant of our own is an assert, and asserts stay on in release.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace tutti {

/// Stable codes: programs and tests compare these, never the words.
enum class Errc : std::uint32_t {
  bad_usage = 1,       // a command line that cannot be run
  bad_config = 2,      // the ensemble's config
  bad_data = 3,        // CSV, NPY or JSON rows
  bad_model = 4,       // a model file that cannot be loaded
  shape_mismatch = 5,  // rows, features or outputs disagree
  too_few_votes = 6,   // below quorum; `where` names who is missing and why
  overloaded = 7,      // every request slot is taken
  not_ready = 8,       // the ensemble cannot meet its quorum now
  stopped = 9,         // shutting down, or cancelled by the caller
  system = 10,         // a system call failed
  protocol = 11,       // a peer process broke the protocol
  model_failed = 12,   // the model refused or failed on this request
};

/// The code's name as written above, for logs and JSON.
std::string_view name_of(Errc code) noexcept;

/// Why something failed, told to the person who can fix it.
struct Error {
  Errc code = Errc::system;
  std::string what;
  std::string where;
  std::string hint;

  bool operator==(const Error&) const = default;
};

template <class T>
using Result = std::expected<T, Error>;

/// One line for people: "where: error: what; hint". Empty parts leave no punctuation behind.
std::string describe(const Error& error);

/// A failed system call: `what` is "call: text of errno".
Error system_error(std::string_view call, int error_number, std::string where = {}, std::string hint = {});

}  // namespace tutti
