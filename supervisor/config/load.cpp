// From what the user wrote to a config, or to everything that is wrong with it.
//
//   text ──toml++──▶ layers ──later ones win──▶ Draft ──cross_check()──▶ EnsembleConfig
//                      │ types, ranges, names      │ what does not fit together
//                      └─────────▶ Problems ◀──────┘
//
// A profile that was not chosen is checked too: its values one by one, and whether they would fit the rest. A
// mistake in [profile.production] shows on the developer's machine.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "shared/suggest.hpp"
#include "supervisor/config/check.hpp"
#include "supervisor/config/layer.hpp"
#include "supervisor/config/read.hpp"
#include "supervisor/config/source.hpp"
#include "supervisor/config/text.hpp"

namespace tutti {
namespace settings {
namespace {

// Each profile is built and checked with the whole file; more would let a small file cost a great deal.
constexpr std::size_t kProfilesMax = 32;

std::string header_of(std::string_view table) {
  return table == kMemberTable ? "[[member]]" : fmt::format("[{}]", table);
}

/// A config in the making, and where each of its values was said.
struct Draft {
  EnsembleConfig config;
  std::map<Address, const Assignment*> said;
  std::set<Address> broken;
};

/// Of a config with problems: the members that can be opened all the same (config.hpp).
std::optional<EnsembleConfig> openable_part(const Draft& draft);

class Loader {
 public:
  Loader(std::string_view text, const ConfigSource& source)
      : source_(source), text_(without_mark(text)), problems_(source.path, text_) {}

  ConfigReport load();

 private:
  void read_root();
  void read_members(const toml::node& node);
  void read_profiles(const toml::node& node);
  void read_outside();
  void look_for_chosen();
  Draft build(const Layer* profile) const;
  void find_missing(Draft& draft, std::vector<Finding>& findings) const;
  void check(const Draft& draft, std::vector<Finding> findings, const Layer* only);
  [[nodiscard]] Place place_of_finding(const Draft& draft, const Finding& finding) const;

  const ConfigSource& source_;
  std::string_view text_;
  Problems problems_;
  LayerContext context_;
  LayerReader reader_{context_, problems_};
  toml::table root_;
  std::map<std::string, Place, std::less<>> headers_;  // of tables that hold settings
  std::vector<Place> member_headers_;
  bool members_sound_ = true;
  Layer base_;
  std::map<std::string, Layer, std::less<>> profiles_;
  Layer outside_;
};

ConfigReport Loader::load() {
  auto parsed = parse_toml(text_);
  if (!parsed) {
    problems_.add(parsed.error().place, parsed.error().what, parsed.error().hint);
    return {.problems = problems_.sorted(), .openable = std::nullopt};
  }
  root_ = *std::move(parsed);
  std::error_code ignored;  // without a working directory relative paths stay so, and are then not found
  context_.folder =
      std::filesystem::absolute(source_.path.empty() ? "config" : source_.path, ignored).parent_path();
  read_root();
  read_outside();
  const Layer* chosen = nullptr;
  if (!source_.profile.empty()) {
    look_for_chosen();
    const auto found = profiles_.find(source_.profile);
    if (found != profiles_.end()) chosen = &found->second;
  }
  const auto examine = [&](const Layer* profile, const Layer* only) {
    Draft draft = build(profile);
    std::vector<Finding> findings;
    find_missing(draft, findings);
    std::ranges::move(cross_check(draft.config, draft.broken, source_.models_must_exist),
                      std::back_inserter(findings));
    for (const Finding& finding : findings) draft.broken.insert(finding.address);
    check(draft, std::move(findings), only);
    return draft;
  };
  Draft draft = examine(chosen, nullptr);
  for (const auto& [name, profile] : profiles_) {
    if (&profile != chosen) examine(&profile, &profile);
  }
  if (problems_.empty()) return {.problems = {}, .openable = std::move(draft.config)};
  return {.problems = problems_.sorted(), .openable = openable_part(draft)};
}

void Loader::read_root() {
  // Members first: profiles name them.
  if (const toml::node* members = root_.get(kMemberTable)) read_members(*members);
  for (const auto& [key, node] : root_) {
    const std::string_view name = key.str();
    if (name == kMemberTable) continue;
    if (name == kProfileTable) {
      read_profiles(node);
      continue;
    }
    const bool known = std::ranges::find(tables(), name, &Table::name) != tables().end();
    if (known && node.is_table()) {
      headers_[std::string(name)] = place_of(node);
      reader_.read_table(name, *node.as_table(), kWhole, false, base_);
    } else if (known) {
      reader_.not_a_table(name, fmt::format("[{}]", name), node);
      for (const Setting& setting : all()) {
        if (setting.table == name)
          base_.push_back({.setting = &setting, .member = kWhole, .value = {}, .place = place_of(node)});
      }
    } else {
      std::vector<std::string> names{std::string(kProfileTable)};
      std::vector<std::string> homes;
      for (const Table& table : tables()) {
        names.emplace_back(table.name);
        if (find(table.name, name) == nullptr) continue;
        homes.push_back(header_of(table.name));
      }
      std::string hint = did_you_mean(name, names);
      if (!homes.empty()) hint = fmt::format("it belongs in {}", joined(homes, " or "));
      if (hint.empty()) hint = fmt::format("the tables are: {}", joined(names, ", "));
      problems_.add(place_of(key.source()),
                    fmt::format("unknown {} {}", node.is_table() ? "table" : "key", quote(name)), hint);
    }
  }
}

void Loader::read_members(const toml::node& node) {
  const toml::array* members = node.as_array();
  if (members == nullptr) {
    members_sound_ = context_.members_sound = false;
    problems_.add(place_of(node), fmt::format("member is {}, not a list of tables", shown(node)),
                  "write [[member]], in double brackets, for each member");
    return;
  }
  const std::size_t read = std::min<std::size_t>(members->size(), kMembersMax);
  if (read < members->size()) {
    members_sound_ = context_.members_sound = false;
    problems_.add(place_of(*members->get(read)),
                  fmt::format("{} members, more than {}", members->size(), kMembersMax),
                  "split the ensemble, or combine members into one model");
  }
  for (std::size_t index = 0; index < read; ++index) {
    const toml::node& one = *members->get(index);
    member_headers_.push_back(place_of(one));
    context_.members.emplace_back();
    const toml::table* keys = one.as_table();
    if (keys == nullptr) {
      members_sound_ = context_.members_sound = false;
      reader_.not_a_table("member", "[[member]]", one);
      continue;
    }
    const std::size_t before = base_.size();
    reader_.read_table(kMemberTable, *keys, index, false, base_);
    for (const Assignment& said : std::span(base_).subspan(before)) {
      if (said.setting->key == "name" && said.value)
        context_.members.back() = std::get<std::string>(*said.value);
    }
    if (context_.members.back().empty()) context_.members_sound = false;
  }
}

void Loader::read_profiles(const toml::node& node) {
  const toml::table* profiles = node.as_table();
  if (profiles == nullptr) return reader_.not_a_table(kProfileTable, "[profile.NAME.TABLE]", node);
  if (profiles->size() > kProfilesMax) {
    return problems_.add(place_of(node),
                         fmt::format("{} profiles, more than {}", profiles->size(), kProfilesMax),
                         "split the file");
  }
  for (const auto& [key, profile] : *profiles) {
    const std::string fault = name_fault(key.str());
    if (!fault.empty()) {
      problems_.add(place_of(key.source()), fmt::format("profile {} {}", quote(key.str()), fault),
                    std::string(kNameHint));
    } else if (!profile.is_table()) {
      reader_.not_a_table(fmt::format("profile.{}", key.str()), fmt::format("[profile.{}.TABLE]", key.str()),
                          profile);
    } else {
      profiles_[std::string(key.str())] = reader_.read_profile(key.str(), *profile.as_table());
    }
  }
}

void Loader::read_outside() {
  std::uint32_t order = 0;
  for (const bool short_names : {true, false}) {
    for (const auto& [name, value] : source_.environment) {
      if (is_short_name(name) == short_names) reader_.read_environment(name, value, ++order, outside_);
    }
  }
  for (const std::string& setting : source_.settings) reader_.read_set(setting, ++order, outside_);
}

void Loader::look_for_chosen() {
  if (profiles_.contains(source_.profile)) return;
  // One that is there but could not be read has been reported where it stands.
  const toml::table* written = root_.get_as<toml::table>(kProfileTable);
  if (written != nullptr && written->contains(source_.profile)) return;
  std::vector<std::string> names;
  for (const auto& [name, layer] : profiles_) names.push_back(name);
  std::string hint = did_you_mean(source_.profile, names);
  if (names.empty()) hint = "the file has no profiles; add [profile.NAME.answer], for one";
  if (hint.empty()) hint = fmt::format("the file's profiles are: {}", joined(names, ", "));
  problems_.add({.origin = "--profile " + cleaned(source_.profile)},
                fmt::format("no profile is named {}", quote(source_.profile)), hint);
}

Draft Loader::build(const Layer* profile) const {
  Draft draft;
  draft.config.path = source_.path;
  for (const Place& header : member_headers_) {
    draft.config.members.emplace_back();
    draft.config.members.back().where = problems_.where(header);
  }
  const Layer none;
  for (const Layer* layer : {&base_, profile == nullptr ? &none : profile, &outside_}) {
    for (const Assignment& one : *layer) {
      const Address address{one.setting->table, one.setting->key, one.member};
      draft.said[address] = &one;
      if (one.value) {
        one.setting->set(draft.config, one.member, *one.value);
        draft.broken.erase(address);
      } else {
        draft.broken.insert(address);
      }
    }
  }
  if (!members_sound_) draft.broken.insert({kMemberTable, ""});
  if (!draft.said.contains({"combine", "rule"})) {
    if (draft.broken.contains({"ensemble", "task"})) draft.broken.insert({"combine", "rule"});
    draft.config.combine.rule =
        draft.config.task == Task::classification ? CombineRule::soft_vote : CombineRule::mean;
  }
  return draft;
}

void Loader::find_missing(Draft& draft, std::vector<Finding>& findings) const {
  const auto look = [&](const Setting& setting, std::size_t member) {
    const Address address{setting.table, setting.key, member};
    if (draft.said.contains(address)) return;
    findings.push_back({.address = address,
                        .fault = {.what = fmt::format("{} has no {}", header_of(setting.table), setting.key),
                                  .hint = fmt::format("add {}", setting.example)}});
    draft.broken.insert(address);
  };
  for (const Setting& setting : all()) {
    if (!setting.required) continue;
    if (setting.table != kMemberTable) {
      look(setting, kWhole);
      continue;
    }
    for (std::size_t member = 0; member < member_headers_.size() && members_sound_; ++member)
      look(setting, member);
  }
}

Place Loader::place_of_finding(const Draft& draft, const Finding& finding) const {
  const auto said = draft.said.find(finding.address);
  if (said != draft.said.end()) return place_of_fault(said->second->place, finding.fault);
  if (finding.address.member < member_headers_.size()) return member_headers_[finding.address.member];
  const auto header = headers_.find(finding.address.table);
  return header == headers_.end() ? Place{} : header->second;
}

/// Reports what was found; with `only`, what was found in values that this layer gives.
void Loader::check(const Draft& draft, std::vector<Finding> findings, const Layer* only) {
  for (Finding& finding : findings) {
    const auto said = draft.said.find(finding.address);
    const auto is_said = [&](const Assignment& one) {
      return said != draft.said.end() && said->second == &one;
    };
    const bool here = only == nullptr || std::ranges::any_of(*only, is_said);
    if (!here) continue;
    problems_.add(place_of_finding(draft, finding), std::move(finding.fault.what),
                  std::move(finding.fault.hint));
  }
}

std::optional<EnsembleConfig> openable_part(const Draft& draft) {
  const EnsembleConfig& config = draft.config;
  const auto sound = [&](std::string_view table, std::string_view key, std::size_t member = kWhole) {
    return !draft.broken.contains({table, key, member});
  };
  for (const std::string_view key : {"task", "classes", "features"}) {
    if (!sound("ensemble", key)) return std::nullopt;
  }
  EnsembleConfig part;
  part.name = sound("ensemble", "name") ? config.name : "ensemble";
  part.path = config.path;
  part.task = config.task;
  part.classes = config.classes;
  part.features = config.features;
  part.answer.quorum = {.kind = Quorum::Kind::count, .count = 1};
  part.limits = {.in_flight = kInFlightMin, .rows = 1};
  if (sound("restart", "start_timeout")) part.restart.start_timeout = config.restart.start_timeout;
  for (std::size_t member = 0; member < config.members.size(); ++member) {
    if (!sound(kMemberTable, "model", member) || !sound(kMemberTable, "kind", member)) continue;
    MemberConfig one{.model = config.members[member].model,
                     .kind = config.members[member].kind,
                     .where = config.members[member].where};
    one.name =
        sound(kMemberTable, "name", member) ? config.members[member].name : fmt::format("member[{}]", member);
    part.members.push_back(std::move(one));
  }
  if (part.members.empty()) return std::nullopt;
  // The stacking model takes the votes of all members.
  const bool all = part.members.size() == config.members.size() && sound(kMemberTable, "");
  const CombineConfig& combine = config.combine;
  const bool stacks =
      combine.rule == CombineRule::stacking && sound("combine", "rule") && !combine.model.empty();
  if (all && stacks && sound("combine", "model") && sound("combine", "kind")) {
    part.combine = {.rule = CombineRule::stacking, .model = combine.model, .model_kind = combine.model_kind};
  }
  return part;
}

}  // namespace

}  // namespace settings

std::expected<EnsembleConfig, std::vector<ConfigProblem>> parse_config(std::string_view text,
                                                                       const ConfigSource& source) {
  ConfigReport report = settings::Loader(text, source).load();
  if (!report.problems.empty()) return std::unexpected(std::move(report.problems));
  return *std::move(report.openable);
}

std::expected<EnsembleConfig, std::vector<ConfigProblem>> load_config(const ConfigSource& source) {
  const auto text = settings::read_text(source.path);
  if (!text) return std::unexpected(std::vector{text.error()});
  return parse_config(*text, source);
}

ConfigReport examine_config(const ConfigSource& source) {
  const auto text = settings::read_text(source.path);
  if (!text) return {.problems = {text.error()}, .openable = std::nullopt};
  return settings::Loader(*text, source).load();
}

}  // namespace tutti
