#include "endpoint/endpoint.h"

#include <ctime>

#include "base/file.h"
#include "base/text.h"
#include "endpoint/disks.h"
#include "endpoint/json_services.h"

namespace kiln::ec2 {

namespace {

constexpr auto hold_limit = std::chrono::seconds(10);   ///< how long an answer waits for a state to change
constexpr auto terminated_for = std::chrono::hours(1);  ///< how long an ended instance is still shown

std::string request_id() { return random_uuid(); }

bool is_ec2(const std::string& service) { return service != "sts" && service != "iam"; }

std::string xml_of_answer(const std::string& service, const std::string& action, const std::string& members) {
  std::string head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  if (is_ec2(service)) {
    return head +
           fmt::format(
               "<{0}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>{1}</requestId>{2}"
               "</{0}Response>",
               action, request_id(), members);
  }
  const char* space = service == "sts" ? "https://sts.amazonaws.com/doc/2011-06-15/"
                                       : "https://iam.amazonaws.com/doc/2010-05-08/";
  bool has_result = !members.empty() || action == "UpdateRole";  // the one that has a result with nothing in it
  std::string result = has_result ? fmt::format("<{0}Result>{1}</{0}Result>", action, members) : "";
  return head +
         fmt::format(
             "<{0}Response xmlns=\"{1}\">{2}<ResponseMetadata><RequestId>{3}</RequestId></ResponseMetadata>"
             "</{0}Response>",
             action, space, result, request_id());
}

HttpReply error_reply(const std::string& service, const ApiError& error) {
  HttpReply out;
  out.status = error.status();
  Xml xml;
  auto code_and_message = [&] {
    xml.put("Code", error.code());
    xml.put("Message", error.message());
  };
  if (is_ec2(service)) {
    xml.in("Response", [&] {
      xml.in("Errors", [&] { xml.in("Error", code_and_message); });
      xml.put("RequestID", request_id());
    });
  } else {
    xml.in("ErrorResponse", [&] {
      xml.in("Error", [&] {
        xml.put("Type", error.status() < 500 ? "Sender" : "Receiver");
        code_and_message();
      });
      xml.put("RequestId", request_id());
    });
  }
  out.body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + xml.text();
  return out;
}

HttpReply json_reply(int status, const nlohmann::json& body) {
  return {status,
          "application/x-amz-json-1.1",
          body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
          {{"x-amzn-RequestId", request_id()}}};
}

/// The service a request that could not be understood was meant for, for the shape of the error.
std::string service_of(const HttpCall& call) {
  auto authorization = parse_aws_authorization(call.header("authorization"));
  return authorization ? authorization->scope.service : "ec2";
}

Params params_of(const HttpCall& call) {
  Params params = Params::parse(call.query);
  if (!call.body.empty()) params.merge(Params::parse(call.body));
  return params;
}

void forget_terminated(State& state) {
  std::string limit = format_rfc3339_utc(std::chrono::system_clock::now() - terminated_for);
  std::vector<std::string> old;
  for (const auto& [id, instance] : state.instances) {
    if (instance.state == "terminated" && !instance.ended.empty() && instance.ended < limit)
      old.push_back(id);
  }
  for (const auto& id : old) {
    std::string interface = state.instances.at(id).interface_id;
    if (state.tag_sets.contains(interface)) state.erase<TagSet>(interface);
    state.erase<Instance>(id);
    std::error_code ignored;
    fs::remove_all(state.directory() / "instances" / id, ignored);
  }
}

bool is_region_name(const std::string& text) {
  return !text.empty() && text.size() <= 64 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}

}  // namespace

const std::vector<Action>& all_actions() {
  static const std::vector<Action> all = [] {
    std::vector<Action> out;
    for (auto rows : {image_actions, image_attribute_actions, instance_actions, run_actions, instance_attribute_actions,
                      volume_actions, snapshot_actions, key_actions, group_actions, network_actions, interface_actions,
                      tag_actions, template_actions, fast_launch_actions, sts_actions, iam_actions}) {
      for (const auto& row : rows()) out.push_back(row);
    }
    return out;
  }();
  return all;
}

const Action* find_action(const std::string& service, const std::string& name) {
  for (const auto& action : all_actions()) {
    if (service == action.service && name == action.name) return &action;
  }
  return nullptr;
}

Endpoint::Endpoint(const fs::path& directory, Journal& journal, MachineOptions options)
    : state_(directory),
      journal_(journal),
      account_(options.account),
      log_(options.log),
      machines_(state_, journal, std::move(options)),
      uploads_(journal) {}

AccessKey Endpoint::own_keys() {
  auto lock = state_.lock();
  for (const auto& [id, key] : state_.access_keys) {
    if (key.expires == 0) return key;
  }
  AccessKey key;
  key.id = "AKIA" + upper(hex_encode(random_bytes(8)));
  key.secret = hex_encode(random_bytes(20));
  State::Changes changes(state_);
  state_.put(key);
  changes.keep();
  return key;
}

Endpoint::Answer Endpoint::act(const Caller& caller, const Params& params, const Stop& stop, int socket) {
  std::string name = params.text("Action");
  if (name.empty()) throw ApiError("MissingAction", "The request must contain the parameter Action");
  const Action* action = find_action(caller.service, name);
  if (!action)
    throw ApiError("InvalidAction", fmt::format("The action {} is not valid for this web service.", name));
  if (!is_region_name(caller.region))
    throw ApiError("InvalidParameterValue", fmt::format("Invalid region '{}'", caller.region));
  if (params.boolean("DryRun").value_or(false)) {
    throw ApiError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412);
  }
  State::Waiter waiter(state_);
  auto lock = state_.lock();
  state_.refresh();
  forget_terminated(state_);
  Context context{state_, machines_, journal_, caller, caller.region, account_};
  for (Deadline deadline = Deadline::in(hold_limit); action->moving && action->moving(context, params);) {
    lock.unlock();
    bool changed = waiter.wait_for_change(deadline, stop, socket);
    lock.lock();
    state_.refresh();
    if (!changed) break;
  }
  Xml out;
  State::Changes changes(state_);
  action->handle(context, params, out);
  changes.keep();
  return {out.text(), name};
}

HttpReply Endpoint::reply(const HttpCall& call, const Caller& caller, const Stop& stop) {
  if (std::string target = call.header("x-amz-target"); !target.empty())
    return reply_in_json(call, caller, target);
  Params params = params_of(call);
  try {
    Answer answer = act(caller, params, stop, call.socket);
    log_(fmt::format("{} {} {}", caller.region, caller.service, answer.action));
    HttpReply out;
    out.body = xml_of_answer(caller.service, answer.action, answer.members);
    return out;
  } catch (const ApiError& error) {
    log_(fmt::format("{} {} {}: {}: {}", caller.region, caller.service, params.text("Action"), error.code(),
                     error.message()));
    throw;
  }
}

/// SSM and Secrets Manager: their own words, also for what is wrong.
HttpReply Endpoint::reply_in_json(const HttpCall& call, const Caller& caller, const std::string& target) {
  try {
    auto request =
        call.body.empty() ? nlohmann::json::object() : nlohmann::json::parse(call.body, nullptr, false);
    if (!request.is_object()) throw ApiError("SerializationException", "The body is no JSON object.");
    auto lock = state_.lock();
    state_.refresh();
    Context context{state_, machines_, journal_, caller, caller.region, account_};
    log_(fmt::format("{} {} {}", caller.region, caller.service, target));
    State::Changes changes(state_);
    auto answer = answer_json(context, target, request);
    changes.keep();
    return json_reply(200, answer);
  } catch (const ApiError& error) {
    return json_reply(error.status(),
                      {{"__type", error.code()}, {"message", error.message()}, {"Message", error.message()}});
  }
}

/// EBS' direct APIs: requests by path, errors in JSON.
HttpReply Endpoint::reply_to_upload(const HttpCall& call, const Caller& caller) {
  try {
    Context context{state_, machines_, journal_, caller, caller.region, account_};
    if (call.method != "PUT") log_(fmt::format("{} ebs {} {}", caller.region, call.method, call.path));
    HttpReply reply = uploads_.answer(context, call);
    reply.headers.emplace_back("x-amzn-RequestId", request_id());
    return reply;
  } catch (const ApiError& error) {
    log_(fmt::format("{} ebs {} {}: {}", caller.region, call.method, call.path, error.message()));
    HttpReply reply = json_reply(error.status(), {{"Message", error.message()}});
    reply.type = "application/json";
    reply.headers.emplace_back("x-amzn-ErrorType", error.code());
    return reply;
  }
}

HttpReply Endpoint::handle(const HttpCall& call, const Stop& stop) {
  try {
    auto find_keys = [this](const std::string& id) -> std::optional<AwsKeys> {
      auto lock = state_.lock();
      const auto* key = state_.find<AccessKey>(id);
      if (!key || (key->expires != 0 && key->expires < std::time(nullptr))) return std::nullopt;
      return AwsKeys{key->id, key->secret, key->token};
    };
    Caller caller = check_signature(call, find_keys, std::time(nullptr));
    if (caller.service == "ebs") return reply_to_upload(call, caller);
    if (call.method != "POST" && call.method != "GET")
      throw ApiError("InvalidMethod", "Only GET and POST are served.", 405);
    return reply(call, caller, stop);
  } catch (const ApiError& error) {
    return error_reply(service_of(call), error);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    log_("internal error: " + error.message());
    return error_reply(service_of(call), ApiError("InternalError", error.message(), 500));
  } catch (const std::exception& error) {
    log_(std::string("internal error: ") + error.what());
    return error_reply(service_of(call), ApiError("InternalError", error.what(), 500));
  }
}

std::string Endpoint::call(const std::string& service, const std::string& action, const std::string& region,
                           const Params& params, const Stop& stop) {
  Params whole = params;
  whole.set("Action", action);
  return act({"", region, service}, whole, stop, -1).members;
}

Image import_image(State& state, Journal& journal, const ImportRequest& request, const Stop& stop) {
  Image image;
  Snapshot snapshot;
  {
    auto lock = state.lock();
    state.refresh();
    for (const auto& [id, other] : state.images) {
      if (other.region == request.region && other.name == request.name) {
        throw Error(ErrorKind::user,
                    fmt::format("there is an image of the name {} already: {}", go_quote(request.name), id));
      }
    }
    image.id = request.id.empty() ? state.new_id("ami") : request.id;
    if (state.find<Image>(image.id))
      throw Error(ErrorKind::user, fmt::format("there is an image {} already", image.id));
    snapshot.id = state.new_id("snap");
  }
  image.region = snapshot.region = request.region;
  image.owner = snapshot.owner = request.owner.empty() ? request.account : request.owner;
  image.name = request.name;
  image.description = request.description;
  image.platform = request.platform;
  image.boot_mode = request.boot_mode;
  image.root_device = request.root_device;
  image.created = snapshot.started = now_text();
  snapshot.description = "Imported from " + request.disk.string();
  snapshot.state = "pending";
  auto put_pending = [&] {
    auto lock = state.lock();
    State::Changes changes(state);
    state.put(snapshot);  // so that nobody sweeps the file that comes
    changes.keep();
  };
  put_pending();
  try {
    snapshot.size = import_disk(state, request.disk, snapshot.id, journal, stop);
  } catch (const Error&) {
    auto lock = state.lock();
    state.erase<Snapshot>(snapshot.id);
    throw;
  }
  snapshot.file = snapshot.id + ".qcow2";
  snapshot.state = "completed";
  BlockDevice root;
  root.device = image.root_device;
  root.snapshot_id = snapshot.id;
  root.size = snapshot.size;
  root.volume_type = "gp2";
  image.devices.push_back(root);
  image.state = "available";
  auto lock = state.lock();
  State::Changes changes(state);
  state.put(snapshot);
  state.put(image);
  changes.keep();
  return image;
}

}  // namespace kiln::ec2
