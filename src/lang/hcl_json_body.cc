// Bodies of HCL's JSON syntax by a schema. Source: HCL's JSON syntax specification; the words of diagnostics
// as HCL's.
#include <fmt/format.h>

#include <unordered_map>

#include "base/text.h"
#include "lang/hcl_json.h"

namespace kiln {
namespace {

SourceRange opening(const Value& value) {
  SourceRange range = value.range;
  if (value.is_object() || value.is_list()) range.end = std::min(range.end, range.begin + 1);
  return range;
}

/// Where to say that something is missing: the brace that closes an object.
SourceRange missing_place(const Value& value) {
  SourceRange range = opening(value);
  if (value.is_object() && value.range.end > value.range.begin)
    range = {value.range.file, value.range.end - 1, value.range.end};
  return range;
}

class JsonBodyReader {
 public:
  JsonBodyReader(const HclBody& body, Diagnostics& diagnostics)
      : body_(*body.json), diagnostics_(diagnostics) {}

  HclContent content(const HclSchema& schema, bool dynamic, HclBody* rest, const HclBody& whole) {
    static const HclBlockSchema dynamic_schema{"dynamic", {"type"}};
    HclContent out;
    out.missing_item = missing_place(*body_.value);
    std::vector<const Member*> members = members_of(*body_.value, nullptr);
    std::vector<const Member*> unknown;
    for (const Member* member : members) {
      if (body_.hidden.contains(member->key)) continue;
      bool is_dynamic = dynamic && member->key == dynamic_schema.type;
      if (find_attribute_schema(schema, member->key)) {
        add_attribute(*member, out);
      } else if (const auto* block = is_dynamic ? &dynamic_schema : find_block_schema(schema, member->key)) {
        HclBlock next;
        next.type = block->type;
        next.type_range = member->key_range;
        unpack(member->value, *block, next, out);
      } else {
        unknown.push_back(member);
      }
    }
    for (const auto& wanted : schema.attributes) {
      if (!wanted.required || out.find(wanted.name)) continue;
      diagnostics_.error(
          "Missing required argument",
          fmt::format("The argument {} is required, but no definition was found.", go_quote(wanted.name)),
          out.missing_item);
    }
    if (dynamic) {
      std::erase_if(out.blocks, [&](const HclBlock& block) {
        return block.type == dynamic_schema.type && body_.hidden_dynamic.contains(block.labels[0].text);
      });
    }
    if (rest)
      *rest = rest_of(whole, members, schema, dynamic);
    else
      report_unknown(unknown, schema, dynamic, out);
    return out;
  }

  std::vector<HclAttribute> attributes() {
    HclContent out;
    if (!body_.value->is_object()) {
      diagnostics_.error("Incorrect JSON value type",
                         "A JSON object is required here, setting the arguments for this block.",
                         opening(*body_.value));
      return {};
    }
    std::unordered_map<std::string_view, size_t> seen;
    for (const Member& member : body_.value->as_object()) {
      if (member.key == "//" || body_.hidden.contains(member.key)) continue;
      auto [first, is_new] = seen.emplace(member.key, out.attributes.size());
      if (is_new)
        out.attributes.push_back(attribute(member));
      else
        report_duplicate("Duplicate attribute definition", member, out.attributes[first->second]);
    }
    return std::move(out.attributes);
  }

 private:
  static HclAttribute attribute(const Member& member) {
    SourceRange range = member.key_range;
    range.end = std::max(range.end, member.value.range.end);
    return {member.key, HclWritten(hcl_json_expression(member.value)), member.key_range, range};
  }

  void add_attribute(const Member& member, HclContent& out) {
    if (const HclAttribute* first = out.find(member.key))
      report_duplicate("Duplicate argument", member, *first);
    else
      out.attributes.push_back(attribute(member));
  }

  void report_duplicate(std::string summary, const Member& member, const HclAttribute& first) {
    diagnostics_.error(
        std::move(summary),
        fmt::format("The argument {} was already set at {}.", go_quote(member.key), hcl_place(first.range)),
        member.key_range);
  }

  /// The members of an object, or of all objects of a list: a body, or, with `label`, a level of labels.
  std::vector<const Member*> members_of(const Value& value, const std::string* label) {
    std::vector<const Member*> out;
    auto take = [&](const Value& object) {
      for (const Member& member : object.as_object()) out.push_back(&member);
    };
    auto report = [&](const Value& wrong, std::string_view what) {
      std::string detail =
          label ? fmt::format("{} is required here, to specify {} labels for this block.", what, *label)
                : fmt::format("{} is required here, to define arguments and child blocks.", what);
      diagnostics_.error("Incorrect JSON value type", detail, opening(wrong));
    };
    if (value.is_object()) {
      take(value);
    } else if (value.is_list()) {
      for (const Value& item : value.as_list()) {
        if (item.is_object())
          take(item);
        else
          report(item, "A JSON object");
      }
    } else if (!value.is_null()) {
      report(value, "Either a JSON object or JSON array of objects");
    }
    return out;
  }

  /// Takes the labels off, one level of objects each, then the blocks themselves. `block` has the labels so
  /// far.
  void unpack(const Value& value, const HclBlockSchema& schema, HclBlock& block, HclContent& out) {
    if (block.labels.size() == schema.labels.size()) return add_blocks(value, block, out);
    const std::string& label = schema.labels[block.labels.size()];
    std::vector<const Member*> members = members_of(value, &label);
    if (members.empty()) {
      diagnostics_.error(
          "Missing block label",
          fmt::format("At least one object property is required, whose name represents the {} block's {}.",
                      schema.type, label),
          opening(value));
    }
    for (const Member* member : members) {
      block.labels.push_back({member->key, member->key_range});
      unpack(member->value, schema, block, out);
      block.labels.pop_back();
    }
  }

  void add_blocks(const Value& value, const HclBlock& labelled, HclContent& out) {
    auto add = [&](const Value& body) {
      HclBlock block = labelled;
      auto json = std::make_shared<HclJsonBody>();
      json->value = std::shared_ptr<const Value>(body_.value, &body);
      block.body.json = std::move(json);
      block.body.range = body.range;
      block.body.end = missing_place(body);
      block.header = opening(value);
      block.range = body.range;
      out.blocks.push_back(std::move(block));
    };
    if (value.is_object()) {
      add(value);
    } else if (value.is_list()) {
      for (const Value& item : value.as_list())
        add(item);  // one that is no object is reported when it is read
    } else if (!value.is_null()) {
      diagnostics_.error(
          "Incorrect JSON value type",
          fmt::format("Either a JSON object or a JSON array is required, representing the contents of one "
                      "or more {} blocks.",
                      go_quote(labelled.type)),
          opening(value));
    }
  }

  HclBody rest_of(const HclBody& whole, const std::vector<const Member*>& members, const HclSchema& schema,
                  bool dynamic) {
    HclBody out = whole;
    auto json = std::make_shared<HclJsonBody>(body_);
    for (const Member* member : members) {
      bool is_dynamic = dynamic && member->key == "dynamic";
      if (is_dynamic) continue;
      if (find_attribute_schema(schema, member->key) || find_block_schema(schema, member->key))
        json->hidden.insert(member->key);
    }
    if (dynamic) {
      for (const auto& block : schema.blocks) json->hidden_dynamic.insert(block.type);
    }
    out.json = std::move(json);
    return out;
  }

  void report_unknown(const std::vector<const Member*>& members, const HclSchema& schema, bool dynamic,
                      const HclContent& content) {
    std::vector<std::string_view> names;
    for (const auto& known : schema.attributes) {
      if (!content.find(known.name) && !body_.hidden.contains(known.name)) names.push_back(known.name);
    }
    for (const auto& known : schema.blocks) names.push_back(known.type);
    if (dynamic) names.push_back("dynamic");
    for (const Member* member : members) {
      if (member->key == "//") continue;
      std::string suggestion = hcl_name_suggestion(member->key, names);
      auto nearest =
          suggestion.empty() ? nearest_name(member->key, {names.begin(), names.end()}) : std::nullopt;
      diagnostics_.error(
          "Extraneous JSON object property",
          fmt::format("No argument or block type is named {}.{}", go_quote(member->key), suggestion),
          member->key_range, nearest ? fmt::format("Did you mean \"{}\"?", *nearest) : "");
    }
  }

  const HclJsonBody& body_;
  Diagnostics& diagnostics_;
};

}  // namespace

HclContent hcl_json_content(const HclBody& body, const HclSchema& schema, bool dynamic, HclBody* rest,
                            Diagnostics& diagnostics) {
  return JsonBodyReader(body, diagnostics).content(schema, dynamic, rest, body);
}

std::vector<HclAttribute> hcl_json_attributes(const HclBody& body, Diagnostics& diagnostics) {
  return JsonBodyReader(body, diagnostics).attributes();
}

}  // namespace kiln
