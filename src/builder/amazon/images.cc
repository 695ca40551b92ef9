#include "builder/amazon/images.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "base/text.h"
#include "builder/amazon/image_wait.h"

namespace kiln::amazon {

namespace {

/// Waits for one that this build makes. What EC2 is still at work on when the time is over is kept.
void wait_for_made(Running& running, MadeImage& image, StageContext& context) {
  try {
    image.snapshots =
        image_snapshots(wait_for_image(running, *running.client, image.region, image.id, context.ui, context.stop));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::timeout) throw;
    image.keep = true;
    throw Error(ErrorKind::timeout,
                fmt::format("{}. The AMI is kept, for AWS is still at work on it. To wait on: aws ec2 wait "
                            "image-available --region {} --image-ids {}. A longer limit: aws_polling, or "
                            "AWS_TIMEOUT_SECONDS",
                            error.message(), image.region, image.id));
  }
}

/// Journals an image that is about to be made and registers what takes it back. Gives the tags that find it again.
std::shared_ptr<MadeImage> expect_image(const std::shared_ptr<Running>& running, const std::string& region,
                                        bool temporary, Tags& tags, StageContext& context) {
  auto image = std::make_shared<MadeImage>();
  image->region = region;
  image->temporary = temporary;
  AwsEntry entry(*running, context, AwsThing::image, "", region);
  tags[aws_run_tag] = entry.tag_value();
  Ui ui = context.ui;
  context.undo.add("deregister the AMI", [=](Outcome outcome) {
    bool stays = image->gone || image->keep || (outcome == Outcome::succeeded && !temporary);
    if (!stays) {
      CleanUp clean;
      if (image->id.empty()) {
        AwsResource resource = aws_resource(running->access, AwsThing::image, region);
        remove_aws_thing(*running->client, resource, entry.tag_value(), clean.deadline, clean.stop);
      } else {
        ui.say(fmt::format("Deregistering the AMI {} and deleting its snapshots because of cancellation, or error...",
                           image->id));
        remove_aws_image(*running->client, image->id, region, clean.deadline, clean.stop);
      }
    }
    entry.forget();
  });
  return image;
}

void drop_temporary_image(Running& running, MadeImage& image, StageContext& context) {
  context.ui.say("Deregistering the AMI and deleting unencrypted temporary AMIs and snapshots");
  remove_aws_image(*running.client, image.id, image.region, Deadline::in(std::chrono::minutes(15)), context.stop);
  image.gone = true;
}

/// The tag by which an image that stays is found again when its inputs are the same.
void add_inputs_tag(Tags& tags, const Running& running, const StageContext& context) {
  const std::string& key = context.build.inputs_key;
  if (!key.empty()) tags[inputs_tag] = inputs_tag_value(key, running.values.source_ami);
}

}  // namespace

std::string inputs_tag_value(const std::string& inputs_key, const std::string& source_ami) {
  return digest_hex("sha256", inputs_key + "\n" + source_ami);
}

std::map<std::string, std::string> final_images(const Images& images) {
  std::map<std::string, std::string> out;
  for (const auto& image : images) {
    if (!image->gone && !image->temporary) out[image->region] = image->id;
  }
  return out;
}

void deregister_old_images(Running& running, const AmiConfig& ami, StageContext& context) {
  std::vector<std::string> regions = ami.ami_regions;
  if (!ami.skip_save_build_region) regions.insert(regions.begin(), running.region);
  for (const auto& region : regions) deregister_old_images(running, ami, region, {}, context);
}

void deregister_old_images(Running& running, const AmiConfig& ami, const std::string& region,
                           std::map<std::string, std::string> filters, StageContext& context) {
  if (!ami.force_deregister) return;
  filters["name"] = ami.ami_name;
  AwsParameters parameters{{"Owner.1", "self"}};
  add_aws_filters(parameters, filters);
  AwsElement found = running.ask("DescribeImages", parameters, context.stop, region);
  for (const AwsElement* image : found.items("imagesSet")) {
    std::string id = image->text_at("imageId");
    running.ask("DeregisterImage", {{"ImageId", id}}, context.stop, region);
    context.ui.say(fmt::format("Deregistered AMI {}, id: {}", ami.ami_name, id));
    if (!ami.force_delete_snapshot) continue;
    for (const auto& snapshot : image_snapshots(*image)) {
      running.ask("DeleteSnapshot", {{"SnapshotId", snapshot}}, context.stop, region);
      context.ui.say("Deleted snapshot: " + snapshot);
    }
  }
}

std::shared_ptr<MadeImage> make_image(const std::shared_ptr<Running>& running, const std::string& action,
                                      const std::function<AwsParameters(const Tags& tags)>& request, bool temporary,
                                      StageContext& context) {
  Tags tags;
  auto image = expect_image(running, running->region, temporary, tags, context);
  if (!temporary) add_inputs_tag(tags, *running, context);
  image->id = running->ask(action, request(tags), context.stop).text_at("imageId");
  context.ui.message("AMI: " + image->id);
  context.ui.say("Waiting for AMI to become ready...");
  wait_for_made(*running, *image, context);
  return image;
}

Images copy_images(const std::shared_ptr<Running>& running, const AmiConfig& ami,
                   const std::vector<ImageCopy>& copies, const Tags& tags,
                   const std::shared_ptr<MadeImage>& source, StageContext& context) {
  Images made;
  if (!copies.empty())
    context.ui.say(fmt::format("Copying/Encrypting AMI ({}) to other regions...", source->id));
  for (const auto& copy : copies) {
    context.ui.message("Copying to: " + copy.region);
    Tags all = tags;
    auto image = expect_image(running, copy.region, false, all, context);
    AwsParameters parameters = copy_image_parameters(ami, copy, source->id, source->region, all);
    image->id = during("Error Copying AMI (" + source->id + ") to region (" + copy.region + ")", [&] {
      return running->ask("CopyImage", parameters, context.stop, copy.region).text_at("imageId");
    });
    made.push_back(image);
  }
  if (!copies.empty()) context.ui.message("Waiting for all copies to complete...");
  for (const auto& image : made) wait_for_made(*running, *image, context);
  if (source->temporary) drop_temporary_image(*running, *source, context);
  return made;
}

void copy_to_regions(const std::shared_ptr<Running>& running, const AmiConfig& ami, Images& images,
                     StageContext& context) {
  auto copies = plan_copies(ami, running->region);
  if (copies.empty()) return;
  Tags tags = running->values.run_tags;
  add_inputs_tag(tags, *running, context);
  Images made = copy_images(running, ami, copies, tags, images.at(0), context);
  images.insert(images.end(), made.begin(), made.end());
}

void enable_fast_launch(Running& running, const FastLaunchConfig& config, const Images& images, StageContext& context) {
  for (const auto& image_of_region : final_images(images)) {
    const std::string& region = image_of_region.first;
    const std::string& id = image_of_region.second;
    if (!wants_fast_launch(config, region)) continue;
    context.ui.say(fmt::format("Enabling fast launch for AMI {} in {}", id, region));
    running.ask("EnableFastLaunch", fast_launch_parameters(config, region, id), context.stop, region);
    aws_wait_until("fast launch of " + id, running.wait_plan(image_limit), context.stop, [&](const Deadline& deadline) {
      AwsElement found =
          running.client->query("ec2", "DescribeFastLaunchImages", {{"ImageId.1", id}}, deadline, context.stop, region);
      for (const AwsElement* image : found.items("fastLaunchImageSet")) {
        std::string state = image->text_at("state");
        if (state == "enabling-failed" || state == "enabled-failed") {
          throw Error(ErrorKind::remote,
                      "fast launch of " + id + " failed: " + image->text_at("stateTransitionReason"));
        }
        if (state == "enabled") return true;
      }
      return false;
    });
  }
}

void set_deprecation(Running& running, const AmiConfig& ami, const Images& images, StageContext& context) {
  if (ami.deprecate_at.empty()) return;
  for (const auto& [region, id] : final_images(images)) {
    context.ui.say(fmt::format("Enabling deprecation on AMI ({}) at {}...", id, ami.deprecate_at));
    running.ask("EnableImageDeprecation", {{"ImageId", id}, {"DeprecateAt", ami.deprecate_at}}, context.stop, region);
  }
}

void protect_from_deregistration(Running& running, const AmiConfig& ami, const Images& images, StageContext& context) {
  if (!ami.deregistration_protection.enabled) return;
  for (const auto& [region, id] : final_images(images)) {
    context.ui.say(fmt::format("Enabling deregistration protection on AMI ({})...", id));
    AwsParameters parameters{{"ImageId", id}};
    if (ami.deregistration_protection.with_cooldown) parameters["WithCooldown"] = "true";
    running.ask("EnableImageDeregistrationProtection", parameters, context.stop, region);
  }
}

void modify_attributes(Running& running, const AmiConfig& ami, const Images& images, StageContext& context) {
  std::string description = render_text(ami.ami_description, running, context, "ami_description");
  bool any = !image_attribute_requests(ami, description, "").empty() || !snapshot_attribute_requests(ami, "").empty();
  if (!any) return;
  for (const auto& image : images) {
    if (image->gone || image->temporary) continue;
    context.ui.say(fmt::format("Modifying attributes on AMI ({})...", image->id));
    for (const auto& request : image_attribute_requests(ami, description, image->id)) {
      context.ui.message("Modifying: " + request.first);
      during("Error modify AMI attributes",
             [&] { return running.ask("ModifyImageAttribute", request.second, context.stop, image->region); });
    }
  }
  for (const auto& image : images) {
    if (image->gone || image->temporary) continue;
    for (const auto& snapshot : image->snapshots) {
      context.ui.say(fmt::format("Modifying attributes on snapshot ({})...", snapshot));
      for (const auto& request : snapshot_attribute_requests(ami, snapshot)) {
        context.ui.message("Modifying: " + request.first);
        during("Error modify snapshot attributes",
               [&] { return running.ask("ModifySnapshotAttribute", request.second, context.stop, image->region); });
      }
    }
  }
}

void tag_images(Running& running, const AmiConfig& ami, const Images& images, StageContext& context) {
  Tags tags = render_tags(merged(ami.tags, ami.tag), running, context, "tags");
  Tags snapshot_tags = render_tags(merged(ami.snapshot_tags, ami.snapshot_tag), running, context, "snapshot_tags");
  if (tags.empty() && snapshot_tags.empty()) return;
  for (const auto& image : images) {
    if (image->gone || image->temporary) continue;
    context.ui.say(fmt::format("Adding tags to AMI ({})...", image->id));
    for (const auto& snapshot : image->snapshots) context.ui.say("Tagging snapshot: " + snapshot);
    context.ui.say("Creating AMI tags");
    say_tags(tags, context.ui);
    auto add = [&](std::vector<std::string> ids, const Tags& to_add) {
      if (ids.empty() || to_add.empty()) return;
      AwsParameters parameters;
      for (size_t i = 0; i < ids.size(); ++i) parameters[fmt::format("ResourceId.{}", i + 1)] = ids[i];
      add_tags(parameters, to_add);
      during("Error adding tags to Resources (" + join(ids, ", ") + ")",
             [&] { return running.ask("CreateTags", parameters, context.stop, image->region); });
    };
    std::vector<std::string> all = image->snapshots;
    all.insert(all.begin(), image->id);
    add(all, tags);
    context.ui.say("Creating snapshot tags");
    say_tags(snapshot_tags, context.ui);
    add(image->snapshots, snapshot_tags);
  }
}

std::map<std::string, std::string> parse_image_artifact_id(const std::string& id) {
  std::map<std::string, std::string> images;
  for (const auto& part : split(id, ',')) {
    size_t colon = part.find(':');
    if (colon != std::string::npos) images[part.substr(0, colon)] = part.substr(colon + 1);
  }
  return images;
}

Artifact image_artifact(const std::string& builder_id, const std::map<std::string, std::string>& images,
                        const AwsAccessConfig& access) {
  Artifact artifact;
  artifact.builder_id = builder_id;
  std::vector<std::string> ids;
  artifact.description = "AMIs were created:\n";
  Value metadata = Value::empty_object();
  for (const auto& [region, id] : images) {
    ids.push_back(region + ":" + id);
    artifact.description += region + ": " + id + "\n";
    metadata.set("region." + region, id);
  }
  artifact.id = join(ids, ",");
  artifact.state = Value::empty_object();
  artifact.state.set("atlas.artifact.metadata", std::move(metadata));
  artifact.destroy = [images, access] {
    CleanUp clean;
    for (const auto& [region, id] : images) {
      AwsAccessConfig there = access;
      there.region = region;
      auto client = open_aws_client(there, nullptr, clean.deadline, clean.stop);
      remove_aws_image(*client, id, region, clean.deadline, clean.stop);
    }
  };
  return artifact;
}

}  // namespace kiln::amazon
