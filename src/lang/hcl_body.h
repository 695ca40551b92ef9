// Bodies taken apart by a schema: the one way both of HCL's syntaxes, and dynamic blocks, are read.
// Source: HCL's documentation of its information model, its JSON syntax specification and its dynamic block extension.
#pragma once
#include <string>
#include <vector>

#include "lang/diagnostic.h"
#include "lang/hcl_ast.h"
#include "lang/hcl_eval.h"

namespace kiln {

struct HclBlockSchema {
  std::string type;
  std::vector<std::string> labels;  ///< their names, for messages
};
struct HclAttributeSchema {
  std::string name;
  bool required = false;
};
struct HclSchema {
  std::vector<HclAttributeSchema> attributes;
  std::vector<HclBlockSchema> blocks;
};

/// What a body holds of a schema.
struct HclContent {
  std::vector<HclAttribute> attributes;  ///< in written order
  std::vector<HclBlock> blocks;          ///< in written order, dynamic ones expanded in their place
  SourceRange missing_item;              ///< where to say that something is missing

  const HclAttribute* find(std::string_view name) const;
};

/// A `.json` file in HCL's JSON syntax: a body whose items are told apart only when a schema is there. Strings are
/// templates, "//" members are comments.
HclBody parse_hcl_json(const std::shared_ptr<const SourceFile>& file, Diagnostics& diagnostics);

/// All of the body by the schema; anything else in it is reported in HCL's words ("Unsupported argument",
/// "Unsupported block type", "Missing required argument", "Extraneous label for ...", "Missing name for ..."), with
/// the nearest name. With `dynamic` set, `dynamic "type" {...}` blocks are expanded with that scope; every body below
/// remembers the iteration's variables: their attributes evaluate in any scope.
HclContent hcl_content(const HclBody& body, const HclSchema& schema, Diagnostics& diagnostics,
                       const HclScope* dynamic = nullptr);
/// The same, but what the schema does not name is left in `rest` without complaint.
HclContent hcl_partial_content(const HclBody& body, const HclSchema& schema, HclBody& rest, Diagnostics& diagnostics,
                               const HclScope* dynamic = nullptr);
/// Everything that expressions anywhere within the body refer to, blocks and labels included; names that dynamic
/// blocks bring along are left out where that can be told. Needs no schema.
void hcl_body_references(const HclBody& body, std::vector<HclReference>& out);
/// The same of its dynamic blocks alone: what must be known before the body can be taken apart.
void hcl_dynamic_references(const HclBody& body, std::vector<HclReference>& out);
/// All items as attributes; blocks are reported.
std::vector<HclAttribute> hcl_just_attributes(const HclBody& body, Diagnostics& diagnostics);

}  // namespace kiln
