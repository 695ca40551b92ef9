#include "cli/pipeline_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/diagnostic_text.h"
#include "cli/outline_text.h"
#include "cli/test_reports.h"
#include "cli/text_table.h"

namespace kiln {

namespace {

using OrderedJson = nlohmann::ordered_json;

/// So many stages are told one by one; of more only how many.
constexpr size_t most_told = 60;

const char* word_of(StageForecast::What what) {
  switch (what) {
    case StageForecast::What::up_to_date: return "up to date";
    case StageForecast::What::test: return "test";
    case StageForecast::What::run: return "run";
    case StageForecast::What::waits: return "may run";
  }
  return "run";
}

std::string word_of(const StageEnd& end) {
  switch (end.how) {
    case StageEnd::How::not_yet: return "not run";
    case StageEnd::How::up_to_date: return "up to date";
    case StageEnd::How::built: return "done";
    case StageEnd::How::failed: return "FAILED";
    case StageEnd::How::skipped: return end.needed.empty() ? "not run" : "not run: needs " + end.needed;
    case StageEnd::How::cancelled: return "cancelled";
  }
  return "";
}

std::string tests_text(const StageEnd& end) {
  int64_t passed = 0, failed = 0, skipped = 0;
  bool any = false;
  for (const auto& image : end.images) {
    auto number = [&](const char* name) {
      const Value* value = image.tests.find(name);
      return value && value->kind() == Value::Kind::number ? std::stoll(value->as_number().text) : 0;
    };
    any |= image.tests.is_object();
    passed += number("passed");
    failed += number("failed");
    skipped += number("skipped");
  }
  if (!any) return "";
  std::string out = fmt::format("{} passed", passed);
  if (failed > 0) out = fmt::format("{} FAILED, ", failed) + out;
  if (skipped > 0) out += fmt::format(", {} skipped", skipped);
  return out;
}

std::string short_path(const std::string& path) {
  std::error_code error;
  fs::path relative =
      fs::path(path).is_absolute() ? fs::path(path).lexically_relative(fs::current_path(error)) : fs::path(path);
  std::string text = relative.string();
  return error || text.empty() || text.size() >= path.size() ? path : text;
}

/// A name for the shell: STAGE_CUSTOM_STAGING.
std::string environment_name(const std::string& name) {
  std::string out;
  for (char c : name) {
    bool word = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (word) out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    else if (!out.empty() && out.back() != '_') out += '_';
  }
  while (out.ends_with('_')) out.pop_back();
  return out;
}

struct OutputValue {
  std::string name;
  HclValue value;
  bool sensitive = false;
};

std::vector<OutputValue> outputs_of(const Pipeline& pipeline, Diagnostics& diagnostics) {
  std::vector<OutputValue> out;
  for (const auto& output : pipeline.outputs()) {
    HclValue value = pipeline.output(output, diagnostics);
    out.push_back({output.name, value, output.sensitive || value.contains_sensitive()});
  }
  return out;
}

std::string output_text(const HclValue& value) {
  Value plain = to_plain_value(value, {});
  return plain.is_string() ? plain.as_string() : plain.is_unknown() ? "" : to_json(plain);
}

void say_outputs(Invocation& invocation, const Pipeline& pipeline) {
  Diagnostics wrong;
  std::vector<std::vector<std::string>> rows;
  for (const auto& output : outputs_of(pipeline, wrong)) {
    if (!output.value.is_wholly_known()) continue;
    std::string text = output.sensitive ? "<sensitive>" : output_text(output.value);
    rows.push_back({output.name, "= " + text});
    invocation.ui().machine("output", {output.name, text});
  }
  if (!rows.empty()) invocation.ui().say("\nOutputs:\n" + std::string(trim_right(text_table(rows, "  "))));
  if (wrong.has_errors()) invocation.ui().error(hcl_text(wrong));
}

void say_records(Invocation& invocation, const std::string& stage, const StageEnd& end) {
  Ui records(*invocation.renderer, stage);
  records.machine("artifact-count", {std::to_string(end.images.size())});
  for (size_t i = 0; i < end.images.size(); ++i) {
    const ImageRecord& image = end.images[i];
    std::string index = std::to_string(i);
    records.machine("artifact", {index, "builder-id", image.builder_id});
    records.machine("artifact", {index, "id", image.artifact_id});
    records.machine("artifact", {index, "string", image.description});
    records.machine("artifact", {index, "files-count", std::to_string(image.files.size())});
    for (size_t f = 0; f < image.files.size(); ++f)
      records.machine("artifact", {index, "file", std::to_string(f), image.files[f].path});
    records.machine("artifact", {index, "end"});
  }
}

OrderedJson artifact_json(const StageEnd& end) {
  OrderedJson list = OrderedJson::array();
  for (size_t i = 0; i < end.images.size() && i < end.artifacts.size(); ++i) {
    const auto& artifact = end.artifacts[i];
    OrderedJson one;
    one["build"] = artifact.build;
    one["id"] = artifact.id;
    one["builder_id"] = artifact.builder_id;
    one["digest"] = artifact.digest;
    one["image"] = end.images[i].id;
    one["key"] = end.images[i].key;
    one["files"] = OrderedJson::array();
    for (const auto& file : end.images[i].files)
      one["files"].push_back({{"path", file.path}, {"sha256", file.digest}, {"size", file.size}});
    list.push_back(std::move(one));
  }
  return list;
}

void write_artifact_json(const fs::path& path, const Pipeline& pipeline, const PipelineRun& run, bool well) {
  OrderedJson out;
  out["version"] = 1;
  out["pipeline"] = pipeline.settings().name;
  out["ok"] = well;
  out["stages"] = OrderedJson::array();
  for (size_t i = 0; i < pipeline.instances().size(); ++i) {
    if (!run.wanted(i)) continue;
    const StageEnd& end = run.ends()[i];
    OrderedJson one;
    one["name"] = pipeline.instances()[i].name;
    one["result"] = word_of(end);
    one["error"] = end.error.empty() ? OrderedJson() : OrderedJson(end.error);
    one["artifacts"] = artifact_json(end);
    out["stages"].push_back(std::move(one));
  }
  Diagnostics ignored;
  out["outputs"] = OrderedJson::object();
  for (const auto& output : outputs_of(pipeline, ignored)) {
    if (!output.value.is_wholly_known()) continue;
    out["outputs"][output.name] = OrderedJson::parse(to_json(to_plain_value(output.value, {})), nullptr, false);
  }
  write_file_atomically(path, out.dump(2) + "\n", 0600);
}

void write_artifact_env(const fs::path& path, const Pipeline& pipeline, const PipelineRun& run) {
  std::string out;
  for (size_t i = 0; i < pipeline.instances().size(); ++i) {
    if (!run.wanted(i)) continue;
    const auto& artifacts = run.ends()[i].artifacts;
    for (const auto& artifact : artifacts) {
      std::string name = "STAGE_" + environment_name(pipeline.instances()[i].name +
                                                     (artifacts.size() > 1 ? "_" + artifact.build : ""));
      out += name + "_ID=" + shell_quote(artifact.id) + "\n";
      if (!artifact.digest.empty()) out += name + "_DIGEST=" + shell_quote(artifact.digest) + "\n";
    }
  }
  Diagnostics ignored;
  for (const auto& output : outputs_of(pipeline, ignored)) {
    if (output.value.is_wholly_known())
      out += environment_name(output.name) + "=" + shell_quote(output_text(output.value)) + "\n";
  }
  write_file_atomically(path, out, 0600);
}

/// Of all stages whose tests ran.
std::vector<TestedSubject> tested(const Pipeline& pipeline, const PipelineRun& run) {
  std::vector<TestedSubject> out;
  for (size_t i = 0; i < pipeline.instances().size(); ++i) {
    if (run.wanted(i) && !run.ends()[i].tests.empty())
      out.push_back({pipeline.instances()[i].name, &run.ends()[i].tests});
  }
  return out;
}

OrderedJson forecast_json(const std::string& stage, const StageForecast& forecast, bool steps) {
  OrderedJson out;
  out["name"] = stage;
  out["template"] = forecast.template_path.empty() ? OrderedJson() : OrderedJson(forecast.template_path);
  out["action"] = word_of(forecast.what);
  out["reasons"] = forecast.reasons;
  out["images"] = OrderedJson::array();
  for (const auto& image : forecast.images) {
    if (!image.id.empty()) out["images"].push_back({{"id", image.id}, {"artifact", image.artifact_id}});
  }
  out["builds"] = OrderedJson();
  if (steps) out["builds"] = OrderedJson::parse(to_json(*outline_value(forecast.builds).find("builds")));
  return out;
}

std::string forecast_text(const std::string& stage, const StageForecast& forecast) {
  std::string out = fmt::format("{:<24}  {:<10}  {}\n", stage, word_of(forecast.what), forecast.template_path);
  for (const auto& reason : forecast.reasons) out += "    because " + reason + "\n";
  for (const auto& image : forecast.images) {
    if (!image.id.empty()) out += fmt::format("    image {}: {}\n", image.id, short_path(image.artifact_id));
  }
  for (const auto& build : forecast.builds) out += outline_text(build, "    ");
  return out;
}

}  // namespace

void show_what_runs(Invocation& invocation, const Pipeline& pipeline, const PipelineRun& run) {
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> names;
  size_t fresh = 0, others = 0;
  for (size_t i : pipeline.order()) {
    if (!run.wanted(i)) continue;
    const StageForecast& forecast = run.forecasts()[i];
    if (forecast.what == StageForecast::What::up_to_date) {
      ++fresh;
      continue;
    }
    if (++others > most_told) continue;
    names.push_back(pipeline.instances()[i].name);
    rows.push_back({pipeline.instances()[i].name, word_of(forecast.what), join(forecast.reasons, "; ")});
  }
  Ui ui = invocation.ui();
  std::string text;
  if (fresh > 0) text += fmt::format("{} stage{} up to date.\n", fresh, fresh == 1 ? " is" : "s are");
  text += text_table(rows, "  ");
  if (others > most_told) text += fmt::format("  ... and {} more stages\n", others - most_told);
  ui.say(std::string(trim_right(text)) + (others > 0 ? "\n" : ""));
  invocation.renderer->prepare(names);
}

void show_forecast(Invocation& invocation, const Pipeline& pipeline, const PipelineRun& run, bool json, bool steps) {
  size_t count[4] = {0, 0, 0, 0}, told = 0;
  OrderedJson list = OrderedJson::array();
  std::string text;
  for (size_t i : pipeline.order()) {
    if (!run.wanted(i)) continue;
    const StageForecast& forecast = run.forecasts()[i];
    ++count[static_cast<int>(forecast.what)];
    if (json) {
      list.push_back(forecast_json(pipeline.instances()[i].name, forecast, steps));
    } else if (++told <= most_told) {
      if (steps && told > 1) text += "\n";
      text += forecast_text(pipeline.instances()[i].name, forecast);
    }
  }
  if (json) {
    OrderedJson out;
    out["version"] = 1;
    out["pipeline"] = pipeline.settings().name;
    out["stages"] = std::move(list);
    invocation.ui().say(out.dump(2));
    return;
  }
  if (told > most_told) text += fmt::format("... and {} more stages\n", told - most_told);
  std::vector<std::string> words;
  auto add = [&](StageForecast::What what, const char* word) {
    if (size_t n = count[static_cast<int>(what)]; n > 0) words.push_back(fmt::format("{} {}", n, word));
  };
  add(StageForecast::What::up_to_date, "up to date");
  add(StageForecast::What::run, "to run");
  add(StageForecast::What::test, "to test");
  add(StageForecast::What::waits, "may run");
  invocation.ui().say(text + "\n" + join(words, ", ") + ". Nothing was done.");
}

void report_run(Invocation& invocation, const Pipeline& pipeline, const PipelineRun& run,
                std::chrono::nanoseconds duration, bool interrupted) {
  Ui ui = invocation.ui();
  std::vector<std::vector<std::string>> rows{{"Stage", "Result", "Time", "Tests", "Artifact"}};
  std::vector<const StageEnd*> failed;
  size_t fresh = 0;
  for (size_t i = 0; i < pipeline.instances().size(); ++i) {
    if (!run.wanted(i)) continue;
    const StageEnd& end = run.ends()[i];
    const std::string& name = pipeline.instances()[i].name;
    say_records(invocation, name, end);
    if (end.how == StageEnd::How::failed) {
      failed.push_back(&end);
      ui.error(fmt::format("\nStage {} failed: {}", name, end.error));
      if (!end.evidence.empty()) ui.say("  What was kept of it: " + end.evidence.string());
      if (!end.images.empty() && !end.images[0].log.empty()) ui.say("  Its log: " + end.images[0].log);
      Ui(*invocation.renderer, name).machine("error", {end.error});
    }
    if (rows.size() > most_told && (end.how == StageEnd::How::up_to_date || end.how == StageEnd::How::built)) {
      ++fresh;
      continue;
    }
    std::string artifact;
    for (const auto& image : end.images)
      artifact += (artifact.empty() ? "" : ", ") +
                  short_path(image.artifact_id.empty() ? image.description : image.artifact_id);
    bool ran = end.how == StageEnd::How::built || end.how == StageEnd::How::failed;
    rows.push_back({name, word_of(end),
                    ran ? fmt::format("{:.1f} s", std::chrono::duration<double>(end.duration).count()) : "",
                    tests_text(end), artifact});
  }
  ui.say("\n" + std::string(trim_right(text_table(rows, "  "))));
  if (fresh > 0) ui.say(fmt::format("  ... and {} more stages, all well", fresh));
  say_outputs(invocation, pipeline);
  std::string words = format_duration_words(duration);
  if (interrupted)
    ui.say(fmt::format("\nStopped after {}. What is finished is kept: `run -resume` goes on from there.", words));
  else if (!failed.empty())
    ui.error(fmt::format(
        "\n{} stage{} failed, after {}. What is finished is kept: mend it, then `run -resume` goes on from there.",
        failed.size(), failed.size() == 1 ? "" : "s", words));
  else ui.say(fmt::format("\nDone after {}.", words));
}

bool write_hand_over(Invocation& invocation, const CommandOptions& options, const Pipeline& pipeline,
                     const PipelineRun& run, bool well) {
  try {
    // A half-finished run hands nothing over: what reads these files takes them for a success.
    if (!options.artifact_json.empty()) write_artifact_json(options.artifact_json, pipeline, run, well);
    if (!options.artifact_env.empty() && well) write_artifact_env(options.artifact_env, pipeline, run);
    write_test_reports(options, *invocation.redactor, tested(pipeline, run));
  } catch (const Error& error) {
    invocation.ui().error("Error: " + error.message());
    return false;
  }
  return true;
}

}  // namespace kiln
