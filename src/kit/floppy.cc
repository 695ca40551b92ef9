#include "kit/floppy.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <set>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/boot_command.h"

namespace kiln {

const OptionTable<FloppyConfig>& floppy_options() {
  static const OptionTable<FloppyConfig> table = [] {
    OptionTable<FloppyConfig> t;
    t.add(&FloppyConfig::floppy_files,
          {.name = "floppy_files", .doc = "Files, globs and directories put into a floppy's root.", .reads = true});
    t.add(&FloppyConfig::floppy_dirs,
          {.name = "floppy_dirs", .doc = "Directories put on the floppy with their tree.", .reads = true});
    t.add(&FloppyConfig::floppy_content,
          {.name = "floppy_content", .doc = "Files put on it, by path, with their text."});
    t.add(&FloppyConfig::floppy_label,
          {.name = "floppy_label", .default_text = "packer", .doc = "The floppy's label."});
    return t;
  }();
  return table;
}

void prepare_floppy(const Value& object, FloppyConfig& floppy, Diagnostics& diagnostics) {
  if (floppy.floppy_label.empty()) floppy.floppy_label = "packer";
  std::error_code ignored;
  auto check = [&](const std::vector<std::string>& paths, const char* option) {
    for (const auto& path : paths) {
      if (path.find_first_of("*?[") != std::string::npos || fs::exists(path, ignored)) continue;
      diagnostics.error(fmt::format("Bad Floppy disk file '{}': stat {}: no such file or directory", path, path), "",
                        option_range(object, option));
    }
  };
  check(floppy.floppy_files, "floppy_files");
  check(floppy.floppy_dirs, "floppy_dirs");
}

namespace {

void collect_flat(const fs::path& path, FloppyFiles& out) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    out[path.filename().string()] = read_file(path);
    return;
  }
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) out[entry.path().filename().string()] = read_file(entry.path());
  }
}

void collect_tree(const fs::path& named, FloppyFiles& out) {
  std::error_code ignored;
  if (!fs::is_directory(named, ignored)) {
    out[named.filename().string()] = read_file(named);
    return;
  }
  // "dir" keeps its own name, "dir/" does not, as Packer does.
  fs::path base = named.filename().empty() ? named : named.parent_path();
  for (const auto& entry : fs::recursive_directory_iterator(named)) {
    if (!entry.is_regular_file()) continue;
    out[entry.path().lexically_relative(base.empty() ? fs::path(".") : base).generic_string()] =
        read_file(entry.path());
  }
}

}  // namespace

FloppyFiles collect_floppy_files(const FloppyConfig& floppy) {
  FloppyFiles out;
  auto expand = [](const std::string& named) {
    if (named.find_first_of("*?[") == std::string::npos) return std::vector<fs::path>{named};
    auto found = glob(named);
    if (found.empty()) throw Error(ErrorKind::user, "nothing on this machine matches " + named + " for the floppy");
    return found;
  };
  for (const auto& named : floppy.floppy_files) {
    for (const auto& path : expand(named)) collect_flat(path, out);
  }
  for (const auto& named : floppy.floppy_dirs) {
    for (const auto& path : expand(named)) collect_tree(path, out);
  }
  for (const auto& [name, text] : floppy.floppy_content) {
    fs::path inside = fs::path(name).relative_path().lexically_normal();
    if (inside.empty() || *inside.begin() == "..") throw Error(ErrorKind::user, "floppy_content: a bad path: " + name);
    out[inside.generic_string()] = text;
  }
  return out;
}

// ---- FAT12 (Microsoft's FAT specification, 1.44 MB geometry) --------------------------------------------------

namespace {

constexpr size_t fat_sector = 512;
constexpr size_t fat_total_sectors = 2880;
constexpr size_t fat_table_sectors = 9;
constexpr size_t fat_root_entries = 224;
constexpr size_t fat_root_sectors = fat_root_entries * 32 / fat_sector;
constexpr size_t fat_first_data = 1 + 2 * fat_table_sectors + fat_root_sectors;
constexpr size_t fat_clusters = fat_total_sectors - fat_first_data;
constexpr int fat_directory = 0x10;
constexpr int fat_archive = 0x20;
constexpr int fat_volume_label = 0x08;

/// A directory of the image while it is laid out.
struct FatNode {
  std::map<std::string, FatNode> directories;
  std::map<std::string, const std::string*> files;
};

std::string le16(size_t value) { return {static_cast<char>(value & 0xFF), static_cast<char>((value >> 8) & 0xFF)}; }
std::string le32(size_t value) { return le16(value & 0xFFFF) + le16(value >> 16); }

/// UTF-16 code units of a name.
std::vector<uint16_t> utf16_of(const std::string& name) {
  std::vector<uint16_t> out;
  for (size_t i = 0; i < name.size();) {
    auto byte = static_cast<unsigned char>(name[i]);
    int more = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : byte >= 0xC0 ? 1 : 0;
    uint32_t code = more == 0 ? byte : byte & (0x3FU >> more);
    for (int k = 1; k <= more && i + static_cast<size_t>(k) < name.size(); ++k) {
      code = (code << 6) | (static_cast<unsigned char>(name[i + static_cast<size_t>(k)]) & 0x3FU);
    }
    i += 1 + static_cast<size_t>(more);
    if (code >= 0x10000) {
      code -= 0x10000;
      out.push_back(static_cast<uint16_t>(0xD800 + (code >> 10)));
      code = 0xDC00 + (code & 0x3FF);
    }
    out.push_back(static_cast<uint16_t>(code));
  }
  return out;
}

bool fits_short(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || contains("!#$%&'()-@^_`{}~", std::string_view(&c, 1));
}

/// An 8.3 name (11 characters, padded) not in `taken`. `exact` says whether it is the whole truth.
std::string short_name(const std::string& name, std::set<std::string>& taken, bool& exact) {
  size_t dot = name.rfind('.');
  if (dot == 0) dot = std::string::npos;
  auto clean = [](std::string_view part, size_t limit) {
    std::string out;
    for (char c : upper(part)) {
      if (c == ' ' || c == '.') continue;
      out += fits_short(c) ? c : '_';
    }
    return out.substr(0, limit);
  };
  std::string base = clean(std::string_view(name).substr(0, dot), 8);
  std::string extension = dot == std::string::npos ? "" : clean(std::string_view(name).substr(dot + 1), 3);
  std::string plain = extension.empty() ? base : base + "." + extension;
  auto padded = [&](const std::string& stem) {
    std::string out = stem + std::string(8 - stem.size(), ' ') + extension;
    return out + std::string(11 - out.size(), ' ');
  };
  exact = plain == name && !base.empty();
  if (exact && taken.insert(padded(base)).second) return padded(base);
  exact = false;
  for (int i = 1;; ++i) {
    std::string tail = fmt::format("~{}", i);
    std::string candidate = padded(base.substr(0, 8 - tail.size()) + tail);
    if (taken.insert(candidate).second) return candidate;
  }
}

class FatImage {
 public:
  std::string make(const FloppyFiles& files, std::string_view label) {
    image_.assign(fat_total_sectors * fat_sector, '\0');
    table_.assign(fat_clusters + 2, 0);
    table_[0] = 0xFF0;
    table_[1] = 0xFFF;
    write_boot_sector(label);
    FatNode root;
    for (const auto& [path, content] : files) insert(root, path, content);
    std::string entries;
    if (!label.empty()) entries += entry(padded_label(label), fat_volume_label, 0, 0);
    entries += directory_entries(root, 0, 0);
    if (entries.size() > fat_root_entries * 32)
      throw Error(ErrorKind::user, "too many files for a floppy's root directory");
    put(1 + 2 * fat_table_sectors, entries);
    write_tables();
    return std::move(image_);
  }

 private:
  static std::string padded_label(std::string_view label) {
    std::string out = upper(label).substr(0, 11);
    return out + std::string(11 - out.size(), ' ');
  }

  void put(size_t sector, std::string_view bytes) { image_.replace(sector * fat_sector, bytes.size(), bytes); }

  void write_boot_sector(std::string_view label) {
    std::string boot = std::string("\xEB\x3C\x90", 3) + "KILN1.0 " + le16(fat_sector) + '\x01' + le16(1) + '\x02' +
                       le16(fat_root_entries) + le16(fat_total_sectors) + '\xF0' + le16(fat_table_sectors) + le16(18) +
                       le16(2) + le32(0) + le32(0) + '\0' + '\0' + '\x29' + le32(0x4B494C4E) +
                       padded_label(label.empty() ? "NO NAME" : label) + "FAT12   ";
    put(0, boot);
    image_[510] = '\x55';
    image_[511] = '\xAA';
  }

  static void insert(FatNode& root, const std::string& path, const std::string& content) {
    FatNode* node = &root;
    auto parts = split(path, '/');
    for (size_t i = 0; i + 1 < parts.size(); ++i) node = &node->directories[parts[i]];
    if (parts.back().empty() || parts.back().size() > 255)
      throw Error(ErrorKind::user, "a bad name for a floppy: " + path);
    node->files[parts.back()] = &content;
  }

  /// A chain of clusters for `size` bytes; its first, 0 for nothing.
  size_t allocate(size_t size) {
    size_t count = (size + fat_sector - 1) / fat_sector;
    if (next_ + count > fat_clusters + 2) {
      throw Error(ErrorKind::user, "the files do not fit on a floppy (1.44 MB)");
    }
    size_t first = next_;
    for (size_t i = 0; i < count; ++i)
      table_[next_ + i] = static_cast<uint16_t>(i + 1 == count ? 0xFFF : next_ + i + 1);
    next_ += count;
    return count == 0 ? 0 : first;
  }

  static std::string entry(const std::string& name, int attributes, size_t cluster, size_t size) {
    constexpr size_t date_1980 = 0x21;
    return name + static_cast<char>(attributes) + std::string(10, '\0') + le16(0) + le16(date_1980) + le16(cluster) +
           le32(size);
  }

  /// Long-name entries (when needed) and the short one.
  static std::string named_entry(const std::string& name, std::set<std::string>& taken, int attributes,
                                 size_t cluster, size_t size) {
    bool exact = false;
    std::string brief = short_name(name, taken, exact);
    std::string out;
    if (!exact) {
      unsigned sum = 0;
      for (char c : brief) sum = (((sum & 1) << 7) + (sum >> 1) + static_cast<unsigned char>(c)) & 0xFF;
      auto units = utf16_of(name);
      size_t pieces = (units.size() + 12) / 13;
      if (units.size() % 13 != 0) units.push_back(0);
      while (units.size() % 13 != 0) units.push_back(0xFFFF);
      for (size_t piece = pieces; piece > 0; --piece) {
        auto unit = [&](size_t i) { return le16(units[(piece - 1) * 13 + i]); };
        out += static_cast<char>(piece | (piece == pieces ? 0x40U : 0U));
        for (size_t i = 0; i < 5; ++i) out += unit(i);
        out += '\x0F';
        out += '\0';
        out += static_cast<char>(sum);
        for (size_t i = 5; i < 11; ++i) out += unit(i);
        out += le16(0);
        for (size_t i = 11; i < 13; ++i) out += unit(i);
      }
    }
    return out + entry(brief, attributes, cluster, size);
  }

  /// Bytes a directory's entries take: a name is at most 20 long-name entries.
  static size_t directory_size(const FatNode& node) {
    std::set<std::string> taken;
    size_t size = size_t{2} * 32;
    for (const auto& [name, child] : node.directories) size += named_entry(name, taken, 0, 0, 0).size();
    for (const auto& [name, content] : node.files) size += named_entry(name, taken, 0, 0, 0).size();
    return size;
  }

  /// Lays out everything below and returns the directory's own entries. self 0 is the root.
  std::string directory_entries(const FatNode& node, size_t self, size_t parent) {
    std::string out;
    std::set<std::string> taken;
    if (self != 0) {
      out += entry(".          ", fat_directory, self, 0);
      out += entry("..         ", fat_directory, parent, 0);
    }
    for (const auto& [name, child] : node.directories) {
      size_t cluster = allocate(directory_size(child));
      put(fat_first_data + cluster - 2, directory_entries(child, cluster, self));
      out += named_entry(name, taken, fat_directory, cluster, 0);
    }
    for (const auto& [name, content] : node.files) {
      size_t cluster = allocate(content->size());
      if (cluster != 0) put(fat_first_data + cluster - 2, *content);
      out += named_entry(name, taken, fat_archive, cluster, content->size());
    }
    return out;
  }

  void write_tables() {
    std::string packed;
    for (size_t i = 0; i < table_.size(); i += 2) {
      unsigned a = table_[i];
      unsigned b = i + 1 < table_.size() ? table_[i + 1] : 0;
      packed += static_cast<char>(a & 0xFF);
      packed += static_cast<char>((a >> 8) | ((b & 0xF) << 4));
      packed += static_cast<char>(b >> 4);
    }
    put(1, packed);
    put(1 + fat_table_sectors, packed);
  }

  std::string image_;
  std::vector<uint16_t> table_;
  size_t next_ = 2;
};

}  // namespace

std::string make_floppy_image(const FloppyFiles& files, std::string_view label) {
  return FatImage().make(files, label);
}

}  // namespace kiln
