// What a subcommand is, and what it works with.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/redact.h"
#include "cli/flags.h"
#include "core/event.h"
#include "report/renderer.h"

namespace kiln {

struct TemplateCache;

/// The Packer version Kiln answers for.
inline constexpr const char* packer_version = "1.16.0";

/// What verify-attestation takes: how to check the signature, and what the statement must say.
struct AttestationOptions {
  std::string signing_mode, key, verifier;
  std::string predicate_type, builder_id, source_uri, artifact;
  std::string trusted_root_path, keyless_identity, keyless_oidc_issuer, bundle;
  bool require_rekor = false;
  bool require_timestamp = false;
};

/// What sbom-generate takes.
struct SbomOptions {
  std::string format = "cyclonedx-json";
  std::string scope = "squashed";
  std::vector<std::string> exclude;
};

/// What the commands of the store of images take.
struct ImagesOptions {
  bool files = false;
  int keep = -1;  ///< not given
  std::string older_than;
};

/// What the commands of the local EC2 endpoint take.
struct Ec2Options {
  std::string address = "127.0.0.1";
  int port = 0;  ///< 0: the one it had before, or any
  std::string region;
  std::string accelerator;
  bool outbound = false;
  bool foreground = false;
  bool follow = false;
  std::string name, id, owner, platform, boot_mode, root_device = "/dev/xvda", description;
  std::string ami, type, user;
  bool shell = false;
};

/// Everything any command line can set; each command declares which of them it takes.
struct CommandOptions {
  std::vector<std::string> only;
  std::vector<std::string> except;
  std::vector<std::pair<std::string, std::string>> variables;
  std::vector<std::string> variable_files;
  std::string config_type = "json";
  bool sequential_evaluation = false;
  bool ignore_prerelease_plugins = false;
  bool machine_readable = false;  ///< taken and without effect: the program looks for it before

  std::string log_format = "text";
  bool color = true;
  bool timestamp_ui = false;

  bool debug = false;
  bool force = false;
  int parallel_builds = 0;
  std::string on_error = "cleanup";
  bool warn_on_undeclared_variable = false;
  bool skip_enforcement = false;

  bool syntax_only = false;
  bool no_warn_undeclared_variable = false;
  bool evaluate_datasources = false;

  bool validate_fixed = true;
  std::string output_file;
  bool with_annotations = false;

  bool json = false;
  bool dry_run = false;
  std::string gc_older_than;  ///< gc
  bool aws = false;
  bool markdown = false;
  std::string output = "docs/reference";

  bool check = false;
  bool diff = false;
  bool write = true;
  bool recursive = false;

  /// Not a flag: time and chance stand still in templates, so that what a stage is made from has the same key tomorrow.
  bool timeless = false;

  std::vector<std::string> targets;
  int parallel = 0;
  bool fail_fast = false;
  bool keep_going = false;
  bool resume = false;
  bool rebuild = false;
  bool explain = false;
  bool cache = false;
  bool no_cache = false;
  bool all = false;
  std::string rebuild_from;
  std::string at;  ///< shell: the step whose state is opened
  bool steps = false;
  bool update_modules = false;
  std::string artifact_env;
  std::string artifact_json;
  std::string junit;
  std::string tap;

  std::vector<std::string> serverspec, goss, shell_tests;
  std::vector<std::string> wait_for;
  std::vector<std::pair<std::string, std::string>> settings;  ///< of the throw-away machine
  std::string machine_type;
  std::string wait_timeout;
  std::string timeout;

  std::string plugin_path;  ///< plugins install: the program to install
  AttestationOptions attestation;
  SbomOptions sbom;
  ImagesOptions images;
  Ec2Options ec2;
  bool local_ec2 = false;  ///< build: AWS is the endpoint on this machine
};

/// One run of the program: how it was called, where its words go, who may stop it. Owned by run_program; a pipeline's
/// stages have copies with renderers of their own.
struct Invocation {
  std::string program = "kiln";  ///< argv[0]'s last part: "packer" or "kiln"
  std::string called;            ///< argv[0]
  bool machine_readable = false;
  std::string run_id;
  std::shared_ptr<Redactor> redactor = std::make_shared<Redactor>();
  std::shared_ptr<Log> log;
  std::shared_ptr<Renderer> renderer;
  std::shared_ptr<TemplateCache>
      templates;  ///< where it is set, a template is read once while its files stay as they are

  bool as_packer() const { return program == "packer"; }
  const char* product() const { return as_packer() ? "Packer" : "Kiln"; }
  Ui ui() { return Ui(*renderer); }
};

struct Example {
  std::string_view command;  ///< what follows the program's name
  std::string_view meaning;
};

/// A row of the table of commands. Every start of the program makes the table: its texts are literals.
struct Subcommand {
  std::string_view name;  ///< "build", "plugins installed"
  std::string_view synopsis;
  std::string_view usage;  ///< what follows the program's name in the usage line; empty: none is shown
  std::string_view description;
  void (*declare)(FlagSet& flags, CommandOptions& options);
  std::vector<Example> examples;
  /// `arguments` is what follows the flags. Returns the exit code, or show_help.
  int (*run)(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments);
  enum class Shown { always, as_kiln, never } shown = Shown::always;
  bool flags_anywhere = false;  ///< flags may also stand behind arguments, as Packer's commands do not have it
  std::string (*more)() = nullptr;  ///< what follows the description; null: nothing
};

/// A command returns this when it was called wrongly: its help is shown and the exit code is 1.
constexpr int show_help = -1;

/// The rows of `ec2` and its subcommands.
std::vector<Subcommand> make_ec2_commands();
/// All commands, in the order of the help.
const std::vector<Subcommand>& command_table();
std::string command_help(const Invocation& invocation, const Subcommand& command);

// The commands.
int run_build(Invocation&, CommandOptions&, const std::vector<std::string>&);
/// `plan` of a pipeline.
int run_pipeline_plan(Invocation&, CommandOptions&, const std::filesystem::path& path);
int run_test(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_shell(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_run(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_plan(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_validate(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_inspect(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_console(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_version(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_gc(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_docs(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_fmt(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_completion(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_schema(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_init(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_plugins(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_plugins_installed(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_plugins_required(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_plugins_install(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_plugins_remove(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_fix(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_hcl2_upgrade(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_images(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_images_show(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_images_rm(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_images_tag(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_images_untag(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_images_export(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_images_import(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_images_verify(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_images_prune(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_cache(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_cache_why(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_cache_gc(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_cache_rm(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_cache_verify(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_verify_attestation(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_sbom_generate(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_ec2(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_ec2_up(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_ec2_down(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_ec2_status(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_ec2_ls(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_ec2_console(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_ec2_import(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_ec2_export(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_ec2_userdata(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_ec2_serve(Invocation&, CommandOptions&, const std::vector<std::string>&);
int run_ec2_imds(Invocation&, CommandOptions&, const std::vector<std::string>&);

}  // namespace kiln
