#include "builder/qemu/disks.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "builder/qemu/arguments.h"
#include "core/journal.h"

namespace kiln::qemu {

namespace {

/// Whether the person's own switches say where the disks are.
bool names_disks(const Config& config) {
  for (const auto& item : config.qemuargs) {
    if (!item.empty() && (item[0] == "-drive" || item[0] == "-blockdev" || item[0] == "-hda")) return true;
  }
  return false;
}

struct ImageInfo {
  std::string format;
  uint64_t virtual_size = 0;
};

ImageInfo inspect_image(const fs::path& path, const Stop& stop) {
  std::string text = run_checked({{"qemu-img", "info", "-U", "--output=json", path.string()}},
                                 Deadline::in(std::chrono::minutes(2)), stop);
  auto info = nlohmann::json::parse(text, nullptr, false);
  if (!info.is_object()) throw Error(ErrorKind::environment, "qemu-img info says nothing of " + path.string());
  return {info.value("format", "raw"), info.value("virtual-size", uint64_t{0})};
}

uint64_t size_in_bytes(const std::string& size) {
  uint64_t number = std::strtoull(size.c_str(), nullptr, 10);
  switch (size.empty() ? 'b' : size.back()) {
    case 'k': case 'K': return number << 10U;
    case 'm': case 'M': return number << 20U;
    case 'g': case 'G': return number << 30U;
    case 't': case 'T': return number << 40U;
    default: return number;
  }
}

void create_from_image(const Config& config, const Disk& disk, const fs::path& source, StageContext& context) {
  ImageInfo info = inspect_image(source, context.stop);
  bool resize = !config.skip_resize_disk;
  // Packer lets qemu-img refuse to shrink; say it in words.
  if (resize && size_in_bytes(disk.size) < info.virtual_size) {
    throw Error(ErrorKind::user,
                fmt::format("disk_size {} is smaller than the disk image ({} bytes): give a larger one, or "
                            "skip_resize_disk = true", disk.size, info.virtual_size));
  }
  if (config.use_backing_file || disk.rewrite) {
    if (config.use_backing_file) context.ui.say("Creating hard drive...");
    else context.ui.say("Copying hard drive...");
    Config plain = config;
    if (!config.use_backing_file) plain.qemu_img_args = {};  // a passing layer: only `convert` makes the result
    run_qemu_img(img_create_backed(plain, disk.working.string(), fs::absolute(source).string(), info.format,
                                   resize ? disk.size : ""),
                 "disk", context);
    return;
  }
  context.ui.say("Copying hard drive...");
  run_qemu_img(img_convert(config, source.string(), info.format, disk.working.string(), false), "copying the disk",
               context);
  if (!resize) return;
  context.ui.say("Resizing hard drive...");
  run_qemu_img(img_resize(config, disk.working.string(), disk.size), "resizing the disk", context);
}

}  // namespace

std::vector<Disk> plan_disks(const Config& config) {
  std::vector<Disk> disks;
  bool named = names_disks(config);
  for (size_t i = 0; i <= config.disk_additional_size.size(); ++i) {
    std::string name = i == 0 ? config.vm_name : fmt::format("{}-{}", config.vm_name, i);
    Disk disk;
    disk.final = fs::path(config.output_directory) / name;
    disk.working = named ? disk.final : fs::path(disk.final.string() + ".kiln-part");
    disk.size = i == 0 ? config.disk_size : config.disk_additional_size[i - 1];
    disk.format = config.disk_image ? "" : config.format;
    disk.rewrite = !config.skip_compaction || config.disk_compression;  // as Packer
    disks.push_back(std::move(disk));
  }
  return disks;
}

void create_disks(const Config& config, const std::vector<Disk>& disks, const fs::path& source,
                  StageContext& context) {
  for (size_t i = 0; i < disks.size(); ++i) {
    if (i == 0 && !source.empty()) {
      create_from_image(config, disks[i], source, context);
      continue;
    }
    if (i == 0 || (i == 1 && !source.empty())) context.ui.say("Creating required virtual machine disks");
    run_qemu_img(img_create(config, disks[i].working.string(), disks[i].size), "disk", context);
  }
}

void finish_disks(const Config& config, const std::vector<Disk>& disks, StageContext& context) {
  for (size_t i = 0; i < disks.size(); ++i) {
    const Disk& disk = disks[i];
    if (!disk.rewrite) {
      if (disk.working != disk.final) fs::rename(disk.working, disk.final);
      continue;
    }
    if (i == 0) context.ui.say("Converting hard drive...");
    fs::path made = disk.final.string() + ".kiln-convert";
    run_qemu_img(img_convert(config, disk.working.string(), disk.format, made.string(),
                             config.disk_compression),
                 "converting " + disk.final.filename().string(), context);
    fs::rename(made, disk.final);
    if (disk.working != disk.final) fs::remove(disk.working);
  }
}

void run_qemu_img(const std::vector<std::string>& argv, const std::string& what, StageContext& context) {
  Resource resource = context.journal.append(ResourceKind::process, "qemu-img", context.build.display_name);
  std::string errors;
  std::string tail;
  context.log.line("Executing " + join(argv, " "));
  auto show = [&](std::string_view bytes) {
    tail = (tail + std::string(bytes));
    if (tail.size() > 200) tail.erase(0, tail.size() - 200);
    if (auto percent = img_progress(tail)) {
      context.ui.progress(what, static_cast<uint64_t>(*percent * 100), 10000);
    }
  };
  auto forget = [&] { context.journal.remove(resource.id); };
  try {
    ExitStatus status =
        run_streaming({.argv = argv, .env = {{"KILN_RESOURCE", resource.token}}, .new_session = true}, show,
                      [&](std::string_view bytes) { errors += bytes; }, Deadline::never(), context.stop);
    if (!status.ok()) {
      throw Error(ErrorKind::environment, fmt::format("{} failed with exit status {}: {}", join(argv, " "),
                                                      status.code, trim(errors)));
    }
  } catch (const Error&) {
    forget();
    throw;
  }
  forget();
}

}  // namespace kiln::qemu
