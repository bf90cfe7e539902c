// A config as TOML text, written from the table of settings.
#include <fmt/format.h>

#include <cmath>

#include "supervisor/config/settings.hpp"
#include "supervisor/config/text.hpp"

namespace tutti {
namespace settings {
namespace {

/// A Value in TOML.
struct Written {
  std::string operator()(const std::string& text) const { return toml_quote(text); }
  std::string operator()(std::int64_t whole) const { return fmt::format("{}", whole); }
  // The shortest form that reads back to the same double.
  std::string operator()(double number) const {
    // "-0" would read back as an integer, which has no sign at zero.
    if (number == 0 && std::signbit(number)) return "-0.0";
    return fmt::format("{}", number);
  }
  std::string operator()(bool yes) const { return yes ? "true" : "false"; }
  std::string operator()(Duration duration) const { return fmt::format("\"{}\"", format_duration(duration)); }
  std::string operator()(Bytes bytes) const { return fmt::format("\"{}\"", format_byte_size(bytes.count)); }
  std::string operator()(NotGiven) const { return "\"\""; }
  std::string operator()(const Quorum& quorum) const {
    if (quorum.kind == Quorum::Kind::count) return fmt::format("{}", quorum.count);
    return quorum.kind == Quorum::Kind::all ? "\"all\"" : "\"majority\"";
  }
  std::string operator()(const SpinConfig& spin) const {
    return spin.automatic ? "\"auto\"" : (*this)(spin.duration);
  }
  std::string operator()(const Features& features) const {
    return features.names.empty() ? (*this)(features.count) : (*this)(features.names);
  }
  template <class Element>
  std::string operator()(const std::vector<Element>& list) const {
    std::string text;
    for (const Element& element : list) text += (text.empty() ? "" : ", ") + (*this)(element);
    return fmt::format("[{}]", text);
  }
};

std::string table_text(std::string_view table, const EnsembleConfig& config, std::size_t member) {
  std::string text;
  for (const Setting& setting : all()) {
    if (setting.table != table) continue;
    const std::string written = std::visit(Written{}, setting.get(config, member));
    // Nothing given and nothing meant: best left out.
    if (written == "\"\"" || written == "[]") continue;
    text += fmt::format("{} = {}\n", setting.key, written);
  }
  return text;
}

}  // namespace
}  // namespace settings

std::string to_toml(const EnsembleConfig& config) {
  std::string text;
  for (const settings::Table& table : settings::tables()) {
    if (table.name == settings::kMemberTable) continue;
    text += fmt::format("{}[{}]\n{}", text.empty() ? "" : "\n", table.name,
                        settings::table_text(table.name, config, 0));
  }
  for (std::size_t member = 0; member < config.members.size(); ++member) {
    text += fmt::format("\n[[member]]\n{}", settings::table_text(settings::kMemberTable, config, member));
  }
  return text;
}

}  // namespace tutti
