#include "builder/amazon/running.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "builder/amazon/states.h"

namespace kiln {

std::shared_ptr<AmazonShared> make_amazon_shared() {
  auto shared = std::make_shared<AmazonShared>();
  double wanted = std::atof(get_env("KILN_AWS_REQUESTS_PER_SECOND").value_or("0").c_str());
  shared->paces = wanted > 0 ? std::make_shared<AwsPaces>(wanted) : std::make_shared<AwsPaces>();
  return shared;
}

}  // namespace kiln

namespace kiln::amazon {

namespace {

/// Of one request and its retries.
constexpr auto request_limit = std::chrono::minutes(10);
constexpr auto evidence_limit = std::chrono::seconds(20);

std::string base64_field(const AwsElement& answer, const char* name) {
  std::string text = answer.text_at(name);
  return text.empty() ? "" : base64_decode(text);
}

}  // namespace

AwsElement Running::ask(const std::string& action, const AwsParameters& parameters, const Stop& stop,
                        const std::string& region_of, const std::string& service) {
  return client->query(service, action, parameters, Deadline::in(request_limit), stop, region_of);
}

AwsWait Running::wait_plan(std::chrono::nanoseconds usual_limit) const {
  return aws_wait(access.aws_polling, process_environment(), usual_limit);
}

std::vector<std::string> amazon_data_names() {
  return {"BuildRegion",    "SourceAMI",          "SourceAMICreationDate", "SourceAMIName",
          "SourceAMIOwner", "SourceAMIOwnerName", "SourceAMITags"};
}

Value source_data(const Running& running) {
  const AwsElement& image = running.source_image;
  Value data = Value::empty_object();
  data.set("BuildRegion", running.region);
  data.set("SourceAMI", image.text_at("imageId"));
  data.set("SourceAMIName", image.text_at("name"));
  data.set("SourceAMICreationDate", image.text_at("creationDate"));
  data.set("SourceAMIOwner", image.text_at("imageOwnerId"));
  data.set("SourceAMIOwnerName", image.text_at("imageOwnerAlias"));
  Value tags = Value::empty_object();
  for (const auto& [key, value] : aws_tags(image)) tags.set(key, value);
  data.set("SourceAMITags", std::move(tags));
  return data;
}

Value AmazonMachine::build_data() {
  Running& r = *running_;
  Value data = source_data(r);
  data.set("ID", r.instance_id);
  data.set("ConnType", r.comm.communicator);
  data.set("Host", r.comm.host());
  data.set("Port", r.comm.port());
  data.set("User", r.comm.user());
  data.set("Password", r.comm.password());
  data.set("WinRMPassword", r.comm.winrm_password);
  data.set("SSHPublicKey", r.public_key);
  data.set("SSHPrivateKey", r.private_key);
  data.set("SSHPrivateKeyFile", r.comm.ssh_private_key_file);
  data.set("SSHAgentAuth", r.comm.ssh_agent_auth);
  return data;
}

void AmazonMachine::collect_evidence(const std::filesystem::path& directory) {
  if (running_->instance_id.empty()) return;
  Deadline deadline = Deadline::in(evidence_limit);
  Stop stop;
  const AwsParameters which{{"InstanceId", running_->instance_id}};
  auto keep = [&](const char* action, const AwsParameters& parameters, const char* field, const char* file) {
    try {
      AwsElement answer = running_->client->query_once("ec2", action, parameters, deadline, stop);
      std::string bytes = base64_field(answer, field);
      if (!bytes.empty()) write_file_atomically(directory / file, bytes);
    } catch (const Error&) {
      // What one cannot have is no reason to lose the rest.
    }
  };
  keep("GetConsoleOutput", {{"InstanceId", running_->instance_id}, {"Latest", "true"}}, "output", "console.log");
  keep("GetConsoleScreenshot", which, "imageData", "screen.jpg");
}

std::unique_ptr<PendingState> AmazonMachine::save_state(const std::filesystem::path&, StageContext& context) {
  return begin_state(running_, context);
}

std::string render_text(const std::string& text, const Running& running, const StageContext& context,
                        const std::string& option) {
  if (!contains(text, "{{")) return text;
  Rendered rendered = render_template(text, option_scope(context.scope), source_data(running));
  if (!rendered.ok()) throw Error(ErrorKind::user, fmt::format("Error rendering {}: {}", option, *rendered.error));
  return rendered.text;
}

Tags render_tags(const Tags& tags, const Running& running, const StageContext& context, const std::string& option) {
  Tags out;
  for (const auto& [key, value] : tags) {
    out[render_text(key, running, context, option)] = render_text(value, running, context, option);
  }
  return out;
}

void say_tags(const Tags& tags, const Ui& ui) {
  for (const auto& [key, value] : tags) ui.message(fmt::format("Adding tag: {}: {}", go_quote(key), go_quote(value)));
}

AwsEntry::AwsEntry(const Running& running, StageContext& context, AwsThing thing, const std::string& name,
                   const std::string& region)
    : journal_(&context.journal) {
  AwsResource resource = aws_resource(running.access, thing, region.empty() ? running.region : region, name);
  Resource entry = context.journal.append(ResourceKind::aws, aws_resource_text(resource), context.build.display_name);
  id_ = entry.id;
  tag_value_ = aws_run_tag_value(entry);
}

void told_step(StageContext& context, const std::string& name, const std::function<void()>& body) {
  context.step(name, [&] {
    try {
      body();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::cancelled) context.ui.error(error.message());
      throw;
    }
  });
}

}  // namespace kiln::amazon
