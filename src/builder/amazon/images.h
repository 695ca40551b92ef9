// From a stopped instance to images in all regions: made, copied, shared, tagged; and taken back when a build fails.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "builder/amazon/running.h"
#include "core/artifact.h"

namespace kiln::amazon {

/// An image that this build has made or is making.
struct MadeImage {
  std::string region;
  std::string id;          ///< empty until AWS has told it
  bool temporary = false;  ///< made only to be copied
  bool keep = false;       ///< AWS was still at work on it when time was over: not thrown away
  bool gone = false;
  std::vector<std::string> snapshots;
};
using Images = std::vector<std::shared_ptr<MadeImage>>;

/// The tag that says what an image was made from: its key, and its value of BuildInfo::inputs_key and the
/// source image that was found. Pure.
inline constexpr const char* inputs_tag = "kiln:inputs";
std::string inputs_tag_value(const std::string& inputs_key, const std::string& source_ami);

/// Those that stay, by region.
std::map<std::string, std::string> final_images(const Images& images);

/// force_deregister: AMIs of this name in all the regions that get one.
void deregister_old_images(Running& running, const AmiConfig& ami, StageContext& context);
/// In one region, those that the filters let through.
void deregister_old_images(Running& running, const AmiConfig& ami, const std::string& region,
                           std::map<std::string, std::string> filters, StageContext& context);

/// The image that `request` (CreateImage, RegisterImage) makes: journaled, waited for; removed with its snapshots when
/// the build fails or is cancelled, also while it is pending.
std::shared_ptr<MadeImage> make_image(const std::shared_ptr<Running>& running, const std::string& action,
                                      const std::function<AwsParameters(const Tags& tags)>& request, bool temporary,
                                      StageContext& context);
/// The copies, made at the same time, with these tags; a source that was only there to be copied goes.
Images copy_images(const std::shared_ptr<Running>& running, const AmiConfig& ami,
                   const std::vector<ImageCopy>& copies, const Tags& tags,
                   const std::shared_ptr<MadeImage>& source, StageContext& context);
/// The copies that a build makes of its only image so far.
void copy_to_regions(const std::shared_ptr<Running>& running, const AmiConfig& ami, Images& images,
                     StageContext& context);
void enable_fast_launch(Running& running, const FastLaunchConfig& config, const Images& images, StageContext& context);
void set_deprecation(Running& running, const AmiConfig& ami, const Images& images, StageContext& context);
void protect_from_deregistration(Running& running, const AmiConfig& ami, const Images& images, StageContext& context);
void modify_attributes(Running& running, const AmiConfig& ami, const Images& images, StageContext& context);
void tag_images(Running& running, const AmiConfig& ami, const Images& images, StageContext& context);

/// The artifact of images by region, as Packer shows it. Destroying it deregisters them and deletes their snapshots.
Artifact image_artifact(const std::string& builder_id, const std::map<std::string, std::string>& images,
                        const AwsAccessConfig& access);
/// "us-east-1:ami-1,us-west-2:ami-2" -> by region. Pure.
std::map<std::string, std::string> parse_image_artifact_id(const std::string& id);

}  // namespace kiln::amazon
