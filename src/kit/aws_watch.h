// One eye on everything: the states that many builds wait for, asked for together.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "wire/aws_client.h"

namespace kiln {

/// Descriptions of instances and images for all builds of a program. While a request is under way those who ask wait
/// for the next one, which is made for all of them: a thousand builds need no more requests than AWS answers one after
/// the other. Thread-safe; each caller brings its own client.
class AwsWatch {
 public:
  AwsWatch();
  ~AwsWatch();
  AwsWatch(const AwsWatch&) = delete;
  AwsWatch& operator=(const AwsWatch&) = delete;

  /// As it is now; nullopt when AWS does not know it (yet). Throws what the request throws.
  std::optional<AwsElement> instance(AwsClient& client, const std::string& id, const Deadline& deadline,
                                     const Stop& stop);
  std::optional<AwsElement> image(AwsClient& client, const std::string& region, const std::string& id,
                                  const Deadline& deadline, const Stop& stop);

 private:
  struct Rounds;
  std::unique_ptr<Rounds> rounds_;
};

}  // namespace kiln
