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

/// What the connections of one upload share.
struct Connections {
  size_t count = 0;
  std::atomic<size_t> next{0};
  std::atomic<uint64_t> done{0};
  std::atomic<int> running{0};
  Guarded<std::optional<Error>> failure;
  Stop stop;  ///< a child of the caller's: one connection that fails ends the others
};

/// One connection: takes parts until there are none.
void send_parts(Connections& all, const AwsClientMaker& make_client, const SendAwsPart& send) {
  try {
    only_errors([&] {
      auto client = make_client();
      for (size_t index = all.next++; index < all.count; index = all.next++)
        all.done += send(*client, index, all.stop);
    });
  } catch (const Error& error) {
    all.failure.with([&](auto& first) {
      if (!first) first = error;
    });
    all.stop.request("another part failed");
  }
  --all.running;
}

/// The bytes of a file there; it must be that long.
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

std::string completion(const std::vector<std::string>& tags) {
  std::string body = "<CompleteMultipartUpload>";
  for (size_t i = 0; i < tags.size(); ++i) {
    body += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, tags[i]);
  }
  return body + "</CompleteMultipartUpload>";
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

void send_aws_parts(const AwsClientMaker& make_client, size_t count, int connections, const SendAwsPart& send,
                    const std::function<void(uint64_t done)>& progress, const Stop& stop) {
  Connections all{.count = count, .stop = stop.child()};
  std::vector<std::thread> threads;
  size_t wanted = std::min(static_cast<size_t>(std::max(connections, 1)), count);
  all.running = static_cast<int>(wanted);
  for (size_t i = 0; i < wanted; ++i) threads.emplace_back([&] { send_parts(all, make_client, send); });
  while (all.running > 0) {
    Stop none;  // the threads end by all.stop
    sleep_for(progress_pause, none);
    if (progress) progress(all.done);
  }
  for (auto& thread : threads) thread.join();
  auto failure = all.failure.with([](auto& first) { return first; });
  if (failure) throw *failure;
}

void upload_to_s3(const AwsClientMaker& make_client, const AwsUpload& upload, const ProgressFn& progress,
                  const Deadline& deadline, const Stop& stop) {
  auto client = make_client();
  const std::string region = client->settings().region;
  Fd file(::open(upload.file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) throw_errno("open " + upload.file.string());
  uint64_t size = fs::file_size(upload.file);
  uint64_t part_size = s3_part_size(size);
  size_t count = std::max<uint64_t>(1, (size + part_size - 1) / part_size);
  AwsCall begin = s3_call(region, "POST", upload.bucket, upload.key, "uploads=");
  begin.headers = upload.headers;
  std::string upload_id = parse_aws_xml(client->call(begin, deadline, stop).body).text_at("UploadId");
  std::string id_query = "uploadId=" + aws_uri_encode(upload_id);
  Guarded<std::vector<std::string>> tags{std::vector<std::string>(count)};
  auto send = [&](AwsClient& one, size_t index, const Stop& stop_all) {
    uint64_t offset = index * part_size;
    AwsCall call = s3_call(region, "PUT", upload.bucket, upload.key,
                           fmt::format("partNumber={}&{}", index + 1, id_query));
    call.body = read_part(file.get(), offset, std::min(part_size, size - offset));
    AwsHttpReply reply = one.call(call, deadline, stop_all);
    tags.with([&](auto& all) { all[index] = reply.headers["etag"]; });
    return static_cast<uint64_t>(call.body.size());
  };
  auto tell = [&](uint64_t done) {
    if (progress) progress(done, size);
  };
  try {
    send_aws_parts(make_client, count, upload.connections, send, tell, stop);
    AwsCall end = s3_call(region, "POST", upload.bucket, upload.key, id_query);
    end.body = completion(tags.with([](auto& all) { return all; }));
    // S3 may say 200 and then that it failed.
    AwsElement answer = parse_aws_xml(client->call(end, deadline, stop).body);
    if (answer.name == "Error")
      throw Error(ErrorKind::remote, answer.text_at("Code") + ": " + answer.text_at("Message"));
  } catch (const Error&) {
    try {
      client->call(s3_call(region, "DELETE", upload.bucket, upload.key, id_query),
                   Deadline::in(std::chrono::minutes(1)), Stop());
    } catch (const Error&) {
      // The first error is the one to tell; S3's own rules remove parts that nobody completes.
    }
    throw;
  }
}

}  // namespace kiln
