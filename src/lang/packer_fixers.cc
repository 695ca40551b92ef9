// What each fixer changes. The rules are Packer's as seen from outside, its oddities too: which types of values are
// taken, and whether the new name or the old one wins when both are there.
#include "lang/packer_fixers.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/text.h"

namespace kiln::packer_fix {
namespace {

enum class Takes { anything, text, boolean };
enum class Wins { old_name, new_name };

bool takes(Takes what, const Value& value) {
  return what == Takes::anything || (what == Takes::text && value.is_string()) ||
         (what == Takes::boolean && value.kind() == Value::Kind::boolean);
}

/// Renames a member whose value is of the wanted type.
void rename(Value& object, std::string_view from, const std::string& to, Takes what, Wins wins) {
  const Value* old_value = object.find(from);
  if (!old_value || !takes(what, *old_value)) return;
  Value value = *object.take(from);
  if (wins == Wins::new_name && object.find(to)) return;
  object.set(to, std::move(value));
}

void rename_type(Value& root, std::string_view from, const char* to) {
  each_builder(root, [&](Value& builder, std::string_view type) {
    if (type == from) builder.set("type", to);
  });
}

bool is_amazon(std::string_view type) { return type.starts_with("amazon-"); }

std::string replace_pattern(std::string text, const char* pattern, const char* with) {
  RE2::GlobalReplace(&text, pattern, with);
  return text;
}

/// The value of a provisioner's "override" as an object: a list of objects is joined.
Value override_object(const Value& value) {
  auto refuse = [](const std::string& where, const Value& wrong) {
    std::string_view kind = wrong.is_string()                      ? "string"
                            : wrong.kind() == Value::Kind::boolean ? "bool"
                            : wrong.is_list()                      ? "slice"
                                                                   : "float64";
    throw Error(ErrorKind::user, fmt::format("'{}' expected a map, got '{}'", where, kind));
  };
  if (value.is_object()) return value;
  if (!value.is_list()) refuse("", value);
  Value joined = Value::empty_object();
  for (size_t i = 0; i < value.as_list().size(); ++i) {
    const Value& item = value.as_list()[i];
    if (item.is_null()) continue;
    if (!item.is_object()) refuse(fmt::format("[{}]", i), item);
    for (const auto& member : item.as_object()) joined.set(member.key, member.value);
  }
  return joined;
}

}  // namespace

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

const std::string* find_text(const Value& object, std::string_view key) {
  const Value* value = object.find(key);
  return value && value->is_string() ? &value->as_string() : nullptr;
}

void each_builder(Value& root, const std::function<void(Value&, std::string_view)>& change) {
  for (auto& member : root.as_object()) {
    if (member.key != "builders" || !member.value.is_list()) continue;
    for (auto& builder : member.value.as_list()) change(builder, std::string(*find_text(builder, "type")));
  }
}

void fix_iso_md5(Value& root) {
  each_builder(root, [](Value& builder, std::string_view) {
    if (!find_text(builder, "iso_md5")) return;
    builder.set("iso_checksum", *builder.take("iso_md5"));
    builder.set("iso_checksum_type", "md5");
  });
}

void fix_create_time(Value& root) {
  each_builder(root, [](Value& builder, std::string_view) {
    for (auto& member : builder.as_object()) {
      if (!is_one_of(member.key, {"ami_name", "bundle_prefix", "snapshot_name"}) || !member.value.is_string()) continue;
      member.value = Value(replace_pattern(member.value.as_string(), R"(\{\{\s*\.CreateTime\s*\}\})", "{{timestamp}}"));
    }
  });
}

void fix_virtualbox_attach(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    const Value* attach = builder.find("guest_additions_attach");
    if (type != "virtualbox" || !attach || attach->kind() != Value::Kind::boolean) return;
    builder.set("guest_additions_mode", builder.take("guest_additions_attach")->as_bool() ? "attach" : "upload");
  });
}

void fix_virtualbox_rename(Value& root) {
  rename_type(root, "virtualbox", "virtualbox-iso");
  each_provisioner(root, [](Value& provisioner) {
    const Value* given = provisioner.find("override");
    if (!given || given->is_null()) return;
    Value override = override_object(*given);
    if (!override.find("virtualbox")) return;
    rename(override, "virtualbox", "virtualbox-iso", Takes::anything, Wins::old_name);
    provisioner.set("override", std::move(override));
  });
}

void fix_vmware_rename(Value& root) { rename_type(root, "vmware", "vmware-iso"); }

void fix_parallels_headless(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (is_one_of(type, {"parallels-iso", "parallels-pvm"})) builder.take("headless");
  });
}

void fix_parallels_deprecations(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (!is_one_of(type, {"parallels-iso", "parallels-pvm"})) return;
    builder.take("parallels_tools_host_path");
    rename(builder, "guest_os_distribution", "guest_os_type", Takes::anything, Wins::old_name);
  });
}

void fix_ssh_key_path(Value& root) {
  each_builder(root, [](Value& builder, std::string_view) {
    rename(builder, "ssh_key_path", "ssh_private_key_file", Takes::text, Wins::new_name);
  });
}

void fix_ssh_disable_agent(Value& root) {
  each_builder(root, [](Value& builder, std::string_view) {
    rename(builder, "ssh_disable_agent", "ssh_disable_agent_forwarding", Takes::boolean, Wins::new_name);
  });
}

void fix_scaleway_access_key(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (type == "scaleway") rename(builder, "access_key", "organization_id", Takes::text, Wins::new_name);
  });
}

void fix_amazon_shutdown_behavior(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (is_amazon(type)) rename(builder, "shutdown_behaviour", "shutdown_behavior", Takes::anything, Wins::old_name);
  });
}

void fix_amazon_enhanced_networking(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (is_amazon(type)) rename(builder, "enhanced_networking", "ena_support", Takes::boolean, Wins::old_name);
  });
}

void fix_amazon_private_ip(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    const Value* given = builder.find("ssh_private_ip");
    if (!is_amazon(type) || !given || builder.find("ssh_interface")) return;
    bool is_private = false;
    if (given->kind() == Value::Kind::boolean) {
      is_private = given->as_bool();
    } else if (const std::string* text = find_text(builder, "ssh_private_ip")) {
      is_private = is_one_of(*text, {"1", "t", "T", "true", "TRUE", "True"});
      if (!is_private && !is_one_of(*text, {"0", "f", "F", "false", "FALSE", "False"})) {
        throw Error(ErrorKind::user,
                    fmt::format("ssh_private_ip is not a boolean, strconv.ParseBool: parsing {}: invalid syntax",
                                go_quote(*text)));
      }
    } else {
      throw Error(ErrorKind::user, fmt::format("ssh_private_ip is not a boolean but a {}", to_string(given->kind())));
    }
    builder.take("ssh_private_ip");
    builder.set("ssh_interface", is_private ? "private_ip" : "public_ip");
  });
}

void fix_amazon_source_cidrs(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (!is_amazon(type) || !find_text(builder, "temporary_security_group_source_cidr")) return;
    builder.set("temporary_security_group_source_cidrs",
                Value(Value::List{*builder.take("temporary_security_group_source_cidr")}));
  });
}

void fix_vmware_compaction(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    const std::string* remote = find_text(builder, "remote_type");
    if (type != "vmware-iso" || !remote || *remote != "esx5") return;
    if (!builder.find("disk_type_id")) builder.set("disk_type_id", "zeroedthick");
    const std::string* disk = find_text(builder, "disk_type_id");
    if (disk && *disk != "thin") builder.set("skip_compaction", true);
  });
}

void fix_hyperv_deprecations(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (type == "hyperv-iso") builder.take("vhd_temp_path");
  });
}

void fix_hyperv_vmcx(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (type == "hyperv-vmcx")
      rename(builder, "clone_from_vmxc_path", "clone_from_vmcx_path", Takes::anything, Wins::old_name);
  });
}

void fix_hyperv_cpu_ram(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (!is_one_of(type, {"hyperv-iso", "hyperv-vmcx"})) return;
    rename(builder, "cpu", "cpus", Takes::anything, Wins::old_name);
    rename(builder, "ram_size", "memory", Takes::anything, Wins::old_name);
  });
}

void fix_clean_image_name(Value& root) {
  // Texts of the builder and of the objects in it, no deeper.
  auto clean = [](Value& object) {
    for (auto& member : object.as_object()) {
      if (member.value.is_string())
        member.value =
            Value(replace_pattern(member.value.as_string(), "clean_(?:image|ami)_name", "clean_resource_name"));
    }
  };
  each_builder(root, [&](Value& builder, std::string_view) {
    clean(builder);
    for (auto& member : builder.as_object()) {
      if (member.value.is_object()) clean(member.value);
    }
  });
}

void fix_spot_price(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (is_one_of(type, {"amazon-ebs", "amazon-ebssurrogate", "amazon-ebsvolume", "amazon-instance"}))
      builder.take("spot_price_auto_product");
  });
}

void fix_qemu_disk_size(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    const Value* size = builder.find("disk_size");
    if (type != "qemu" || !size || size->kind() != Value::Kind::number) return;
    double megabytes = std::strtod(size->as_number().text.c_str(), nullptr);
    bool fits = megabytes > -9.2e18 && megabytes < 9.2e18;
    int64_t whole = fits ? static_cast<int64_t>(megabytes) : std::numeric_limits<int64_t>::min();
    builder.set("disk_size", Value(fmt::format("{}M", whole)));
  });
}

void fix_comm_config(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (!type.starts_with("virtualbox")) return;
    rename(builder, "ssh_host_port_min", "host_port_min", Takes::anything, Wins::new_name);
    rename(builder, "ssh_host_port_max", "host_port_max", Takes::anything, Wins::new_name);
    rename(builder, "ssh_skip_nat_mapping", "skip_nat_mapping", Takes::boolean, Wins::new_name);
  });
}

void fix_ssh_wait_timeout(Value& root) {
  each_builder(root, [](Value& builder, std::string_view) {
    rename(builder, "ssh_wait_timeout", "ssh_timeout", Takes::text, Wins::new_name);
  });
}

void fix_vsphere_net_disk(Value& root) {
  // The old single one goes in front of the list.
  auto gather = [](Value& builder, const char* list, std::initializer_list<const char*> keys) {
    Value first = Value::empty_object();
    for (const char* key : keys) {
      if (auto value = builder.take(key)) first.set(key, std::move(*value));
    }
    if (first.as_object().empty()) return;
    Value::List all{std::move(first)};
    if (const Value* rest = builder.find(list)) {
      if (!rest->is_list())
        throw Error(ErrorKind::user, fmt::format("'{}' must be a list, got a {}", list, to_string(rest->kind())));
      all.insert(all.end(), rest->as_list().begin(), rest->as_list().end());
    }
    builder.set(list, Value(std::move(all)));
  };
  each_builder(root, [&](Value& builder, std::string_view type) {
    if (type != "vsphere-iso") return;
    if (auto card = builder.take("networkCard"); card && !builder.find("network_card")) {
      builder.set("network_card", std::move(*card));
    }
    gather(builder, "network_adapters", {"network", "network_card"});
    gather(builder, "storage", {"disk_size", "disk_thin_provisioned", "disk_eagerly_scrub"});
  });
}

void fix_iso_checksum(Value& root) {
  auto text_of = [](const std::optional<Value>& value) {
    return value && value->is_string() ? value->as_string() : std::string();
  };
  each_builder(root, [&](Value& builder, std::string_view) {
    std::string url = text_of(builder.take("iso_checksum_url"));
    std::string kind = text_of(builder.take("iso_checksum_type"));
    const std::string* sum = find_text(builder, "iso_checksum");
    if (!url.empty()) builder.set("iso_checksum", Value("file:" + url));
    else if (!kind.empty() && sum && !sum->empty()) builder.set("iso_checksum", Value(kind + ":" + *sum));
  });
}

void fix_qemu_host_port(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (type != "qemu") return;
    rename(builder, "ssh_host_port_min", "host_port_min", Takes::anything, Wins::old_name);
    rename(builder, "ssh_host_port_max", "host_port_max", Takes::anything, Wins::old_name);
  });
}

void fix_azure_exclude(Value& root) {
  each_builder(root, [](Value& builder, std::string_view type) {
    if (type != "azure-chroot") return;
    for (auto& member : builder.as_object()) {
      if (member.key == "shared_image_destination" && member.value.is_object()) {
        rename(member.value, "exlude_from_latest", "exclude_from_latest", Takes::anything, Wins::old_name);
      }
    }
  });
}

void fix_proxmox_type(Value& root) { rename_type(root, "proxmox", "proxmox-iso"); }

}  // namespace kiln::packer_fix
