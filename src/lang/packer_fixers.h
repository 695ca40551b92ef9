// The fixers' groups. Internal to lang: packer_fix.h is what others use.
#pragma once
#include <functional>
#include <initializer_list>
#include <string_view>

#include "lang/value.h"

namespace kiln::packer_fix {

/// Runs over the builders; nothing when there are none.
void each_builder(Value& root, const std::function<void(Value& builder, std::string_view type)>& change);
/// Runs over the provisioners that are objects. A single one that is no list becomes a list of one, as Packer has it.
void each_provisioner(Value& root, const std::function<void(Value& provisioner)>& change);
/// Runs over the post-processors that are objects, those in sequences too. Throws Error{user} when they are no list.
void each_post_processor(Value& root, const std::function<void(Value& post_processor)>& change);

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words);
/// The member when it is a string, else nullptr.
const std::string* find_text(const Value& object, std::string_view key);

// The fixers, one function each.
void fix_iso_md5(Value& root);
void fix_create_time(Value& root);
void fix_virtualbox_attach(Value& root);
void fix_vagrant_override(Value& root);
void fix_virtualbox_rename(Value& root);
void fix_vmware_rename(Value& root);
void fix_parallels_headless(Value& root);
void fix_parallels_deprecations(Value& root);
void fix_ssh_key_path(Value& root);
void fix_ssh_disable_agent(Value& root);
void fix_scaleway_access_key(Value& root);
void fix_manifest_filename(Value& root);
void fix_amazon_shutdown_behavior(Value& root);
void fix_amazon_enhanced_networking(Value& root);
void fix_amazon_private_ip(Value& root);
void fix_amazon_source_cidrs(Value& root);
void fix_docker_email(Value& root);
void fix_docker_tags(Value& root);
void fix_powershell_escapes(Value& root);
void fix_vmware_compaction(Value& root);
void fix_hyperv_deprecations(Value& root);
void fix_hyperv_vmcx(Value& root);
void fix_hyperv_cpu_ram(Value& root);
void fix_clean_image_name(Value& root);
void fix_spot_price(Value& root);
void fix_qemu_disk_size(Value& root);
void fix_galaxy_command(Value& root);
void fix_comm_config(Value& root);
void fix_ssh_wait_timeout(Value& root);
void fix_vsphere_net_disk(Value& root);
void fix_iso_checksum(Value& root);
void fix_qemu_host_port(Value& root);
void fix_azure_exclude(Value& root);
void fix_proxmox_type(Value& root);

}  // namespace kiln::packer_fix
