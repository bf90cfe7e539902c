// The JSON Schema says what the parser does. A small validator of the words that the schema uses stands here,
// so that both can be asked about the same documents.
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>

#include "supervisor/config/settings.hpp"
#include "tests/catch.hpp"
#include "tests/unit/config_fixture.hpp"

namespace tutti {
namespace {

using Json = nlohmann::json;

/// Enough of draft 2020-12 for our schema. A word that it does not know is an error, not ignored.
class Validator {
 public:
  explicit Validator(Json schema) : root_(std::move(schema)) {}

  bool valid(const Json& value) { return valid(root_, value); }

 private:
  bool valid(const Json& schema, const Json& value) {
    for (const auto& [word, rule] : schema.items()) {
      if (!holds(schema, word, rule, value)) return false;
    }
    return true;
  }

  bool holds(const Json& schema, const std::string& word, const Json& rule, const Json& value) {
    static const std::set<std::string> kNotes{"$schema", "title", "description", "default", "$defs"};
    if (kNotes.contains(word)) return true;
    if (word == "$ref") return valid(root_.at(Json::json_pointer(rule.get<std::string>().substr(1))), value);
    if (word == "type") return is(rule.get<std::string>(), value);
    if (word == "enum") return std::find(rule.begin(), rule.end(), value) != rule.end();
    if (word == "const") return rule == value;
    if (word == "anyOf")
      return std::any_of(rule.begin(), rule.end(), [&](const Json& one) { return valid(one, value); });
    if (word == "minimum") return !value.is_number() || value >= rule;
    if (word == "maximum") return !value.is_number() || value <= rule;
    if (word == "exclusiveMaximum") return !value.is_number() || value < rule;
    if (word == "pattern")
      return !value.is_string() ||
             std::regex_search(value.get<std::string>(), std::regex(rule.get<std::string>()));
    if (word == "minLength") return !value.is_string() || value.get<std::string>().size() >= rule;
    if (word == "maxLength") return !value.is_string() || value.get<std::string>().size() <= rule;
    if (word == "uniqueItems")
      return !value.is_array() || std::set<Json>(value.begin(), value.end()).size() == value.size();
    if (word == "minItems") return !value.is_array() || value.size() >= rule;
    if (word == "maxItems") return !value.is_array() || value.size() <= rule;
    if (word == "items")
      return !value.is_array() ||
             std::all_of(value.begin(), value.end(), [&](const Json& one) { return valid(rule, one); });
    if (!value.is_object()) return true;
    if (word == "required")
      return std::all_of(rule.begin(), rule.end(),
                         [&](const Json& key) { return value.contains(key.get<std::string>()); });
    for (const auto& [key, inner] : value.items()) {
      const bool named = schema.contains("properties") && schema["properties"].contains(key);
      if (word == "properties" && named && !valid(rule[key], inner)) return false;
      if (word == "propertyNames" && !valid(rule, key)) return false;
      if (word == "additionalProperties" && !named &&
          (rule.is_boolean() ? !rule.get<bool>() : !valid(rule, inner)))
        return false;
    }
    const bool known = word == "properties" || word == "propertyNames" || word == "additionalProperties";
    if (!known) FAIL("the validator does not know " << word);
    return true;
  }

  static bool is(const std::string& type, const Json& value) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    if (type == "boolean") return value.is_boolean();
    FAIL("the validator does not know the type " << type);
    return false;
  }

  Json root_;
};

const Json kExample = Json::parse(R"json({
  "ensemble": {"name": "breast-cancer", "task": "classification", "classes": ["malignant", "benign"],
               "features": 30, "log_level": "warning", "events": "events.jsonl"},
  "combine": {"rule": "soft_vote", "trim": 0.2},
  "answer": {"quorum": "majority", "deadline": "50ms", "grace": "1s", "last_resort": "linear", "hedge": true,
             "breaker": false, "band": 0.25},
  "restart": {"backoff_min": "50ms", "backoff_max": "30s", "budget": 5, "window": "30s", "start_timeout": "30s",
              "rate": 4, "violations": 2},
  "limits": {"in_flight": 8, "rows": 1024, "spin": "auto"},
  "member": [{"name": "boosted", "model": "boosted.json", "kind": "xgboost", "weight": 2, "instances": 2},
             {"name": "linear", "model": "linear.json"}],
  "profile": {"dev": {"answer": {"deadline": "1s"}, "member": {"linear": {"weight": 0}}}}
})json");

TEST_CASE("schema: the example is valid, to the schema and to the parser", "[config]") {
  CHECK(Validator(Json::parse(config_schema())).valid(kExample));
  // A TOML table with the same content, written by hand in inline form.
  std::string text;
  for (const auto& [table, keys] : kExample.items()) {
    if (table == "member" || table == "profile") continue;
    text += "[" + table + "]\n";
    for (const auto& [key, value] : keys.items()) text += key + " = " + value.dump() + "\n";
  }
  text +=
      "[[member]]\nname = \"boosted\"\nmodel = \"boosted.json\"\nkind = \"xgboost\"\nweight = 2\ninstances = "
      "2\n"
      "[[member]]\nname = \"linear\"\nmodel = \"linear.json\"\n"
      "[profile.dev]\nanswer.deadline = \"1s\"\nmember.linear.weight = 0\n";
  CHECK(problems_in(text).empty());
}

TEST_CASE("schema: every key of the table is in it, and no other, each with help", "[config]") {
  const Json schema = Json::parse(config_schema());
  CHECK(schema.at("$schema") == "https://json-schema.org/draft/2020-12/schema");
  CHECK(schema.at("additionalProperties") == false);
  std::size_t keys = 0;
  for (const settings::Table& table : settings::tables()) {
    const Json& definition = schema.at("$defs").at(std::string(table.name));
    CHECK(definition.at("additionalProperties") == false);
    CHECK(schema.at("properties").contains(std::string(table.name)));
    for (const auto& [key, property] : definition.at("properties").items()) {
      keys += property.contains("properties") ? property.at("properties").size() : 1;
    }
  }
  for (const settings::Setting& setting : settings::all()) {
    INFO(setting.table << "." << setting.key);
    // "isolation.memory" lies in a table of its own.
    const std::size_t dot = setting.key.find('.');
    const Json* properties = &schema.at("$defs").at(std::string(setting.table)).at("properties");
    if (dot != std::string_view::npos)
      properties = &properties->at(std::string(setting.key.substr(0, dot))).at("properties");
    const Json& property = properties->at(
        std::string(dot == std::string_view::npos ? setting.key : setting.key.substr(dot + 1)));
    CHECK(property.at("description") == std::string(setting.help));
    CHECK_FALSE(setting.help.empty());
    // Whoever leaves a required key out is shown a line that has it.
    CHECK(setting.example.empty() == !(setting.required || setting.key == "classes"));
  }
  CHECK(keys == settings::all().size());
  CHECK_FALSE(schema.at("$defs").at("member_overlay").at("properties").contains("name"));
}

TEST_CASE("schema: the defaults it names are those of a config that leaves them out", "[config]") {
  const Json schema = Json::parse(config_schema());
  const auto standard = [&](const std::string& table, const std::string& key) {
    return schema.at("$defs").at(table).at("properties").at(key).at("default");
  };
  CHECK(standard("answer", "deadline") == "100ms");
  CHECK(standard("answer", "quorum") == "majority");
  CHECK(standard("combine", "trim") == 0.2);
  CHECK(standard("limits", "in_flight") == 8);
  CHECK(standard("limits", "spin") == "auto");
  CHECK(standard("member", "weight") == 1);
  CHECK(standard("ensemble", "log_level") == "warning");
  CHECK_FALSE(schema.at("$defs").at("combine").at("properties").at("rule").contains("default"));
}

TEST_CASE("schema: what the parser refuses in one value the schema refuses too", "[config]") {
  Validator validator(Json::parse(config_schema()));
  const std::vector<std::pair<std::string, std::string>> mistakes{
      {"/ensemble/name", "\"two words\""},
      {"/ensemble/task", "\"guess\""},
      {"/ensemble/classes", "[\"a\", \"a\"]"},
      {"/ensemble/features", "0"},
      {"/ensemble/features", "2.5"},
      {"/ensemble/feature", "3"},
      {"/combine/rule", "\"meen\""},
      {"/combine/trim", "0.5"},
      {"/combine/coefficients", "[1]"},
      {"/answer/quorum", "0"},
      {"/answer/quorum", "\"most\""},
      {"/answer/deadline", "50"},
      {"/answer/deadline", "\"5 ms\""},
      {"/restart/budget", "-1"},
      {"/limits/in_flight", "7"},
      {"/limits/rows", "0"},
      {"/limits/spin", "3"},
      {"/member/0/weight", "-1"},
      {"/member/0/instances", "65"},
      {"/member/0/kind", "\"magic\""},
      {"/member/1", "{\"name\": \"x\"}"},
      {"/member", "[]"},
      {"/anser", "{}"},
      {"/profile/dev/answr", "{}"},
      {"/profile/dev/member/linear/name", "\"x\""},
      {"/profile/a b", "{}"},
      {"/profile/dev/answer/deadline", "1"}};
  for (const auto& [pointer, value] : mistakes) {
    INFO(pointer << " = " << value);
    Json changed = kExample;
    changed[Json::json_pointer(pointer)] = Json::parse(value);
    CHECK_FALSE(validator.valid(changed));
  }
}

}  // namespace
}  // namespace tutti
