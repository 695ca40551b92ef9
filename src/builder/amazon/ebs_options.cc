#include <fmt/format.h>

#include "builder/amazon/config.h"

namespace kiln::amazon {

namespace {

template <class T>
void add_template_options(OptionTable<T>& t) {
  t.add(&T::template_id, {.name = "template_id", .doc = "The launch template by its id.", .in_key = false});
  t.add(&T::template_name, {.name = "template_name", .doc = "Or by its name.", .in_key = false});
  t.add(&T::template_version,
        {.name = "template_version", .default_text = "its default", .doc = "Its version.", .in_key = false});
}

const OptionTable<FastLaunchRegion>& fast_launch_region_options() {
  using Options = FastLaunchRegion;
  static const OptionTable<Options> table = [] {
    OptionTable<Options> t;
    t.add(&Options::region, {.name = "region", .doc = "Which region. Required.", .in_key = false});
    t.add(
        &Options::enable_fast_launch,
        {.name = "enable_fast_launch", .default_text = "true", .doc = "Whether it has fast launch.", .in_key = false});
    add_template_options(t);
    return t;
  }();
  return table;
}

const OptionTable<FastLaunchConfig>& fast_launch_options() {
  using Options = FastLaunchConfig;
  static const OptionTable<Options> table = [] {
    OptionTable<Options> t;
    t.add(&Options::enable_fast_launch, {.name = "enable_fast_launch",
                                         .default_text = "false",
                                         .doc = "Have AWS keep started Windows instances of the AMI.",
                                         .in_key = false});
    add_template_options(t);
    t.add_blocks(&Options::region_launch_templates,
                 {.name = "region_launch_templates", .doc = "Other settings in other regions.", .in_key = false},
                 fast_launch_region_options());
    t.add(&Options::max_parallel_launches, {.name = "max_parallel_launches", .doc = "At least 6.", .in_key = false});
    t.add(&Options::target_resource_count,
          {.name = "target_resource_count", .doc = "How many to keep.", .in_key = false});
    return t;
  }();
  return table;
}

void check_fast_launch(const FastLaunchConfig& config, const PrepareInput& input) {
  if (!config.template_id.empty() && !config.template_name.empty())
    complain(input, "fast_launch", "Only one of fast_launch's template_id or template_name can be specified.");
  if (config.max_parallel_launches != 0 && config.max_parallel_launches < 6)
    complain(input, "fast_launch", "fast_launch: max_parallel_launches must be at least 6");
  for (const auto& region : config.region_launch_templates) {
    if (region.region.empty())
      complain(input, "fast_launch", "fast_launch: every region_launch_templates needs a region");
    if (!region.template_id.empty() && !region.template_name.empty()) {
      complain(input, "fast_launch",
               fmt::format("Only one of template_id or template_name can be specified for fast_launch in {}.",
                           region.region));
    }
  }
}

}  // namespace

const OptionTable<Config>& options() {
  static const OptionTable<Config> table = [] {
    OptionTable<Config> t;
    t.include(&Config::access, aws_access_options());
    t.include(&Config::ami, ami_options());
    t.include(&Config::run, run_options());
    t.add_blocks(
        &Config::ami_block_device_mappings,
        {.name = "ami_block_device_mappings", .doc = "Further disks that instances of the AMI have.", .at_end = true},
        block_device_options());
    t.add(&Config::no_ephemeral, {.name = "no_ephemeral",
                                  .default_text = "false",
                                  .doc = "Leave the instance stores ephemeral0 to ephemeral25 out of the AMI."});
    t.add_block(&Config::fast_launch,
                {.name = "fast_launch", .doc = "Fast launch of Windows instances.", .in_key = false},
                fast_launch_options());
    t.add(&Config::skip_create_ami, {.name = "skip_create_ami",
                                     .default_text = "false",
                                     .doc = "Make no AMI: only see whether the build works.",
                                     .at_end = true});
    t.add(&Config::skip_ami_run_tags, {.name = "skip_ami_run_tags",
                                       .default_text = "false",
                                       .doc = "Do not give run_tags to the AMI while it is made.",
                                       .at_end = true});
    return t;
  }();
  return table;
}

Config prepare(const PrepareInput& input) {
  Config config;
  TemplateScope scope = option_scope(input.build.scope);
  DecodeContext context{scope, input.diagnostics, "builder amazon-ebs"};
  options().decode(input.config, config, context);
  check_aws_access(config.access, input.diagnostics);
  prepare_ami(config.ami, config.access, input);
  check_block_devices(config.ami_block_device_mappings, input, "ami_block_device_mappings");
  check_block_devices(config.run.launch_block_device_mappings, input, "launch_block_device_mappings");
  prepare_run(config.run, input);
  check_fast_launch(config.fast_launch, input);
  if (config.run.is_spot() && (config.ami.ena_support.value_or(false) || config.ami.sriov_support)) {
    complain(
        input, "spot_price",
        "Spot instances do not support modification, which is required when either `ena_support` or `sriov_support` "
        "are set. Please ensure you use an AMI that already has either SR-IOV or ENA enabled.");
  }
  if (config.run.is_spot() && config.run.enable_nitro_enclave)
    complain(input, "spot_price", "Spot instances do not support nitro enclaves.");
  return config;
}

}  // namespace kiln::amazon
