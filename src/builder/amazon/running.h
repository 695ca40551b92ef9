// A build in EC2 while it runs: what the steps of all builders of Amazon's find, make and leave for those after them.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "builder/amazon/requests.h"
#include "builder/amazon/shared.h"
#include "core/aws_orphans.h"
#include "core/builder.h"
#include "core/journal.h"

namespace kiln::amazon {

/// What start() has made so far. Shared by the machine and the undo list; the stage's thread only.
struct Running {
  AwsAccessConfig access;
  RunConfig run;
  std::shared_ptr<AmazonShared> shared;
  std::unique_ptr<AwsClient> client;
  std::string region;
  AwsElement source_image;
  InstanceValues values;
  std::string private_key;  ///< of the temporary key pair
  std::string public_key;
  std::string instance_id;  ///< empty until there is one
  AwsElement instance;      ///< as last described
  std::vector<std::string> volume_ids;
  std::string windows_password;
  CommunicatorConfig comm;  ///< with host and port as connected
  std::unique_ptr<Communicator> communicator;

  /// One request within the time that requests of a build are given.
  AwsElement ask(const std::string& action, const AwsParameters& parameters, const Stop& stop,
                 const std::string& region_of = {}, const std::string& service = "ec2");
  AwsWait wait_plan(std::chrono::nanoseconds usual_limit) const;
};

class AmazonMachine : public Machine {
 public:
  explicit AmazonMachine(std::shared_ptr<Running> running) : running_(std::move(running)) {}
  Communicator& communicator() override { return *running_->communicator; }
  Value build_data() override;
  /// The console's output and a screenshot of it.
  void collect_evidence(const std::filesystem::path& directory) override;
  /// An AMI of its own (states.h).
  std::unique_ptr<PendingState> save_state(const std::filesystem::path& directory, StageContext& context) override;
  const std::shared_ptr<Running>& running() { return running_; }

 private:
  std::shared_ptr<Running> running_;
};

/// The names that build_data() has beyond the common ones.
std::vector<std::string> amazon_data_names();

/// What {{ .SourceAMI }} and the like mean in tags.
Value source_data(const Running& running);
/// Renders keys and values of tags, or one text. Throws Error{user} with the option's name.
Tags render_tags(const Tags& tags, const Running& running, const StageContext& context, const std::string& option);
std::string render_text(const std::string& text, const Running& running, const StageContext& context,
                        const std::string& option);
/// "Adding tag: "a": "b"", one a tag.
void say_tags(const Tags& tags, const Ui& ui);

/// A thing that is about to be made, in the journal; forget() once it is gone or somebody else's.
class AwsEntry {
 public:
  AwsEntry(const Running& running, StageContext& context, AwsThing thing, const std::string& name = {},
           const std::string& region = {});
  const std::string& tag_value() const { return tag_value_; }
  /// Of a thing that is only there while the build runs: gc finds it without the journal, too.
  Tags temporary_tags() const { return {{aws_run_tag, tag_value_}, {aws_owner_tag, aws_owner_tag_value()}}; }
  void forget() const { journal_->remove(id_); }

 private:
  Journal* journal_;
  int64_t id_;
  std::string tag_value_;
};

/// Runs a step whose failure is said, as Packer says it, before it goes on up.
void told_step(StageContext& context, const std::string& name, const std::function<void()>& body);

/// Clean-up goes on when the build was cancelled: its requests have a Stop and a limit of their own.
struct CleanUp {
  Stop stop;
  Deadline deadline = Deadline::in(std::chrono::minutes(15));
};

/// What a builder wants of the instance that it gets.
struct StartPlan {
  const AmiConfig* ami = nullptr;  ///< what is to be made; nullptr: no AMI
  bool makes_ami = true;
  bool needs_ebs_root = false;  ///< the source AMI's root device must be a volume
  bool deletes_volumes = true;  ///< none of the instance's volumes outlives it
  std::function<void()> before_launch = [] {};
  std::function<void()> once_running = [] {};
};
/// All steps until the machine is connected, in Packer's order. What was made is undone later. start.cc
std::unique_ptr<Machine> start_machine(const std::shared_ptr<Running>& running, const StartPlan& plan,
                                       const std::shared_ptr<AmazonShared>& shared, StageContext& context);
/// Key cleaned up, connection closed, instance stopped.
void wind_down(const std::shared_ptr<Running>& running, StageContext& context);

// The steps, in order. Each registers its undo. network.cc:
/// Credentials, region, and that the regions named exist.
void open_client(Running& running, const std::shared_ptr<AmazonShared>& shared, StageContext& context);
void check_regions(Running& running, const AmiConfig& ami, StageContext& context);
void find_network(Running& running, StageContext& context);
// source.cc:
void check_ami_name(Running& running, const AmiConfig& ami, bool skip_create_ami, StageContext& context);
void find_source_image(Running& running, const AmiConfig& ami, StageContext& context);
// way_in.cc:
void make_key_pair(const std::shared_ptr<Running>& running, StageContext& context);
void make_security_group(const std::shared_ptr<Running>& running, StageContext& context);
void make_instance_profile(const std::shared_ptr<Running>& running, StageContext& context);
// instance.cc:
void clean_up_volumes_later(const std::shared_ptr<Running>& running, StageContext& context);
void run_instance(const std::shared_ptr<Running>& running, StageContext& context);
void stop_instance(Running& running, StageContext& context);
/// Enhanced networking, of a stopped instance.
void modify_instance(Running& running, const std::optional<bool>& ena_support, bool sriov_support,
                     StageContext& context);
/// The instance as it is now; nullopt when EC2 does not know it (yet). Throws AwsError otherwise.
std::optional<AwsElement> describe_instance(Running& running, const Deadline& deadline, const Stop& stop);
// connect.cc:
void get_windows_password(Running& running, StageContext& context);
void connect_instance(const std::shared_ptr<Running>& running, StageContext& context);
/// Which address of the instance the communicator is to use; "" when it has none yet. Pure.
std::string choose_address(const RunConfig& config, const AwsElement& instance);

}  // namespace kiln::amazon
