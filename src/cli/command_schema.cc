// schema: a JSON Schema (draft 2020-12) of legacy JSON templates, for editors. It comes from the option
// tables, and takes what Kiln takes: where a number is wanted, a string with a template expression is as
// good.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/component_table.h"

namespace kiln {

namespace {

using Schema = nlohmann::ordered_json;

Schema text_schema(const char* description) { return {{"type", "string"}, {"description", description}}; }

Schema list_of(Schema items) { return {{"type", "array"}, {"items", std::move(items)}}; }

/// A list, or (weak typing) one of its items alone.
Schema one_or_list(const Schema& items) { return {{"anyOf", {list_of(items), items}}}; }

Schema options_schema(const std::vector<OptionDoc>& options);

Schema option_type_schema(const OptionDoc& option) {
  Schema scalar = {{"type", {"string", "number", "boolean"}}};
  if (option.type == "string") return scalar;
  if (option.type == "bool") return {{"type", {"boolean", "string", "number"}}};
  if (option.type == "number") return {{"type", {"number", "string"}}};
  if (option.type == "duration") return {{"type", {"string", "number"}}};
  if (option.type == "list(string)" || option.type == "list(number)") return one_or_list(scalar);
  if (option.type == "list(list(string))") return list_of(one_or_list(scalar));
  if (option.type == "map(string)") return {{"type", "object"}, {"additionalProperties", scalar}};
  if (option.type == "block" || option.type == "list(block)")
    return one_or_list(options_schema(option.nested));
  return Schema::object();
}

/// The default as JSON where the table's words are one.
void add_default(Schema& schema, const OptionDoc& option) {
  if (option.default_text.empty()) return;
  if (option.type == "string" || option.type == "duration") {
    schema["default"] = option.default_text;
  } else if (auto value = Schema::parse(option.default_text, nullptr, false); !value.is_discarded()) {
    schema["default"] = std::move(value);
  }
}

Schema option_schema(const OptionDoc& option) {
  Schema schema = option_type_schema(option);
  std::string description = option.doc;
  if (option.type == "duration") description += " (a duration: \"1h5m2s\")";
  schema["description"] = description;
  add_default(schema, option);
  return schema;
}

Schema options_schema(const std::vector<OptionDoc>& options) {
  Schema properties = Schema::object();
  Schema required = Schema::array();
  for (const auto& option : options) {
    properties[option.name] = option_schema(option);
    for (const auto& alias : option.aliases) {
      properties[alias] = option_schema(option);
      properties[alias]["description"] = "Older name of " + option.name + ".";
      properties[alias]["deprecated"] = true;
    }
    if (option.required && option.aliases.empty()) required.push_back(option.name);
  }
  Schema schema = {
      {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

/// The keys of every component of a kind, beside its options.
Schema common_keys(const std::string& kind) {
  const Schema names = list_of({{"type", "string"}});
  const Schema duration = {{"type", {"string", "number"}}};
  if (kind == "builder") return {{"name", text_schema("Name of the build. (Default: its type)")}};
  Schema keys = {{"only", names}, {"except", names}};
  keys["only"]["description"] = "Names of the builds it is for.";
  keys["except"]["description"] = "Names of the builds it is not for.";
  if (kind == "post-processor") {
    keys["name"] = text_schema("Its name, for -except. (Default: its type)");
    keys["keep_input_artifact"] = {{"type", {"boolean", "string"}},
                                   {"description", "Keep what it was given."}};
    return keys;
  }
  keys["override"] = {{"type", "object"},
                      {"additionalProperties", {{"type", "object"}}},
                      {"description", "Options of their own for builds, by name."}};
  keys["pause_before"] = duration;
  keys["pause_before"]["description"] = "How long to wait first.";
  keys["max_age"] = duration;
  keys["max_age"]["description"] = "How long the machine's state after it may be used again. Kiln's own.";
  keys["cache"] = {{"type", "boolean"},
                   {"description",
                    "Whether that state is kept. Default: true; false for builders whose states cost money "
                    "(amazon-ebs). Kiln's own."}};
  keys["timeout"] = duration;
  keys["timeout"]["description"] = "How long it may take.";
  keys["max_retries"] = {{"type", {"number", "string"}}, {"description", "How often to try again."}};
  return keys;
}

/// Adds the definition "KIND" (an object whose type decides) and one "KIND-TYPE" for each type.
template <class T>
void add_kind(Schema& definitions, const std::string& kind, const std::vector<ComponentEntry<T>>& entries) {
  const Schema common = common_keys(kind);
  Schema types = Schema::array();
  Schema choices = Schema::array();
  for (const auto& entry : entries) {
    const std::string name = kind + "-" + entry.type;
    types.push_back(entry.type);
    choices.push_back(
        {{"if", {{"required", Schema::array({"type"})}, {"properties", {{"type", {{"const", entry.type}}}}}}},
         {"then", {{"$ref", "#/$defs/" + name}}}});
    Schema schema = options_schema(entry.options());
    schema["description"] = entry.summary;
    schema["properties"]["type"] = {{"const", entry.type}};
    for (const auto& [key, value] : common.items()) {
      if (!schema["properties"].contains(key)) schema["properties"][key] = value;
    }
    schema["patternProperties"] = {{"^packer_", Schema::object()}};
    definitions[name] = std::move(schema);
  }
  definitions[kind] = {{"type", "object"},
                       {"required", Schema::array({"type"})},
                       {"properties", {{"type", {{"enum", types}, {"description", "Which " + kind + "."}}}}},
                       {"allOf", std::move(choices)}};
}

Schema root_keys(const Components& components) {
  auto reference = [](const char* kind) { return Schema{{"$ref", std::string("#/$defs/") + kind}}; };
  Schema post_processor_types = Schema::array();
  for (const auto& entry : components.post_processors) post_processor_types.push_back(entry.type);
  const Schema one = {{"anyOf", {Schema{{"enum", post_processor_types}}, reference("post-processor")}}};
  Schema variables = {{"type", "object"}, {"additionalProperties", {{"type", {"string", "null"}}}}};
  variables["description"] = "Default values; null: must be given.";
  return {
      {"min_packer_version", text_schema("The oldest Packer that will do.")},
      {"description", text_schema("What the template makes.")},
      {"variables", variables},
      {"sensitive-variables", list_of({{"type", "string"}})},
      {"builders", list_of(reference("builder"))},
      {"provisioners", list_of(reference("provisioner"))},
      {"error-cleanup-provisioner", reference("provisioner")},
      {"post-processors", list_of({{"anyOf", {one, list_of(one)}}})},
      {"push", {{"type", "object"}, {"deprecated", true}}},
      {"comments", {{"type", "array"}}},
  };
}

Schema template_schema(const Components& components) {
  Schema definitions = Schema::object();
  add_kind(definitions, "builder", components.builders);
  add_kind(definitions, "provisioner", components.provisioners);
  add_kind(definitions, "post-processor", components.post_processors);
  return {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
          {"title", "Packer template (legacy JSON), as Kiln reads it"},
          {"type", "object"},
          {"properties", root_keys(components)},
          {"patternProperties", {{"^_", {{"type", "string"}, {"description", "A comment."}}}}},
          {"additionalProperties", false},
          {"required", Schema::array({"builders"})},
          {"$defs", std::move(definitions)}};
}

}  // namespace

int run_schema(Invocation&, CommandOptions&, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return show_help;
  write_all(STDOUT_FILENO, template_schema(component_table()).dump(2) + "\n");
  return 0;
}

}  // namespace kiln
