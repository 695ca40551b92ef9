#include "endpoint/direct_uploads.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "endpoint/disks.h"
#include "wire/aws_signature.h"

namespace kiln::ec2 {

namespace {

using nlohmann::json;

constexpr int64_t upload_unit = int64_t{1} << 30;  ///< bytes of a GiB

ApiError refusal(const std::string& message) { return ApiError("ValidationException", message); }

int64_t number_of(const std::string& text, const char* what) {
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0)
    throw refusal(fmt::format("{} must be a number", what));
  return number;
}

HttpReply json_answer(int status, const json& body, HttpHeaders headers = {}) {
  return {status, "application/json", body.dump(-1, ' ', false, json::error_handler_t::replace),
          std::move(headers)};
}

/// The pending snapshot of that id, state's lock held.
const Snapshot& need_pending(Context& context, const std::string& id) {
  const Snapshot* found = context.state.find<Snapshot>(id);
  if (found == nullptr || found->region != context.region)
    throw ApiError("ResourceNotFoundException", fmt::format("The snapshot '{}' does not exist.", id), 404);
  if (found->state != "pending") throw refusal(fmt::format("The snapshot '{}' is {}.", id, found->state));
  return *found;
}

Tags tags_of(const json& request) {
  Tags tags;
  for (const auto& tag : request.value("Tags", json::array())) tags[tag.at("Key")] = tag.at("Value");
  return tags;
}

Snapshot read_request(const Context& context, const json& request) {
  Snapshot snapshot;
  snapshot.region = context.region;
  snapshot.owner = context.account;
  snapshot.volume_id = "vol-ffffffff";  // as EBS says where there is no volume
  snapshot.started = now_text();
  snapshot.size = request.value("VolumeSize", int64_t{0});
  snapshot.description = request.value("Description", "");
  snapshot.encrypted = request.value("Encrypted", false);
  snapshot.kms_key_id = request.value("KmsKeyArn", "");
  if (snapshot.size < 1 || snapshot.size > 65536) throw refusal("VolumeSize must be 1 to 65536");
  if (request.contains("ParentSnapshotId")) throw refusal("The local endpoint takes whole snapshots only.");
  return snapshot;
}

void make_sparse(const std::filesystem::path& file, int64_t size) {
  std::filesystem::create_directories(file.parent_path());
  Fd fd(::open(file.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
  if (!fd.is_open() || ::ftruncate(fd.get(), size) != 0) throw_errno("make " + file.string());
}

void write_block(const std::filesystem::path& file, int64_t number, const std::string& bytes) {
  Fd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.is_open()) throw_errno("open " + file.string());
  for (size_t done = 0; done < bytes.size();) {
    ssize_t n = ::pwrite(fd.get(), bytes.data() + done, bytes.size() - done,
                         static_cast<off_t>(number * direct_block_size + static_cast<int64_t>(done)));
    if (n < 0) throw_errno("write " + file.string());
    done += static_cast<size_t>(n);
  }
}

}  // namespace

/// Snapshots that were deleted while they were written.
void DirectUploads::forget_deleted(State& state) {
  uploads_.with([&](auto& uploads) {
    std::erase_if(uploads, [&](const auto& one) {
      if (state.find<Snapshot>(one.first) != nullptr) return false;
      std::error_code ignored;
      std::filesystem::remove(upload_file(state, one.first), ignored);
      journal_.remove(one.second.journal_id);
      return true;
    });
  });
}

HttpReply DirectUploads::start(Context& context, const HttpCall& call) {
  json request = json::parse(call.body, nullptr, false);
  if (!request.is_object()) throw refusal("The body is no JSON object.");
  Snapshot snapshot;
  Tags tags;
  try {
    snapshot = read_request(context, request);
    tags = tags_of(request);
  } catch (const json::exception& error) {
    throw refusal(error.what());
  }
  {
    auto lock = context.state.lock();
    context.state.refresh();
    forget_deleted(context.state);
    snapshot.id = context.state.new_id("snap");
    State::Changes changes(context.state);
    context.state.put(snapshot);  // first: what belongs to no snapshot is swept
    context.state.set_tags(snapshot.id, tags);
    changes.keep();
  }
  std::filesystem::path file = upload_file(context.state, snapshot.id);
  int64_t entry = journal_.append(ResourceKind::path, file.string(), "ec2").id;
  uploads_.with([&](auto& uploads) { uploads[snapshot.id].journal_id = entry; });
  try {
    make_sparse(file, snapshot.size * upload_unit);
  } catch (const Error&) {
    auto lock = context.state.lock();
    context.state.erase<Snapshot>(snapshot.id);
    throw;
  }
  return json_answer(201, {{"SnapshotId", snapshot.id},
                           {"OwnerId", snapshot.owner},
                           {"Status", "pending"},
                           {"Description", snapshot.description},
                           {"StartTime", std::time(nullptr)},
                           {"VolumeSize", snapshot.size},
                           {"BlockSize", direct_block_size},
                           {"Tags", request.value("Tags", json::array())}});
}

HttpReply DirectUploads::put_block(Context& context, const std::string& id, const std::string& number_text,
                                   const HttpCall& call) {
  int64_t number = number_of(number_text, "BlockIndex");
  {
    auto lock = context.state.lock();
    const Snapshot& snapshot = need_pending(context, id);
    if (number >= snapshot.size * upload_unit / direct_block_size)
      throw refusal("BlockIndex lies behind the volume's end.");
  }
  if (static_cast<int64_t>(call.body.size()) != direct_block_size ||
      number_of(call.header("x-amz-data-length"), "x-amz-Data-Length") != direct_block_size)
    throw refusal("A block has 524288 bytes.");
  std::string digest = aws_checksum_sha256(call.body);
  if (call.header("x-amz-checksum-algorithm") != "SHA256" || call.header("x-amz-checksum") != digest)
    throw refusal("The checksum is not that of the block.");
  write_block(upload_file(context.state, id), number, call.body);
  bool begun = uploads_.with([&](auto& uploads) {
    auto found = uploads.find(id);
    if (found == uploads.end()) return false;
    found->second.blocks.insert(number);
    return true;
  });
  if (!begun) throw refusal(fmt::format("The snapshot '{}' is not being written.", id));
  return json_answer(201, json::object(),
                     {{"x-amz-Checksum", digest}, {"x-amz-Checksum-Algorithm", "SHA256"}});
}

HttpReply DirectUploads::complete(Context& context, const std::string& id, const HttpCall& call) {
  int64_t count = number_of(call.header("x-amz-changedblockscount"), "x-amz-ChangedBlocksCount");
  auto lock = context.state.lock();
  need_pending(context, id);
  int64_t entry = uploads_.with([&](auto& uploads) {
    auto found = uploads.find(id);
    if (found == uploads.end()) throw refusal(fmt::format("The snapshot '{}' is not being written.", id));
    if (static_cast<int64_t>(found->second.blocks.size()) != count)
      throw refusal(fmt::format("{} blocks were written, not {}.", found->second.blocks.size(), count));
    int64_t journal_id = found->second.journal_id;
    uploads.erase(found);
    return journal_id;
  });
  context.machines.take_upload(id, entry);
  return json_answer(202, {{"Status", "pending"}});
}

HttpReply DirectUploads::answer(Context& context, const HttpCall& call) {
  auto words = split(call.path, '/');  // "", "snapshots", ID, "blocks", NUMBER
  bool snapshots = words.size() >= 2 && words[0].empty() && words[1] == "snapshots";
  if (snapshots && call.method == "POST" && words.size() == 2) return start(context, call);
  if (snapshots && call.method == "POST" && words.size() == 4 && words[2] == "completion")
    return complete(context, words[3], call);
  if (snapshots && call.method == "PUT" && words.size() == 5 && words[3] == "blocks")
    return put_block(context, words[2], words[4], call);
  throw ApiError("UnknownOperationException",
                 "The local endpoint has no " + call.method + " " + call.path + ".", 404);
}

}  // namespace kiln::ec2
