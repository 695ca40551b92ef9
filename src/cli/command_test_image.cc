// test and shell: a throw-away machine of an image, tested or entered.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/component_table.h"
#include "cli/environment.h"
#include "cli/signals.h"
#include "cli/state_shell.h"
#include "cli/template_input.h"
#include "cli/test_reports.h"
#include "core/image_store.h"
#include "core/image_testing.h"
#include "core/journal.h"

namespace kiln {

namespace {

/// What to start: an image of the store, or a disk image that the store does not know.
struct Subject {
  Artifact artifact;
  std::string builder_type;
  Value machine;                     ///< what the store remembers of how it is started
  std::optional<ImageRecord> image;  ///< nullopt: a file
};

std::string default_machine_type() { return ::geteuid() == 0 && find_program("systemd-nspawn") ? "rootfs" : "qemu"; }

Subject find_subject(const std::string& reference) {
  Subject out;
  bool is_file = fs::is_regular_file(reference);
  auto store = open_image_store(image_store_directory());
  try {
    out.image = store->get(is_file ? fs::absolute(reference).lexically_normal().string() : reference);
  } catch (const Error& error) {
    if (!is_file)
      throw Error(ErrorKind::user,
                  error.message() + "\n(An image is named by its id, tag or name in `kiln images`, or by a path.)");
  }
  if (out.image) {
    out.builder_type = out.image->builder_type;
    out.machine = out.image->fresh_machine;
    out.artifact.builder_id = out.image->builder_id;
    out.artifact.id = out.image->artifact_id;
    out.artifact.description = out.image->description;
    for (const auto& file : out.image->files) out.artifact.files.push_back(file.path);
    store->restore(*out.image, Stop());
  } else {
    out.builder_type = default_machine_type();
    out.artifact.id = fs::absolute(reference).string();
    out.artifact.description = reference;
    out.artifact.files = {out.artifact.id};
  }
  return out;
}

/// "memory=1024": a member of the machine's configuration; numbers and booleans are taken as what they look like.
void set_member(Value& machine, const std::string& name, const std::string& text) {
  bool number = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  machine.set(name, text == "true"    ? Value(true)
                    : text == "false" ? Value(false)
                    : number          ? Value(Number{text})
                                      : Value(text));
}

void take_duration(const char* flag, const std::string& text, std::chrono::nanoseconds& out) {
  if (text.empty()) return;
  auto parsed = parse_go_duration(text);
  if (!parsed || parsed->count() <= 0)
    throw Error(ErrorKind::user,
                fmt::format("Error: {} {} is no duration; one is written like 90s or 5m.", flag, text));
  out = *parsed;
}

ImageTestPlan machine_plan(const Invocation& invocation, const CommandOptions& options, const Subject& subject,
                           const std::string& name) {
  ImageTestPlan plan;
  plan.name = name;
  plan.builder_type = options.machine_type.empty() ? subject.builder_type : options.machine_type;
  const auto* entry = find_component(component_table().builders, plan.builder_type);
  if (!entry)
    throw Error(ErrorKind::user,
                fmt::format("Error: there is no builder {} to start a machine with.", go_quote(plan.builder_type)));
  auto config = entry->make()->fresh_machine(subject.artifact, image_store_directory() / "scratch" / random_uuid());
  if (!config)
    throw Error(ErrorKind::user, fmt::format("Error: {} cannot be started as a machine by builder {}.",
                                             subject.artifact.description, plan.builder_type));
  if (subject.machine.is_object() && plan.builder_type == subject.builder_type) {
    for (const auto& member : subject.machine.as_object()) {
      if (!config->find(member.key)) config->set(member.key, member.value);
    }
  }
  for (const auto& [member, text] : options.settings) set_member(*config, member, text);
  // Never in a command line, where others could read it.
  if (auto password = get_env("KILN_SSH_PASSWORD"); password && plan.builder_type != "rootfs") {
    Value secret(*password);
    secret.secret = true;
    invocation.redactor->add(*password);
    config->set("ssh_password", std::move(secret));
  }
  plan.machine = std::move(*config);
  plan.artifact = subject.artifact;
  plan.wait_for = options.wait_for;
  take_duration("-timeout", options.timeout, plan.timeout);
  take_duration("-wait-timeout", options.wait_timeout, plan.wait_timeout);
  for (const auto& what : plan.wait_for) {
    if (auto wrong = wrong_wait_for(what)) throw Error(ErrorKind::user, "Error: -wait-for: " + *wrong);
  }
  plan.info.core_version = packer_version;
  plan.info.run_id = invocation.run_id;
  plan.info.cache_directory = cache_directory();
  plan.info.scope = make_scope(Template());
  plan.info.on_error = OnError::cleanup;
  return plan;
}

void add_test(ImageTestPlan& plan, const std::string& kind, Value config, const std::string& name,
              Diagnostics& diagnostics) {
  const auto* entry = find_component(component_table().testers, kind);
  if (!entry) throw Error(ErrorKind::user, "Error: this program has no test of kind " + go_quote(kind));
  PlannedTest test{kind, name, entry->make(), std::move(config)};
  test.tester->prepare({test.config, plan.info, diagnostics});
  plan.tests.push_back(std::move(test));
}

void add_tests(ImageTestPlan& plan, const CommandOptions& options, Diagnostics& diagnostics) {
  auto one = [](const char* option, const std::string& value) {
    Value config = Value::empty_object();
    config.set(option, Value(value));
    return config;
  };
  for (const auto& path : options.serverspec) {
    bool directory = fs::is_directory(path);
    add_test(plan, "serverspec", one(directory ? "directory" : "specs", path), path, diagnostics);
  }
  for (const auto& path : options.goss) add_test(plan, "goss", one("file", path), path, diagnostics);
  for (const auto& path : options.shell_tests) add_test(plan, "shell", one("script", path), path, diagnostics);
}

RunOptions machine_run_options(const Invocation& invocation) {
  RunOptions run;
  run.evidence_root = state_directory() / "evidence";
  run.redactor = invocation.redactor.get();
  return run;
}

std::string mistakes_of(const Diagnostics& diagnostics) {
  std::string out;
  for (const auto& item : diagnostics.items()) {
    if (item.severity != Severity::error) continue;
    out += "Error: " + (item.summary.empty() ? item.detail : item.summary);
    if (!item.summary.empty() && !item.detail.empty()) out += ": " + item.detail;
    if (std::string place = render_place(item.range); !place.empty()) out += "\n" + place;
    out += "\n";
  }
  return out;
}

/// ssh as a person calls it; the password by SSH_ASKPASS, the key in a file of ours.
Command ssh_command(const Value& data, const fs::path& scratch) {
  auto text = [&](const char* name) {
    const Value* value = data.find(name);
    return value && value->is_string()                     ? value->as_string()
           : value && value->kind() == Value::Kind::number ? value->as_number().text
                                                           : std::string();
  };
  Command command{.argv = {"ssh", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-p", text("Port"), "-l", text("User")}};
  if (std::string key = text("SSHPrivateKey"); !key.empty()) {
    fs::path file = scratch / "key";
    write_file_atomically(file, key + (key.ends_with('\n') ? "" : "\n"), 0600);
    command.argv.insert(command.argv.end(), {"-i", file.string(), "-o", "IdentitiesOnly=yes"});
  } else if (std::string named = text("SSHPrivateKeyFile"); !named.empty()) {
    command.argv.insert(command.argv.end(), {"-i", expand_home(named).string(), "-o", "IdentitiesOnly=yes"});
  } else if (std::string password = text("Password"); !password.empty()) {
    fs::path file = scratch / "askpass";
    write_file_atomically(file, "#!/bin/sh\nprintf '%s\\n' \"$KILN_ASKPASS_WORD\"\n", 0700);
    command.env["SSH_ASKPASS"] = file.string();
    command.env["SSH_ASKPASS_REQUIRE"] = "force";
    command.env["KILN_ASKPASS_WORD"] = password;
  }
  command.argv.push_back(text("Host"));
  return command;
}

void open_shell(Communicator& communicator, StageContext& context) {
  TempDir scratch("kiln-shell");
  auto command = communicator.shell_command();
  if (!command) {
    if (!find_program("ssh"))
      throw Error(ErrorKind::environment, "the program ssh is not installed (Debian: apt install openssh-client)");
    command = ssh_command(context.scope.build_data, scratch.path());
  }
  context.ui.say("A shell on a throw-away copy: what is changed here is gone when it ends (exit).");
  Process shell = Process::start(
      *command, {.in = Process::Stdio::inherit, .out = Process::Stdio::inherit, .err = Process::Stdio::inherit});
  while (!shell.wait(Deadline::in(std::chrono::hours(1)), context.stop)) {
  }
}

}  // namespace

int run_test(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  Ui ui = invocation.ui();
  if (options.serverspec.empty() && options.goss.empty() && options.shell_tests.empty()) {
    ui.error("Error: nothing to test with: give -serverspec, -goss or -shell (see kiln test -h).");
    return 1;
  }
  Subject subject = find_subject(arguments[0]);
  ImageTestPlan plan = machine_plan(invocation, options, subject, "test");
  Diagnostics diagnostics;
  add_tests(plan, options, diagnostics);
  check_image_test(plan, component_table(), diagnostics);
  if (diagnostics.has_errors()) {
    ui.error(mistakes_of(diagnostics) + "Nothing was started.");
    return 1;
  }
  Stop stop;
  SignalWatch signals(stop, [&](const std::string& name) { ui.say(fmt::format("Stopping after {}...", name)); });
  invocation.renderer->prepare({"test"});
  fs::create_directories(image_store_directory() / "scratch");
  auto journal = open_journal(state_directory(), invocation.run_id);
  std::vector<ImageTestResult> results;
  results.push_back(run_image_test(plan, component_table(), machine_run_options(invocation), *invocation.renderer,
                                   *journal, *invocation.log, stop));
  const ImageTestResult& result = results[0];
  if (!result.error.empty()) ui.error("\n" + result.error);
  if (!result.evidence.empty()) ui.say("What was kept of the machine: " + result.evidence.string());
  write_test_reports(options, *invocation.redactor, {{arguments[0], &results}});
  return result.passed() ? 0 : 1;
}

int run_shell(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  Ui ui = invocation.ui();
  std::optional<ImageTestPlan> found;
  if (options.at.empty()) found = machine_plan(invocation, options, find_subject(arguments[0]), "shell");
  else found = plan_of_state(invocation, options, arguments[0]);
  if (!found) return 1;
  ImageTestPlan& plan = *found;
  plan.timeout = std::chrono::hours(24);
  plan.visit = [&](Communicator& communicator, StageContext& context) {
    invocation.renderer->close();  // the terminal is the shell's from here on: no status lines
    open_shell(communicator, context);
  };
  Diagnostics diagnostics;
  check_image_test(plan, component_table(), diagnostics);
  if (diagnostics.has_errors()) {
    ui.error(mistakes_of(diagnostics) + "Nothing was started.");
    return 1;
  }
  Stop stop;
  SignalWatch signals(stop, [&](const std::string& name) { ui.say(fmt::format("Stopping after {}...", name)); });
  fs::create_directories(image_store_directory() / "scratch");
  auto journal = open_journal(state_directory(), invocation.run_id);
  ImageTestResult result = run_image_test(plan, component_table(), machine_run_options(invocation),
                                          *invocation.renderer, *journal, *invocation.log, stop);
  if (!result.error.empty()) ui.error("\n" + result.error);
  return result.passed() ? 0 : 1;
}

}  // namespace kiln
