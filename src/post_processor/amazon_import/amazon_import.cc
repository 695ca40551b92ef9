#include "post_processor/amazon_import/amazon_import.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "core/journal.h"
#include "kit/aws_upload.h"
#include "post_processor/amazon_import/config.h"

namespace kiln {

namespace amazon_import {

namespace {

constexpr auto upload_limit = std::chrono::hours(12);
constexpr auto import_limit = std::chrono::hours(6);
constexpr auto request_limit = std::chrono::minutes(10);

/// One import while it runs. run() is the table of contents.
class Import {
 public:
  Import(const Config& config, StageContext& context) : config_(config), context_(context) {
    client_ = open();
    region_ = client_->settings().region;
  }

  Artifact run(const Artifact& input) {
    fs::path image = image_file(input);
    std::string id = config_.by_ebs() ? register_image(image) : import_by_s3(image);
    tag(id);
    for (const auto& [what, parameters] : attribute_requests(config_, id)) {
      context_.ui.message("Modifying: " + what);
      ask("ModifyImageAttribute", parameters);
    }
    *finished_ = true;
    return artifact(id);
  }

 private:
  std::shared_ptr<AwsClient> open() const {
    return open_aws_client(config_.access, nullptr, Deadline::in(std::chrono::minutes(2)), context_.stop);
  }

  AwsElement ask(const std::string& action, const AwsParameters& parameters) const {
    return client_->query("ec2", action, parameters, Deadline::in(request_limit), context_.stop);
  }

  fs::path image_file(const Artifact& input) const {
    if (config_.format.empty() && !input.files.empty()) return input.files[0];
    for (const auto& file : input.files) {
      if (lower(file).ends_with("." + config_.format)) return file;
    }
    throw Error(ErrorKind::user, fmt::format("No {} image file found in artifact from builder", config_.format));
  }

  /// Journals a thing and registers what removes it: after a failure, or, `always`, also in the end.
  std::string expect(AwsThing thing, const std::string& name, const std::string& what, bool always) {
    AwsResource resource = aws_resource(config_.access, thing, region_, name);
    Resource entry =
        context_.journal.append(ResourceKind::aws, aws_resource_text(resource), context_.build.display_name);
    std::string tag_value = aws_run_tag_value(entry);
    Journal* journal = &context_.journal;
    auto client = client_;
    auto finished = finished_;
    context_.undo.add(what, [=](Outcome outcome) {
      bool stays = !always && *finished && outcome == Outcome::succeeded;
      Deadline deadline = Deadline::in(std::chrono::minutes(15));
      if (!stays) remove_aws_thing(*client, resource, tag_value, deadline, Stop());
      journal->remove(entry.id);
    });
    return tag_value;
  }

  AwsClientMaker maker() const {
    return [this] {
      return open_aws_client(config_.access, nullptr, Deadline::in(std::chrono::minutes(2)), context_.stop);
    };
  }

  ProgressFn progress_of(const fs::path& image) const {
    return [ui = context_.ui, name = image.filename().string()](uint64_t done, uint64_t total) {
      ui.progress(name, done, total);
    };
  }

  std::string import_by_s3(const fs::path& image) {
    upload(image);
    std::string id = import_image();
    return config_.ami_name.empty() ? id : rename(id);
  }

  /// The image as a raw one: itself, or converted beside it.
  fs::path raw_image(const fs::path& image) {
    std::string format = config_.format == "vhd" ? "vpc" : config_.format;
    if (format.empty()) {
      std::string info = run_checked({.argv = {"qemu-img", "info", "--output=json", image.string()}},
                                     Deadline::in(std::chrono::minutes(1)), context_.stop);
      auto json = nlohmann::json::parse(info, nullptr, false);
      format = json.is_object() ? json.value("format", "raw") : "raw";
    }
    if (format == "raw") return image;
    fs::path raw = image.string() + ".raw.part";
    Resource entry = context_.journal.append(ResourceKind::path, raw.string(), context_.build.display_name);
    context_.undo.add("delete the raw image", [raw, entry, journal = &context_.journal](Outcome) {
      fs::remove(raw);
      journal->remove(entry.id);
    });
    context_.ui.say(fmt::format("Converting {} from {} to raw", image.string(), format));
    run_checked(
        {.argv = {"qemu-img", "convert", "-q", "-f", format, "-O", "raw", image.string(), raw.string()}},
        Deadline::in(upload_limit), context_.stop);
    return raw;
  }

  /// The image written into a snapshot, and that registered as an AMI.
  std::string register_image(const fs::path& image) {
    AwsSnapshotUpload upload{.file = raw_image(image), .description = image.filename().string()};
    upload.encrypted = config_.ami_encrypt;
    upload.kms_key = config_.ami_kms_key;
    upload.tags[aws_run_tag] = expect(AwsThing::snapshot, "", "delete the snapshot", false);
    context_.ui.say(fmt::format("Uploading {} to a snapshot in {}", image.string(), region_));
    AwsUploadedSnapshot made =
        upload_snapshot(maker(), upload, progress_of(image), Deadline::in(upload_limit), context_.stop);
    context_.ui.message(
        fmt::format("Uploaded {} MiB of {} GiB to {}", (made.blocks + 1) / 2, made.size, made.id));
    AwsWait wait = aws_wait(config_.access.aws_polling, process_environment(), import_limit);
    aws_wait_until("the snapshot " + made.id, wait, context_.stop, [&](const Deadline& deadline) {
      AwsElement found =
          client_->query("ec2", "DescribeSnapshots", {{"SnapshotId.1", made.id}}, deadline, context_.stop);
      auto snapshots = found.items("snapshotSet");
      std::string state = snapshots.empty() ? "pending" : snapshots[0]->text_at("status");
      if (state == "error") {
        throw Error(ErrorKind::remote, fmt::format("the snapshot {} failed: {}", made.id,
                                                   snapshots[0]->text_at("statusMessage")));
      }
      return state == "completed";
    });
    context_.ui.say("Registering the AMI...");
    std::map<std::string, std::string> tags{
        {aws_run_tag, expect(AwsThing::image, "", "deregister the AMI", false)}};
    std::string id = ask("RegisterImage", register_parameters(config_, made.id, tags)).text_at("imageId");
    context_.ui.message("AMI: " + id);
    wait_for_image(id);
    return id;
  }

  void upload(const fs::path& image) {
    AwsUpload upload{image, config_.s3_bucket_name, config_.s3_key_name, object_headers(config_)};
    context_.ui.say(fmt::format("Uploading {} to s3://{}/{}", image.string(), upload.bucket, upload.key));
    if (!config_.skip_clean) {
      expect(AwsThing::s3_object, upload.bucket + "/" + upload.key, "delete the image in S3", true);
    }
    upload_to_s3(maker(), upload, progress_of(image), Deadline::in(upload_limit), context_.stop);
    context_.ui.message(fmt::format("Completed upload of {} to s3://{}/{}", image.string(), upload.bucket, upload.key));
  }

  std::string import_image() {
    AwsParameters parameters = import_parameters(config_, config_.s3_key_name);
    parameters["TagSpecification.1.ResourceType"] = "import-image-task";
    parameters["TagSpecification.1.Tag.1.Key"] = aws_run_tag;
    parameters["TagSpecification.1.Tag.1.Value"] = expect(AwsThing::import_task, "", "cancel the import", false);
    std::string task = during("Failed to start import from s3",
                              [&] { return ask("ImportImage", parameters).text_at("importTaskId"); });
    context_.ui.say(
        fmt::format("Started import of s3://{}/{}, task id {}", config_.s3_bucket_name, config_.s3_key_name, task));
    context_.ui.say(fmt::format("Waiting for task {} to complete (may take a while)", task));
    std::string image;
    std::string told;
    AwsWait wait = aws_wait(config_.access.aws_polling, process_environment(), import_limit);
    aws_wait_until("the import " + task, wait, context_.stop, [&](const Deadline& deadline) {
      AwsElement found =
          client_->query("ec2", "DescribeImportImageTasks", {{"ImportTaskId.1", task}}, deadline, context_.stop);
      auto tasks = found.items("importImageTaskSet");
      if (tasks.empty()) return false;
      std::string status = tasks[0]->text_at("status");
      std::string message = tasks[0]->text_at("statusMessage");
      if (status == "deleted" || status == "deleting" || status == "error") {
        throw Error(ErrorKind::remote, fmt::format("Import task {} failed with status message: {}", task, message));
      }
      std::string now = fmt::format("{} {}%", message, tasks[0]->text_at("progress"));
      if (status != "completed" && now != told && !message.empty()) context_.ui.message(told = now);
      image = tasks[0]->text_at("imageId");
      return status == "completed";
    });
    context_.ui.message(fmt::format("Import task {} complete", task));
    return image;
  }

  void wait_for_image(const std::string& id) const {
    AwsWait wait = aws_wait(config_.access.aws_polling, process_environment(), import_limit);
    aws_wait_until("AMI " + id, wait, context_.stop, [&](const Deadline& deadline) {
      AwsElement found = client_->query("ec2", "DescribeImages", {{"ImageId.1", id}}, deadline, context_.stop);
      auto images = found.items("imagesSet");
      std::string state = images.empty() ? "pending" : images[0]->text_at("imageState");
      if (state != "pending" && state != "available")
        throw Error(ErrorKind::remote, fmt::format("the AMI {} is {}", id, state));
      return state == "available";
    });
  }

  /// An import has no say in the name: the AMI is copied, and the first one goes.
  std::string rename(const std::string& id) {
    context_.ui.say(fmt::format("Starting rename of AMI ({})", id));
    std::map<std::string, std::string> tags{{aws_run_tag, expect(AwsThing::image, "", "deregister the AMI", false)}};
    std::string copy = during("Error Copying AMI (" + id + ")", [&] {
      return ask("CopyImage", rename_parameters(config_, id, region_, tags)).text_at("imageId");
    });
    context_.ui.say("Waiting for AMI rename to complete (may take a while)");
    wait_for_image(copy);
    remove_aws_image(*client_, id, region_, Deadline::in(request_limit), context_.stop);
    context_.ui.message("AMI rename completed");
    return copy;
  }

  void tag(const std::string& id) const {
    if (config_.tags.empty()) return;
    AwsElement found = ask("DescribeImages", {{"ImageId.1", id}});
    std::vector<std::string> ids{id};
    for (const AwsElement* image : found.items("imagesSet")) {
      for (const AwsElement* device : image->items("blockDeviceMapping")) {
        if (std::string snapshot = device->text_at("ebs/snapshotId"); !snapshot.empty()) ids.push_back(snapshot);
      }
    }
    context_.ui.say("Adding tags to AMI (" + id + ")...");
    AwsParameters parameters;
    for (size_t i = 0; i < ids.size(); ++i) parameters[fmt::format("ResourceId.{}", i + 1)] = ids[i];
    int number = 0;
    for (const auto& [key, value] : config_.tags) {
      context_.ui.message(fmt::format("Adding tag: {}: {}", go_quote(key), go_quote(value)));
      parameters[fmt::format("Tag.{}.Key", ++number)] = key;
      parameters[fmt::format("Tag.{}.Value", number)] = value;
    }
    ask("CreateTags", parameters);
  }

  Artifact artifact(const std::string& id) const {
    Artifact made;
    made.builder_id = "packer.post-processor.amazon-import";
    made.id = region_ + ":" + id;
    made.description = fmt::format("AMIs were created:\n{}: {}\n", region_, id);
    made.state = Value::empty_object();
    AwsAccessConfig access = config_.access;
    access.region = region_;
    made.destroy = [access, id, region = region_] {
      Deadline deadline = Deadline::in(std::chrono::minutes(15));
      Stop stop;
      auto client = open_aws_client(access, nullptr, deadline, stop);
      remove_aws_image(*client, id, region, deadline, stop);
    };
    return made;
  }

  const Config& config_;
  StageContext& context_;
  std::shared_ptr<AwsClient> client_;
  std::string region_;
  std::shared_ptr<bool> finished_ = std::make_shared<bool>(false);
};

class AmazonImport : public PostProcessor {
 public:
  void prepare(const PrepareInput& input) override { config_ = amazon_import::prepare(input); }
  PostProcessed run(const Artifact& input, StageContext& context) override {
    return {Import(config_, context).run(input), false, false};
  }

 private:
  Config config_;
};

}  // namespace

}  // namespace amazon_import

ComponentEntry<PostProcessor> amazon_import_post_processor() {
  return {"amazon-import", "Uploads a disk image to Amazon S3 and makes an AMI of it.", amazon_import::options,
          [] { return std::make_unique<amazon_import::AmazonImport>(); }};
}

}  // namespace kiln
