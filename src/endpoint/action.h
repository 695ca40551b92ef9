// An action of the API: what it works with, and the helpers that all share.
#pragma once
#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "endpoint/api_error.h"
#include "endpoint/caller.h"
#include "endpoint/machine.h"
#include "endpoint/network.h"
#include "endpoint/request_params.h"
#include "endpoint/state.h"
#include "endpoint/xml_text.h"

namespace kiln::ec2 {

/// What an action works with, the state's lock held.
struct Context {
  State& state;
  Machines& machines;
  Journal& journal;
  Caller caller;
  std::string region;
  std::string account;
  /// When the request came; a little before, because files are stamped by a coarser clock.
  std::filesystem::file_time_type began =
      std::filesystem::file_time_type::clock::now() - std::chrono::milliseconds(20);
  bool ordered = false;  ///< what the request waits for has been ordered
};

/// Writes the answer's members.
using ActionHandler = void (*)(Context& context, const Params& params, Xml& out);
/// Whether what is asked for is on its way to another state: the answer waits a while for it.
using StillMoving = bool (*)(Context& context, const Params& params);

struct Action {
  const char* service;
  const char* name;
  ActionHandler handle;
  StillMoving moving = nullptr;
};

// Each file of actions brings its rows.
std::vector<Action> image_actions();
std::vector<Action> image_attribute_actions();
std::vector<Action> instance_actions();
std::vector<Action> run_actions();
std::vector<Action> instance_attribute_actions();
std::vector<Action> volume_actions();
std::vector<Action> snapshot_actions();
std::vector<Action> key_actions();
std::vector<Action> group_actions();
std::vector<Action> network_actions();
std::vector<Action> interface_actions();
std::vector<Action> tag_actions();
std::vector<Action> template_actions();
std::vector<Action> fast_launch_actions();
std::vector<Action> sts_actions();
std::vector<Action> iam_actions();

// ---- shared by them

inline void answer_true(Xml& out) { out.put("return", true); }

/// The tags of TagSpecification items for one type of resource. Throws ApiError on bad ones.
Tags tags_for(const Params& params, const std::string& resource_type);
/// Tag.N.Key and Tag.N.Value.
Tags tags_of_items(const std::vector<const Params*>& items);
void put_tags(Xml& out, const Tags& tags);

/// The record of that id in the caller's region. Throws ApiError CODE with "MESSAGE" ("{}" is the id).
template <class T>
T& need(Context& context, const std::string& id, const char* code, const char* message) {
  T* found = context.state.find<T>(id);
  if (!found || found->region != context.region) throw ApiError(code, fmt::format(fmt::runtime(message), id));
  return *found;
}
Instance& need_instance(Context& context, const std::string& id);
Image& need_image(Context& context, const std::string& id);
Volume& need_volume(Context& context, const std::string& id);
Snapshot& need_snapshot(Context& context, const std::string& id);
SecurityGroup& need_group(Context& context, const std::string& id);
/// The region's launch template of this id or this name; null: there is none.
const LaunchTemplate* find_template(Context& context, const std::string& id, const std::string& name);

/// Those of the parameter's list, which must not be empty.
std::vector<std::string> required_list(const Params& params, const std::string& name);

/// The parameter's text: one of the choices, or "" when it is absent. Throws ApiError for another.
std::string choice(const Params& params, const std::string& name, const std::vector<std::string>& choices);
/// A number that is not negative and not more than `most`, or nothing. Throws ApiError for another.
std::optional<int64_t> amount(const Params& params, const std::string& name, int64_t most);
/// What EC2 has of a volume's kind and speed. Throw ApiError.
std::string volume_type_of(const Params& params, const std::string& name);
inline constexpr int64_t most_iops = 256000;
inline constexpr int64_t most_throughput = 2000;
/// Whether a text is of letters, digits and the `extra` characters only, `least` to `most` of them.
bool is_made_of(const std::string& text, std::string_view extra, size_t least, size_t most);
/// A device's name, as an instance is given it. Throws ApiError.
std::string checked_device(const std::string& name);
/// User data, base64 in one line; "" when there is none. Throws ApiError.
std::string checked_user_data(const std::string& text);

/// EC2's long word for "windows" or "".
inline const char* platform_details(const std::string& platform) { return platform.empty() ? "Linux/UNIX" : "Windows"; }

/// BlockDeviceMapping.N as a list.
std::vector<BlockDevice> block_devices_of(const Params& params,
                                          const std::string& name = "BlockDeviceMapping");
/// The security groups' ids that a request names by id or name; "default" when it names none. Throws
/// ApiError.
std::vector<std::string> groups_of_request(Context& context, const Params& params);
/// The default group of the region, made when it is first asked for.
std::string default_group(Context& context);
/// Takes what the request chooses of the instance's unheeded options, below the prefixes ("" or "Name.").
/// Throws ApiError.
void take_private_names(const Params& params, const std::string& prefix, Unheeded& out);
void take_auto_recovery(const Params& params, const std::string& prefix, Unheeded& out);
void take_capacity(const Params& params, Unheeded& out);
/// RunInstances' work for other actions: instances made and started; their ids.
std::vector<std::string> run_instances(Context& context, const Params& params);
/// A snapshot record of a volume, "pending".
Snapshot new_snapshot(Context& context, const Volume& volume, const std::string& description);

}  // namespace kiln::ec2
