#include "core/plan_outline.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/text.h"

namespace kiln {

namespace {

const OptionDoc* doc_of(const std::vector<OptionDoc>& docs, const std::string& name) {
  for (const auto& doc : docs) {
    if (doc.name == name || std::find(doc.aliases.begin(), doc.aliases.end(), name) != doc.aliases.end()) return &doc;
  }
  return nullptr;
}

/// What of the options changes the result, sorted: the order in which they were written does not.
Value keyed(const Value& options, const std::vector<OptionDoc>& docs, bool with_places = false) {
  std::map<std::string, Value> sorted;
  for (const auto& member : options.as_object()) {
    const OptionDoc* doc = doc_of(docs, member.key);
    if (!doc || doc->in_key || (with_places && doc->places)) sorted[member.key] = member.value;
  }
  Value out = Value::empty_object();
  for (auto& [name, value] : sorted) out.set(name, std::move(value));
  return out;
}

bool mentions_name(const Value& value) {
  if (value.is_string()) return contains(value.as_string(), ".Name");
  if (value.is_list()) return std::any_of(value.as_list().begin(), value.as_list().end(), mentions_name);
  return value.is_object() && std::any_of(value.as_object().begin(), value.as_object().end(),
                                          [](const Member& member) { return mentions_name(member.value); });
}

/// What the machine itself may notice. Its name is seen where a boot command or a served file says it.
Value noticed(const Value& keyed, const std::vector<OptionDoc>& docs) {
  bool named = mentions_name(keyed);
  Value out = Value::empty_object();
  for (const auto& member : keyed.as_object()) {
    const OptionDoc* doc = doc_of(docs, member.key);
    if (!doc || !(doc->at_end || (doc->places && !named))) out.set(member.key, member.value);
  }
  return out;
}

void add_strings(const Value& value, std::vector<std::string>& out) {
  if (value.is_string()) out.push_back(value.as_string());
  if (!value.is_list()) return;
  for (const auto& item : value.as_list()) add_strings(item, out);
}

/// The files that options name.
std::vector<std::string> files_read(const Value& options, const std::vector<OptionDoc>& docs) {
  std::vector<std::string> out;
  for (const auto& member : options.as_object()) {
    const OptionDoc* doc = doc_of(docs, member.key);
    if (doc && doc->reads) add_strings(member.value, out);
  }
  return out;
}

/// As people may see it: strings rendered as the component would have them (but for what it renders itself), without
/// secrets, with a word for what is not known yet (it has no JSON).
struct Shown {
  const TemplateScope& scope;
  const std::vector<std::string>& secrets;
  const HideSecret& hide;

  std::string hidden(const std::string& secret) const { return hide ? hide(secret) : "<sensitive>"; }
  Value hidden_value(const Value& value) const {
    if (value.is_null()) return value;
    return Value(hidden(value.is_string() ? value.as_string() : value.is_unknown() ? "" : to_json(value)));
  }
  Value text(const std::string& written, bool raw) const {
    std::string out = written;
    if (!raw && contains(written, "{{")) {
      if (Rendered rendered = render_template_once(written, scope); rendered.ok()) out = rendered.text;
    }
    for (const auto& secret : secrets) {
      if (!secret.empty()) out = replace_all(out, secret, hidden(secret));
    }
    return Value(out);
  }

  Value operator()(const Value& value, const std::vector<OptionDoc>& docs, bool raw = false) const {
    if (value.secret) return hidden_value(value);
    if (value.is_unknown()) return Value("<unknown>");
    if (value.is_string()) return text(value.as_string(), raw);
    Value out = value;
    if (out.is_list()) {
      for (auto& item : out.as_list()) item = (*this)(item, docs, raw);
    } else if (out.is_object()) {
      for (auto& member : out.as_object()) {
        const OptionDoc* doc = doc_of(docs, member.key);
        member.value = doc && doc->secret ? hidden_value(member.value)
                                          : (*this)(member.value, doc ? doc->nested : std::vector<OptionDoc>(),
                                                    raw || (doc && doc->raw));
      }
    }
    return out;
  }
};

class Outliner {
 public:
  Outliner(const Components& components, const std::vector<std::string>& secrets, const HideSecret& hide)
      : components_(components), secrets_(secrets), hide_(hide) {}

  OutlinedBuild build(const Stage& stage) {
    OutlinedBuild out{stage.info.display_name, {}, stage.left_out};
    parent_.clear();
    scope_ = &stage.info.scope;
    BodyInput input{stage.info.scope.build_data, false, stage.source.type, stage.source.override_name};
    Diagnostics ignored;  // the plan was made without mistakes
    out.steps.push_back(step("source", stage.source.type, stage.source.name, stage.source.body(input, ignored),
                             docs_in(components_.builders, stage.source.type)));
    auto provisioner = [&](const char* kind, const PlannedProvisioner& planned) {
      const auto& declaration = planned.declaration;
      Value options = declaration.body(input, ignored);
      if (auto found = declaration.overrides.find(stage.source.override_name); found != declaration.overrides.end()) {
        for (const auto& member : found->second.as_object()) options.set(member.key, member.value);
      }
      out.steps.push_back(step(kind, declaration.type, declaration.name, options,
                               docs_in(components_.provisioners, declaration.type)));
    };
    for (const auto& planned : stage.provisioners) provisioner("provisioner", planned);
    if (stage.error_cleanup) provisioner("error-cleanup-provisioner", *stage.error_cleanup);
    std::string built = parent_;
    for (const auto& chain : stage.post_processors) {
      parent_ = built;  // every chain starts from what the builder made
      for (const auto& planned : chain) {
        const auto& declaration = planned.declaration;
        out.steps.push_back(
            step("post-processor", declaration.type, declaration.name == declaration.type ? "" : declaration.name,
                 declaration.body(input, ignored), docs_in(components_.post_processors, declaration.type)));
      }
    }
    return out;
  }

 private:
  template <class Entry>
  static const std::vector<OptionDoc>& docs_in(const std::vector<Entry>& entries, const std::string& type) {
    return find_component(entries, type)->options();
  }

  OutlinedStep step(const char* kind, const std::string& type, const std::string& name, const Value& options,
                    const std::vector<OptionDoc>& docs) {
    OutlinedStep out{kind, type, name, outline_options(options, docs, *scope_, secrets_, hide_), "", {}, {}, "", {}};
    out.result_options = keyed(out.options, docs, true);
    out.state_options = noticed(keyed(out.options, docs), docs);
    out.reads = files_read(out.options, docs);
    out.key =
        digest_hex("sha256", fmt::format("{}\n{}\n{}\n{}", parent_, kind, type, to_json(keyed(out.options, docs))));
    if (std::string_view(kind) != "error-cleanup-provisioner") parent_ = out.key;
    return out;
  }

  const Components& components_;
  const std::vector<std::string>& secrets_;
  const HideSecret& hide_;
  const TemplateScope* scope_ = nullptr;  ///< of the build that is outlined
  std::string parent_;
};

}  // namespace

std::vector<OutlinedBuild> outline_plan(const Plan& plan, const Components& components, const HideSecret& hide) {
  std::vector<OutlinedBuild> out;
  Outliner outliner(components, plan.secrets, hide);
  for (const auto& stage : plan.stages) out.push_back(outliner.build(stage));
  return out;
}

Value outline_options(const Value& options, const std::vector<OptionDoc>& docs, const TemplateScope& scope,
                      const std::vector<std::string>& secrets, const HideSecret& hide) {
  return Shown{scope, secrets, hide}(options, docs);
}

Value outline_value(const std::vector<OutlinedBuild>& builds) {
  Value list = Value::empty_list();
  for (const auto& build : builds) {
    Value steps = Value::empty_list(), left_out = Value::empty_list();
    for (const auto& step : build.steps) {
      Value one = Value::empty_object();
      one.set("kind", Value(step.kind));
      one.set("type", Value(step.type));
      one.set("name", step.name.empty() ? Value() : Value(step.name));
      one.set("key", step.key.empty() ? Value() : Value(step.key));
      if (!step.cache.empty()) one.set("cache", Value(step.cache));
      one.set("options", step.options);
      steps.as_list().push_back(std::move(one));
    }
    for (const auto& text : build.left_out) left_out.as_list().push_back(Value(text));
    Value one = Value::empty_object();
    one.set("name", Value(build.name));
    one.set("steps", std::move(steps));
    one.set("left_out", std::move(left_out));
    list.as_list().push_back(std::move(one));
  }
  Value out = Value::empty_object();
  out.set("builds", std::move(list));
  return out;
}

}  // namespace kiln
