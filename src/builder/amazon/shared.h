// What all builds of Amazon's builders in one program share: how fast they ask, and who looks after what they wait for.
#pragma once
#include <memory>

#include "kit/aws_watch.h"

namespace kiln {

/// Thread-safe.
struct AmazonShared {
  std::shared_ptr<AwsPaces> paces;
  AwsWatch watch;
};

/// With the pace that KILN_AWS_REQUESTS_PER_SECOND says, or the usual one.
std::shared_ptr<AmazonShared> make_amazon_shared();

}  // namespace kiln
