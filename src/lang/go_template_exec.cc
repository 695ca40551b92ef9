#include "lang/go_template_exec.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "lang/go_literal.h"

namespace kiln::go_template {
namespace {

/// Nested template calls; each takes several frames of the stack.
constexpr int max_template_depth = 100;

/// An error text that is complete.
struct ExecutionError {
  std::string message;
};

enum class Leave { no, break_range, continue_range };

struct Variable {
  std::string name;
  Ref value;
};

const StandInFunction* find_stand_in(std::string_view name, const StandInFunctions* stand_ins) {
  if (!stand_ins) return nullptr;
  auto found = stand_ins->find(name);
  return found == stand_ins->end() ? nullptr : &found->second;
}

/// Arguments that were checked to be strings and integers.
std::vector<std::string> texts_of(const std::vector<Ref>& arguments) {
  std::vector<std::string> texts;
  texts.reserve(arguments.size());
  for (const auto& one : arguments) texts.push_back(one->is_string() ? one->as_string() : one->as_number().text);
  return texts;
}

class Executor {
 public:
  Executor(const Tree& tree, const TemplateScope& scope, Budget& budget, const StandInFunctions* stand_ins,
           MissingKey missing)
      : tree_(tree), scope_(scope), budget_(budget), stand_ins_(stand_ins), missing_(missing) {}

  std::string run(const Value& dot) {
    // Not owned: dot outlives the execution.
    Ref data = dot.is_null() ? Ref() : Ref(Ref(), &dot);
    variables_ = {{"$", data}};
    walk(data, *tree_.root);
    return std::move(out_);
  }

 private:
  using Arguments = std::vector<NodePtr>;

  [[noreturn]] void fail(const std::string& message) const {
    if (!at_) throw ExecutionError{"template: root: " + message};
    std::string_view before = std::string_view(tree_.source).substr(0, at_->position);
    size_t newline = before.rfind('\n');
    size_t column = newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
    auto line = 1 + std::count(before.begin(), before.end(), '\n');
    throw ExecutionError{fmt::format("template: root:{}:{}: executing {} at <{}>: {}", line, column, go_quote(name_),
                                     to_string(*at_), message)};
  }
  void at(const Node& node) { at_ = &node; }
  void spend_step() {
    if (budget_.steps == 0) fail("the template takes too many steps");
    --budget_.steps;
  }
  void spend_bytes(size_t bytes) {
    if (budget_.bytes < bytes) fail("the template handles too much text");
    budget_.bytes -= bytes;
  }

  void write(std::string_view text) {
    if (out_.size() + text.size() > max_template_text) fail("the text would be longer than 8 MiB");
    out_ += text;
  }

  Leave walk(const Ref& dot, const Node& node) {
    spend_step();
    at(node);
    switch (node.kind) {
      case NodeKind::list:
        for (const auto& child : node.children) {
          Leave leave = walk(dot, *child);
          if (leave != Leave::no) return leave;
        }
        return Leave::no;
      case NodeKind::text: write(node.text); return Leave::no;
      case NodeKind::action: walk_action(dot, node); return Leave::no;
      case NodeKind::if_clause:
      case NodeKind::with_clause: return walk_branch(dot, node);
      case NodeKind::range_clause: walk_range(dot, node); return Leave::no;
      case NodeKind::template_call: walk_template(dot, node); return Leave::no;
      case NodeKind::break_clause: return Leave::break_range;
      case NodeKind::continue_clause: return Leave::continue_range;
      default: fail("unknown node");
    }
  }

  void walk_action(const Ref& dot, const Node& node) {
    const Node& pipe = *node.pipe;
    if (scope_.keep_dot_actions && pipe.declared.empty() && pipe.children.size() == 1 &&
        pipe.children[0]->children.size() == 1 && pipe.children[0]->children[0]->kind == NodeKind::field) {
      write(std::string_view(tree_.source).substr(node.position, node.end - node.position));
      return;
    }
    Ref value = pipeline(dot, pipe);
    if (!pipe.declared.empty()) return;
    if (value && value->is_string()) write(value->as_string());
    else if (!value || value->is_null()) write("<no value>");
    else write(guarded_print(value));
  }

  std::string guarded_print(const Ref& value) {
    try {
      return print_value(value);
    } catch (const FunctionError& error) {
      fail(error.message);
    }
  }

  Leave walk_branch(const Ref& dot, const Node& node) {
    size_t mark = variables_.size();
    Ref value = pipeline(dot, *node.pipe);
    Leave leave = Leave::no;
    if (is_true(value)) leave = walk(node.kind == NodeKind::with_clause ? value : dot, *node.body);
    else if (node.otherwise) leave = walk(dot, *node.otherwise);
    variables_.resize(mark);
    return leave;
  }

  void walk_range(const Ref& dot, const Node& node) {
    size_t outer = variables_.size();
    Ref value = pipeline(dot, *node.pipe);
    size_t mark = variables_.size();
    size_t turns = 0;
    auto turn = [&](const Ref& index, const Ref& element) {
      ++turns;
      spend_step();
      set_range_variables(*node.pipe, index, element);
      Leave leave = walk(element, *node.body);
      variables_.resize(mark);
      return leave != Leave::break_range;
    };
    if (value && value->is_list()) {
      const auto& list = value->as_list();
      for (size_t i = 0; i < list.size(); ++i) {
        if (!turn(make_ref(Value(static_cast<int64_t>(i))), Ref(value, &list[i]))) break;
      }
    } else if (value && value->is_object()) {
      std::vector<const Member*> members;
      for (const auto& member : value->as_object()) members.push_back(&member);
      std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key < b->key; });
      for (const Member* member : members) {
        if (!turn(make_ref(Value(member->key)), Ref(value, &member->value))) break;
      }
    } else if (value && value->kind() == Value::Kind::number && !is_float(value->as_number())) {
      if (node.pipe->declared.size() > 1)
        fail(fmt::format("can't use {} to iterate over more than one variable", print_value(value)));
      int64_t count = std::strtoll(value->as_number().text.c_str(), nullptr, 10);
      for (int64_t i = 0; i < count; ++i) {
        Ref number = make_ref(Value(i));
        if (!turn(number, number)) break;
      }
    } else if (value && !value->is_null()) {
      fail("range can't iterate over " + guarded_print(value));
    }
    if (turns == 0 && node.otherwise) walk(dot, *node.otherwise);
    variables_.resize(outer);
  }

  /// The pipeline has already declared the variables; here they get the values of one turn.
  void set_range_variables(const Node& pipe, const Ref& index, const Ref& element) {
    if (pipe.declared.empty()) return;
    const std::string& first = pipe.declared.front();
    if (pipe.assigns) {
      set_variable(first, pipe.declared.size() > 1 ? index : element);
      if (pipe.declared.size() > 1) set_variable(pipe.declared[1], element);
      return;
    }
    variables_.back().value = element;
    if (pipe.declared.size() > 1) variables_[variables_.size() - 2].value = index;
  }

  void walk_template(const Ref& dot, const Node& node) {
    const Node* body = nullptr;
    auto found = tree_.defined.find(node.text);
    if (found != tree_.defined.end()) body = found->second.get();
    else if (node.text == "root") body = tree_.root.get();
    if (!body) fail(fmt::format("template {} not defined", go_quote(node.text)));
    if (depth_ == max_template_depth) fail(fmt::format("exceeded maximum template depth ({})", max_template_depth));
    Ref data = node.pipe ? pipeline(dot, *node.pipe) : Ref();
    ++depth_;
    std::string outer_name = std::exchange(name_, node.text);
    std::vector<Variable> outer = std::exchange(variables_, {{"$", data}});
    walk(data, *body);
    variables_ = std::move(outer);
    name_ = std::move(outer_name);
    --depth_;
  }

  void set_variable(const std::string& name, const Ref& value) {
    for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable) {
      if (variable->name != name) continue;
      variable->value = value;
      return;
    }
    fail("undefined variable: " + name);
  }

  Ref pipeline(const Ref& dot, const Node& pipe) {
    at(pipe);
    Ref value;
    bool piped = false;
    for (const auto& command : pipe.children) {
      value = run_command(dot, *command, piped ? &value : nullptr);
      piped = true;
    }
    for (const auto& name : pipe.declared) {
      if (pipe.assigns) set_variable(name, value);
      else variables_.push_back({name, value});
    }
    return value;
  }

  void refuse_arguments(const Node& first, const Arguments& arguments, const Ref* piped) {
    if (arguments.size() > 1 || piped) fail("can't give argument to non-function " + to_string(first));
  }
  Ref run_command(const Ref& dot, const Node& command, const Ref* piped) {
    spend_step();
    const Node& first = *command.children.front();
    switch (first.kind) {
      case NodeKind::field:
      case NodeKind::chain:
      case NodeKind::variable: return fields(dot, first, command.children.size() > 1 || piped);
      case NodeKind::identifier: return call_function(dot, first, command, &command.children, piped);
      case NodeKind::pipeline: refuse_arguments(first, command.children, piped); return pipeline(dot, first);
      default: break;
    }
    at(first);
    refuse_arguments(first, command.children, piped);
    switch (first.kind) {
      case NodeKind::dot: return dot;
      case NodeKind::nil: fail("nil is not a command");
      default: return constant(first);
    }
  }

  static Ref constant(const Node& node) { return Ref(Ref(), &node.value); }

  /// .A.B, $x.A, (pipeline).A
  Ref fields(const Ref& dot, const Node& node, bool has_arguments) {
    at(node);
    Ref value = dot;
    size_t first = 0;
    if (node.kind == NodeKind::variable) {
      value = variable(node.names.front());
      first = 1;
      if (node.names.size() == 1 && has_arguments) fail("can't give argument to non-function " + to_string(node));
    } else if (node.kind == NodeKind::chain) {
      if (node.children[0]->kind == NodeKind::nil) fail("indirection through explicit nil in " + to_string(node));
      value = argument(dot, *node.children[0], 'v');
    }
    for (size_t i = first; i < node.names.size(); ++i) {
      // Members of maps have no type of their own in Go; results of functions have.
      bool declared_type = i == 0 && node.kind == NodeKind::chain;
      value = field(value, node.names[i], has_arguments && i + 1 == node.names.size(), declared_type);
    }
    return value;
  }

  Ref field(const Ref& value, const std::string& name, bool has_arguments, bool declared_type) {
    if (!value) return value;
    if (value->is_null()) fail(fmt::format("nil pointer evaluating interface {{}}.{}", name));
    if (!value->is_object()) {
      fail(fmt::format("can't evaluate field {} in type {}", name, declared_type ? type_name(value) : "interface {}"));
    }
    if (has_arguments) fail(name + " is not a method but has arguments");
    const Value* found = value->find(name);
    if (!found && missing_ == MissingKey::error) fail("map has no entry for key " + go_quote(name));
    return found ? Ref(value, found) : Ref();
  }

  Ref variable(const std::string& name) {
    for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable) {
      if (variable->name == name) return variable->value;
    }
    fail("undefined variable: " + name);
  }

  /// One argument for a parameter of the kind s, i or v.
  Ref argument(const Ref& dot, const Node& node, char kind) {
    spend_step();
    at(node);
    switch (node.kind) {
      case NodeKind::dot: return checked(dot, kind);
      case NodeKind::nil:
        if (kind != 'v') fail(fmt::format("cannot assign nil to {}", kind == 's' ? "string" : "int"));
        return Ref();
      case NodeKind::field:
      case NodeKind::variable:
      case NodeKind::chain: return checked(fields(dot, node, false), kind);
      case NodeKind::pipeline: return checked(pipeline(dot, node), kind);
      case NodeKind::identifier: return checked(call_function(dot, node, node, nullptr, nullptr), kind);
      default: break;
    }
    if (kind == 's' && node.kind != NodeKind::string) fail("expected string; found " + to_string(node));
    if (kind == 'i') {
      bool whole = node.kind == NodeKind::number && !is_float(node.value.as_number());
      if (!whole) fail("expected integer; found " + to_string(node));
    }
    return constant(node);
  }

  Ref checked(const Ref& value, char kind) {
    if (kind == 'v') return value;
    std::string wanted = kind == 's' ? "string" : "int";
    if (!value) fail("invalid value; expected " + wanted);
    if (value->is_null()) fail(fmt::format("wrong type for value; expected {}; got interface {{}}", wanted));
    if (type_name(value) != wanted)
      fail(fmt::format("wrong type for value; expected {}; got {}", wanted, type_name(value)));
    return value;
  }

  Ref call_function(const Ref& dot, const Node& name, const Node& command, const Arguments* nodes, const Ref* piped) {
    at(name);
    size_t given = nodes ? nodes->size() - 1 : 0;
    auto added = scope_.functions.find(name.text);
    if (added != scope_.functions.end()) {
      std::vector<std::string> texts;
      for (size_t i = 1; i <= given; ++i) texts.push_back(argument(dot, *(*nodes)[i], 's')->as_string());
      if (piped) texts.push_back(checked(*piped, 's')->as_string());
      return guarded_call(name.text, command, [&] { return make_ref(Value(added->second(texts))); });
    }
    const StandInFunction* stand_in = find_stand_in(name.text, stand_ins_);
    Function shape{name.text, stand_in ? std::string_view(stand_in->parameters) : "", nullptr};
    const Function* function = stand_in ? &shape : find_function(name.text);
    if (!function) fail(fmt::format("{} is not a defined function", go_quote(name.text)));
    size_t count = given + (piped ? 1 : 0);
    if (function->variadic() ? count < function->fixed() : count != function->fixed()) {
      fail(fmt::format("wrong number of args for {}: want {}{} got {}", name.text,
                       function->variadic() ? "at least " : "", function->fixed(), count));
    }
    if (!stand_in && !function->run) return and_or(dot, name.text == "or", *nodes, piped);
    std::vector<Ref> arguments;
    for (size_t i = 0; i < given; ++i) arguments.push_back(argument(dot, *(*nodes)[i + 1], function->parameter(i)));
    if (piped) arguments.push_back(checked(*piped, function->parameter(given)));
    for (const auto& one : arguments) spend_bytes(one && one->is_string() ? one->as_string().size() : 16);
    if (name.text == "call" && given > 0 && arguments[0] && !arguments[0]->is_null()) {
      at(command);  // No value of a template is a function.
      fail(fmt::format("error calling call: non-function {} of type {}", to_string(*(*nodes)[1]),
                       type_name(arguments[0])));
    }
    return guarded_call(name.text, command, [&] {
      if (!stand_in) return function->run({scope_, arguments});
      return stand_in->value ? stand_in->value(arguments) : make_ref(Value(stand_in->run(texts_of(arguments))));
    });
  }

  template <class F>
  Ref guarded_call(const std::string& name, const Node& command, F&& run) {
    std::string message;
    try {
      Ref result = run();
      if (result && result->is_string()) spend_bytes(result->as_string().size());
      return result;
    } catch (const FunctionError& error) {
      message = error.message;
    } catch (const Error& error) {
      message = error.message();
    }
    at(command);
    fail(fmt::format("error calling {}: {}", name, message));
  }

  /// and, or: the first argument that decides; the rest is not evaluated.
  Ref and_or(const Ref& dot, bool wanted, const Arguments& nodes, const Ref* piped) {
    Ref value;
    for (size_t i = 1; i < nodes.size(); ++i) {
      value = argument(dot, *nodes[i], 'v');
      if (is_true(value) == wanted) return value;
    }
    return piped ? *piped : value;
  }

  const Tree& tree_;
  const TemplateScope& scope_;
  Budget& budget_;
  const StandInFunctions* stand_ins_;
  MissingKey missing_;
  const Node* at_ = nullptr;
  std::string name_ = "root";
  std::string out_;
  std::vector<Variable> variables_;
  int depth_ = 0;
};

}  // namespace

bool is_function(std::string_view name, const TemplateScope& scope, const StandInFunctions* stand_ins) {
  auto named = [&](const Function& function) { return function.name == name; };
  if (stand_ins) {
    return find_stand_in(name, stand_ins) || std::any_of(go_functions().begin(), go_functions().end(), named);
  }
  return find_function(name) != nullptr || scope.functions.count(std::string(name)) > 0;
}

Rendered execute(const Tree& tree, const TemplateScope& scope, const Value& dot, Budget& budget,
                 const StandInFunctions* stand_ins, MissingKey missing) {
  try {
    return {Executor(tree, scope, budget, stand_ins, missing).run(dot), std::nullopt};
  } catch (const ExecutionError& error) {
    return {"", error.message};
  }
}

}  // namespace kiln::go_template
