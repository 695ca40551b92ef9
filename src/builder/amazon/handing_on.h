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
/// What without_handing_on() takes away, by its options; null: nothing. Pure.
Value handing_on_of(const AmiConfig& ami);

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

/// The source AMI as it would be chosen now: another one makes another AMI. "": made from nothing.
std::string source_image_now(AwsClient& client, const ImageOrigin& origin, const Deadline& deadline, const Stop& stop);

/// A builder whose artifact is an AMI and its copies.
class ImageBuilder : public Builder {
 public:
  /// The AMIs by the tag, newest ones, in all regions they are to be in: that of the build's region must be
  /// there, others may lack, for hand_on() makes them. Throws AwsError, Error.
  std::optional<Artifact> find_made(const std::string& inputs_key, const std::optional<Artifact>& known,
                                    const Stop& stop) final;
  Value handing_on() const final { return makes_image() ? handing_on_of(origin().ami) : Value(); }
  /// Copies where there is no copy yet, then shares. Everything is taken from the AMI as it is: its name, its
  /// tags.
  Artifact hand_on(const Artifact& artifact, StageContext& context) final;

 private:
  /// As prepare() has read it.
  virtual ImageOrigin origin() const = 0;
  virtual bool makes_image() const { return true; }
};

}  // namespace kiln::amazon
