#include "kit/aws_images.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"

namespace kiln {

namespace {

OptionTable<AwsKeyValue> make_key_value_options(const std::string& word, bool raw) {
  OptionTable<AwsKeyValue> t;
  t.add(&AwsKeyValue::key,
        {.name = word, .doc = "Its name.", .required = true, .raw = raw, .aliases = {word == "key" ? "name" : "key"}});
  t.add(&AwsKeyValue::value, {.name = "value", .doc = "Its value.", .raw = raw});
  return t;
}

}  // namespace

const OptionTable<AwsKeyValue>& aws_key_value_options(const std::string& word, bool raw) {
  static const OptionTable<AwsKeyValue> key = make_key_value_options("key", false);
  static const OptionTable<AwsKeyValue> name = make_key_value_options("name", false);
  static const OptionTable<AwsKeyValue> raw_key = make_key_value_options("key", true);
  static const OptionTable<AwsKeyValue> raw_name = make_key_value_options("name", true);
  if (raw) return word == "key" ? raw_key : raw_name;
  return word == "key" ? key : name;
}

std::map<std::string, std::string> AwsFilterConfig::all() const {
  std::map<std::string, std::string> merged = filters;
  for (const auto& [key, value] : filter) merged[key] = value;
  return merged;
}

const OptionTable<AwsFilterConfig>& aws_filter_options() {
  static const OptionTable<AwsFilterConfig> table = [] {
    OptionTable<AwsFilterConfig> t;
    t.add(&AwsFilterConfig::filters,
          {.name = "filters", .doc = "Filters of EC2's Describe action; values may have * and ?."});
    t.add_blocks(&AwsFilterConfig::filter,
                 {.name = "filter", .doc = "The same as blocks, for names that HCL2 cannot have as keys."},
                 aws_key_value_options("name"));
    return t;
  }();
  return table;
}

const OptionTable<AwsImageFilterConfig>& aws_image_filter_options() {
  using Config = AwsImageFilterConfig;
  static const OptionTable<Config> table = [] {
    OptionTable<Config> t;
    t.include(&Config::by, aws_filter_options());
    t.add(&Config::owners,
          {.name = "owners", .doc = "Whose images: account numbers, self, amazon, aws-marketplace. Required."});
    t.add(&Config::most_recent, {.name = "most_recent", .default_text = "false", .doc = "Of several take the latest."});
    t.add(&Config::include_deprecated,
          {.name = "include_deprecated", .default_text = "false", .doc = "Deprecated ones count, too."});
    return t;
  }();
  return table;
}

void add_aws_filter(AwsParameters& parameters, int number, const std::string& name,
                    const std::vector<std::string>& values) {
  parameters[fmt::format("Filter.{}.Name", number)] = name;
  for (size_t i = 0; i < values.size(); ++i) parameters[fmt::format("Filter.{}.Value.{}", number, i + 1)] = values[i];
}

void add_aws_filters(AwsParameters& parameters, const std::map<std::string, std::string>& filters, int first) {
  for (const auto& [name, value] : filters) add_aws_filter(parameters, first++, name, {value});
}

AwsParameters aws_image_parameters(const AwsImageFilterConfig& config) {
  AwsParameters parameters;
  add_aws_filters(parameters, config.by.all());
  for (size_t i = 0; i < config.owners.size(); ++i) parameters[fmt::format("Owner.{}", i + 1)] = config.owners[i];
  if (config.include_deprecated) parameters["IncludeDeprecated"] = "true";
  return parameters;
}

AwsElement choose_aws_image(const AwsElement& answer, const AwsImageFilterConfig& config) {
  auto images = answer.items("imagesSet");
  if (images.empty()) {
    throw Error(ErrorKind::user,
                "No AMI was found matching filters: " + aws_filter_text(config.by.all(), config.owners));
  }
  if (images.size() > 1 && !config.most_recent) {
    throw Error(
        ErrorKind::user,
        "Your query returned more than one result. Please try a more specific search, or set most_recent to true.");
  }
  const AwsElement* latest = images[0];
  for (const AwsElement* image : images) {  // times of one form are in the order of their texts
    if (image->text_at("creationDate") >= latest->text_at("creationDate")) latest = image;
  }
  return *latest;
}

std::string aws_filter_text(const std::map<std::string, std::string>& filters, const std::vector<std::string>& owners) {
  std::vector<std::string> items;
  for (const auto& [name, value] : filters) {
    items.push_back(fmt::format("{{\n      Name: {},\n      Values: [{}]\n    }}", go_quote(name), go_quote(value)));
  }
  std::vector<std::string> quoted;
  for (const auto& owner : owners) quoted.push_back(go_quote(owner));
  std::vector<std::string> parts;
  if (!items.empty()) parts.push_back("Filters: [" + join(items, ",") + "]");
  if (!quoted.empty()) parts.push_back("Owners: [" + join(quoted, ",") + "]");
  return "{\n  " + join(parts, ",\n  ") + "\n}";
}

}  // namespace kiln
