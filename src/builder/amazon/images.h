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

/// Those that stay, by region.
std::map<std::string, std::string> final_images(const Images& images);

/// force_deregister: AMIs of this name in all the regions that get one.
void deregister_old_images(Running& running, const AmiConfig& ami, StageContext& context);

/// The image that `request` (CreateImage, RegisterImage) makes: journaled, waited for; removed with its snapshots when
/// the build fails or is cancelled, also while it is pending.
std::shared_ptr<MadeImage> make_image(const std::shared_ptr<Running>& running, const std::string& action,
                                      const std::function<AwsParameters(const Tags& tags)>& request, bool temporary,
                                      StageContext& context);
/// The copies planned, at the same time; what was only there to be copied goes.
void copy_images(const std::shared_ptr<Running>& running, const AmiConfig& ami, Images& images, StageContext& context);
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
