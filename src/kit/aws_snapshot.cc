#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/guarded.h"
#include "base/sparse.h"
#include "kit/aws_upload.h"

namespace kiln {

namespace {

constexpr uint64_t block_size = 512 * 1024;
constexpr uint64_t gib = uint64_t{1} << 30;

/// A block as it was when it was looked at, padded with zeros behind the file's end.
std::string read_block(int fd, uint64_t offset) {
  std::string block(block_size, '\0');
  for (size_t done = 0; done < block_size;) {
    ssize_t count = ::pread(fd, block.data() + done, block_size - done, static_cast<off_t>(offset + done));
    if (count < 0) throw_errno("read");
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return block;
}

bool holds_nothing(const std::string& block) {
  return block.front() == '\0' && std::equal(block.begin() + 1, block.end(), block.begin());
}

/// The numbers of the blocks that are not holes.
std::vector<uint64_t> blocks_with_data(int fd, uint64_t size) {
  std::vector<uint64_t> blocks;
  auto end = static_cast<off_t>(size);
  for (auto extent = next_extent(fd, 0, end); extent; extent = next_extent(fd, extent->end, end)) {
    uint64_t first = static_cast<uint64_t>(extent->begin) / block_size;
    if (!blocks.empty()) first = std::max(first, blocks.back() + 1);
    for (uint64_t block = first; block * block_size < static_cast<uint64_t>(extent->end); ++block)
      blocks.push_back(block);
  }
  return blocks;
}

AwsCall ebs_call(const std::string& region, const std::string& method, const std::string& path) {
  AwsCall call{.service = "ebs", .region = region};
  call.method = method;
  call.path = path;
  return call;
}

AwsCall start_call(const std::string& region, const AwsSnapshotUpload& upload, uint64_t size) {
  nlohmann::json request{{"VolumeSize", size}, {"ClientToken", random_uuid()}, {"Timeout", 60}};
  if (!upload.description.empty()) request["Description"] = upload.description;
  if (upload.encrypted) request["Encrypted"] = true;
  if (upload.encrypted && !upload.kms_key.empty()) request["KmsKeyArn"] = upload.kms_key;
  for (const auto& [key, value] : upload.tags) request["Tags"].push_back({{"Key", key}, {"Value", value}});
  AwsCall call = ebs_call(region, "POST", "/snapshots");
  call.content_type = "application/json";
  call.body = request.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return call;
}

AwsCall block_call(const std::string& region, const std::string& id, uint64_t number, std::string block) {
  AwsCall call = ebs_call(region, "PUT", fmt::format("/snapshots/{}/blocks/{}", id, number));
  call.content_type = "application/octet-stream";
  call.headers = {{"x-amz-checksum", aws_checksum_sha256(block)},
                  {"x-amz-checksum-algorithm", "SHA256"},
                  {"x-amz-data-length", std::to_string(block.size())}};
  call.body = std::move(block);
  return call;
}

}  // namespace

AwsUploadedSnapshot upload_snapshot(const AwsClientMaker& make_client, const AwsSnapshotUpload& upload,
                                    const ProgressFn& progress, const Deadline& deadline, const Stop& stop) {
  Fd file(::open(upload.file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) throw_errno("open " + upload.file.string());
  uint64_t bytes = fs::file_size(upload.file);
  AwsUploadedSnapshot out;
  out.size = static_cast<int64_t>(std::max<uint64_t>(1, (bytes + gib - 1) / gib));
  auto blocks = blocks_with_data(file.get(), bytes);
  auto client = make_client();
  const std::string region = client->settings().region;
  AwsHttpReply begun =
      client->call(start_call(region, upload, static_cast<uint64_t>(out.size)), deadline, stop);
  auto answer = nlohmann::json::parse(begun.body, nullptr, false);
  if (answer.is_object()) out.id = answer.value("SnapshotId", "");
  if (out.id.empty()) throw Error(ErrorKind::remote, "StartSnapshot: the answer names no snapshot");
  std::atomic<size_t> sent{0};
  auto send = [&](AwsClient& one, size_t index, const Stop& stop_all) {
    std::string block = read_block(file.get(), blocks[index] * block_size);
    if (holds_nothing(block)) return block_size;
    one.call(block_call(region, out.id, blocks[index], std::move(block)), deadline, stop_all);
    ++sent;
    return block_size;
  };
  uint64_t total = blocks.size() * block_size;
  auto tell = [&](uint64_t done) {
    if (progress) progress(done, total);
  };
  send_aws_parts(make_client, blocks.size(), upload.connections, send, tell, stop);
  out.blocks = sent;
  AwsCall end = ebs_call(region, "POST", "/snapshots/completion/" + out.id);
  end.headers = {{"x-amz-changedblockscount", std::to_string(out.blocks)}};
  client->call(end, deadline, stop);
  return out;
}

}  // namespace kiln
