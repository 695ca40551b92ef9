#include "core/state_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "core/state_plan.h"

namespace kiln {
namespace {

using ::testing::HasSubstr;

/// A cache in a directory of its own, and states in it without any machine.
struct Fixture {
  TempDir dir;
  std::unique_ptr<StateCache> cache = open_state_cache(dir.path() / "cache");

  MachineState make(StateRun& run, const std::string& key, const MachineState* parent = nullptr,
                    size_t bytes = 1000) const {
    MachineState state;
    state.key = key;
    state.builder_type = "qemu";
    state.step = parent ? "shell" : "boot";
    state.number = parent ? parent->number + 1 : 0;
    state.document = Value::empty_object();
    state.details = Value::empty_object();
    if (parent) {
      state.parent = parent->key;
      state.parent_instance = parent->instance;
    }
    fs::path directory = run.begin();
    write_file_atomically(directory / "memory", std::string(bytes, 'm'));
    fs::path layer = run.new_layer(".qcow2");
    write_file_atomically(layer, std::string(bytes, 'l') + key);
    state.layers = {layer.filename().string()};
    return run.commit(state, directory);
  }
};

TEST(StateCache, FindsWhatWasCommittedAndNothingElse) {
  Fixture f;
  auto run = f.cache->open_run();
  EXPECT_FALSE(f.cache->find("a").state);
  fs::path half = run->begin();
  write_file_atomically(half / "memory", "half");
  EXPECT_FALSE(f.cache->find("a").state);
  MachineState a = f.make(*run, "a");
  Event said;
  said.kind = EventKind::message;
  auto found = f.cache->find("a");
  ASSERT_TRUE(found.state);
  EXPECT_EQ(found.state->instance, a.instance);
  EXPECT_EQ(found.state->layers, a.layers);
  EXPECT_EQ(read_file(found.state->directory / "memory"), std::string(1000, 'm'));
  EXPECT_FALSE(f.cache->find("b").state);
}

TEST(StateCache, ACopyOfItIsAsGood) {
  Fixture f;
  MachineState b;
  {
    auto run = f.cache->open_run();
    MachineState a = f.make(*run, "a");
    b = f.make(*run, "b", &a);
    f.make(*run, "c", &b);
  }
  fs::path copied = f.dir.path() / "copied";
  fs::copy(f.dir.path() / "cache", copied, fs::copy_options::recursive);
  fs::path memory = copied / "states/c/memory";
  write_file_atomically(memory, std::string(999, 'm') + "x");  // of its size, but another
  fs::path manifest = copied / "states/a/state.json";
  std::string before = read_file(manifest);

  auto cache = open_state_cache(copied);
  EXPECT_TRUE(cache->trim(uint64_t{1} << 30U).empty());
  auto found = cache->find("b");
  ASSERT_TRUE(found.state) << found.why_not;
  EXPECT_EQ(found.state->instance, b.instance);
  EXPECT_EQ(cache->lineage(*found.state).front().directory, copied / "states/a");
  EXPECT_THAT(cache->find("c").why_not, HasSubstr("changed"));
  EXPECT_NE(read_file(manifest), before) << "it is to be known by its looks from now on";
  EXPECT_TRUE(cache->verify(*found.state, Stop()).empty());
  EXPECT_TRUE(open_state_cache(copied)->find("b").state);
}

TEST(StateCache, KeepsWordsOfAStep) {
  Fixture f;
  auto run = f.cache->open_run();
  MachineState state;
  state.key = "k";
  state.details = state.document = Value::empty_object();
  for (auto kind : {EventKind::say, EventKind::message, EventKind::error}) {
    Event event;
    event.kind = kind;
    event.text = "line\nof \xff bytes";
    state.output.push_back(event);
  }
  run->commit(state, run->begin());
  auto found = f.cache->find("k").state;
  ASSERT_TRUE(found);
  ASSERT_EQ(found->output.size(), 3U);
  EXPECT_EQ(found->output[1].kind, EventKind::message);
  EXPECT_EQ(found->output[2].kind, EventKind::error);
  EXPECT_THAT(found->output[0].text, HasSubstr("line\nof "));
}

TEST(StateCache, LineageIsFromTheFirst) {
  Fixture f;
  auto run = f.cache->open_run();
  MachineState a = f.make(*run, "a");
  MachineState b = f.make(*run, "b", &a);
  MachineState c = f.make(*run, "c", &b);
  auto line = f.cache->lineage(c);
  ASSERT_EQ(line.size(), 3U);
  EXPECT_EQ(line[0].key, "a");
  EXPECT_EQ(line[2].key, "c");
}

TEST(StateCache, AStateWhoseParentWasMadeAnewIsNotFound) {
  Fixture f;
  auto run = f.cache->open_run();
  MachineState a = f.make(*run, "a");
  f.make(*run, "b", &a);
  f.make(*run, "a");
  auto found = f.cache->find("b");
  EXPECT_FALSE(found.state);
  EXPECT_EQ(found.why_not, "the state it builds on was made anew");
  EXPECT_TRUE(f.cache->find("a").state);
}

TEST(StateCache, DamageIsNotFoundAndSaidWhy) {
  Fixture f;
  auto run = f.cache->open_run();
  MachineState a = f.make(*run, "a");
  MachineState b = f.make(*run, "b", &a);
  fs::path layer = f.cache->layers_directory() / a.layers[0];
  EXPECT_TRUE(f.cache->verify(b, Stop()).empty());
  fs::resize_file(layer, 5);
  EXPECT_THAT(f.cache->find("a").why_not, HasSubstr("changed"));
  EXPECT_THAT(f.cache->find("b").why_not, HasSubstr("changed"));
  fs::remove(b.directory / "memory");
  EXPECT_THAT(f.cache->find("b").why_not, HasSubstr("is gone"));
  EXPECT_FALSE(f.cache->verify(b, Stop()).empty());
}

TEST(StateCache, VerifySeesContentThatChangedUnseen) {
  Fixture f;
  auto run = f.cache->open_run();
  MachineState a = f.make(*run, "a");
  fs::path file = a.directory / "memory";
  auto time = fs::last_write_time(file);
  std::string content = read_file(file);
  content[500] = 'x';
  {
    FILE* out = std::fopen(file.c_str(), "r+");
    std::fwrite(content.data(), 1, content.size(), out);
    std::fclose(out);
  }
  fs::last_write_time(file, time);
  EXPECT_TRUE(f.cache->find("a").state);  // nothing shows it
  auto damage = f.cache->verify(a, Stop());
  ASSERT_EQ(damage.size(), 1U);
  EXPECT_THAT(damage[0].what, HasSubstr("content differs"));
}

TEST(StateCache, AnUnreadableManifestIsNoState) {
  Fixture f;
  auto run = f.cache->open_run();
  MachineState a = f.make(*run, "a");
  for (const char* text : {"", "{", "[]", "{\"version\": 99}", "{\"version\": 1}"}) {
    write_file_atomically(a.directory / "state.json", text);
    EXPECT_FALSE(f.cache->find("a").state) << text;
    EXPECT_TRUE(f.cache->list().empty()) << text;
  }
}

TEST(StateCache, WhatDependsOnAFileElsewhereGoesWithIt) {
  Fixture f;
  auto run = f.cache->open_run();
  fs::path base = f.dir.path() / "base.qcow2";
  write_file_atomically(base, "base");
  MachineState state;
  state.key = "a";
  state.details = state.document = Value::empty_object();
  state.depends = {base.string()};
  run->commit(state, run->begin());
  EXPECT_TRUE(f.cache->find("a").state);
  write_file_atomically(base, "other");
  EXPECT_THAT(f.cache->find("a").why_not, HasSubstr("base.qcow2 changed"));
}

TEST(StateCache, TrimTakesTheLeastRecentlyUsedAndParentsLast) {
  Fixture f;
  auto run = f.cache->open_run();
  MachineState a = f.make(*run, "a", nullptr, 100000);
  MachineState b = f.make(*run, "b", &a, 100000);
  MachineState other = f.make(*run, "other", nullptr, 100000);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ASSERT_TRUE(f.cache->lease(b));  // used now, and its parent with it
  uint64_t one = a.bytes;
  auto removed = f.cache->trim(2 * one);
  ASSERT_EQ(removed.size(), 1U);
  EXPECT_EQ(removed[0].key, "other");
  EXPECT_TRUE(f.cache->find("b").state);
  removed = f.cache->trim(one);
  ASSERT_EQ(removed.size(), 1U);
  EXPECT_EQ(removed[0].key, "b");
  EXPECT_FALSE(fs::exists(f.cache->layers_directory() / b.layers[0]));
  EXPECT_TRUE(f.cache->find("a").state);
  EXPECT_EQ(f.cache->trim(0).size(), 1U);
  EXPECT_TRUE(f.cache->list().empty());
}

TEST(StateCache, NothingInUseIsRemoved) {
  Fixture f;
  auto run = f.cache->open_run();
  MachineState a = f.make(*run, "a");
  MachineState b = f.make(*run, "b", &a);
  auto lease = f.cache->lease(b);
  ASSERT_TRUE(lease);
  EXPECT_TRUE(f.cache->trim(0).empty());
  EXPECT_FALSE(f.cache->remove("a"));
  EXPECT_TRUE(f.cache->find("b").state);
  lease.reset();
  EXPECT_TRUE(f.cache->remove("a"));
  EXPECT_TRUE(f.cache->list().empty());
  EXPECT_FALSE(f.cache->lease(b));
}

TEST(StateCache, WhatIsNotCommittedGoesWithItsRun) {
  Fixture f;
  fs::path layer, directory;
  {
    auto run = f.cache->open_run();
    layer = run->new_layer(".qcow2");
    write_file_atomically(layer, "in the making");
    directory = run->begin();
    f.cache->trim(1U << 30U);  // somebody else's
    EXPECT_TRUE(fs::exists(layer));
    f.make(*run, "a");
  }
  EXPECT_FALSE(fs::exists(layer));
  EXPECT_FALSE(fs::exists(directory));
  EXPECT_TRUE(f.cache->find("a").state);
}

TEST(StateCache, WhatAKilledProcessLeftIsSwept) {
  Fixture f;
  fs::path layer = f.cache->layers_directory() / "0123456789abcdef-1.qcow2";
  write_file_atomically(layer, "of nobody");
  fs::create_directories(f.dir.path() / "cache" / "tmp" / "0123456789abcdef" / "2");
  f.cache->trim(1U << 30U);
  EXPECT_FALSE(fs::exists(layer));
  EXPECT_FALSE(fs::exists(f.dir.path() / "cache" / "tmp" / "0123456789abcdef"));
}

TEST(StateCache, OneMakesAState) {
  Fixture f;
  auto first = f.cache->try_make("a");
  ASSERT_TRUE(first);
  EXPECT_FALSE(f.cache->try_make("a"));
  EXPECT_TRUE(f.cache->try_make("b"));
  first.reset();
  EXPECT_TRUE(f.cache->try_make("a"));
}

TEST(StateCache, Budget) {
  auto budget = [](const char* text) {
    ::setenv("KILN_CACHE_SIZE", text, 1);
    return state_cache_budget();
  };
  EXPECT_EQ(budget(""), uint64_t{20} << 30U);
  EXPECT_EQ(budget("1"), 1U);
  EXPECT_EQ(budget("2k"), 2048U);
  EXPECT_EQ(budget("500MiB"), uint64_t{500} << 20U);
  EXPECT_EQ(budget(" 1.5 GB "), uint64_t{1536} << 20U);
  for (const char* wrong : {"much", "5x", "-1", "1 GiBs", "nan"}) EXPECT_THROW(budget(wrong), Error) << wrong;
  ::unsetenv("KILN_CACHE_SIZE");
}

/// A chain of states by hand.
StatePlan chain(std::shared_ptr<StateCache> cache, const std::vector<std::string>& keys) {
  StatePlan plan;
  plan.cache = std::move(cache);
  for (const auto& key : keys) {
    PlannedState state;
    state.key = key;
    state.what = "step " + key;
    state.document = Value::empty_object();
    plan.states.push_back(std::move(state));
  }
  return plan;
}

TEST(StateReach, GoesAsFarAsStatesMayBeUsed) {
  Fixture f;
  std::shared_ptr<StateCache> cache = std::move(f.cache);
  auto run = cache->open_run();
  f.cache = open_state_cache(f.dir.path() / "cache");
  MachineState a = f.make(*run, "a");
  MachineState b = f.make(*run, "b", &a);
  f.make(*run, "c", &b);
  StatePlan plan = chain(cache, {"a", "b", "c", "d"});
  EXPECT_EQ(reach_of(plan).index, 2U);
  plan.rebuild_from = 2;
  EXPECT_EQ(reach_of(plan).index, 1U);
  plan.rebuild_from = 0;
  EXPECT_FALSE(reach_of(plan).index);
  EXPECT_EQ(reach_of(plan).why_not_next, "it is to be made anew");
  plan.rebuild_from = SIZE_MAX;
  plan.states[1].keep = false;
  EXPECT_EQ(reach_of(plan).index, 0U);
  plan.states[1].keep = true;
  plan.states[1].max_age = std::chrono::hours(1);
  EXPECT_EQ(reach_of(plan).index, 2U);
  plan.states[1].max_age = std::chrono::nanoseconds(1);
  EXPECT_EQ(reach_of(plan).index, 0U);
  EXPECT_THAT(reach_of(plan).why_not_next, HasSubstr("max_age"));
}

TEST(StateReach, AStateThatWasNotKeptIsPassedOver) {
  Fixture f;
  std::shared_ptr<StateCache> cache = std::move(f.cache);
  auto run = cache->open_run();
  MachineState a = f.make(*run, "a");
  f.make(*run, "c", &a);
  EXPECT_EQ(reach_of(chain(cache, {"a", "b", "c"})).index, 2U);
}

TEST(StateReach, StatesThatAreNotChosenAreNotMissed) {
  Fixture f;
  std::shared_ptr<StateCache> cache = std::move(f.cache);
  auto run = cache->open_run();
  f.make(*run, "c");
  StatePlan plan = chain(cache, {"a", "b", "c", "d"});
  for (size_t i : {0, 1, 3}) plan.states[i].passed = "it is quick";
  EXPECT_EQ(next_kept(plan, 0), 2U);
  EXPECT_EQ(next_kept(plan, 3), 4U);
  EXPECT_EQ(reach_of(plan).index, 2U);
  EXPECT_EQ(reach_of(plan).why_not_next, "");
  plan.rebuild_from = 1;
  EXPECT_FALSE(reach_of(plan).index);
}

TEST(StateCache, MarksWhatItHasOutside) {
  Fixture f;
  auto run = f.cache->open_run();
  std::string id = f.cache->id();
  EXPECT_EQ(open_state_cache(f.dir.path() / "cache")->id(), id);
  EXPECT_NE(open_state_cache(f.dir.path() / "other")->id(), id);
  EXPECT_TRUE(run->outside_tag().starts_with(id + "/"));
  EXPECT_NE(run->outside_tag(), run->outside_tag());
}

}  // namespace
}  // namespace kiln
