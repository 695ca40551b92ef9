#include "wire/winrm_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "wire/winrm_client.h"

namespace kiln {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const WinrmHeader head{"http://h:5985/wsman", "11-22", "SHELL-1", std::chrono::seconds(20)};

TEST(WinrmMessage, Durations) {
  EXPECT_EQ(iso8601_duration(std::chrono::seconds(0)), "PT0S");
  EXPECT_EQ(iso8601_duration(std::chrono::seconds(20)), "PT20S");
  EXPECT_EQ(iso8601_duration(std::chrono::seconds(60)), "PT1M");
  EXPECT_EQ(iso8601_duration(std::chrono::seconds(3701)), "PT1H1M41S");
}

TEST(WinrmMessage, RequestsSayWhatTheServiceAsksFor) {
  std::string text = winrm_command(head, "echo \"a\" & <b>", false);
  EXPECT_THAT(text, HasSubstr("<a:To>http://h:5985/wsman</a:To>"));
  EXPECT_THAT(text, HasSubstr("<a:MessageID>uuid:11-22</a:MessageID>"));
  EXPECT_THAT(text, HasSubstr("<w:OperationTimeout>PT20S</w:OperationTimeout>"));
  EXPECT_THAT(text, HasSubstr("<w:Selector Name=\"ShellId\">SHELL-1</w:Selector>"));
  EXPECT_THAT(text, HasSubstr("<w:Option Name=\"WINRS_CONSOLEMODE_STDIN\">TRUE</w:Option>"));
  EXPECT_THAT(text, HasSubstr("<rsp:Command>echo \"a\" &amp; &lt;b&gt;</rsp:Command>"));
  EXPECT_THAT(winrm_command(head, "x", true),
              HasSubstr("<w:Option Name=\"WINRS_CONSOLEMODE_STDIN\">FALSE</w:Option>"));
  EXPECT_THAT(winrm_create_shell({"u", "1", "", std::chrono::seconds(1)}), Not(HasSubstr("SelectorSet")));
  EXPECT_THAT(winrm_send(head, "C1", "hi", true),
              HasSubstr("<rsp:Stream Name=\"stdin\" CommandId=\"C1\" End=\"true\">aGk=</rsp:Stream>"));
  EXPECT_THAT(winrm_terminate(head, "C1"), HasSubstr("/shell/signal/terminate</rsp:Code>"));
}

std::string envelope(const std::string& body) {
  return "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Header/><e:Body>" + body +
         "</e:Body></e:Envelope>";
}

TEST(WinrmMessage, AnswersAreReadWhateverThePrefixes) {
  EXPECT_EQ(parse_winrm_answer(envelope("<q:Shell><q:ShellId>ID</q:ShellId></q:Shell>")).shell_id, "ID");
  EXPECT_EQ(
      parse_winrm_answer(envelope("<x:ResourceCreated><a:ReferenceParameters><w:SelectorSet><w:Selector "
                                  "Name=\"ShellId\">OLD</w:Selector></w:SelectorSet></a:ReferenceParameters>"
                                  "</x:ResourceCreated>"))
          .shell_id,
      "OLD");
  EXPECT_EQ(
      parse_winrm_answer(envelope("<CommandResponse><CommandId>C</CommandId></CommandResponse>")).command_id,
      "C");
  WinrmAnswer answer = parse_winrm_answer(envelope(
      "<r:ReceiveResponse><r:Stream Name=\"stdout\">aGk=</r:Stream><r:Stream Name=\"stderr\">bm8=</r:Stream>"
      "<r:Stream Name=\"stdout\">IQ==</r:Stream><r:Stream Name=\"stdout\" End=\"true\"/>"
      "<r:CommandState State=\"http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Done\">"
      "<r:ExitCode>4294967295</r:ExitCode></r:CommandState></r:ReceiveResponse>"));
  EXPECT_EQ(answer.out, "hi!");
  EXPECT_EQ(answer.err, "no");
  EXPECT_TRUE(answer.done);
  EXPECT_EQ(answer.exit_code, -1);
}

TEST(WinrmMessage, FaultsAndRubbish) {
  WinrmAnswer answer = parse_winrm_answer(envelope(
      "<e:Fault><e:Reason><e:Text xml:lang=\"en\">it is late </e:Text></e:Reason><e:Detail><f:WSManFault "
      "Code=\"2150858793\"><f:Message>late</f:Message></f:WSManFault></e:Detail></e:Fault>"));
  ASSERT_TRUE(answer.fault);
  EXPECT_EQ(answer.fault->code, winrm_operation_timed_out);
  EXPECT_EQ(answer.fault->text, "it is late");
  EXPECT_THROW(parse_winrm_answer("<html>"), Error);
  EXPECT_THROW(parse_winrm_answer(""), Error);
  EXPECT_THROW(parse_winrm_answer(envelope("<r:Stream Name=\"stdout\">*</r:Stream>")), Error);
}

TEST(WinrmClient, ProxyByGosRules) {
  auto env = [](const char* name) -> std::string {
    return std::string_view(name) == "HTTP_PROXY"    ? "http://p:1"
           : std::string_view(name) == "https_proxy" ? "q:2"
                                                     : "";
  };
  WinrmEndpoint endpoint;
  endpoint.host = "10.0.0.1";
  EXPECT_EQ(winrm_proxy(endpoint, env), "http://p:1");
  endpoint.https = true;
  EXPECT_EQ(winrm_proxy(endpoint, env), "q:2");
  endpoint.no_proxy = true;
  EXPECT_EQ(winrm_proxy(endpoint, env), "");
  endpoint = {};
  for (const char* host : {"localhost", "127.0.0.1", "127.3.2.1", "::1", "[::1]"}) {
    endpoint.host = host;
    EXPECT_EQ(winrm_proxy(endpoint, env), "") << host;
  }
}

}  // namespace
}  // namespace kiln
