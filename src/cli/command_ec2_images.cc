// ec2 ls, console, import: what the local EC2 endpoint has.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/ec2_place.h"
#include "cli/image_text.h"
#include "cli/signals.h"
#include "cli/text_table.h"
#include "core/image_store.h"
#include "endpoint/disks.h"

namespace kiln {

namespace {

std::string name_tag(const ec2::State& state, const std::string& id) {
  const auto& tags = state.tags_of(id);
  auto found = tags.find("Name");
  return found == tags.end() ? "" : found->second;
}

int64_t size_of(const ec2::Image& image) {
  int64_t size = 0;
  for (const auto& device : image.devices) size += device.size;
  return size;
}

/// Of a kind, the oldest first: by what of it is its time.
template <class T>
std::vector<T> in_order(const ec2::Table<T>& table, std::string T::*time) {
  std::vector<T> out;
  for (const auto& [id, one] : table) out.push_back(one);
  std::stable_sort(out.begin(), out.end(), [&](auto& a, auto& b) { return a.*time < b.*time; });
  return out;
}

nlohmann::json as_json(ec2::State& state) {
  nlohmann::json out = {{"instances", nlohmann::json::array()}, {"images", nlohmann::json::array()}};
  for (const auto& one : in_order(state.instances, &ec2::Instance::launched)) {
    out["instances"].push_back({{"id", one.id},
                                {"name", name_tag(state, one.id)},
                                {"state", instance_state_now(one)},
                                {"type", one.type},
                                {"image", one.image_id},
                                {"region", one.region},
                                {"address", one.address},
                                {"launched", one.launched},
                                {"reason", one.state_reason}});
  }
  for (const auto& one : in_order(state.images, &ec2::Image::created)) {
    out["images"].push_back({{"id", one.id},
                             {"name", one.name},
                             {"state", one.state},
                             {"region", one.region},
                             {"owner", one.owner},
                             {"gib", size_of(one)},
                             {"created", one.created},
                             {"tags", state.tags_of(one.id)}});
  }
  return out;
}

/// An image of the store, or a file.
fs::path disk_of(const std::string& reference, const Stop& stop) {
  if (fs::is_regular_file(reference)) return fs::absolute(reference);
  auto store = open_image_store(image_store_directory());
  ImageRecord image = [&] {
    try {
      return store->get(reference);
    } catch (const Error& error) {
      throw Error(ErrorKind::user, fmt::format("{}: no such file, and {}", reference, error.message()));
    }
  }();
  if (image.files.empty()) throw Error(ErrorKind::user, "the image " + image.id + " has no files");
  store->restore(image, stop);
  auto largest = std::max_element(image.files.begin(), image.files.end(),
                                  [](auto& a, auto& b) { return a.size < b.size; });
  return largest->path;
}

const ec2::Instance& find_instance(const ec2::State& state, const std::string& reference) {
  const ec2::Instance* found = nullptr;
  for (const auto& [id, instance] : state.instances) {
    if (id == reference) return instance;
    if (name_tag(state, id) == reference && (!found || found->launched < instance.launched))
      found = &instance;
  }
  if (!found)
    throw Error(ErrorKind::user,
                "There is no instance " + go_quote(reference) + " (`kiln ec2 ls` shows them).");
  return *found;
}

bool is_ami_id(const std::string& id) {
  return id.starts_with("ami-") && id.size() > 4 &&
         id.find_first_not_of("0123456789abcdef", 4) == std::string::npos;
}

std::string format_of_name(const fs::path& file) {
  std::string end = lower(file.extension().string());
  for (auto format : {"qcow2", "raw", "vmdk", "vdi", "vhdx"}) {
    if (end == std::string(".") + format) return format;
  }
  if (end == ".img") return "raw";
  throw Error(ErrorKind::user,
              fmt::format("{}: its end must say the format: .qcow2, .raw, .img, .vmdk, .vdi or .vhdx", file.string()));
}

/// A disk of an AMI and where it is to be written.
struct ExportedDisk {
  ec2::Snapshot snapshot;
  fs::path file;
};

/// The root device's first.
std::vector<ExportedDisk> disks_to_export(ec2::State& state, const ec2::Image& image, const fs::path& file) {
  std::vector<ExportedDisk> out;
  for (const auto& device : image.devices) {
    const auto* snapshot = state.find<ec2::Snapshot>(device.snapshot_id);
    if (snapshot == nullptr || snapshot->file.empty()) continue;
    bool root = device.device == image.root_device;
    fs::path beside =
        file.parent_path() / fmt::format("{}-{}{}", file.stem().string(), fs::path(device.device).filename().string(),
                                         file.extension().string());
    out.insert(root ? out.begin() : out.end(), {*snapshot, root ? file : beside});
  }
  return out;
}

/// What was exported is an image like one that was built here.
ImageRecord keep_exported(const ec2::Image& image, const std::vector<ExportedDisk>& disks, Journal& journal,
                          const Stop& stop) {
  ImageRecord record;
  record.name = image.name;
  record.builder_id = "kiln.ec2";
  record.artifact_id = disks[0].file.string();
  record.description = fmt::format("{} of the local EC2 endpoint, made {}", image.id, image.created);
  record.state = Value::empty_object();
  std::vector<std::string> files;
  for (const auto& disk : disks) files.push_back(disk.file.string());
  return open_image_store(image_store_directory(), &journal)->add(std::move(record), files, stop);
}

}  // namespace

int run_ec2_ls(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return show_help;
  Ui ui = invocation.ui();
  auto state = open_ec2_state();
  auto lock = state->lock();
  if (options.json) {
    ui.say(as_json(*state).dump());
    return 0;
  }
  std::vector<std::vector<std::string>> instances = {
      {"INSTANCE", "STATE", "TYPE", "ADDRESS", "IMAGE", "LAUNCHED", "NAME"}};
  for (const auto& one : in_order(state->instances, &ec2::Instance::launched)) {
    instances.push_back(
        {one.id, instance_state_now(one), one.type, one.address, one.image_id, one.launched, name_tag(*state, one.id)});
  }
  std::vector<std::vector<std::string>> images = {{"AMI", "STATE", "REGION", "SIZE", "CREATED", "NAME"}};
  for (const auto& one : in_order(state->images, &ec2::Image::created)) {
    images.push_back(
        {one.id, one.state, one.region, fmt::format("{} GiB", size_of(one)), one.created, one.name});
  }
  std::string out =
      images.size() > 1 ? text_table(images) : "No AMIs: `kiln ec2 import IMAGE -name NAME` makes one.\n";
  if (instances.size() > 1) out += "\n" + text_table(instances);
  ui.say(std::string(trim_right(out)));
  return 0;
}

int run_ec2_console(Invocation&, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  auto state = open_ec2_state();
  auto is_over = [&](const std::string& id) {
    auto lock = state->lock();
    state->refresh();
    const auto* instance = state->find<ec2::Instance>(id);
    return !instance || instance->state == "stopped" || instance->state == "terminated";
  };
  std::string id;
  {
    auto lock = state->lock();
    id = find_instance(*state, arguments[0]).id;
  }
  fs::path file = ec2_directory() / "instances" / id / "serial.log";
  Fd log(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!log.is_open()) throw Error(ErrorKind::user, id + " has not said anything yet.");
  Stop stop;
  SignalWatch signals(stop, [](const std::string&) {});
  for (;;) {
    bool over = is_over(id);
    for (std::string part = read_some(log.get()); !part.empty(); part = read_some(log.get()))
      write_all(1, part);
    if (!options.ec2.follow || over) return 0;
    sleep_for(Millis(200), stop);
  }
}

int run_ec2_import(Invocation& invocation, CommandOptions& options,
                   const std::vector<std::string>& arguments) {
  const Ec2Options& o = options.ec2;
  if (arguments.size() != 1) return show_help;
  if (o.name.empty()) throw Error(ErrorKind::user, "Error: an AMI has a name: -name=NAME");
  if (!o.id.empty() && !is_ami_id(o.id))
    throw Error(ErrorKind::user, "Error: -id is like ami-0123456789abcdef0");
  Stop stop;
  SignalWatch signals(stop, [](const std::string&) {});
  ec2::ImportRequest request;
  request.disk = disk_of(arguments[0], stop);
  request.name = o.name;
  request.id = o.id;
  request.owner = o.owner;
  request.region = ec2_region(o.region);
  request.description = o.description;
  request.platform = o.platform == "windows" ? o.platform : "";
  request.boot_mode = o.boot_mode;
  request.root_device = o.root_device;
  request.account = ec2_account;
  auto journal = open_journal(state_directory(), invocation.run_id);
  ec2::State state(ec2_directory());
  ec2::Image image = ec2::import_image(state, *journal, request, stop);
  invocation.ui().say(image.id);
  return 0;
}

int run_ec2_export(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) return show_help;
  Stop stop;
  SignalWatch signals(stop, [](const std::string&) {});
  std::string format = format_of_name(arguments[1]);
  auto state = open_ec2_state();
  auto [image, disks] = [&] {
    auto lock = state->lock();
    ec2::Image found = find_ec2_image(*state, arguments[0]);
    return std::pair(found, disks_to_export(*state, found, fs::absolute(arguments[1])));
  }();
  if (image.state != "available" || disks.empty())
    throw Error(ErrorKind::user, fmt::format("{} is {}: it has no disk to export", image.id, image.state));
  for (const auto& disk : disks) {
    if (!options.force && fs::exists(disk.file))
      throw Error(ErrorKind::user, disk.file.string() + " is there already: -force overwrites it");
  }
  auto journal = open_journal(state_directory(), invocation.run_id);
  for (const auto& disk : disks) {
    ec2::export_disk(*state, disk.snapshot, disk.file, format, *journal, stop);
    invocation.ui().say(fmt::format("{}: {}", disk.file.string(), format_bytes(fs::file_size(disk.file))));
  }
  ImageRecord kept = keep_exported(image, disks, *journal, stop);
  invocation.ui().say(fmt::format("{} is image {} of `kiln images`", image.id, kept.id));
  return 0;
}

}  // namespace kiln
