#include "builder/amazon/handing_on.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "builder/amazon/image_wait.h"

namespace kiln::amazon {

namespace {

constexpr auto look_limit = std::chrono::minutes(5);

/// Where it goes, and who may have it.
constexpr std::pair<const char*, std::vector<std::string> AmiConfig::*> handed_on[] = {
    {"ami_regions", &AmiConfig::ami_regions},        {"ami_users", &AmiConfig::ami_users},
    {"ami_groups", &AmiConfig::ami_groups},          {"ami_org_arns", &AmiConfig::ami_org_arns},
    {"ami_ou_arns", &AmiConfig::ami_ou_arns},        {"snapshot_users", &AmiConfig::snapshot_users},
    {"snapshot_groups", &AmiConfig::snapshot_groups}};

/// The newest available AMI of one's own with the tag; "" when there is none.
std::string tagged_image(AwsClient& client, const std::string& region, const std::string& value,
                         const Deadline& deadline, const Stop& stop) {
  AwsParameters parameters{{"Owner.1", "self"}};
  add_aws_filters(parameters, {{std::string("tag:") + inputs_tag, value}, {"state", "available"}});
  AwsElement found = client.query("ec2", "DescribeImages", parameters, deadline, stop, region);
  const AwsElement* newest = nullptr;
  for (const AwsElement* image :
       found.items("imagesSet")) {  // times of one form are in the order of their texts
    if (newest == nullptr || image->text_at("creationDate") > newest->text_at("creationDate")) newest = image;
  }
  return newest == nullptr ? "" : newest->text_at("imageId");
}

std::vector<std::string> other_regions(const AmiConfig& ami, const std::string& own) {
  std::vector<std::string> out;
  for (const auto& region : ami.ami_regions) {
    if (region != own) out.push_back(region);
  }
  return out;
}

/// Those that may be given to another thing: AWS' own and the run's are not.
Tags tags_to_copy(const AwsElement& thing) {
  Tags out;
  for (const auto& [key, value] : aws_tags(thing)) {
    if (!key.starts_with("aws:") && key != aws_run_tag) out[key] = value;
  }
  return out;
}

/// One handing on. run() is the table of contents.
class HandingOn {
 public:
  HandingOn(const ImageOrigin& origin, StageContext& context)
      : origin_(origin), ami_(origin.ami), context_(context), running_(std::make_shared<Running>()) {
    running_->access = origin.access;
    open_client(*running_, origin.shared, context);
  }

  Artifact run(const Artifact& artifact) {
    auto there = parse_image_artifact_id(artifact.id);
    Images images{source_of(there)};
    Images copied;
    told_step(context_, "StepAMIRegionCopy", [&] { copied = copy(there, images); });
    Running& r = *running_;
    told_step(context_, "StepEnableFastLaunch",
              [&] { enable_fast_launch(r, origin_.fast_launch, copied, context_); });
    told_step(context_, "StepEnableDeprecation", [&] { set_deprecation(r, ami_, copied, context_); });
    told_step(context_, "StepEnableDeregistrationProtection",
              [&] { protect_from_deregistration(r, ami_, copied, context_); });
    told_step(context_, "StepCreateTags", [&] { tag_images(r, ami_, copied, context_); });
    images.insert(images.end(), copied.begin(), copied.end());
    for (const auto& [region, id] : there) {
      if (region != images[0]->region) images.push_back(known_image(region, describe(region, id)));
    }
    told_step(context_, "StepModifyAMIAttributes", [&] { modify_attributes(r, ami_, images, context_); });
    return image_artifact(origin_.builder_id, final_images(images), origin_.access);
  }

 private:
  AwsElement describe(const std::string& region, const std::string& id) {
    AwsElement found = running_->ask("DescribeImages", {{"ImageId.1", id}}, context_.stop, region);
    auto images = found.items("imagesSet");
    if (images.empty()) throw Error(ErrorKind::remote, fmt::format("there is no AMI {} in {}", id, region));
    return *images[0];
  }

  static std::shared_ptr<MadeImage> known_image(const std::string& region, const AwsElement& image) {
    auto known = std::make_shared<MadeImage>();
    known->region = region;
    known->id = image.text_at("imageId");
    known->snapshots = image_snapshots(image);
    return known;
  }

  /// The AMI of the build's region, or any other where that one is not to stay. What its options said when it
  /// was made is what it is now.
  std::shared_ptr<MadeImage> source_of(const std::map<std::string, std::string>& there) {
    if (there.empty()) throw Error(ErrorKind::user, "there is no AMI to hand on");
    auto own = there.find(running_->region);
    const auto& [region, id] = own == there.end() ? *there.begin() : *own;
    AwsElement image = describe(region, id);
    auto source = known_image(region, image);
    ami_.ami_name = image.text_at("name");
    ami_.ami_description = image.text_at("description");
    ami_.tags = tags_to_copy(image);
    ami_.tag.clear();
    ami_.snapshot_tags.clear();
    ami_.snapshot_tag.clear();
    if (source->snapshots.empty()) return source;
    AwsElement found =
        running_->ask("DescribeSnapshots", {{"SnapshotId.1", source->snapshots[0]}}, context_.stop, region);
    for (const AwsElement* snapshot : found.items("snapshotSet"))
      ami_.snapshot_tags = tags_to_copy(*snapshot);
    return source;
  }

  /// Copies to the regions that have none; what was only there to be copied goes.
  Images copy(const std::map<std::string, std::string>& there, const Images& images) {
    std::vector<ImageCopy> copies = plan_copies(ami_, running_->region);
    std::erase_if(copies, [&](const ImageCopy& one) {
      return one.region == running_->region || there.contains(one.region);
    });
    for (const auto& one : copies)  // only a copy of an earlier one: whatever else has the name is not ours
      deregister_old_images(*running_, ami_, one.region, {{"tag-key", inputs_tag}}, context_);
    const MadeImage& source = *images[0];
    images[0]->temporary = ami_.skip_save_build_region && source.region == running_->region &&
                           !other_regions(ami_, running_->region).empty();
    return copy_images(running_, ami_, copies, ami_.tags, images[0], context_);
  }

  const ImageOrigin& origin_;
  AmiConfig ami_;
  StageContext& context_;
  std::shared_ptr<Running> running_;
};

}  // namespace

std::string source_image_now(AwsClient& client, const ImageOrigin& origin, const Deadline& deadline, const Stop& stop) {
  if (!origin.source_ami.empty() || origin.source_ami_filter.empty()) return origin.source_ami;
  AwsParameters parameters = aws_image_parameters(origin.source_ami_filter);
  AwsElement found = client.query("ec2", "DescribeImages", parameters, deadline, stop);
  return choose_aws_image(found, origin.source_ami_filter).text_at("imageId");
}

AmiConfig without_handing_on(AmiConfig ami) {
  ami.skip_save_build_region = false;
  for (const auto& [option, list] : handed_on) (ami.*list).clear();
  return ami;
}

Value handing_on_of(const AmiConfig& ami) {
  Value out;
  for (const auto& [option, list] : handed_on) {
    if ((ami.*list).empty()) continue;
    if (out.is_null()) out = Value::empty_object();
    out.set(option, Value(Value::List((ami.*list).begin(), (ami.*list).end())));
  }
  return out;
}

std::optional<Artifact> ImageBuilder::find_made(const std::string& inputs_key, const std::optional<Artifact>&,
                                                const Stop& stop) {
  if (!makes_image()) return std::nullopt;
  const ImageOrigin origin = this->origin();
  Deadline deadline = Deadline::in(look_limit);
  auto client = open_aws_client(origin.access, origin.shared->paces, deadline, stop);
  const std::string own = client->settings().region;
  std::string value = inputs_tag_value(inputs_key, source_image_now(*client, origin, deadline, stop));
  std::map<std::string, std::string> found;
  std::vector<std::string> regions = other_regions(origin.ami, own);
  bool own_may_lack = origin.ami.skip_save_build_region && !regions.empty();
  bool all_others = true;
  std::string image = tagged_image(*client, own, value, deadline, stop);
  if (image.empty() && !own_may_lack) return std::nullopt;
  if (!image.empty()) found[own] = image;
  for (const auto& region : regions) {
    std::string copy = tagged_image(*client, region, value, deadline, stop);
    if (!copy.empty()) found[region] = copy;
    all_others &= !copy.empty();
  }
  if (!found.contains(own) && !all_others) return std::nullopt;
  return image_artifact(origin.builder_id, found, origin.access);
}

Artifact ImageBuilder::hand_on(const Artifact& artifact, StageContext& context) {
  const ImageOrigin from = origin();
  return HandingOn(from, context).run(artifact);
}

}  // namespace kiln::amazon
