// AMIs that are there already, found by the inputs they were made from; and AMIs handed on: copied to other
// regions, shared, made public, after their tests.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "builder/amazon/images.h"

namespace kiln::amazon {

/// The configuration of an AMI that nobody else sees and that is in no other region yet. Pure.
AmiConfig without_handing_on(AmiConfig ami);
/// Whether without_handing_on() takes anything away. Pure.
bool has_handing_on(const AmiConfig& ami);

/// What the builds of one builder have in common.
struct ImageOrigin {
  std::string builder_id;
  AwsAccessConfig access;
  AmiConfig ami;
  FastLaunchConfig fast_launch;
  std::shared_ptr<AmazonShared> shared;
  std::string source_ami;  ///< with an empty filter: made from nothing
  AwsImageFilterConfig source_ami_filter;
};
/// The AMIs by the tag, newest ones, in all regions they are to be in: that of the build's region must be
/// there, others may lack, for hand_on_images() makes them. nullopt: there is none that is available. Throws
/// AwsError, Error.
std::optional<Artifact> find_made_images(const ImageOrigin& origin, const std::string& inputs_key,
                                         const Stop& stop);
/// Copies where there is no copy yet, then shares. Everything is taken from the AMI as it is: its name, its
/// tags.
Artifact hand_on_images(const ImageOrigin& origin, const Artifact& artifact, StageContext& context);

}  // namespace kiln::amazon
