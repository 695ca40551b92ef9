// HCL's JSON syntax from text to bodies. Internal to lang: hcl_body.h is what others use.
#pragma once
#include <set>

#include "lang/hcl_body.h"

namespace kiln {

/// A JSON value that will be read as a body (or a list of bodies), and what an earlier reader took out of it.
struct HclJsonBody {
  std::shared_ptr<const Value> value;    ///< shares the file's whole tree
  std::set<std::string> hidden;          ///< names of properties
  std::set<std::string> hidden_dynamic;  ///< types of dynamic blocks
};

/// The text as it is. Objects may hold a key several times; what could not be read is Value::unknown().
Value parse_hcl_json_value(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics);

/// What a "quoted string" of JSON says, quotes included; nullopt, and `wrong` the offset of the byte at
/// fault. `places` gets the offset of each byte of the result, and of the closing quote.
std::optional<std::string> unquote_hcl_json(std::string_view quoted, size_t& wrong,
                                            std::vector<size_t>* places = nullptr);

/// A value as an expression: strings and keys are templates.
HclExpressionPtr hcl_json_expression(const Value& value);

/// hcl_content() and the others for one of the two syntaxes, before dynamic blocks are expanded. `rest` is
/// null when all of the body must be in the schema. With `dynamic`, blocks of that type are content too.
HclContent hcl_native_content(const HclBody& body, const HclSchema& schema, bool dynamic, HclBody* rest,
                              Diagnostics& diagnostics);
HclContent hcl_json_content(const HclBody& body, const HclSchema& schema, bool dynamic, HclBody* rest,
                            Diagnostics& diagnostics);
std::vector<HclAttribute> hcl_json_attributes(const HclBody& body, Diagnostics& diagnostics);

/// Replaces dynamic blocks in the content of `body` by what they make.
void expand_hcl_dynamic(const HclBody& body, const HclSchema& schema, bool partial, const HclScope& scope,
                        HclContent& content, Diagnostics& diagnostics);

const HclBlockSchema* find_block_schema(const HclSchema& schema, std::string_view type);
const HclAttributeSchema* find_attribute_schema(const HclSchema& schema, std::string_view name);
/// ` Did you mean "x"?` with the first of the names that is less than three edits away, as HCL has it; ""
/// otherwise.
std::string hcl_name_suggestion(std::string_view given, const std::vector<std::string_view>& names);
/// "FILE:LINE,COLUMN-COLUMN", as HCL writes places in texts.
std::string hcl_place(const SourceRange& range);
/// Of a mistake: where HCL tells a failed call, only its name and the parenthesis are the place.
std::string hcl_place(const Diagnostic& diagnostic);

}  // namespace kiln
