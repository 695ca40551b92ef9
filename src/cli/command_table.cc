// The one table of commands: flags, help, examples.
#include <fmt/format.h>

#include "base/text.h"
#include "cli/command.h"
#include "lang/packer_fix.h"

namespace kiln {

namespace {

void declare_variables(FlagSet& flags, CommandOptions& o) {
  flags.add_pairs("var", &o.variables, "Value of a template variable; may be given many times.",
                  "-var 'key=value'");
  flags.add_repeated("var-file", &o.variable_files,
                     "JSON or HCL2 file of variable values; later files win, -var wins over files.",
                     "-var-file=path");
}

void declare_selection(FlagSet& flags, CommandOptions& o, const char* verb) {
  flags.add_list("only", &o.only, fmt::format("{} only the builds with these names.", verb),
                 "-only=foo,bar,baz");
  flags.add_list("except", &o.except, fmt::format("{} all builds and post-processors but these.", verb),
                 "-except=foo,bar,baz");
}

/// Flags that Packer takes everywhere, here without their line in the help where they mean nothing.
void declare_meta_silently(FlagSet& flags, CommandOptions& o) {
  flags.add_list("only", &o.only, "", "-only");
  flags.add_list("except", &o.except, "", "-except");
  flags.add_pairs("var", &o.variables, "", "-var");
  flags.add_repeated("var-file", &o.variable_files, "", "-var-file");
}

void declare_config_type(FlagSet& flags, CommandOptions& o) {
  flags.add_choice("config-type", &o.config_type, {"json", "hcl2"},
                   "Language of a template from standard input or without a telling suffix. (Default: json)",
                   "-config-type=json|hcl2");
}

void declare_output(FlagSet& flags, CommandOptions& o) {
  flags.add_choice("log-format", &o.log_format, {"text", "json"},
                   "json: every event as one JSON object a line (docs/formats/events.md). (Default: text)",
                   "-log-format=text|json");
  flags.add_bool("machine-readable", &o.machine_readable,
                 "Packer's comma-separated records. May stand anywhere.");
}

void declare_compatibility(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("ignore-prerelease-plugins", &o.ignore_prerelease_plugins,
                 "Taken for compatibility; nothing is plugged in yet.");
  flags.add_bool("use-sequential-evaluation", &o.sequential_evaluation,
                 "HCL2: all data sources first, then all locals.");
}

/// The cache of machine states.
void declare_states(FlagSet& flags, CommandOptions& o, bool by_default) {
  if (!by_default)
    flags.add_bool("cache", &o.cache,
                   "Keep the machine's state after every step, and go on from the last\nunchanged one. KILN_CACHE=1 "
                   "does the same.");
  flags.add_bool("no-cache", &o.no_cache,
                 by_default ? "Keep and use no states of machines." : "Keep and use none, whatever KILN_CACHE says.");
  flags.add_string(
      "rebuild-from", &o.rebuild_from,
      "Run this step and those after it whatever is cached: boot, a step's\nnumber, a provisioner's type or name.",
      "-rebuild-from=STEP");
}

void declare_build(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("color", &o.color, "Plain output without colours. (Default: colours)", "-color=false");
  flags.add_bool("debug", &o.debug, "One build at a time, with a pause after every step.");
  flags.add_bool("force", &o.force, "Delete artifacts of an earlier run that are in the way.");
  declare_selection(flags, o, "Build");
  flags.add_bool("local-ec2", &o.local_ec2,
                 "AWS is the endpoint on this machine (see ec2), which is started for the\nbuild unless it runs.");
  declare_output(flags, o);
  flags.add_choice(
      "on-error", &o.on_error, {"cleanup", "abort", "ask", "run-cleanup-provisioner"},
      "What to do when a build fails: cleanup (default), abort,\nask or run-cleanup-provisioner.",
      "-on-error=cleanup");
  flags.add_int("parallel-builds", &o.parallel_builds, "How many builds run at once; 0 is all. (Default: 0)",
                "-parallel-builds=1");
  flags.add_bool("timestamp-ui", &o.timestamp_ui, "Put an RFC 3339 time before every line of a build.");
  declare_variables(flags, o);
  declare_config_type(flags, o);
  flags.add_bool("warn-on-undeclared-var", &o.warn_on_undeclared_variable,
                 "Warn about values in var files for variables that are not declared.");
  declare_states(flags, o, false);
  flags.add_bool("resume", &o.resume,
                 "Go on from the last step that went well: -cache, for a build that was run with it.");
  flags.add_bool("explain", &o.explain, "Say all that changed of a step that is run again.");
  declare_compatibility(flags, o);
  flags.add_bool("skip-enforcement", &o.skip_enforcement, "Taken for compatibility; there is no registry.");
}

void declare_validate(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("syntax-only", &o.syntax_only, "Check the syntax alone, not the components' options.");
  declare_selection(flags, o, "Validate");
  declare_output(flags, o);
  declare_variables(flags, o);
  declare_config_type(flags, o);
  flags.add_bool("no-warn-undeclared-var", &o.no_warn_undeclared_variable,
                 "No warnings about values for variables that are not declared.");
  flags.add_bool("evaluate-datasources", &o.evaluate_datasources,
                 "HCL2: run data sources; their values are unknown otherwise.");
  declare_compatibility(flags, o);
}

void declare_targets(FlagSet& flags, CommandOptions& o) {
  flags.add_list("target", &o.targets,
                 "Only these stages and what they need: a stage's name, or one of its instances\nlike custom[staging]; "
                 "may be a pattern.",
                 "-target=STAGE,...");
}

/// How the throw-away machine of an image is started.
void declare_machine(FlagSet& flags, CommandOptions& o) {
  flags.add_string("machine-type", &o.machine_type,
                   "The builder that starts it: rootfs (a booted container, needs root) or qemu.\n(Default: the one "
                   "that made the image; of a file: rootfs for root, else qemu)",
                   "-machine-type=qemu");
  flags.add_pairs("set", &o.settings,
                  "An option of that builder: memory, cpus, ssh_username, ssh_private_key_file, ...\nA password is "
                  "taken from the environment: KILN_SSH_PASSWORD.",
                  "-set 'option=value'");
  flags.add_repeated("wait-for", &o.wait_for,
                     "What must be ready: systemd, cloud-init, port:NUMBER, command:TEXT. Repeatable.",
                     "-wait-for=WHAT");
  flags.add_string("wait-timeout", &o.wait_timeout,
                   "For becoming ready; then the tests run all the same. (Default: 5m)", "-wait-timeout=2m");
}

void declare_test(FlagSet& flags, CommandOptions& o) {
  flags.add_repeated("serverspec", &o.serverspec, "Run Serverspec: a directory of specs, or one spec file. Repeatable.", "-serverspec=DIR");
  flags.add_repeated("goss", &o.goss, "Check a goss file. Repeatable.", "-goss=FILE");
  flags.add_repeated("shell", &o.shell_tests, "Run a script in the machine; exit status 0 passes. Repeatable.",
                     "-shell=FILE");
  declare_machine(flags, o);
  flags.add_string("timeout", &o.timeout, "For waiting and testing. (Default: 15m)", "-timeout=10m");
  flags.add_string("junit", &o.junit, "Write the results as JUnit XML.", "-junit=FILE");
  flags.add_string("tap", &o.tap, "Write the results as TAP.", "-tap=FILE");
  declare_output(flags, o);
  flags.add_bool("color", &o.color, "Plain output without colours. (Default: colours)", "-color=false");
}

void declare_shell(FlagSet& flags, CommandOptions& o) {
  flags.add_string("at", &o.at,
                   "Of a TEMPLATE: after this step. boot, a step's number, a provisioner's type or\nname, or failed.",
                   "-at=STEP");
  declare_machine(flags, o);
  declare_selection(flags, o, "Of a TEMPLATE:");
  declare_variables(flags, o);
}

void declare_run(FlagSet& flags, CommandOptions& o) {
  declare_targets(flags, o);
  flags.add_int("parallel", &o.parallel,
                "How many stages run at once. (Default: the number of CPUs, at least 2, or twice\nas many that only fork "
                "machines)", "-parallel=N");
  flags.add_bool("fail-fast", &o.fail_fast, "Start nothing more once a stage has failed.");
  flags.add_bool("keep-going", &o.keep_going, "A failed stage stops only what needs it. (Default)");
  flags.add_bool("resume", &o.resume,
                 "Go on as the last run was called: same variables, same targets. Finished stages\nare not run again.");
  flags.add_bool("rebuild", &o.rebuild, "Run stages that are up to date, too.");
  flags.add_bool("force", &o.force, "Replace what is in the way of a stage's result.");
  declare_states(flags, o, true);
  flags.add_bool("update-modules", &o.update_modules, "Look up anew which commits the git modules' refs are.");
  declare_variables(flags, o);
  flags.add_string("artifact-env", &o.artifact_env,
                   "Write artifacts and outputs as shell assignments, when all is well.", "-artifact-env=FILE");
  flags.add_string("artifact-json", &o.artifact_json, "Write stages, artifacts and outputs as JSON.",
                   "-artifact-json=FILE");
  flags.add_string("junit", &o.junit, "Write the results of all tests as JUnit XML.", "-junit=FILE");
  flags.add_string("tap", &o.tap, "Write the results of all tests as TAP.", "-tap=FILE");
  flags.add_bool("explain", &o.explain, "Name every input that changed, not only the first ones.");
  declare_output(flags, o);
  flags.add_choice("on-error", &o.on_error, {"cleanup", "abort", "ask", "run-cleanup-provisioner"},
                   "What to do when a build fails: cleanup (default), abort,\nask or run-cleanup-provisioner.",
                   "-on-error=cleanup");
  flags.add_bool("color", &o.color, "Plain output without colours. (Default: colours)", "-color=false");
  flags.add_bool("timestamp-ui", &o.timestamp_ui, "Put an RFC 3339 time before every line of a build.");
}

void declare_plan(FlagSet& flags, CommandOptions& o) {
  declare_targets(flags, o);
  flags.add_bool("explain", &o.explain, "Of a pipeline: name every input that changed.");
  flags.add_bool("steps", &o.steps, "Of a pipeline: show the steps of every stage, too.");
  flags.add_bool("rebuild", &o.rebuild, "Of a pipeline: as with run -rebuild.");
  flags.add_bool("cache", &o.cache,
                 "Say of every step of a template whether its state is cached, or why it would run.");
  flags.add_bool("json", &o.json, "One JSON object, for programs.");
  declare_selection(flags, o, "Plan");
  declare_variables(flags, o);
  declare_config_type(flags, o);
  flags.add_bool("evaluate-datasources", &o.evaluate_datasources,
                 "Run data sources; their values are unknown otherwise.");
  flags.add_bool("use-sequential-evaluation", &o.sequential_evaluation,
                 "HCL2: all data sources first, then all locals.");
}

void declare_inspect(FlagSet& flags, CommandOptions& o) {
  declare_output(flags, o);
  declare_config_type(flags, o);
  declare_meta_silently(flags, o);
  flags.add_bool("use-sequential-evaluation", &o.sequential_evaluation,
                 "HCL2: all data sources first, then all locals.");
}

void declare_console(FlagSet& flags, CommandOptions& o) {
  declare_variables(flags, o);
  declare_config_type(flags, o);
  flags.add_list("only", &o.only, "", "-only");
  flags.add_list("except", &o.except, "", "-except");
  flags.add_bool("use-sequential-evaluation", &o.sequential_evaluation,
                 "HCL2: all data sources first, then all locals.");
}

void declare_plugins_required(FlagSet& flags, CommandOptions& o) {
  declare_meta_silently(flags, o);
  flags.add_choice("config-type", &o.config_type, {"json", "hcl2"}, "", "-config-type");
}

void declare_init(FlagSet& flags, CommandOptions& o) {
  declare_plugins_required(flags, o);
  for (auto name : {"upgrade", "force"})
    flags.add_bool(name, &o.force, "Taken for compatibility; nothing is fetched.");
}

void declare_plugins_install(FlagSet& flags, CommandOptions& o) {
  declare_plugins_required(flags, o);
  flags.add_string("path", &o.plugin_path, "The plug-in's program.", "-path=FILE");
  flags.add_bool("force", &o.force, "Also when it is installed already.");
}

void declare_fix(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("validate", &o.validate_fixed, "Check the fixed template as a whole. (Default: true)",
                 "-validate=true");
  declare_meta_silently(flags, o);
  flags.add_choice("config-type", &o.config_type, {"json", "hcl2"}, "", "-config-type");
}

void declare_hcl2_upgrade(FlagSet& flags, CommandOptions& o) {
  flags.add_string("output-file", &o.output_file, "File to write. (Default: TEMPLATE.pkr.hcl)",
                   "-output-file=path");
  flags.add_bool("with-annotations", &o.with_annotations, "Explain the blocks in comments.");
  declare_meta_silently(flags, o);
  flags.add_choice("config-type", &o.config_type, {"json", "hcl2"}, "", "-config-type");
}

std::string list_of_fixers() {
  std::string out;
  for (const auto& fixer : packer_fixers()) out += fmt::format("  {:<26} {}\n", fixer.name, fixer.synopsis);
  out.pop_back();
  return out;
}

void declare_nothing(FlagSet&, CommandOptions&) {}

void declare_gc(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("dry-run", &o.dry_run, "Say what would be removed, and remove nothing.");
  flags.add_bool("aws", &o.aws,
                 "Also what was made in AWS, with the credentials that the environment or the template's profile has.");
  flags.add_string(
      "older-than", &o.gc_older_than,
      "In AWS: what is tagged as Kiln's and of that age (12h, 30d), also of runs on other machines.",
      "-older-than=24h");
  declare_output(flags, o);
}

void declare_json(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("json", &o.json, "One JSON object, for programs.");
}

void declare_image_files(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("files", &o.images.files,
                 "Also delete their files where they were built, if they are\nstill what was built.");
}

void declare_images_prune(FlagSet& flags, CommandOptions& o) {
  flags.add_int("keep", &o.images.keep, "How many of each name stay, the newest ones.", "-keep=N");
  flags.add_string("older-than", &o.images.older_than, "Only what is older: 12h, 30d, 6w.",
                   "-older-than=30d");
  declare_image_files(flags, o);
  flags.add_bool("dry-run", &o.dry_run, "Say what would be removed, and remove nothing.");
}

void declare_cache_why(FlagSet& flags, CommandOptions& o) {
  declare_selection(flags, o, "Look at");
  declare_variables(flags, o);
  declare_config_type(flags, o);
}

void declare_cache_gc(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("all", &o.all, "Remove every state that is not in use.");
}

void declare_fmt(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("check", &o.check, "Write nothing; the exit code is 3 if a file is not in canonical form.");
  flags.add_bool("diff", &o.diff, "Show what changes, as diff -u does.");
  flags.add_bool("write", &o.write, "Do not write the files (nor standard input's text). (Default: true)",
                 "-write=false");
  flags.add_bool("recursive", &o.recursive, "Also the files of directories within directories.");
  declare_meta_silently(flags, o);
  flags.add_choice("config-type", &o.config_type, {"json", "hcl2"}, "", "-config-type");
}

void declare_verify_attestation(FlagSet& flags, CommandOptions& all) {
  AttestationOptions& o = all.attestation;
  flags.add_string("signing-mode", &o.signing_mode,
                   "How it was signed: key, kms or keyless. (Default: as it looks)", "-signing-mode=MODE");
  flags.add_string("key", &o.key, "PEM file of the signer's key, if there is no -verifier.", "-key=PATH");
  flags.add_string("verifier", &o.verifier, "PEM file of the public key or certificate to verify with.",
                   "-verifier=PATH");
  flags.add_string("predicate-type", &o.predicate_type, "Type that the predicate must have.",
                   "-predicate-type=TYPE");
  flags.add_string("builder-id", &o.builder_id, "SLSA builder that must have built it.", "-builder-id=ID");
  flags.add_string("source-uri", &o.source_uri, "Source that must be among the resolved dependencies.",
                   "-source-uri=URI");
  flags.add_string("artifact", &o.artifact, "File that must be among the subjects, by name and SHA-256.",
                   "-artifact=PATH");
  flags.add_string("trusted-root-path", &o.trusted_root_path,
                   "Taken for compatibility, as the next five: keyless\nattestations are refused.",
                   "-trusted-root-path=PATH");
  flags.add_string("keyless-identity", &o.keyless_identity, "Identity of a keyless signer.",
                   "-keyless-identity=ID");
  flags.add_string("keyless-oidc-issuer", &o.keyless_oidc_issuer, "Who vouches for that identity.",
                   "-keyless-oidc-issuer=URL");
  flags.add_string("bundle", &o.bundle, "Sigstore bundle with the log's or the clock's proof.",
                   "-bundle=PATH");
  flags.add_bool("require-rekor", &o.require_rekor, "The bundle must prove an entry in Rekor's log.");
  flags.add_bool("require-timestamp", &o.require_timestamp, "The bundle must prove a time.");
}

void declare_sbom_generate(FlagSet& flags, CommandOptions& all) {
  SbomOptions& o = all.sbom;
  flags.add_string("o", &o.format, "cyclonedx-json or spdx-json. (Default: cyclonedx-json)", "-o=FORMAT");
  flags.add_string("output", &o.format, "", "-output");
  flags.add_repeated("exclude", &o.exclude,
                     "Leave out what lies there: './opt/**', '**/*.egg-info'. May be\nrepeated.", "-exclude=GLOB");
  flags.add_string("scope", &o.scope, "squashed or all-layers: a directory has one layer.", "-scope=SCOPE");
}

void declare_docs(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("markdown", &o.markdown, "Write the reference pages of all components.");
  flags.add_string("output", &o.output, "Directory of those pages. (Default: docs/reference)",
                   "-output=directory");
}

constexpr auto never = Subcommand::Shown::never;
constexpr auto ours = Subcommand::Shown::as_kiln;

std::vector<Subcommand> make_template_commands() {
  return {
      {"build",
       "build image(s) from template",
       "build [options] TEMPLATE",
       "Makes the images that a template describes, all builds side by side, and shows\n"
       "the artifacts they leave. What is made on the way is taken back when a build\n"
       "fails or is interrupted.",
       declare_build,
       {{"build template.json", "all builds of the template"},
        {"build -only=qemu -var version=1.2 template.json", "one build, with a variable"},
        {"build -machine-readable template.json | grep artifact,0,id | cut -d, -f6", "the id of the image"},
        {"build -on-error=ask -debug template.json", "step by step, to find out why it fails"},
        {"build --log-format json template.json", "every event as JSON"}},
       run_build},
      {"console",
       "try template expressions",
       "console [options] [TEMPLATE]",
       "Evaluates template expressions, with the variables of TEMPLATE if one is given:\n"
       "line by line at a terminal, or all lines of a pipe, of which the last one's\n"
       "result is shown. Words: help, variables, exit.",
       declare_console,
       {{"console template.json", "try expressions with the template's variables"},
        {"console -var name=web template.json < expressions.txt", "results of a file of expressions"}},
       run_console},
      {"inspect",
       "see components of a template",
       "inspect TEMPLATE",
       "Shows the variables, builders and provisioners of a template without checking\n"
       "more than its syntax.",
       declare_inspect,
       {{"inspect template.json", "what is in the template"},
        {"inspect -machine-readable template.json | grep template-builder", "its builders, for a script"}},
       run_inspect},
      {"run",
       "run a pipeline: build, test and hand on images",
       "run [options] [PIPELINE]",
       "Runs the stages of a pipeline (*.kiln.hcl; without an argument the one in this\n"
       "directory), each after the stages whose artifacts it needs and several at once.\n"
       "A stage whose inputs are what they were is up to date and not run again. An image\n"
       "that does not pass its tests is handed to nobody. docs/pipelines.md tells more.",
       declare_run,
       {{"run", "the pipeline of this directory"},
        {"plan", "what that would do, and why, before it is done"},
        {"run -target='custom[staging]' atlas.kiln.hcl", "one stage and what it needs"},
        {"run -resume", "go on after a failure or a crash"},
        {"run -artifact-env=images.env -junit=tests.xml", "for a CI"}},
       run_run,
       Subcommand::Shown::as_kiln},
      {"test",
       "test a finished image on a fresh boot",
       "test [options] IMAGE",
       "Starts a throw-away machine from IMAGE, waits until it is ready, runs the tests\n"
       "and throws the machine away. The image itself is not touched. IMAGE is an id, tag\n"
       "or name of `images`, or the path of a disk image.",
       declare_test,
       {{"test -serverspec=spec atlas/app", "Serverspec on the newest image of a pipeline's stage"},
        {"test -goss=goss.yaml -machine-type=qemu -set ssh_username=vagrant disk.qcow2", "goss, in a virtual machine"},
        {"test -shell=smoke.sh -wait-for=port:8080 -junit=results.xml k3j9x2", "a script, with a report for a CI"}},
       run_test,
       Subcommand::Shown::as_kiln},
      {"shell",
       "a shell on a throw-away machine of an image",
       "shell [options] IMAGE | -at=STEP TEMPLATE",
       "Starts a throw-away machine from IMAGE and opens a shell on it. What is changed\n"
       "there is gone when the shell ends; the image itself is not touched.\n\n"
       "With -at the machine is one in the middle of a template's build, as it was after\n"
       "that step: builds with -cache keep it.",
       declare_shell,
       {{"shell atlas/app", "look around in an image"},
        {"shell -at=3 app.pkr.hcl", "after the third step of a build"},
        {"shell -at=failed app.pkr.hcl", "where its last failing step left it"},
        {"shell -machine-type=qemu -set memory=2048 -set ssh_username=vagrant disk.qcow2",
         "of a file, in a virtual machine"}},
       run_shell,
       Subcommand::Shown::as_kiln},
      {"plan",
       "what a build would do, step by step",
       "plan [options] [TEMPLATE | PIPELINE]",
       "Of a pipeline (*.kiln.hcl): shows every stage, whether it is up to date or runs,\n"
       "and why. Without an argument: of the one in this directory. With -steps also what\n"
       "each stage does: the steps of its builds, its tests, what it publishes.\n\n"
       "Of a template: shows every build that would run, its steps in order with their options as\n"
       "resolved, and a key for each: the digest of the step, its options and all steps\n"
       "before it. A key that is the same twice stands for the same work. What is known\n"
       "only during the build is shown as <unknown>. Nothing is built.",
       declare_plan,
       {{"plan", "what `run` would do here"},
        {"plan -steps -target=app", "and step by step, of one stage and what it needs"},
        {"plan template.pkr.hcl", "a template's steps"},
        {"plan -only='web.*' -var version=2 .", "some builds of the templates in this directory"},
        {"plan -json template.json | jq '.builds[].name'", "for a script"}},
       run_plan,
       Subcommand::Shown::as_kiln},
      {"validate",
       "check that a template is valid",
       "validate [options] TEMPLATE",
       "Checks a template and the options of all its components. Every mistake is\n"
       "reported at once, with its place; the exit code is then 1.",
       declare_validate,
       {{"validate template.json", "check everything"},
        {"validate -var-file=production.json template.json", "with the variables of a file"},
        {"validate -syntax-only template.json", "the syntax alone"}},
       run_validate},
      {"version",
       "Prints the version",
       "",
       "Prints the version.",
       declare_nothing,
       {{"version", "the version"}, {"-machine-readable version", "for a script"}},
       run_version},
  };
}

std::vector<Subcommand> make_image_commands() {
  return {
      {"images",
       "see and look after built images",
       "images [subcommand] [options]",
       "Lists the images that were built and are kept in the store, the newest first:\n"
       "what they were made from, their size, their tests and their tags. An IMAGE is an\n"
       "id or its beginning, a tag, a name (its newest image) or the path of a file.\n\n"
       "The store is ~/.local/share/kiln/images, or where KILN_STORE_DIR says.\n\nSubcommands:\n"
       "    export       Write an image into one file\n"
       "    import       Take an exported image in\n"
       "    ls           List the images, as without a subcommand\n"
       "    prune        Remove old images\n"
       "    rm           Remove images\n"
       "    show         Everything about one image\n"
       "    tag          Give an image a tag\n"
       "    untag        Take a tag away\n"
       "    verify       Read images and compare them with their digests",
       declare_json,
       {{"images", "what there is"}, {"images -json | jq -r '.images[].id'", "for a script"}},
       run_images,
       ours,
       true},
      {"images ls",
       "",
       "images ls [options]",
       "Lists the images, the newest first.",
       declare_json,
       {{"images ls", "what there is"},
        {"images ls -json | jq '.images[] | select(.tags | length > 0)'", "those with tags"}},
       run_images,
       never,
       true},
      {"images show",
       "",
       "images show [options] IMAGE",
       "Shows one image: its files, what it was made from and what was made from it, its\n"
       "tests, and the inputs of its key.",
       declare_json,
       {{"images show atlas/app", "the newest image of that name"},
        {"images show -json stable | jq -r '.files[0].path'", "the first file of the image with a tag"}},
       run_images_show,
       never,
       true},
      {"images rm",
       "",
       "images rm [options] IMAGE...",
       "Removes images from the store. What another image was made from is only removed\n"
       "together with that one. The files stay where they were built, unless -files.",
       declare_image_files,
       {{"images rm kx7c", "the image whose id begins so"},
        {"images rm -files atlas/app atlas/base", "two images and their files"}},
       run_images_rm,
       never,
       true},
      {"images tag",
       "",
       "images tag IMAGE TAG",
       "Gives an image a tag, taking it from the image that has it. A tagged image is\n"
       "never pruned.",
       declare_nothing,
       {{"images tag atlas/app stable", "the newest image of that name"}},
       run_images_tag,
       never,
       true},
      {"images untag",
       "",
       "images untag TAG",
       "Takes a tag away from the image that has it.",
       declare_nothing,
       {{"images untag stable", ""}},
       run_images_untag,
       never,
       true},
      {"images export",
       "",
       "images export IMAGE FILE",
       "Writes an image into one file, a tar: its record and its files, which are\n"
       "compared with their digests. It is compressed when FILE ends in .zst.",
       declare_nothing,
       {{"images export stable app.tar.zst", "to take elsewhere"}},
       run_images_export,
       never,
       true},
      {"images import",
       "",
       "images import FILE DIRECTORY",
       "Takes an exported image in: its files are put below DIRECTORY, where they must\n"
       "not be yet, and it enters the store with its id, name, tests and tags.",
       declare_nothing,
       {{"images import app.tar.zst images/app", "from elsewhere"}},
       run_images_import,
       never,
       true},
      {"images verify",
       "",
       "images verify [IMAGE...]",
       "Reads the content of images, of all if none is named, and compares it with its\n"
       "digest. The exit code is 1 if any is damaged.",
       declare_nothing,
       {{"images verify", "everything"}, {"images verify stable", "one image"}},
       run_images_verify,
       never,
       true},
      {"images prune",
       "",
       "images prune [options]",
       "Removes old images: all but the newest of each name (-keep), those of a certain\n"
       "age (-older-than), or those that both allow. Never an image with a tag, nor what\n"
       "an image that stays was made from.",
       declare_images_prune,
       {{"images prune -keep=3 -dry-run", "what is not among the three newest of its name"},
        {"images prune -keep=1 -older-than=30d", "not the newest, and older than a month"},
        {"images prune -keep=0", "everything without a tag"}},
       run_images_prune,
       never,
       true},
  };
}

std::vector<Subcommand> make_cache_commands() {
  return {
      {"cache",
       "see and look after kept machine states",
       "cache [subcommand] [options]",
       "Lists the states of machines that were kept after the steps of builds, the most\n"
       "recently used first: a build with -cache, and every pipeline, goes on from the last\n"
       "state whose inputs are unchanged. A KEY may be given by its beginning.\n\n"
       "The cache is ~/.cache/kiln/states, or where KILN_CACHE_DIR says; it keeps within 20\n"
       "GiB, or what KILN_CACHE_SIZE says, by dropping what was used least recently.\n\nSubcommands:\n"
       "    gc           Bring the cache within its budget, and sweep what crashes left\n"
       "    ls           List the states, as without a subcommand\n"
       "    rm           Remove states, and those that build on them\n"
       "    verify       Read states and compare them with their digests\n"
       "    why          What a build would find, and why a step would run",
       declare_json,
       {{"cache", "what there is"}, {"cache -json | jq '.states[] | {key, bytes}'", "for a script"}},
       run_cache,
       ours,
       true},
      {"cache ls",
       "",
       "cache ls [options]",
       "Lists the states, the most recently used first.",
       declare_json,
       {{"cache ls", "what there is"}},
       run_cache,
       never,
       true},
      {"cache why",
       "",
       "cache why [options] TEMPLATE",
       "Says for every step of a template's builds whether its state is there, or why it\n"
       "would run: which file or option changed since it ran last. Nothing is started.",
       declare_cache_why,
       {{"cache why -var version=2 app.pkr.hcl", "what that version would cost"}},
       run_cache_why,
       never,
       true},
      {"cache gc",
       "",
       "cache gc [options]",
       "Removes the least recently used states until the rest fits into the budget, states\n"
       "that cannot be used any more, and whatever a killed run left half-written.",
       declare_cache_gc,
       {{"cache gc", "keep within KILN_CACHE_SIZE"}, {"cache gc -all", "remove every state that is not in use"}},
       run_cache_gc,
       never,
       true},
      {"cache rm",
       "",
       "cache rm KEY...",
       "Removes states, and those that build on them. One that is in use stays.",
       declare_nothing,
       {{"cache rm 3f2a91", "the state whose key begins so"}},
       run_cache_rm,
       never,
       true},
      {"cache verify",
       "",
       "cache verify [KEY...]",
       "Reads states, all of them or those given, compares them with their digests, and\n"
       "removes those that are damaged.",
       declare_nothing,
       {{"cache verify", "all of them"}},
       run_cache_verify,
       never,
       true},
  };
}

std::vector<Subcommand> make_other_commands() {
  return {
      {"gc",
       "remove what crashed runs left behind",
       "gc [options]",
       "Removes the processes, mounts, files and disks of runs that were killed before\n"
       "they could clean up. Things of runs that are still going are left alone.",
       declare_gc,
       {{"gc --dry-run", "what is left over"}, {"gc", "remove it"}},
       run_gc,
       ours},
      {"docs",
       "options of the components",
       "docs [options] [COMPONENT]",
       "Lists the components, or all options of one.",
       declare_docs,
       {{"docs", "the components"},
        {"docs qemu", "every option of the qemu builder"},
        {"docs --markdown -output=docs/reference", "the reference pages"}},
       run_docs,
       ours},
      {"schema",
       "JSON Schema of templates, for editors",
       "schema",
       "Prints a JSON Schema (draft 2020-12) of JSON templates: every component, its\n"
       "options and what they mean. Editors complete and check with it.",
       declare_nothing,
       {{"schema > packer-template.schema.json", "a file to name in the editor's settings"}},
       run_schema,
       ours},
      {"completion",
       "script for completion in a shell",
       "completion SHELL",
       "Prints a script that completes commands, flags and files in SHELL: bash, zsh or\n"
       "fish. (-autocomplete-install edits the start-up files instead, as Packer does.)",
       declare_nothing,
       {{"completion bash > ~/.local/share/bash-completion/completions/kiln", "for bash"},
        {"completion zsh > ~/.zfunc/_kiln", "for zsh, with ~/.zfunc in fpath"},
        {"completion fish > ~/.config/fish/completions/kiln.fish", "for fish"}},
       run_completion,
       ours},
      {"init",
       "check that required plugins are there",
       "init [options] TEMPLATE",
       "Looks whether the plug-ins that an HCL2 template requires are built in or\n"
       "installed, and says what to do for those that are not. Nothing is fetched.",
       declare_init,
       {{"init template.pkr.hcl", "before the first build"}},
       run_init},
      {"plugins",
       "see, install and remove plugins",
       "plugins <subcommand> [options] [args]",
       "Looks after the plug-ins of this machine. They lie where Packer keeps them:\n"
       "PACKER_PLUGIN_PATH, else ~/.config/packer/plugins.\n\nSubcommands:\n"
       "    install      Install a plug-in from a file\n"
       "    installed    List the installed plug-ins\n"
       "    remove       Remove plug-ins\n"
       "    required     List the plug-ins that a template requires",
       declare_nothing,
       {{"plugins installed", "one path a line"}},
       run_plugins},
      {"plugins installed",
       "",
       "plugins installed",
       "Lists the plug-ins of this operating system and architecture, one path a line.\n"
       "What has no checksum beside it, or another one, is not listed.",
       declare_nothing,
       {{"plugins installed", "all of them"}},
       run_plugins_installed,
       never},
      {"plugins required",
       "",
       "plugins required TEMPLATE",
       "Lists the plug-ins that an HCL2 template requires, and for each the installed\n"
       "ones that would do, the newest last.",
       declare_plugins_required,
       {{"plugins required template.pkr.hcl", "of a file"}, {"plugins required .", "of a directory's files"}},
       run_plugins_required,
       never},
      {"plugins install",
       "",
       "plugins install [options] <plugin> [<version constraint>]",
       "Copies a plug-in to where plug-ins lie. It has to be given as a file, which is\n"
       "run with the word \"describe\": nothing is fetched.",
       declare_plugins_install,
       {{"plugins install -path ./packer-plugin-happycloud github.com/acme/happycloud", "from a file"}},
       run_plugins_install,
       never},
      {"plugins remove",
       "",
       "plugins remove <plugin> [<version constraint>]",
       "Removes the installed versions of a plug-in, all or those that fit a constraint,\n"
       "or one file by its absolute path. The paths of what is removed are printed.",
       declare_nothing,
       {{"plugins remove github.com/acme/happycloud", "all versions"},
        {"plugins remove github.com/acme/happycloud 'v1.2.3'", "one version"},
        {"plugins remove "
         "~/.config/packer/plugins/github.com/acme/happycloud/"
         "packer-plugin-happycloud_v1.0.0_x5.0_linux_amd64",
         "one file"}},
       run_plugins_remove,
       never},
      {"fix",
       "fixes templates from old versions of packer",
       "fix [options] TEMPLATE",
       "Brings a JSON template of an older Packer up to date and shows the result;\n"
       "the file stays as it is. A template that cannot be fixed is told, with exit\n"
       "code 1. What is changed, in this order:\n\n",
       declare_fix,
       {{"fix template.json > fixed.json", "the template as today's Packer wants it"},
        {"fix -validate=false template.json", "without a look at the result"}},
       run_fix,
       Subcommand::Shown::always,
       false,
       list_of_fixers},
      {"fmt",
       "Rewrites HCL2 config files to canonical format",
       "fmt [options] [TEMPLATE ...]",
       "Rewrites HCL2 files (.pkr.hcl and .pkrvars.hcl) in canonical form. TEMPLATE is a\n"
       "file, a directory, whose files are rewritten, or - for standard input, which is\n"
       "written to standard output. The names of changed files are printed.",
       declare_fmt,
       {{"fmt .", "the files of this directory"},
        {"fmt -check -diff -recursive .", "for a CI: exit code 3 and a diff if something is not in form"},
        {"fmt - < a.pkr.hcl", "from standard input"}},
       run_fmt},
      {"hcl2_upgrade",
       "transform a JSON template into an HCL2 configuration",
       "hcl2_upgrade [options] TEMPLATE",
       "Writes a JSON template as HCL2. What has no counterpart there is kept as it is,\n"
       "under a comment that says what to do. Read the result before using it.",
       declare_hcl2_upgrade,
       {{"hcl2_upgrade template.json", "writes template.json.pkr.hcl"},
        {"hcl2_upgrade -with-annotations -output-file=web.pkr.hcl template.json",
         "with explanations, into a file of your choice"}},
       run_hcl2_upgrade},
      {"sbom-generate",
       "list what is installed below a directory",
       "sbom-generate [options] [DIRECTORY]",
       "Writes a software bill of materials (CycloneDX or SPDX, as JSON) of a root\n"
       "directory (default: /): the packages that dpkg, apk and Python's installers have\n"
       "recorded there. What came without a record is not looked for; rpm's database is\n"
       "named, not read.",
       declare_sbom_generate,
       {{"sbom-generate -o spdx-json /mnt", "the packages of an image mounted at /mnt"}},
       run_sbom_generate,
       never},
      {"verify-attestation",
       "verify a signed attestation",
       "verify-attestation [options] ATTESTATION",
       "Verifies the signature of an attestation (a DSSE envelope with an in-toto\n"
       "statement) and, if asked, what it says: its type, its SLSA builder, a source, a\n"
       "file it is about.",
       declare_verify_attestation,
       {{"verify-attestation -verifier=signer.pub image.att.json", "who signed it"},
        {"verify-attestation -verifier=signer.pub -artifact=image.qcow2 image.att.json",
         "and that it is about this file"}},
       run_verify_attestation},
  };
}

}  // namespace

const std::vector<Subcommand>& command_table() {
  static const std::vector<Subcommand> table = [] {
    auto all = make_template_commands();
    for (auto& command : make_image_commands()) all.push_back(std::move(command));
    for (auto& command : make_cache_commands()) all.push_back(std::move(command));
    for (auto& command : make_ec2_commands()) all.push_back(std::move(command));
    for (auto& command : make_other_commands()) all.push_back(std::move(command));
    return all;
  }();
  return table;
}

std::string command_help(const Invocation& invocation, const Subcommand& command) {
  std::string out;
  if (!command.usage.empty()) out += fmt::format("Usage: {} {}\n\n", invocation.program, command.usage);
  if (!command.description.empty()) {
    std::string indent = command.usage.empty() ? "" : "  ";
    std::string description(command.description);
    if (command.more) description += command.more();
    out += indent + replace_all(std::move(description), "\n", "\n" + indent) + "\n";
    out = replace_all(std::move(out), "\n  \n", "\n\n");
  }
  FlagSet flags;
  CommandOptions options;
  command.declare(flags, options);
  if (std::string lines = flags.help(); !lines.empty()) out += "\nOptions:\n\n" + lines;
  if (!command.examples.empty()) out += "\nExamples:\n\n";
  for (const auto& example : command.examples) {
    out += fmt::format("  {} {}\n", invocation.program, example.command);
    if (!example.meaning.empty()) out += fmt::format("      {}\n", example.meaning);
  }
  return out;
}

}  // namespace kiln
