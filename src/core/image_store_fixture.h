// What the tests of the store of images share.
#pragma once
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "core/image_store.h"

namespace kiln {

/// A store, and a directory of outputs beside it on the same file system.
class ImageStoreTest : public testing::Test {
 protected:
  std::string output(const std::string& name, const std::string& content) {
    fs::path path = out_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }
  ImageRecord made(const std::string& name, const std::string& key, const std::vector<std::string>& files,
                   std::vector<std::string> parents = {}) {
    ImageRecord record;
    record.name = name;
    record.key = key;
    record.builder_type = "qemu";
    record.parents = std::move(parents);
    return store_->add(record, files, Stop());
  }
  std::string message(const std::function<void()>& f, ErrorKind kind = ErrorKind::user) {
    try {
      f();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.message();
      return error.message();
    }
    return "nothing was thrown";
  }
  fs::path object(const std::string& digest) {
    return store_directory_ / "objects" / digest.substr(0, 2) / digest;
  }
  /// Everything below a directory of the store, but for the index.
  std::vector<std::string> files_below(const char* part) {
    std::vector<std::string> files;
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(store_directory_ / part, error)) {
      if (entry.is_regular_file()) files.push_back(entry.path().filename().string());
    }
    return files;
  }
  /// Writes into the file as a machine that boots it would.
  static void write_into(const fs::path& file, const std::string& text) {
    std::fstream(file, std::ios::in | std::ios::out | std::ios::binary) << text;
  }
  void open_again() { store_ = open_image_store(store_directory_); }

  TempDir directory_;
  fs::path store_directory_ = directory_.path() / "store";
  fs::path out_ = directory_.path() / "out";
  std::unique_ptr<ImageStore> store_ = open_image_store(store_directory_);
};

}  // namespace kiln
