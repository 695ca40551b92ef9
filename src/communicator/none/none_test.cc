#include "communicator/none/none.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"

namespace kiln {
namespace {

std::string failure_of(const std::function<void()>& operation) {
  try {
    operation();
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

TEST(NoneCommunicator, CommandsSucceedAndTransfersAreRefused) {
  auto none = make_none_communicator();
  Sink sink = [](std::string_view) { FAIL() << "nothing runs, so nothing is printed"; };
  EXPECT_EQ(none->run("exit 1", sink, sink, Deadline::never(), Stop()), 0);
  ByteSource source = [](char*, size_t) -> size_t { return 0; };
  EXPECT_EQ(failure_of([&] { none->upload({"/x"}, source, Deadline::never(), Stop()); }),
            "Upload is not implemented when communicator = 'none'");
  EXPECT_EQ(failure_of([&] { none->upload_tree("/x", "/y", {}, Deadline::never(), Stop()); }),
            "UploadDir is not implemented when communicator = 'none'");
  EXPECT_EQ(failure_of([&] { none->download("/x", sink, Deadline::never(), Stop()); }),
            "Download is not implemented when communicator = 'none'");
  EXPECT_EQ(failure_of([&] { none->download_tree("/x", "/y", Deadline::never(), Stop()); }),
            "DownloadDir is not implemented when communicator = 'none'");
}

TEST(NoneCommunicator, StopsWhenAskedTo) {
  Stop stop;
  stop.request();
  Sink sink = [](std::string_view) {};
  EXPECT_THROW(make_none_communicator()->run("true", sink, sink, Deadline::never(), stop), Error);
  EXPECT_THROW(make_discarding_communicator()->run("true", sink, sink, Deadline::never(), stop), Error);
}

TEST(DiscardingCommunicator, ReadsUploadsToTheirEnd) {
  size_t left = 200000;
  ByteSource source = [&](char*, size_t size) {
    size_t now = std::min(left, size);
    left -= now;
    return now;
  };
  make_discarding_communicator()->upload({"/x", 200000}, source, Deadline::never(), Stop());
  EXPECT_EQ(left, 0u);
}

}  // namespace
}  // namespace kiln
