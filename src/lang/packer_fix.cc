#include "lang/packer_fix.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/packer_fixers.h"
#include "lang/packer_json.h"

namespace kiln {
namespace {

/// Go's name for the kind of a JSON value.
std::string_view fix_kind(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::boolean: return "bool";
    case Value::Kind::number: return "float64";
    case Value::Kind::list: return "slice";
    case Value::Kind::object: return "map";
    default: return "string";
  }
}

[[noreturn]] void refuse_fix(const std::vector<std::string>& errors) {
  throw Error(ErrorKind::user, fmt::format("{} error(s) decoding:\n\n* {}", errors.size(), join(errors, "\n* ")));
}

/// The builders under their proper name; Packer takes the name in any case.
void normalize_builders(Value& root) {
  const Value* builders = root.find("Builders");
  for (const auto& member : root.as_object()) {
    if (!builders && lower(member.key) == "builders") builders = &member.value;
  }
  Value list = builders ? *builders : Value();
  if (!list.is_null() && !list.is_list()) {
    refuse_fix({fmt::format("'Builders': source data must be an array or slice, got {}", fix_kind(list))});
  }
  root.set("builders", list);
  if (list.is_null()) return;
  std::vector<std::string> errors;
  for (size_t i = 0; i < list.as_list().size(); ++i) {
    const Value& builder = list.as_list()[i];
    if (builder.is_object() || builder.is_null()) continue;
    errors.push_back(fmt::format("'Builders[{}]' expected a map, got '{}'", i, fix_kind(builder)));
  }
  if (!errors.empty()) refuse_fix(errors);
  for (size_t i = 0; i < list.as_list().size(); ++i) {
    const Value* type = list.as_list()[i].find("type");
    if (type && type->is_string()) continue;
    throw Error(ErrorKind::user,
                fmt::format("builder {}: {}", i + 1, type ? "'type' must be a string" : "missing 'type'"));
  }
}

void write_go_string(std::string& out, std::string_view text) {
  out += '"';
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '"' || c == '\\') out += '\\', out += c;
    else if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else if (c == '\t') out += "\\t";
    else if (c == '\b') out += "\\b";
    else if (c == '\f') out += "\\f";
    else if (static_cast<unsigned char>(c) < 0x20 || c == '&')
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else if (text.substr(i, 3) == "\u2028") out += "\\u2028", i += 2;
    else if (text.substr(i, 3) == "\u2029") out += "\\u2029", i += 2;
    else out += c;
  }
  out += '"';
}

double number_of(const Number& number) { return std::strtod(number.text.c_str(), nullptr); }

/// A float64 as Go writes it: the shortest form that reads back, with an exponent where it is very large or small.
std::string go_number(const Number& number) {
  double value = number_of(number);
  double size = std::fabs(value);
  if (size == 0 || (size >= 1e-6 && size < 1e21)) return plain_decimal(value);
  char buffer[64];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string text(buffer, end);
  size_t digit = text.size() - 2;
  if (text[digit - 1] == '-' && text[digit] == '0') text.erase(digit, 1);  // e-07 is e-7
  return text;
}

void write_indented(std::string& out, const Value& value, size_t depth) {
  auto item = [&](bool first) {
    out += first ? "\n" : ",\n";
    out.append(2 * (depth + 1), ' ');
  };
  auto close = [&](char bracket) { out += "\n" + std::string(2 * depth, ' ') + bracket; };
  switch (value.kind()) {
    case Value::Kind::boolean: out += value.as_bool() ? "true" : "false"; return;
    case Value::Kind::number: out += go_number(value.as_number()); return;
    case Value::Kind::string: write_go_string(out, value.as_string()); return;
    case Value::Kind::list: {
      const auto& list = value.as_list();
      if (list.empty()) return void(out += "[]");
      out += '[';
      for (size_t i = 0; i < list.size(); ++i) {
        item(i == 0);
        write_indented(out, list[i], depth + 1);
      }
      return close(']');
    }
    case Value::Kind::object: {
      std::vector<const Member*> members;
      for (const auto& member : value.as_object()) members.push_back(&member);
      if (members.empty()) return void(out += "{}");
      std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key < b->key; });
      out += '{';
      for (size_t i = 0; i < members.size(); ++i) {
        item(i == 0);
        write_go_string(out, members[i]->key);
        out += ": ";
        write_indented(out, members[i]->value, depth + 1);
      }
      return close('}');
    }
    default: out += "null";
  }
}

/// Numbers that no float64 holds are refused, as Go's decoder does.
void check_numbers(const Value& value) {
  if (value.kind() == Value::Kind::number && !std::isfinite(number_of(value.as_number()))) {
    throw Error(ErrorKind::user,
                fmt::format("json: cannot unmarshal number {} into Go value of type float64", value.as_number().text));
  }
  if (value.is_list()) {
    for (const auto& item : value.as_list()) check_numbers(item);
  } else if (value.is_object()) {
    for (const auto& member : value.as_object()) check_numbers(member.value);
  }
}

}  // namespace

const std::vector<Fixer>& packer_fixers() {
  using namespace packer_fix;
  static const std::vector<Fixer> fixers = {
      {"iso-md5", "\"iso_md5\" of builders becomes \"iso_checksum\"", fix_iso_md5},
      {"createtime", "\".CreateTime\" in names becomes \"{{timestamp}}\"", fix_create_time},
      {"virtualbox-gaattach", "\"guest_additions_attach\" becomes \"guest_additions_mode\"", fix_virtualbox_attach},
      {"pp-vagrant-override", "settings of one provider move under the vagrant post-processor's \"override\"",
       fix_vagrant_override},
      {"virtualbox-rename", "\"virtualbox\" builders become \"virtualbox-iso\"", fix_virtualbox_rename},
      {"vmware-rename", "\"vmware\" builders become \"vmware-iso\"", fix_vmware_rename},
      {"parallels-headless", "\"headless\" of Parallels builders goes", fix_parallels_headless},
      {"parallels-deprecations",
       "\"parallels_tools_host_path\" goes, \"guest_os_distribution\" becomes \"guest_os_type\"",
       fix_parallels_deprecations},
      {"sshkeypath", "\"ssh_key_path\" becomes \"ssh_private_key_file\"", fix_ssh_key_path},
      {"sshdisableagent", "\"ssh_disable_agent\" becomes \"ssh_disable_agent_forwarding\"", fix_ssh_disable_agent},
      {"scaleway-access-key", "\"access_key\" of scaleway becomes \"organization_id\"", fix_scaleway_access_key},
      {"manifest-filename", "\"filename\" of the manifest post-processor becomes \"output\"", fix_manifest_filename},
      {"amazon-shutdown_behavior", "\"shutdown_behaviour\" becomes \"shutdown_behavior\"",
       fix_amazon_shutdown_behavior},
      {"amazon-enhanced-networking", "\"enhanced_networking\" becomes \"ena_support\"", fix_amazon_enhanced_networking},
      {"amazon-private-ip", "\"ssh_private_ip\" becomes \"ssh_interface\"", fix_amazon_private_ip},
      {"amazon-temp-sec-cidrs", "\"temporary_security_group_source_cidr\" becomes the list \"..._cidrs\"",
       fix_amazon_source_cidrs},
      {"docker-email", "\"login_email\" goes", fix_docker_email},
      {"docker-tag-tags", "\"tag\" of docker-tag becomes the list \"tags\"", fix_docker_tags},
      {"powershell-escapes", "escapes go from PowerShell's variables, users and passwords", fix_powershell_escapes},
      {"vmware-compaction", "\"skip_compaction\" where the disk type cannot be compacted", fix_vmware_compaction},
      {"hyperv-deprecations", "\"vhd_temp_path\" of hyperv-iso goes", fix_hyperv_deprecations},
      {"hyperv-vmxc-typo", "\"clone_from_vmxc_path\" becomes \"clone_from_vmcx_path\"", fix_hyperv_vmcx},
      {"hyperv-cpu-and-ram", "\"cpu\" becomes \"cpus\", \"ram_size\" becomes \"memory\"", fix_hyperv_cpu_ram},
      {"clean-image-name", "clean_ami_name and clean_image_name become clean_resource_name", fix_clean_image_name},
      {"spot-price-auto-product", "\"spot_price_auto_product\" goes", fix_spot_price},
      {"qemu-disk-size", "a number as \"disk_size\" of qemu becomes a text with its unit", fix_qemu_disk_size},
      {"galaxy-command", "\"galaxycommand\" of ansible-local becomes \"galaxy_command\"", fix_galaxy_command},
      {"comm-config", "\"ssh_host_port_min\" and its like lose their \"ssh_\"", fix_comm_config},
      {"ssh-wait-timeout", "\"ssh_wait_timeout\" becomes \"ssh_timeout\"", fix_ssh_wait_timeout},
      {"vsphere-iso-net-disk", "network and disk of vsphere-iso become \"network_adapters\" and \"storage\"",
       fix_vsphere_net_disk},
      {"iso-checksum-type-and-url", "\"iso_checksum_type\" and \"iso_checksum_url\" go into \"iso_checksum\"",
       fix_iso_checksum},
      {"qemu-host-port", "\"ssh_host_port_min\" and \"..._max\" of qemu lose their \"ssh_\"", fix_qemu_host_port},
      {"azure-exclude_from_latest", "\"exlude_from_latest\" becomes \"exclude_from_latest\"", fix_azure_exclude},
      {"proxmox-type", "\"proxmox\" builders become \"proxmox-iso\"", fix_proxmox_type},
  };
  return fixers;
}

Value fix_packer_json(Value root) {
  normalize_builders(root);
  for (const auto& fixer : packer_fixers()) fixer.fix(root);
  return root;
}

Value parse_json_to_fix(const std::shared_ptr<const SourceFile>& file) {
  Diagnostics diagnostics;
  Value root = parse_first_json(file, diagnostics);
  if (diagnostics.has_errors()) {
    std::string what = replace_all(diagnostics.items()[0].summary, "Error parsing JSON: ", "");
    if (what == "unexpected end of JSON input") what = trim(file->text).empty() ? "EOF" : "unexpected EOF";
    throw Error(ErrorKind::user, what);
  }
  if (!root.is_object()) {
    std::string_view kind = root.is_list() ? "array" : to_string(root.kind());
    throw Error(ErrorKind::user,
                fmt::format("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", kind));
  }
  check_numbers(root);
  return root;
}

std::string go_indented_json(const Value& value) {
  std::string out;
  write_indented(out, value, 0);
  return out;
}

}  // namespace kiln
