// What can be said of an AMI afterwards.
#include <regex>

#include "endpoint/selection.h"

namespace kiln::ec2 {

namespace {

/// One list of launch permissions and how it is named in requests and answers.
struct Permission {
  const char* param;   ///< in LaunchPermission.Add.N
  const char* legacy;  ///< the list that goes with OperationType
  const char* element;
  std::vector<std::string> Image::*list;
};
constexpr Permission permissions[] = {
    {"UserId", "UserId", "userId", &Image::launch_users},
    {"Group", "UserGroup", "group", &Image::launch_groups},
    {"OrganizationArn", "OrganizationArn", "organizationArn", &Image::launch_organizations},
    {"OrganizationalUnitArn", "OrganizationalUnitArn", "organizationalUnitArn", &Image::launch_units}};

void add_once(std::vector<std::string>& list, const std::string& one) {
  if (!one.empty() && std::find(list.begin(), list.end(), one) == list.end()) list.push_back(one);
}

void change_permissions(Image& image, const Params& params) {
  for (const auto& permission : permissions) {
    auto& list = image.*permission.list;
    bool remove = params.text("OperationType") == "remove";
    for (const auto& one : params.list(permission.legacy)) {
      if (remove) {
        std::erase(list, one);
      } else {
        add_once(list, one);
      }
    }
    for (const Params* item : params.items("LaunchPermission.Add"))
      add_once(list, item->text(permission.param));
    for (const Params* item : params.items("LaunchPermission.Remove"))
      std::erase(list, item->text(permission.param));
  }
  for (const auto& group : image.launch_groups) {
    if (group != "all") throw invalid_value("group", group);
  }
}

void modify_image_attribute(Context& context, const Params& params, Xml& out) {
  Image image = need_image(context, params.required("ImageId"));
  change_permissions(image, params);
  if (params.has("Description")) image.description = params.text("Description.Value");
  if (params.text("Attribute") == "description") image.description = params.text("Value");
  if (params.has("ImdsSupport")) image.imds_support = choice(params, "ImdsSupport.Value", {"v2.0"});
  for (const auto& code : params.list("ProductCode")) add_once(image.product_codes, code);
  context.state.put(image);
  answer_true(out);
}

void reset_image_attribute(Context& context, const Params& params, Xml& out) {
  Image image = need_image(context, params.required("ImageId"));
  if (params.required("Attribute") != "launchPermission")
    throw invalid_value("attribute", params.text("Attribute"));
  for (const auto& permission : permissions) (image.*permission.list).clear();
  context.state.put(image);
  answer_true(out);
}

void describe_image_attribute(Context& context, const Params& params, Xml& out) {
  const Image& image = need_image(context, params.required("ImageId"));
  std::string attribute = params.required("Attribute");
  out.put("imageId", image.id);
  auto value = [&](const std::string& text) { out.in(attribute, [&] { out.opt("value", text); }); };
  if (attribute == "launchPermission") {
    out.in("launchPermission", [&] {
      for (const auto& permission : permissions) {
        for (const auto& one : image.*permission.list)
          out.in("item", [&] { out.put(permission.element, one); });
      }
    });
  } else if (attribute == "description") {
    value(image.description);
  } else if (attribute == "bootMode") {
    value(image.boot_mode);
  } else if (attribute == "imdsSupport") {
    value(image.imds_support);
  } else if (attribute == "sriovNetSupport") {
    value(image.sriov);
  } else if (attribute == "kernel" || attribute == "ramdisk") {
    value("");
  } else if (attribute == "productCodes") {
    out.list("productCodes", image.product_codes,
             [&](const std::string& code) { out.put("productCode", code); });
  } else if (attribute == "blockDeviceMapping") {
    out.list("blockDeviceMapping", image.devices, [&](const BlockDevice& device) {
      out.put("deviceName", device.device);
      out.in("ebs", [&] {
        out.opt("snapshotId", device.snapshot_id);
        out.put("volumeSize", device.size);
      });
    });
  } else {
    throw invalid_value("attribute", attribute);
  }
}

void enable_deprecation(Context& context, const Params& params, Xml& out) {
  Image image = need_image(context, params.required("ImageId"));
  image.deprecated = params.required("DeprecateAt");
  static const std::regex time(R"(\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?)");
  if (image.deprecated.size() > 40 || !std::regex_match(image.deprecated, time))
    throw invalid_value("DeprecateAt", image.deprecated);
  context.state.put(image);
  answer_true(out);
}

void disable_deprecation(Context& context, const Params& params, Xml& out) {
  Image image = need_image(context, params.required("ImageId"));
  image.deprecated.clear();
  context.state.put(image);
  answer_true(out);
}

void enable_protection(Context& context, const Params& params, Xml& out) {
  Image image = need_image(context, params.required("ImageId"));
  image.protection = params.boolean("WithCooldown").value_or(false) ? "enabled-with-cooldown" : "enabled";
  context.state.put(image);
  out.put("return", image.protection);
}

void disable_protection(Context& context, const Params& params, Xml& out) {
  Image image = need_image(context, params.required("ImageId"));
  image.protection.clear();
  context.state.put(image);
  out.put("return", "disabled");
}

}  // namespace

std::vector<Action> image_attribute_actions() {
  return {{"ec2", "ModifyImageAttribute", modify_image_attribute},
          {"ec2", "ResetImageAttribute", reset_image_attribute},
          {"ec2", "DescribeImageAttribute", describe_image_attribute},
          {"ec2", "EnableImageDeprecation", enable_deprecation},
          {"ec2", "DisableImageDeprecation", disable_deprecation},
          {"ec2", "EnableImageDeregistrationProtection", enable_protection},
          {"ec2", "DisableImageDeregistrationProtection", disable_protection}};
}

}  // namespace kiln::ec2
