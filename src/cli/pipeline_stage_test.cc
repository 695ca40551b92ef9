#include "cli/pipeline_stage.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "core/image_store.h"

namespace kiln {
namespace {

TEST(PipelineStage, ATestIsDoneAgainWhenItsMachinesUserDataChanges) {
  TempDir directory("kiln-stage");
  auto digests = open_file_digests(directory.path() / "state");
  fs::path user_data = directory.path() / "user-data";
  write_file_atomically(user_data, "#!/bin/sh\ntrue\n");
  Value machine(Value::Object{{"iso_url", "/store/image"},
                              {"output_directory", "/scratch/1"},
                              {"memory", 512},
                              {"user_data_file", user_data.string()},
                              {"ssh_password", "hidden"}});
  Value before = machine_inputs(machine, "qemu", *digests);
  machine.set("output_directory", "/scratch/2");
  machine.set("memory", 1024);
  EXPECT_EQ(machine_inputs(machine, "qemu", *digests), before);
  EXPECT_EQ(before.find("ssh_password"), nullptr);
  write_file_atomically(user_data, "#!/bin/sh\nfalse # longer\n");
  EXPECT_NE(machine_inputs(machine, "qemu", *digests), before);
}

}  // namespace
}  // namespace kiln
