#include "kit/aws_upload.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/file.h"

namespace kiln {

namespace {

constexpr uint64_t smallest_part = uint64_t{16} << 20;
constexpr uint64_t most_parts = 9000;  // S3 takes 10,000
constexpr auto progress_pause = Millis(200);

/// What the threads of one upload share.
struct Parts {
  const AwsUpload& upload;
  std::string region;
  std::string upload_id;
  uint64_t size = 0;
  uint64_t part_size = 0;
  size_t count = 0;
  std::atomic<size_t> next{0};
  std::atomic<uint64_t> done{0};
  std::atomic<int> running{0};
  Guarded<std::vector<std::string>> tags;
  Guarded<std::optional<Error>> failure;
  Stop stop;  ///< a child of the caller's: one connection that fails ends the others
};

std::string read_part(int fd, uint64_t offset, uint64_t size) {
  std::string part(size, '\0');
  for (size_t done = 0; done < size;) {
    ssize_t count = ::pread(fd, part.data() + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0) throw_errno("read");
    if (count == 0) throw Error(ErrorKind::environment, "the file has become shorter while it was sent");
    done += static_cast<size_t>(count);
  }
  return part;
}

void send_part(Parts& parts, AwsClient& client, int fd, size_t index, const Deadline& deadline) {
  uint64_t offset = index * parts.part_size;
  AwsCall call = s3_call(parts.region, "PUT", parts.upload.bucket, parts.upload.key,
                         fmt::format("partNumber={}&uploadId={}", index + 1, aws_uri_encode(parts.upload_id)));
  call.body = read_part(fd, offset, std::min(parts.part_size, parts.size - offset));
  uint64_t size = call.body.size();
  AwsHttpReply reply = client.call(call, deadline, parts.stop);
  parts.tags.with([&](auto& tags) { tags[index] = reply.headers["etag"]; });
  parts.done += size;
}

/// One connection: takes parts until there are none.
void send_parts(Parts& parts, const AwsClientMaker& make_client, const Deadline& deadline) {
  try {
    only_errors([&] {
      Fd file(::open(parts.upload.file.c_str(), O_RDONLY | O_CLOEXEC));
      if (!file.is_open()) throw_errno("open " + parts.upload.file.string());
      auto client = make_client();
      for (size_t index = parts.next++; index < parts.count; index = parts.next++)
        send_part(parts, *client, file.get(), index, deadline);
    });
  } catch (const Error& error) {
    parts.failure.with([&](auto& first) {
      if (!first) first = error;
    });
    parts.stop.request("another part failed");
  }
  --parts.running;
}

std::string completion(const std::vector<std::string>& tags) {
  std::string body = "<CompleteMultipartUpload>";
  for (size_t i = 0; i < tags.size(); ++i) {
    body += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, tags[i]);
  }
  return body + "</CompleteMultipartUpload>";
}

void run_connections(Parts& parts, const AwsClientMaker& make_client, const ProgressFn& progress,
                     const Deadline& deadline) {
  std::vector<std::thread> threads;
  size_t wanted = std::min<size_t>(static_cast<size_t>(std::max(parts.upload.connections, 1)), parts.count);
  parts.running = static_cast<int>(wanted);
  for (size_t i = 0; i < wanted; ++i) threads.emplace_back([&] { send_parts(parts, make_client, deadline); });
  while (parts.running > 0) {
    Stop none;  // the threads end by parts.stop
    sleep_for(progress_pause, none);
    if (progress) progress(parts.done, parts.size);
  }
  for (auto& thread : threads) thread.join();
  auto failure = parts.failure.with([](auto& first) { return first; });
  if (failure) throw *failure;
}

}  // namespace

uint64_t s3_part_size(uint64_t file_size) {
  uint64_t size = std::max(smallest_part, (file_size + most_parts - 1) / most_parts);
  return (size + (1 << 20) - 1) >> 20 << 20;
}

AwsCall s3_call(const std::string& region, const std::string& method, const std::string& bucket, const std::string& key,
                const std::string& query) {
  AwsCall call{.service = "s3", .region = region};
  call.method = method;
  call.path = "/" + aws_uri_encode(bucket) + "/" + aws_uri_encode(key, true);
  call.query = query;
  call.hash_payload = true;
  return call;
}

void upload_to_s3(const AwsClientMaker& make_client, const AwsUpload& upload, const ProgressFn& progress,
                  const Deadline& deadline, const Stop& stop) {
  auto client = make_client();
  Parts parts{.upload = upload, .region = client->settings().region, .stop = stop.child()};
  std::error_code error;
  parts.size = fs::file_size(upload.file, error);
  if (error) throw Error(ErrorKind::environment, fmt::format("stat {}: {}", upload.file.string(), error.message()));
  parts.part_size = s3_part_size(parts.size);
  parts.count = std::max<uint64_t>(1, (parts.size + parts.part_size - 1) / parts.part_size);
  parts.tags.with([&](auto& tags) { tags.resize(parts.count); });
  AwsCall begin = s3_call(parts.region, "POST", upload.bucket, upload.key, "uploads=");
  begin.headers = upload.headers;
  parts.upload_id = parse_aws_xml(client->call(begin, deadline, stop).body).text_at("UploadId");
  std::string id_query = "uploadId=" + aws_uri_encode(parts.upload_id);
  try {
    run_connections(parts, make_client, progress, deadline);
    AwsCall end = s3_call(parts.region, "POST", upload.bucket, upload.key, id_query);
    end.body = completion(parts.tags.with([](auto& tags) { return tags; }));
    // S3 may say 200 and then that it failed.
    AwsElement answer = parse_aws_xml(client->call(end, deadline, stop).body);
    if (answer.name == "Error")
      throw Error(ErrorKind::remote, answer.text_at("Code") + ": " + answer.text_at("Message"));
  } catch (const Error&) {
    try {
      client->call(s3_call(parts.region, "DELETE", upload.bucket, upload.key, id_query),
                   Deadline::in(std::chrono::minutes(1)), Stop());
    } catch (const Error&) {
      // The first error is the one to tell; S3's own rules remove parts that nobody completes.
    }
    throw;
  }
}

}  // namespace kiln
