#include "core/image_testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/process.h"
#include "core/scripted.h"

namespace kiln {
namespace {

using testing::HasSubstr;

TEST(WaitFor, KnowsItsWords) {
  for (const char* word : {"ssh", "systemd", "cloud-init", "port:8080", "command:test -e /ready"}) {
    EXPECT_EQ(wrong_wait_for(word), std::nullopt) << word;
  }
  for (const char* word : {"", "sytemd", "port:", "port:0", "port:70000", "port:http", "command:", "command:  "}) {
    ASSERT_NE(wrong_wait_for(word), std::nullopt) << word;
    EXPECT_THAT(*wrong_wait_for(word), HasSubstr("known are"));
  }
}

/// Exit status of what waits for cloud-init on a machine that has these programs.
int cloud_init_readiness(const std::map<std::string, std::string>& programs) {
  TempDir directory("kiln-programs");
  for (const auto& [name, text] : programs)
    write_file_atomically(directory.path() / name, "#!/bin/sh\n" + text + "\n", 0755);
  fs::create_symlink("/bin/grep", directory.path() / "grep");
  Command command{.argv = {"/bin/sh", "-c", readiness_command("cloud-init")},
                  .env = {{"PATH", directory.path().string()}}};
  return run(command, Deadline::in(std::chrono::seconds(20)), Stop()).status.code;
}

TEST(WaitFor, CloudInitIsReadyWhenItsLastStageHasEnded) {
  std::string running = "echo ' 57 cloud-final.service start running'";
  EXPECT_EQ(cloud_init_readiness({}), 0);
  EXPECT_EQ(cloud_init_readiness({{"cloud-init", "exit 0"}}), 0);
  EXPECT_EQ(cloud_init_readiness({{"cloud-init", "exit 1"}, {"systemctl", "exit 0"}}), 0);
  EXPECT_NE(cloud_init_readiness({{"cloud-init", "exit 1"}, {"systemctl", running}}), 0);
}

}  // namespace
}  // namespace kiln
