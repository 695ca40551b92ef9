// What the runner of HCL's specification suite expects of an `hcldec`, on this HCL: decodes a file by a spec
// file and prints the result as JSON, or diagnostics. Besides, `--test-file FILE.t` prints what a test
// expects as JSON. Source: the suite's README and the documentation of hcldec's spec format.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/error.h"
#include "base/text.h"
#include "lang/hcl_body.h"
#include "lang/hcl_convert.h"

namespace {

using namespace kiln;

std::shared_ptr<const SourceFile> load(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(ErrorKind::user, "cannot read " + path);
  std::stringstream text;
  text << in.rdbuf();
  return std::make_shared<SourceFile>(SourceFile{path, text.str()});
}

HclBody parse(const std::string& path, Diagnostics& found) {
  return path.ends_with(".json") ? parse_hcl_json(load(path), found) : parse_hcl(load(path), found);
}

Value object(std::vector<std::pair<std::string, Value>> members) {
  Value out = Value::empty_object();
  for (auto& [key, value] : members) out.set(std::move(key), std::move(value));
  return out;
}

// ---- values and diagnostics as JSON, in the formats that the suite reads

Value type_json(const HclType& type) {
  auto with = [](const char* kind, Value inner) { return Value(Value::List{Value(kind), std::move(inner)}); };
  switch (type.kind()) {
    case HclType::Kind::dynamic:
      return Value("dynamic");
    case HclType::Kind::boolean:
      return Value("bool");
    case HclType::Kind::number:
      return Value("number");
    case HclType::Kind::string:
      return Value("string");
    case HclType::Kind::list:
      return with("list", type_json(type.element()));
    case HclType::Kind::set:
      return with("set", type_json(type.element()));
    case HclType::Kind::map:
      return with("map", type_json(type.element()));
    case HclType::Kind::tuple: {
      Value::List items;
      for (const auto& item : type.elements()) items.push_back(type_json(item));
      return with("tuple", Value(std::move(items)));
    }
    case HclType::Kind::object: {
      Value members = Value::empty_object();
      for (const auto& [name, member] : type.attributes()) members.set(name, type_json(member));
      return with("object", std::move(members));
    }
  }
  return {};
}

Value value_json(const HclValue& value) {
  if (!value.has_content()) return {};
  switch (value.type().kind()) {
    case HclType::Kind::boolean:
      return Value(value.as_boolean());
    case HclType::Kind::number:
      return Value(Number{value.as_number().text()});
    case HclType::Kind::string:
      return Value(value.as_string());
    case HclType::Kind::map:
    case HclType::Kind::object: {
      Value out = Value::empty_object();
      for (const auto& [key, member] : value.members()) out.set(key, value_json(member));
      return out;
    }
    default: {
      Value::List items;
      for (const auto& item : value.items()) items.push_back(value_json(item));
      return Value(std::move(items));
    }
  }
}

Value typed_json(const HclValue& value) {
  return object({{"value", value_json(value)}, {"type", type_json(value.type())}});
}

Value place_json(const SourceRange& range, size_t at) {
  auto place = line_column({range.file, at, at});
  auto number = [](size_t n) { return Value(static_cast<int64_t>(n)); };
  return object({{"line", number(place.line)}, {"column", number(place.column)}, {"byte", number(at)}});
}

Value range_json(const SourceRange& range) {
  return object({{"filename", Value(range.file->name)},
                 {"start", place_json(range, range.begin)},
                 {"end", place_json(range, range.end)}});
}

Value diagnostics_json(const Diagnostics& found) {
  Value::List list;
  for (const auto& item : found.items()) {
    Value one = object({{"severity", Value(item.severity == Severity::error ? "error" : "warning")},
                        {"summary", Value(item.summary)},
                        {"detail", Value(item.detail)}});
    if (item.range.known()) one.set("subject", range_json(item.range));
    list.push_back(std::move(one));
  }
  return object({{"diagnostics", Value(std::move(list))}});
}

Value reference_json(const HclReference& reference) {
  SourceRange root = reference.range;
  root.end = std::min(root.end, root.begin + reference.root.size());
  Value::List steps{
      object({{"kind", Value("root")}, {"name", Value(reference.root)}, {"range", range_json(root)}})};
  for (const auto& step : reference.steps) {
    bool index = step.kind == HclStep::Kind::index;
    Value one = object({{"kind", Value(index ? "index" : "attr")}, {"range", range_json(step.range)}});
    one.set(index ? "key" : "name", index ? step.key() : Value(step.name));
    steps.push_back(std::move(one));
  }
  return object({{"root_name", Value(reference.root)},
                 {"steps", Value(std::move(steps))},
                 {"range", range_json(reference.range)}});
}

// ---- specs

/// How to make a value of a body; one struct for all kinds, each uses what it needs.
struct Spec {
  struct Child;
  std::string kind = "literal";
  std::string name;  ///< attribute or block type
  HclType type;      ///< attr, block_attrs
  bool required = false;
  int64_t min_items = 0;
  int64_t max_items = 0;
  std::vector<std::string> labels;  ///< block_map
  HclValue value;                   ///< literal
  HclExpressionPtr result;          ///< transform
  std::vector<Child> children;

  bool is_block() const { return kind.starts_with("block"); }
};

struct Spec::Child {
  std::string key;  ///< only in an object
  Spec spec;
};

HclType implied_type(const Spec& spec) {
  if (spec.kind == "attr") return spec.type.without_optional();
  if (spec.kind == "literal") return spec.value.type();
  if (spec.kind == "transform") return HclType::dynamic();
  if (spec.kind == "default") return implied_type(spec.children.at(0).spec);
  if (spec.kind == "block_attrs") return HclType::map(spec.type);
  if (spec.kind == "object") {
    HclType::Attributes members;
    for (const auto& [key, child] : spec.children) members[key] = implied_type(child);
    return HclType::object(members);
  }
  if (spec.kind == "array") {
    std::vector<HclType> items;
    for (const auto& [key, child] : spec.children) items.push_back(implied_type(child));
    return HclType::tuple(items);
  }
  HclType nested = implied_type(spec.children.at(0).spec);
  if (spec.kind == "block_list") return HclType::list(nested);
  if (spec.kind == "block_set") return HclType::set(nested);
  if (spec.kind == "block_map") {
    for (size_t i = 0; i < spec.labels.size(); ++i) nested = HclType::map(nested);
  }
  return nested;
}

class SpecReader {
 public:
  explicit SpecReader(Diagnostics& found) : found_(found) { functions_.functions = hcl_functions; }

  /// The whole file; variables and functions that it declares go to `scope`.
  Spec file(const HclBody& body, HclScope& scope, HclFunctionTable& functions) {
    HclBody rest;
    HclContent content =
        hcl_partial_content(body, {{}, {{"variables", {}}, {"function", {"name"}}}}, rest, found_);
    for (const auto& block : content.blocks) {
      if (block.type == "function") {
        functions[block.labels[0].text] = function(block.body);
        continue;
      }
      for (const auto& attribute : hcl_just_attributes(block.body, found_)) {
        scope.variables[attribute.name] = evaluate_hcl(*attribute.expression.tree(), functions_, found_);
      }
    }
    if (!functions.empty()) scope.functions = [&functions]() -> const HclFunctionTable& { return functions; };
    return only_child(rest);
  }

 private:
  static HclSchema spec_schema(std::vector<std::string> labels) {
    HclSchema out;
    for (const char* kind : {"object", "array", "literal", "attr", "block", "block_list", "block_map",
                             "block_set", "block_attrs", "default", "transform"}) {
      out.blocks.push_back({kind, labels});
    }
    return out;
  }

  HclFunction function(const HclBody& body) {
    HclContent content =
        hcl_content(body, {{{"params", true}, {"variadic_param", false}, {"result", true}}, {}}, found_);
    HclFunction out;
    std::vector<std::string> names;
    HclParameter any{"", HclType::dynamic(), true, true, true, true};
    auto add = [&](const HclExpression& expression) {
      auto reference = hcl_as_reference(expression);
      names.push_back(any.name = reference ? reference->root : "");
    };
    if (const auto* params = content.find("params")) {
      auto list = params->expression.tree();
      for (const auto& item : list->items) add(*item), out.parameters.push_back(any);
    }
    size_t fixed = names.size();
    if (const auto* rest = content.find("variadic_param")) add(*rest->expression.tree()), out.variadic = any;
    const auto* result = content.find("result");
    if (!result) return out;
    auto evaluate = [names, fixed, expression = result->expression.tree(),
                     outer = functions_](const std::vector<HclValue>& given) {
      HclScope scope = outer;
      for (size_t i = 0; i < fixed; ++i) scope.variables[names[i]] = given.at(i);
      if (names.size() > fixed) {
        scope.variables[names[fixed]] =
            HclValue::tuple({given.begin() + static_cast<ptrdiff_t>(fixed), given.end()});
      }
      Diagnostics wrong;
      HclValue value = evaluate_hcl(*expression, scope, wrong);
      if (wrong.has_errors()) throw HclFunctionError{wrong.items()[0].detail};
      return value;
    };
    out.call = [evaluate](const std::vector<HclValue>& given, const HclType&, const HclHost&) {
      return evaluate(given);
    };
    out.type = [evaluate](const std::vector<HclValue>& given) { return evaluate(given).type(); };
    return out;
  }

  Spec only_child(const HclBody& body) {
    HclContent content = hcl_content(body, spec_schema({}), found_);
    if (content.blocks.size() == 1) return spec(content.blocks[0]);
    found_.error(content.blocks.empty() ? "Missing spec block" : "Extraneous spec block",
                 "Exactly one spec block is required here.", content.missing_item);
    return {};
  }

  Spec spec(const HclBlock& block) {
    Spec out;
    out.kind = block.type;
    if (!block.labels.empty()) out.name = block.labels[0].text;
    if (out.kind == "object" || out.kind == "array" || out.kind == "default") {
      HclContent content = hcl_content(
          block.body,
          spec_schema(out.kind == "object" ? std::vector<std::string>{"key"} : std::vector<std::string>{}),
          found_);
      for (const auto& child : content.blocks) {
        out.children.push_back({child.labels.empty() ? "" : child.labels[0].text, spec(child)});
      }
      return out;
    }
    std::vector<HclAttributeSchema> names = {{"name", false}, {"block_type", false}, {"required", false}};
    if (out.kind == "literal") names = {{"value", true}};
    if (out.kind == "transform") names = {{"result", true}};
    if (out.kind == "attr") names.push_back({"type", true});
    if (out.kind == "block_attrs") names.push_back({"element_type", true});
    if (out.kind == "block_list" || out.kind == "block_set")
      names.insert(names.end(), {{"min_items", false}, {"max_items", false}});
    if (out.kind == "block_map") names.push_back({"labels", true});
    HclBody rest;
    HclContent content = hcl_partial_content(block.body, {names, {}}, rest, found_);
    for (const auto& attribute : content.attributes) set(out, attribute);
    bool nested = out.kind == "transform" || (out.is_block() && out.kind != "block_attrs");
    if (nested)
      out.children.push_back({"", only_child(rest)});
    else
      hcl_content(rest, {}, found_);
    if ((out.is_block() || out.kind == "attr") && out.name.empty()) {
      found_.error(fmt::format("Missing name in {} spec", out.kind),
                   "The name of what is to be found is required.", content.missing_item);
    }
    return out;
  }

  void set(Spec& out, const HclAttribute& attribute) {
    if (attribute.name == "type" || attribute.name == "element_type") {
      if (auto type = hcl_type_constraint(*attribute.expression.tree(), found_)) out.type = type->type;
      return;
    }
    if (attribute.name == "result") {
      out.result = attribute.expression.tree();
      return;
    }
    HclValue value = evaluate_hcl(*attribute.expression.tree(), functions_, found_);
    if (attribute.name == "value") out.value = value;
    if (!value.has_content()) return;
    if (attribute.name == "name" || attribute.name == "block_type") out.name = value.as_string();
    if (attribute.name == "required") out.required = value.as_boolean();
    if (attribute.name == "min_items") out.min_items = value.as_number().to_int64().value_or(0);
    if (attribute.name == "max_items") out.max_items = value.as_number().to_int64().value_or(0);
    if (attribute.name == "labels") {
      for (const auto& label : value.items()) out.labels.push_back(label.as_string());
    }
  }

  Diagnostics& found_;
  HclScope functions_;
};

// ---- decoding

class Decoder {
 public:
  Decoder(const HclScope& scope, Diagnostics& found) : scope_(scope), found_(found) {}

  HclValue decode(const HclBody& body, const Spec& spec) {
    HclSchema schema;
    add_to_schema(schema, spec);
    return value(hcl_content(body, schema, found_), spec);
  }

  /// The variables that decoding would use.
  void references(const HclBody& body, const Spec& spec, std::vector<HclReference>& out) {
    HclSchema schema;
    add_to_schema(schema, spec);
    HclBody rest;
    HclContent content = hcl_partial_content(body, schema, rest, found_);
    references(content, spec, out);
  }

 private:
  static void add_to_schema(HclSchema& schema, const Spec& spec) {
    if (spec.kind == "attr")
      schema.attributes.push_back({spec.name, spec.required});
    else if (spec.is_block())
      schema.blocks.push_back({spec.name, spec.labels});
    else
      for (const auto& [key, child] : spec.children) add_to_schema(schema, child);
  }

  void references(const HclContent& content, const Spec& spec, std::vector<HclReference>& out) {
    if (spec.kind == "attr") {
      if (const auto* attribute = content.find(spec.name)) {
        for (auto& reference : hcl_references(*attribute->expression.tree())) out.push_back(std::move(reference));
      }
    } else if (spec.is_block()) {
      for (const auto& block : content.blocks) {
        if (block.type != spec.name) continue;
        if (!spec.children.empty()) references(block.body, spec.children[0].spec, out);
      }
    } else {
      for (const auto& [key, child] : spec.children) references(content, child, out);
    }
  }

  HclValue value(const HclContent& content, const Spec& spec) {
    if (spec.kind == "literal") return spec.value;
    if (spec.kind == "object") {
      HclValue::Members members;
      for (const auto& [key, child] : spec.children) members[key] = value(content, child);
      return HclValue::object(std::move(members));
    }
    if (spec.kind == "array") {
      HclValue::Items items;
      for (const auto& [key, child] : spec.children) items.push_back(value(content, child));
      return HclValue::tuple(std::move(items));
    }
    if (spec.kind == "default") {
      HclValue out;
      for (const auto& [key, child] : spec.children) {
        out = value(content, child);
        if (!out.is_null()) break;
      }
      return out;
    }
    if (spec.kind == "transform") {
      HclScope scope;
      scope.functions = hcl_functions;
      scope.variables["nested"] = value(content, spec.children.at(0).spec);
      return evaluate_hcl(*spec.result, scope, found_);
    }
    if (spec.kind == "attr") {
      const auto* attribute = content.find(spec.name);
      if (!attribute) return HclValue::null(spec.type.without_optional());
      return evaluate_hcl_as(*attribute->expression.tree(), spec.type, scope_, spec.name, found_);
    }
    return blocks(content, spec);
  }

  HclValue blocks(const HclContent& content, const Spec& spec) {
    std::vector<const HclBlock*> own;
    for (const auto& block : content.blocks) {
      if (block.type == spec.name) own.push_back(&block);
    }
    if (spec.kind == "block" || spec.kind == "block_attrs") return single(content, spec, own);
    if (spec.kind == "block_map") return map(spec, own);
    auto count = static_cast<int64_t>(own.size());
    HclType type = implied_type(spec);
    HclValue::Items items;
    std::vector<HclType> types;
    for (const auto* block : own) {
      items.push_back(decode(block->body, spec.children.at(0).spec));
      types.push_back(items.back().type());
    }
    if (count < spec.min_items) {
      found_.error(fmt::format("Insufficient {} blocks", spec.name),
                   fmt::format("At least {} {} blocks are required.", spec.min_items, go_quote(spec.name)),
                   content.missing_item);
    } else if (spec.max_items > 0 && count > spec.max_items) {
      found_.error(fmt::format("Too many {} blocks", spec.name),
                   fmt::format("No more than {} {} blocks are allowed", spec.max_items, go_quote(spec.name)),
                   own[static_cast<size_t>(spec.max_items)]->header);
    }
    if (items.empty())
      return spec.kind == "block_set" ? HclValue::set(type.element(), {})
                                      : HclValue::list(type.element(), {});
    auto element = hcl_unify(types, true);
    for (auto& item : items) {
      auto converted = element ? hcl_convert(item, *element) : std::nullopt;
      if (!converted) {
        found_.error(fmt::format("Unconsistent argument types in {} blocks", spec.name),
                     "Corresponding attributes in all blocks of this type must be the same.", own[0]->header);
        return HclValue::unknown(HclType::dynamic());
      }
      item = *converted;
    }
    return spec.kind == "block_set" ? HclValue::set(*element, std::move(items))
                                    : HclValue::list(*element, std::move(items));
  }

  HclValue single(const HclContent& content, const Spec& spec, const std::vector<const HclBlock*>& own) {
    HclType type = implied_type(spec);
    if (own.empty()) {
      if (spec.required) {
        found_.error(fmt::format("Missing {} block", spec.name),
                     fmt::format("A block of type {} is required here.", go_quote(spec.name)),
                     content.missing_item);
      }
      return HclValue::null(type);
    }
    if (own.size() > 1) {
      found_.error(fmt::format("Duplicate {} block", spec.name),
                   fmt::format("Only one block of type {} is allowed.", go_quote(spec.name)), own[1]->header);
    }
    if (spec.kind == "block") return decode(own[0]->body, spec.children.at(0).spec);
    HclValue::Members members;
    for (const auto& attribute : hcl_just_attributes(own[0]->body, found_)) {
      members[attribute.name] =
          evaluate_hcl_as(*attribute.expression.tree(), spec.type, scope_, attribute.name, found_);
    }
    return HclValue::map(type.element(), std::move(members));
  }

  /// Blocks by their labels, one level of maps each.
  HclValue map(const Spec& spec, const std::vector<const HclBlock*>& own, size_t level = 0) {
    HclType type = implied_type(spec);
    for (size_t i = 0; i < level; ++i) type = type.element();
    std::map<std::string, std::vector<const HclBlock*>> groups;
    for (const auto* block : own) groups[block->labels[level].text].push_back(block);
    HclValue::Members members;
    for (const auto& [label, group] : groups) {
      if (level + 1 < spec.labels.size()) {
        members[label] = map(spec, group, level + 1);
        continue;
      }
      for (size_t i = 1; i < group.size(); ++i) {
        found_.error(
            fmt::format("Duplicate {} block", spec.name),
            fmt::format("A block for {} with these labels was already defined. The {} labels must be unique.",
                        spec.name, spec.name),
            group[i]->header);
      }
      members[label] = decode(group[0]->body, spec.children.at(0).spec);
    }
    return HclValue::map(type.element(), std::move(members));
  }

  const HclScope& scope_;
  Diagnostics& found_;
};

// ---- test files

Value expected_range(const HclBody& body, Diagnostics& found) {
  Value out = Value::empty_object();
  HclScope none;
  HclBody rest;
  for (const auto& block : hcl_partial_content(body, {{}, {{"from", {}}, {"to", {}}}}, rest, found).blocks) {
    Value place = Value::empty_object();
    for (const char* name : {"line", "column", "byte"}) {
      HclContent content =
          hcl_content(block.body, {{{"line", true}, {"column", true}, {"byte", true}}, {}}, found);
      if (const auto* attribute = content.find(name))
        place.set(name, value_json(evaluate_hcl(*attribute->expression.tree(), none, found)));
    }
    out.set(block.type == "from" ? "start" : "end", place);
  }
  return out;
}

Value test_file(const std::string& path, Diagnostics& found) {
  HclScope none;
  Value out = Value::empty_object();
  HclBody body = parse(path, found);
  HclContent content = hcl_content(
      body, {{{"result", false}, {"result_type", false}}, {{"traversals", {}}, {"diagnostics", {}}}}, found);
  HclType type;
  if (const auto* attribute = content.find("result_type")) {
    if (auto constraint = hcl_type_constraint(*attribute->expression.tree(), found)) type = constraint->type;
  }
  out.set("result_type", type_json(type));
  if (const auto* attribute = content.find("result")) {
    out.set("result", typed_json(evaluate_hcl_as(*attribute->expression.tree(), type, none, "result", found)));
  }
  for (const auto& block : content.blocks) {
    Value::List list;
    if (block.type == "traversals") {
      for (const auto& expect : hcl_content(block.body, {{}, {{"expect", {}}}}, found).blocks) {
        HclBody rest;
        HclContent own = hcl_partial_content(expect.body, {{{"ref", true}}, {}}, rest, found);
        auto reference = own.find("ref") ? hcl_as_reference(*own.find("ref")->expression.tree()) : std::nullopt;
        if (reference)
          list.push_back(
              object({{"reference", reference_json(*reference)}, {"range", expected_range(rest, found)}}));
      }
    } else {
      for (const auto& one : hcl_content(block.body, {{}, {{"error", {}}, {"warning", {}}}}, found).blocks) {
        list.push_back(object({{"severity", Value(one.type)}, {"range", expected_range(one.body, found)}}));
      }
    }
    out.set(block.type, Value(std::move(list)));
  }
  return out;
}

int run(const std::vector<std::string>& arguments) {
  std::string spec_path;
  std::string input;
  std::string test;
  bool show_references = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument.starts_with("--spec="))
      spec_path = argument.substr(7);
    else if (argument == "--var-refs")
      show_references = true;
    else if (argument == "--test-file" && i + 1 < arguments.size())
      test = arguments[++i];
    else if (!argument.starts_with("--"))
      input = argument;
  }
  Diagnostics found;
  auto done = [&](const Value& out) {
    if (found.has_errors()) {
      std::cerr << to_json(diagnostics_json(found)) << "\n";
      return 2;
    }
    std::cout << to_json(out) << "\n";
    return 0;
  };
  if (!test.empty()) return done(test_file(test, found));
  HclScope scope;
  HclFunctionTable functions;
  HclBody spec_body = parse(spec_path, found);
  if (found.has_errors()) return done({});
  Spec spec = SpecReader(found).file(spec_body, scope, functions);
  if (found.has_errors()) return done({});
  HclBody body = parse(input, found);
  if (found.has_errors()) return done({});
  Decoder decoder(scope, found);
  if (show_references) {
    std::vector<HclReference> references;
    decoder.references(body, spec, references);
    Value::List list;
    for (const auto& reference : references) list.push_back(reference_json(reference));
    return done(Value(std::move(list)));
  }
  return done(typed_json(decoder.decode(body, spec)));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const kiln::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
