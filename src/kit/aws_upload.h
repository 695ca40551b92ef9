// A file into an object of S3, or a disk image into a snapshot of EBS: in parts, by several connections at
// once.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "core/communicator.h"
#include "wire/aws_client.h"

namespace kiln {

struct AwsUpload {
  std::filesystem::path file;
  std::string bucket;
  std::string key;
  std::map<std::string, std::string> headers;  ///< of the object: x-amz-server-side-encryption, ...
  int connections = 4;
};

/// Makes a client for one more connection.
using AwsClientMaker = std::function<std::unique_ptr<AwsClient>()>;

/// Sends one part; returns how many bytes that were.
using SendAwsPart = std::function<uint64_t(AwsClient& client, size_t index, const Stop& stop)>;
/// Sends `count` parts by several connections at once, each a thread with a client of its own. The first
/// failure ends the others and is thrown. `progress` is told the bytes sent, by the calling thread.
void send_aws_parts(const AwsClientMaker& make_client, size_t count, int connections, const SendAwsPart& send,
                    const std::function<void(uint64_t done)>& progress, const Stop& stop);

/// Uploads; half an object is never left: an upload that fails is aborted. `progress` is told by the calling thread.
/// Throws AwsError, Error{environment} when the file cannot be read, Error{cancelled}.
void upload_to_s3(const AwsClientMaker& make_client, const AwsUpload& upload, const ProgressFn& progress,
                  const Deadline& deadline, const Stop& stop);

struct AwsSnapshotUpload {
  std::filesystem::path file;  ///< a raw image
  std::string description;
  std::map<std::string, std::string> tags;
  bool encrypted = false;
  std::string kms_key;
  int connections = 8;
};
struct AwsUploadedSnapshot {
  std::string id;
  int64_t size = 0;   ///< GiB
  size_t blocks = 0;  ///< that hold anything, each of 512 KiB; only they were sent
};
/// Writes a snapshot block by block (EBS' direct APIs): no bucket, no role, no instance. It is not
/// "completed" yet when this returns. What fails leaves a pending snapshot with the tags. Throws as
/// upload_to_s3().
AwsUploadedSnapshot upload_snapshot(const AwsClientMaker& make_client, const AwsSnapshotUpload& upload,
                                    const ProgressFn& progress, const Deadline& deadline, const Stop& stop);

/// How large a part of a file of that size is: at least 16 MiB, and no more than 9,000 parts. Pure.
uint64_t s3_part_size(uint64_t file_size);

/// A request about an object: "/BUCKET/KEY". Pure.
AwsCall s3_call(const std::string& region, const std::string& method, const std::string& bucket, const std::string& key,
                const std::string& query = {});

}  // namespace kiln
