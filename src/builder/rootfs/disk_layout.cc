#include "builder/rootfs/disk_layout.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"

namespace kiln {

namespace {

constexpr uint64_t mib = 1 << 20;
constexpr uint64_t esp_mib = 64;
const char* const bios_boot_type = "21686148-6449-6E6F-744E-656564454649";
const char* const esp_type = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
// Discoverable Partitions Specification.
const char* const root_type_amd64 = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709";
const char* const root_type_arm64 = "B921B045-1DF0-41C3-AF44-4C6F280D3FAE";
const char* const linux_data_type = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";

std::string partition_line(int number, const Extent& extent, const std::string& type, const std::string& rest) {
  return std::to_string(number) + " : start=" + std::to_string(extent.offset / sector_bytes) +
         ", size=" + std::to_string(extent.size / sector_bytes) + ", type=" + type + rest + "\n";
}

}  // namespace

DiskLayout make_disk_layout(uint64_t size, bool bios, bool uefi, const std::string& root_uuid,
                            const std::string& root_partition_uuid) {
  DiskLayout layout;
  layout.size = size / mib * mib;
  layout.root_uuid = root_uuid;
  layout.root_partition_uuid = root_partition_uuid;
  std::string id = upper(root_uuid.substr(0, 8));
  layout.esp_volume_id = id.substr(0, 4) + "-" + id.substr(4);
  uint64_t at = mib;  // the table and its alignment
  if (bios) {
    layout.bios_boot = {at, mib};
    at += mib;
  }
  if (uefi) {
    layout.esp = {at, esp_mib * mib};
    at += esp_mib * mib;
  }
  // The last MiB holds the table's copy.
  layout.root = {at, layout.size - at - mib};
  return layout;
}

std::string sfdisk_script(const DiskLayout& layout, const std::string& architecture) {
  std::string script = "label: gpt\nunit: sectors\n\n";
  if (layout.bios_boot.size) script += partition_line(1, layout.bios_boot, bios_boot_type, ", name=bios");
  if (layout.esp.size) script += partition_line(2, layout.esp, esp_type, ", name=esp");
  std::string type = architecture == "amd64"   ? root_type_amd64
                     : architecture == "arm64" ? root_type_arm64
                                               : linux_data_type;
  return script + partition_line(3, layout.root, type, ", name=root, uuid=" + layout.root_partition_uuid);
}

std::vector<FoundPartition> parse_partitions(const std::string& json) {
  std::vector<FoundPartition> found;
  try {
    auto table = nlohmann::json::parse(json).at("partitiontable");
    uint64_t sector = table.value("sectorsize", sector_bytes);
    int number = 0;
    for (const auto& item : table.value("partitions", nlohmann::json::array())) {
      // The node is "NAME<number>"; a name that ends in a digit has a "p" between.
      std::string node = item.value("node", "");
      size_t digits = node.find_last_not_of("0123456789");
      ++number;
      if (digits != std::string::npos && digits + 1 < node.size()) number = std::stoi(node.substr(digits + 1));
      found.push_back({number,
                       {item.at("start").get<uint64_t>() * sector, item.at("size").get<uint64_t>() * sector},
                       upper(item.value("type", ""))});
    }
  } catch (const std::exception& error) {
    throw Error(ErrorKind::user, std::string("the partition table cannot be read: ") + error.what());
  }
  return found;
}

std::vector<FoundPartition> root_candidates(std::vector<FoundPartition> partitions) {
  std::erase_if(partitions, [](const FoundPartition& p) {
    return p.type == esp_type || p.type == bios_boot_type || p.type == "EF" || p.type == "82" || p.type == "5" ||
           p.type == "F" || p.extent.size < 8 * mib;
  });
  auto rank = [](const FoundPartition& p) {
    bool typed = p.type == root_type_amd64 || p.type == root_type_arm64;
    return std::pair(typed, p.extent.size);
  };
  std::stable_sort(partitions.begin(), partitions.end(),
                   [&](const auto& a, const auto& b) { return rank(a) > rank(b); });
  return partitions;
}

std::string make_fstab(const DiskLayout& layout) {
  std::string text = "UUID=" + layout.root_uuid + " / ext4 errors=remount-ro 0 1\n";
  if (layout.esp.size) text += "UUID=" + layout.esp_volume_id + " /boot/efi vfat umask=0077,noauto 0 0\n";
  return text;
}

}  // namespace kiln
