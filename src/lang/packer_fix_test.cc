#include "lang/packer_fix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "lang/packer_json.h"

namespace kiln {
namespace {

Value parsed_to_fix(const std::string& text) {
  return parse_json_to_fix(std::make_shared<SourceFile>(SourceFile{"t.json", text}));
}

/// The template fixed, compared as JSON so that the order of keys does not matter.
void expect_fixed(const std::string& before, const std::string& after) {
  EXPECT_EQ(go_indented_json(fix_packer_json(parsed_to_fix(before))), go_indented_json(parsed_to_fix(after))) << before;
}

void expect_builder(const std::string& before, const std::string& after) {
  expect_fixed(R"({"builders": [)" + before + "]}", R"({"builders": [)" + after + "]}");
}

std::string fix_error(const std::string& text) {
  try {
    fix_packer_json(parsed_to_fix(text));
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

TEST(PackerFix, has_packers_fixers_in_order) {
  EXPECT_EQ(packer_fixers().size(), 34u);
  EXPECT_EQ(packer_fixers().front().name, "iso-md5");
  EXPECT_EQ(packer_fixers().back().name, "proxmox-type");
}

TEST(PackerFix, checksums_come_together) {
  expect_builder(R"({"type":"x","iso_md5":"ab"})", R"({"type":"x","iso_checksum":"md5:ab"})");
  expect_builder(R"({"type":"x","iso_md5":5})", R"({"type":"x","iso_md5":5})");
  expect_builder(R"({"type":"x","iso_checksum":"ab","iso_checksum_type":"sha1"})", R"({"type":"x","iso_checksum":"sha1:ab"})");
  expect_builder(R"({"type":"x","iso_checksum":"ab","iso_checksum_url":"u","iso_checksum_type":"md5"})", R"({"type":"x","iso_checksum":"file:u"})");
  expect_builder(R"({"type":"x","iso_checksum_type":"none"})", R"({"type":"x"})");
}

TEST(PackerFix, renames_options_of_all_builders) {
  expect_builder(R"({"type":"x","ssh_key_path":"a","ssh_disable_agent":true,"ssh_wait_timeout":"5m"})",
                 R"({"type":"x","ssh_private_key_file":"a","ssh_disable_agent_forwarding":true,"ssh_timeout":"5m"})");
  expect_builder(R"({"type":"x","ssh_key_path":"a","ssh_private_key_file":"b"})", R"({"type":"x","ssh_private_key_file":"b"})");
  expect_builder(R"({"type":"x","ami_name":"a-{{ .CreateTime }}","name":"{{.CreateTime}}"})",
                 R"({"type":"x","ami_name":"a-{{timestamp}}","name":"{{.CreateTime}}"})");
  expect_builder(R"({"type":"x","a":"{{clean_ami_name `b`}}","m":{"k":"clean_image_name","l":["clean_ami_name"]}})",
                 R"({"type":"x","a":"{{clean_resource_name `b`}}","m":{"k":"clean_resource_name","l":["clean_ami_name"]}})");
}

TEST(PackerFix, renames_types) {
  expect_builder(R"({"type":"vmware"})", R"({"type":"vmware-iso"})");
  expect_builder(R"({"type":"proxmox"})", R"({"type":"proxmox-iso"})");
  expect_builder(R"({"type":"virtualbox","guest_additions_attach":true,"ssh_host_port_min":1,"ssh_skip_nat_mapping":true})",
                 R"({"type":"virtualbox-iso","guest_additions_mode":"attach","host_port_min":1,"skip_nat_mapping":true})");
  expect_fixed(R"({"builders":[],"provisioners":[{"type":"shell","override":{"virtualbox":{"a":1}}}]})",
               R"({"builders":[],"provisioners":[{"type":"shell","override":{"virtualbox-iso":{"a":1}}}]})");
}

TEST(PackerFix, knows_each_builders_options) {
  expect_builder(R"({"type":"parallels-iso","headless":true,"parallels_tools_host_path":"x","guest_os_distribution":"y"})",
                 R"({"type":"parallels-iso","guest_os_type":"y"})");
  expect_builder(R"({"type":"scaleway","access_key":"k"})", R"({"type":"scaleway","organization_id":"k"})");
  expect_builder(R"({"type":"amazon-ebs","shutdown_behaviour":"stop","enhanced_networking":true,"ssh_private_ip":"true","temporary_security_group_source_cidr":"c","spot_price_auto_product":1})",
                 R"({"type":"amazon-ebs","shutdown_behavior":"stop","ena_support":true,"ssh_interface":"private_ip","temporary_security_group_source_cidrs":["c"]})");
  expect_builder(R"({"type":"vmware-iso","remote_type":"esx5"})",
                 R"({"type":"vmware-iso","remote_type":"esx5","disk_type_id":"zeroedthick","skip_compaction":true})");
  expect_builder(R"({"type":"hyperv-iso","vhd_temp_path":"x","cpu":2,"ram_size":512})", R"({"type":"hyperv-iso","cpus":2,"memory":512})");
  expect_builder(R"({"type":"hyperv-vmcx","clone_from_vmxc_path":"x"})", R"({"type":"hyperv-vmcx","clone_from_vmcx_path":"x"})");
  expect_builder(R"({"type":"qemu","disk_size":40000,"host_port_min":1,"ssh_host_port_min":2})",
                 R"({"type":"qemu","disk_size":"40000M","host_port_min":2})");
  expect_builder(R"({"type":"vsphere-iso","network":"n","disk_size":1,"storage":[{"disk_size":2}]})",
                 R"({"type":"vsphere-iso","network_adapters":[{"network":"n"}],"storage":[{"disk_size":1},{"disk_size":2}]})");
  expect_builder(R"({"type":"vsphere-iso","networkCard":"c"})", R"({"type":"vsphere-iso","network_adapters":[{"network_card":"c"}]})");
  expect_builder(R"({"type":"vsphere-iso","network":"n","networkCard":"old","network_card":"new"})",
                 R"({"type":"vsphere-iso","network_adapters":[{"network":"n","network_card":"new"}]})");
  expect_builder(R"({"type":"azure-chroot","shared_image_destination":{"exlude_from_latest":true}})",
                 R"({"type":"azure-chroot","shared_image_destination":{"exclude_from_latest":true}})");
}

TEST(PackerFix, goes_through_provisioners_and_post_processors) {
  expect_fixed(R"({"builders":[],"provisioners":[{"type":"powershell","environment_vars":["A=`$b"],"elevated_password":"`\"``"},
                 {"type":"ansible-local","galaxycommand":"g"}]})",
               R"({"builders":[],"provisioners":[{"type":"powershell","environment_vars":["A=$b"],"elevated_password":"\"`"},
                 {"type":"ansible-local","galaxy_command":"g"}]})");
  expect_fixed(R"({"builders":[{"type":"docker","login_email":"e"}],"post-processors":["x",[{"type":"vagrant","aws":{"a":1}},{"type":"manifest","filename":"f"}],
                 {"type":"docker-tag","tag":"a,b","tags":["b","c"]},{"type":"docker-push","login_email":"e"}]})",
               R"({"builders":[{"type":"docker"}],"post-processors":["x",[{"type":"vagrant","override":{"aws":{"a":1}}},{"type":"manifest","output":"f"}],
                 {"type":"docker-tag","tags":["a","b","c"]},{"type":"docker-push"}]})");
}

TEST(PackerFix, refuses_what_it_cannot_work_on) {
  EXPECT_EQ(fix_error(R"({"builders":"x"})"), "1 error(s) decoding:\n\n* 'Builders': source data must be an array or slice, got string");
  EXPECT_EQ(fix_error(R"({"builders":[5,"x"]})"),
            "2 error(s) decoding:\n\n* 'Builders[0]' expected a map, got 'float64'\n* 'Builders[1]' expected a map, "
            "got 'string'");
  EXPECT_EQ(fix_error(R"({"builders":[{}]})"), "builder 1: missing 'type'");
  EXPECT_EQ(fix_error(R"({"builders":[{"type":5}]})"), "builder 1: 'type' must be a string");
  EXPECT_EQ(fix_error(R"({"post-processors":{}})"), "1 error(s) decoding:\n\n* 'post-processors': source data must be an array or slice, got map");
  EXPECT_EQ(fix_error(R"({"provisioners":[{"override":5}]})"), "'' expected a map, got 'float64'");
  EXPECT_EQ(fix_error(R"({"builders":[{"type":"amazon-ebs","ssh_private_ip":"maybe"}]})"),
            R"(ssh_private_ip is not a boolean, strconv.ParseBool: parsing "maybe": invalid syntax)");
  for (auto text : {R"({"builders":[{"type":"amazon-ebs","ssh_private_ip":1}]})", R"({"builders":[{"type":"vsphere-iso","disk_size":1,"storage":{}}]})",
                    R"({"post-processors":[{"type":"docker-tag","tag":[1]}]})", R"({"provisioners":[{"type":"powershell","elevated_user":1}]})"}) {
    EXPECT_NE(fix_error(text), "") << text;
  }
}

TEST(PackerFix, reads_like_gos_decoder) {
  EXPECT_EQ(go_indented_json(parsed_to_fix(R"({"a":1,"a":2} rest)")), "{\n  \"a\": 2\n}");
  EXPECT_EQ(fix_error(""), "EOF");
  EXPECT_EQ(fix_error("{"), "unexpected EOF");
  EXPECT_EQ(fix_error("[]"), "json: cannot unmarshal array into Go value of type map[string]interface {}");
  EXPECT_EQ(fix_error(R"({"a":1e999})"), "json: cannot unmarshal number 1e999 into Go value of type float64");
}

TEST(PackerFix, writes_like_gos_encoder) {
  EXPECT_EQ(go_indented_json(parsed_to_fix(R"({"b":[1.50,1e21,1e-7,123456789012345678901,-0],"a":{},"c":[]})")),
            "{\n  \"a\": {},\n  \"b\": [\n    1.5,\n    1e+21,\n    1e-7,\n    123456789012345680000,\n    -0\n  ],\n  "
            "\"c\": []\n}");
  EXPECT_EQ(go_indented_json(Value("<&>\x01\n\xE2\x80\xA8")), R"("<\u0026>\u0001\n\u2028")");
}

}  // namespace
}  // namespace kiln
