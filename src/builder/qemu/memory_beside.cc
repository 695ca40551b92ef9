#include "builder/qemu/memory_beside.h"

#include <fmt/format.h>

#include <charconv>
#include <string>

#include "base/sparse.h"
#include "base/text.h"

namespace kiln::qemu {

namespace {

using Json = nlohmann::json;

constexpr auto memory_answer_limit = std::chrono::seconds(20);
constexpr int display_class = 0x03;  // of PCI, its upper byte
constexpr uint64_t firmware_end = uint64_t{1} << 32U;
constexpr uint64_t least_firmware = uint64_t{64} << 10U;
constexpr uint64_t most_firmware = uint64_t{16} << 20U;
constexpr std::string_view bios = "pc.bios";

/// A place in QEMU's process, and QEMU's name of the memory that is there.
struct Place {
  uint64_t address = 0;
  std::string memory;
};

/// "Host virtual address for 0xfd000000 (vga.vram) is 0x7f31c2000000"; nullopt: no memory is there.
std::optional<Place> place_of(Vm& vm, uint64_t guest_address, const Stop& stop) {
  Json said = vm.qmp().execute("human-monitor-command", {{"command-line", fmt::format("gpa2hva {:#x}", guest_address)}},
                               Deadline::in(memory_answer_limit), stop);
  std::string text = said.is_string() ? said.get<std::string>() : "";
  size_t open = text.find(" ("), close = text.rfind(") is 0x");
  if (open == std::string::npos || close == std::string::npos || close < open) return std::nullopt;
  Place out{0, text.substr(open + 2, close - open - 2)};
  std::string_view number = trim(std::string_view(text).substr(close + 7));
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), out.address, 16);
  if (error != std::errc() || end != number.data() + number.size() || out.address % page_size != 0) return std::nullopt;
  return out;
}

}  // namespace

std::optional<MemoryBeside> MemoryBeside::find(Vm& vm, const PageFile& memory, const Stop& stop) {
  auto process = ProcessMemory::with_mapped(vm.pid(), memory.fd());
  if (!process) return std::nullopt;
  MemoryBeside out(*process);
  // A QEMU that is to take up a state leaves a BIOS empty. Flash it reads from its file.
  auto firmware = place_of(vm, firmware_end - least_firmware, stop);
  if (!firmware || (firmware->memory != bios && !contains(firmware->memory, "flash"))) return std::nullopt;
  if (firmware->memory == bios) {
    uint64_t bytes = least_firmware;
    for (; bytes < most_firmware; bytes *= 2) {
      auto below = place_of(vm, firmware_end - 2 * bytes, stop);
      if (!below || below->memory != bios || below->address + bytes != firmware->address) break;
      firmware = below;
    }
    out.all_.push_back({firmware->address, bytes});
  }
  for (const auto& bus : vm.qmp().execute("query-pci", {}, Deadline::in(memory_answer_limit), stop)) {
    for (const auto& device : bus.at("devices")) {
      if (device.at("class_info").at("class").get<int>() >> 8 != display_class) continue;
      for (const auto& region : device.at("regions")) {
        auto bytes = region.value("size", uint64_t{0});
        if (region.value("type", "") != "memory" || bytes == 0 || bytes % page_size != 0) continue;
        if (auto place = place_of(vm, region.value("address", uint64_t{0}), stop))
          out.all_.push_back({place->address, bytes});
      }
    }
  }
  return out;
}

std::vector<PageChanges> MemoryBeside::take() const {
  std::vector<PageChanges> out;
  for (const auto& one : all_) out.push_back(ForkedPages(process_, one.address, one.bytes).take_changes());
  return out;
}

fs::path MemoryBeside::file(const fs::path& state, size_t number) {
  return state / fmt::format("memory-{}.zst", number);
}

void MemoryBeside::bring(const fs::path& state, const Stop& stop) const {
  for (size_t i = 0; i < all_.size(); ++i) {
    PageFile content = PageFile::memory(all_[i].bytes);
    content.apply(file(state, i), stop);
    auto size = static_cast<off_t>(content.size());
    for (off_t at = 0; at < size;) {
      auto data = next_extent(content.fd(), at, size);
      if (!data) break;
      process_.write(all_[i].address + data->begin, content.data() + data->begin, data->end - data->begin);
      at = data->end;
    }
  }
}

}  // namespace kiln::qemu
