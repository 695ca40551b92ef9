// Finding images and other things of EC2 by filters: the blocks `source_ami_filter`, `vpc_filter`, ... and `data
// "amazon-ami"`.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lang/option.h"
#include "wire/aws_client.h"

namespace kiln {

/// A block {key, value} or {name, value}.
struct AwsKeyValue {
  std::string key;
  std::string value;
};
/// `word` is "key" or "name"; with `raw` both are kept as written, for rendering at run time.
const OptionTable<AwsKeyValue>& aws_key_value_options(const std::string& word, bool raw = false);

/// Filters of a Describe action.
struct AwsFilterConfig {
  std::map<std::string, std::string> filters;
  std::vector<AwsKeyValue> filter;
  std::map<std::string, std::string> all() const;
  bool empty() const { return filters.empty() && filter.empty(); }
};
const OptionTable<AwsFilterConfig>& aws_filter_options();

struct AwsImageFilterConfig {
  AwsFilterConfig by;
  std::vector<std::string> owners;
  bool most_recent = false;
  bool include_deprecated = false;
  bool empty() const { return by.empty() && owners.empty(); }
};
const OptionTable<AwsImageFilterConfig>& aws_image_filter_options();

/// "Filter.1.Name=...&Filter.1.Value.1=..." from number `first` on. Pure.
void add_aws_filters(AwsParameters& parameters, const std::map<std::string, std::string>& filters, int first = 1);
/// "Filter.N.Name" and its values: one filter with several.
void add_aws_filter(AwsParameters& parameters, int number, const std::string& name,
                    const std::vector<std::string>& values);
/// DescribeImages' parameters. Pure.
AwsParameters aws_image_parameters(const AwsImageFilterConfig& config);
/// The image meant, of all that were found: the only one, or the latest. Throws Error{user} in Packer's words. Pure.
AwsElement choose_aws_image(const AwsElement& answer, const AwsImageFilterConfig& config);
/// The filters as Packer shows them in its messages. Pure.
std::string aws_filter_text(const std::map<std::string, std::string>& filters,
                            const std::vector<std::string>& owners = {});

}  // namespace kiln
